"""What the demo says of a model and its answers. Run: pytest tests/app/demo/test_app_texts.py"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import gradio
import numpy as np
import pytest
import yaml
from repository import ROOT
from small_demo import save_checkpoint
from tiny import grey

from hf_bones.app.demo.classify import answer
from hf_bones.app.demo.result.about import about_html
from hf_bones.app.demo.result.cards import card_of, definitions_html, verdict_html, view_html
from hf_bones.app.demo.wording import languages, load_words
from hf_bones.images.opening import Refusal, explain
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER, UNREADABLE, Finding
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS, LabelClass, LabelScheme
from hf_bones.pages.palette import SIGNS
from hf_bones.pages.text import percent, words

WORDS = load_words()


def test_an_undecided_model_says_that_it_is_not_sure_and_its_reason_is_one_click_away(tmp_path: Path) -> None:
    predictor = BonePredictor.from_pretrained(save_checkpoint(tmp_path, thresholds=dict.fromkeys(THREE_CLASS.names, 0.0)))
    found = answer(predictor, np.asarray(grey()), "image")
    html = verdict_html(found.finding, THREE_CLASS, WORDS)
    assert found.finding.verdict == REFER and "Not sure" in html and "Possible for the model: " in html
    technical = view_html(found.finding, found.radiograph, predictor.decision, WORDS).split("<details")[1]
    assert found.finding.reasons[0] in technical and "PNG" not in technical and "70 × 90 px" in technical


@pytest.mark.parametrize(("drawn", "said"), [(True, True), (False, False), (None, False)])
def test_a_model_of_drawings_alone_says_so(tmp_path: Path, drawn: bool | None, said: bool) -> None:
    predictor = BonePredictor.from_pretrained(save_checkpoint(tmp_path, drawn=drawn))
    assert ("learnt from drawn radiographs only" in about_html(predictor, WORDS)) is said


def test_the_header_names_the_model_and_whether_it_is_calibrated(tmp_path: Path, predictor: BonePredictor) -> None:
    html = about_html(predictor, WORDS)
    assert "my-model" in html and "56 px" in html and "probabilities calibrated" in html and str(tmp_path.parent) not in html
    assert "No figures came with this model" in html
    raw = BonePredictor.from_pretrained(save_checkpoint(tmp_path, calibrated=False))
    assert "not calibrated" in about_html(raw, WORDS)


def test_each_class_is_defined_and_told_by_sign_and_word(predictor: BonePredictor) -> None:
    html = definitions_html(THREE_CLASS, WORDS)
    for label in THREE_CLASS.classes:
        assert words(label.name) in html and label.definition in html
    signs = [SIGNS[name] for name in THREE_CLASS.names]
    assert len(set(signs)) == 3


def test_what_comes_from_a_checkpoint_or_a_file_name_is_escaped(predictor: BonePredictor) -> None:
    evil = "<script>alert(1)</script>"
    scheme = LabelScheme("custom", (LabelClass("healthy", evil, subtypes=("<script>",)), LabelClass("<b>", evil)))
    refused = answer(predictor, b"no image", evil).finding
    called = Finding(evil, "<b>", "model", probabilities={"healthy": 0.1, "<b>": 0.9}, raw_probabilities={"healthy": 0.1, "<b>": 0.9})
    for html in (definitions_html(scheme, WORDS), verdict_html(refused, scheme, WORDS), verdict_html(called, scheme, WORDS)):
        assert "<script>" not in html and "<b>" not in html and "&lt;script&gt;" in html
    assert "<script>" not in view_html(refused, None, predictor.decision, WORDS)


@pytest.mark.parametrize("language", languages())
def test_every_verdict_and_every_refusal_has_words_of_its_own(language: str) -> None:
    spoken = load_words(language)
    shares = dict.fromkeys(THREE_CLASS.names, 1 / 3)
    verdicts = [Finding("film", verdict, "model", probabilities=shares) for verdict in (*THREE_CLASS.names, REFER, NOT_A_BONE_XRAY)]
    verdicts.append(Finding("film", REFER, "model", probabilities=shares, unfamiliar=True))
    refusals = [Finding("film", UNREADABLE, "model", reasons=(reason.value, explain(reason), "")) for reason in Refusal]
    cards = [card_of(finding, THREE_CLASS, spoken) for finding in (*verdicts, *refusals)]
    assert len({card.meaning for card in cards}) == len(cards)
    assert all(card.next for card in cards[: len(verdicts)]), "says what to do"
    assert [bool(card.score) for card in cards[:5]] == [True, True, True, False, False]


def test_a_class_that_is_not_the_likeliest_is_explained_and_what_else_is_possible_is_named() -> None:
    shares = {"healthy": 0.03, "fractured": 0.56, "beyond_repair": 0.41}
    card = card_of(Finding("film", "beyond_repair", "model", probabilities=shares, prediction_set=("beyond_repair",)), THREE_CLASS, WORDS)
    assert card.more == (WORDS("classify.not_likeliest", name="Fractured"),)
    both = Finding("film", "fractured", "model", probabilities=shares, prediction_set=("fractured", "beyond_repair"))
    assert card_of(both, THREE_CLASS, WORDS).more == ("Possible too: Beyond repair.",)


def test_a_class_of_somebody_s_own_scheme_is_told_in_that_scheme_s_words(predictor: BonePredictor) -> None:
    scheme = LabelScheme("own", (LabelClass("healthy", "All is well."), LabelClass("cast_on", "There is a cast.")))
    finding = Finding("film", "cast_on", "model", probabilities={"healthy": 0.2, "cast_on": 0.8})
    card = card_of(finding, scheme, load_words("de"))
    assert (card.title, card.meaning, card.score) == ("Cast on", "There is a cast.", "80 %")


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.534, "53 %"), (0.0004, "< 1 %"), (0.0, "< 1 %"), (1.0, "> 99 %"), (0.99, "99 %"), (0.01, "1 %")]
)
def test_no_probability_is_shown_as_none_or_all(probability: float, shown: str) -> None:
    assert percent(probability) == shown


def test_an_empty_page_shows_no_result() -> None:
    html = verdict_html(None, THREE_CLASS, WORDS)
    assert 'data-state="empty"' in html and WORDS("classify.hint") in html


def test_importing_the_app_imports_neither_gradio_nor_torch() -> None:
    code = "import sys, hf_bones.app; sys.exit(any(name in sys.modules for name in ('gradio', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_space_pins_what_is_tested() -> None:
    matter = yaml.safe_load((ROOT / "demo/README.md").read_text(encoding="utf-8").split("---")[1])
    assert matter["sdk"] == "gradio" and matter["sdk_version"] == gradio.__version__
    assert matter["python_version"] == "3.12" and (ROOT / "demo" / matter["app_file"]).is_file()
    assert len(matter["short_description"]) <= 60, "the Hub refuses longer ones"
    pins = (ROOT / "demo/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {f"gradio=={gradio.__version__}", f"torch=={version('torch').partition('+')[0]}"} <= set(pins)
