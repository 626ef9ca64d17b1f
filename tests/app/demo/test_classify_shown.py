"""What the Classify tab is sent for a film, without a browser. Run: pytest tests/app/demo/test_classify_shown.py"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grey_images import dicom
from markupsafe import escape
from PIL import Image
from small_demo import BAD_FILES
from tiny import grey

from hf_bones.app.demo.classify import VIEW_SIDE
from hf_bones.app.demo.page import build_demo
from hf_bones.app.demo.turns import Turns
from hf_bones.images.opening import Refusal, explain
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.text import percent, words

Shown = dict[str, Any]


@pytest.fixture(scope="module")
def shown_for(checkpoint: Path) -> Callable[[Path], Shown]:
    """What the page is sent for a file, as its events send it."""
    functions = {fn.name: fn.fn for fn in build_demo(checkpoint).fns.values() if fn.fn is not None}

    def answer(path: Path) -> Shown:
        turns = Turns()
        functions["begin_files"](1, 0, turns, [str(path)])
        return functions["classify_newest"](turns, "my-model", None)

    return answer


def picture_of(shown: Shown) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(b64decode(shown["films"][0]["picture"].partition(",")[2]))))


def test_finding_probabilities_and_film_are_the_predictor_s(
    shown_for: Callable[[Path], Shown], predictor: BonePredictor, tmp_path: Path
) -> None:
    path = tmp_path / "wrist.png"
    grey().save(path)
    shown = shown_for(path)
    (expected,) = predictor.predict(path)
    assert shown["finding"] == {**expected.to_dict(), "source": "wrist.png", "checkpoint": "my-model"}
    assert words(expected.verdict) in shown["verdict"]
    html = shown["films"][0]["html"]
    bars = [f"<span>{words(name)}</span><b>{escape(percent(expected.probabilities[name]))}</b>" for name in THREE_CLASS.names]
    places = [html.index(bar) for bar in bars]
    assert places == sorted(places), "in the scheme's order, whichever is likeliest"
    assert np.array_equal(picture_of(shown), np.asarray(grey()))
    assert "PNG, 70 × 90 px" in html and "heat" not in shown["films"][0], "the heat map is made when somebody looks at it"
    assert str(tmp_path) not in json.dumps(shown)


@pytest.mark.parametrize("kind", ["deep.png", "deep.tiff", "film.dcm", "no-name"])
def test_files_that_browsers_cannot_show_are_shown_as_the_model_sees_them(
    shown_for: Callable[[Path], Shown], predictor: BonePredictor, tmp_path: Path, kind: str
) -> None:
    deep = np.asarray(grey(seed=1)).astype(np.uint16) * 16
    path = tmp_path / kind
    if kind.startswith("deep"):
        Image.fromarray(deep).save(path)
    else:
        path.write_bytes(dicom(deep, bits=12))
    shown = shown_for(path)
    (expected,) = predictor.predict(path)
    assert shown["finding"]["raw_probabilities"] == pytest.approx(expected.raw_probabilities, abs=1e-6)
    assert np.ptp(picture_of(shown).astype(int)) > 200, "16 bits were clipped or left dark"
    assert "windowed" in shown["films"][0]["html"] and "Doe" not in json.dumps(shown)


def test_a_large_film_is_sent_smaller_and_says_its_size(shown_for: Callable[[Path], Shown], tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    grey(3 * VIEW_SIDE // 2, VIEW_SIDE).save(path)
    shown = shown_for(path)
    assert picture_of(shown).shape == (VIEW_SIDE, round(VIEW_SIDE * 2 / 3))
    assert (shown["films"][0]["width"], shown["films"][0]["height"]) == (VIEW_SIDE, 3 * VIEW_SIDE // 2)


@pytest.mark.parametrize(("content", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_gets_a_clear_message(shown_for: Callable[[Path], Shown], tmp_path: Path, content: bytes, reason: Refusal) -> None:
    path = tmp_path / "wrist.jpg"
    path.write_bytes(content)
    shown = shown_for(path)
    finding, verdict = shown["finding"], shown["verdict"]
    assert shown["state"] == "refused" and finding["verdict"] == "unreadable" and finding["reasons"][0] == reason
    assert str(escape(explain(reason))) in verdict and "wrist.jpg" in verdict and "Traceback" not in verdict
    assert 'class="probabilities"' not in shown["films"][0]["html"] and "picture" not in shown["films"][0]
    assert str(tmp_path) not in json.dumps(shown) and "/gradio" not in json.dumps(shown)
