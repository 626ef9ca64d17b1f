"""What the demo says of a model and its answers. Run: pytest tests/app/demo/test_app_texts.py"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gradio
import numpy as np
import pytest
import yaml
from repository import ROOT
from small_demo import save_checkpoint
from tiny import grey

import hf_bones
from hf_bones.app.demo import texts
from hf_bones.app.demo.classify import answer
from hf_bones.inference.finding import REFER
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS, LabelClass, LabelScheme
from hf_bones.pages.palette import SIGNS
from hf_bones.pages.text import percent, words


def test_an_undecided_model_says_that_it_is_not_sure(tmp_path: Path) -> None:
    predictor = BonePredictor.from_pretrained(save_checkpoint(tmp_path, thresholds=dict.fromkeys(THREE_CLASS.names, 0.0)))
    found = answer(predictor, np.asarray(grey()), "image")
    html = texts.verdict_html(found, THREE_CLASS)
    assert found.finding.verdict == REFER and "Not sure" in html and found.finding.reasons[0] in html


@pytest.mark.parametrize(("drawn", "said"), [(True, True), (False, False), (None, False)])
def test_a_model_of_drawings_alone_says_so(tmp_path: Path, drawn: bool | None, said: bool) -> None:
    predictor = BonePredictor.from_pretrained(save_checkpoint(tmp_path, drawn=drawn))
    assert ("learnt from drawn radiographs only" in texts.header_html(predictor)) is said


def test_the_header_names_the_model_and_whether_it_is_calibrated(tmp_path: Path, predictor: BonePredictor) -> None:
    html = texts.header_html(predictor)
    assert "my-model" in html and "56 px" in html and "probabilities calibrated" in html and str(tmp_path.parent) not in html
    raw = BonePredictor.from_pretrained(save_checkpoint(tmp_path, calibrated=False))
    assert "not calibrated" in texts.header_html(raw)


def test_each_class_is_defined_and_told_by_sign_and_word(predictor: BonePredictor) -> None:
    html = texts.definitions_html(THREE_CLASS)
    for label in THREE_CLASS.classes:
        assert words(label.name) in html and label.definition in html
    signs = [SIGNS[name] for name in THREE_CLASS.names]
    assert len(set(signs)) == 3


def test_what_comes_from_a_checkpoint_or_a_file_name_is_escaped(predictor: BonePredictor) -> None:
    evil = "<script>alert(1)</script>"
    scheme = LabelScheme("custom", (LabelClass("healthy", evil, subtypes=("<script>",)), LabelClass("<b>", evil)))
    refused = answer(predictor, b"no image", evil)
    for html in (texts.definitions_html(scheme), texts.verdict_html(refused, scheme)):
        assert "<script>" not in html and "<b>" not in html and "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.534, "53 %"), (0.0004, "< 1 %"), (0.0, "< 1 %"), (1.0, "> 99 %"), (0.99, "99 %"), (0.01, "1 %")]
)
def test_no_probability_is_shown_as_none_or_all(probability: float, shown: str) -> None:
    assert percent(probability) == shown


def test_an_empty_page_shows_no_result() -> None:
    html = texts.verdict_html(None, THREE_CLASS)
    assert 'data-state="empty"' in html and texts.caption_html(None, "healthy") == ""


def test_importing_the_app_imports_neither_gradio_nor_torch() -> None:
    code = "import sys, hf_bones.app; sys.exit(any(name in sys.modules for name in ('gradio', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_space_pins_what_is_tested() -> None:
    matter = yaml.safe_load((ROOT / "demo/README.md").read_text(encoding="utf-8").split("---")[1])
    assert matter["sdk"] == "gradio" and matter["sdk_version"] == gradio.__version__
    assert matter["python_version"] == "3.12" and (ROOT / "demo" / matter["app_file"]).is_file()
    assert len(matter["short_description"]) <= 60, "the Hub refuses longer ones"
    assert (ROOT / "demo/requirements.txt").read_text(encoding="utf-8").split() == [f"hf-bones=={hf_bones.__version__}"]
