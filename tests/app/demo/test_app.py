"""The demo through its API; the page itself is in test_app_browser.py. Run: pytest tests/app/demo/test_app.py"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import zlib
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from grey_images import dicom
from markupsafe import escape
from PIL import Image
from tiny import grey, png

from hf_bones.app.demo.classify import VIEW_SIDE, answer
from hf_bones.app.demo.page import CLEAN_EVERY, KEEP_FOR, build_demo, serve
from hf_bones.app.demo.turns import Turns
from hf_bones.images.opening import Refusal, explain
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.text import percent, words


@pytest.fixture(scope="module")
def demo(checkpoint: Path) -> Iterator[gr.Blocks]:
    demo = build_demo(checkpoint)
    serve(demo, wait=False)
    yield demo
    demo.close(verbose=False)


@pytest.fixture(scope="module")
def client(demo: gr.Blocks) -> Client:
    return Client(demo.local_url, verbose=False)


def shown_for(demo: gr.Blocks, path: Path) -> dict[str, Any]:
    """What the page is sent for a file, as its events send it."""
    functions, turns = {fn.name: fn.fn for fn in demo.fns.values() if fn.fn is not None}, Turns()
    functions["begin_files"](1, 0, turns, [str(path)])
    return functions["classify_newest"](turns, "my-model", None)


def picture_of(shown: dict[str, Any]) -> Image.Image:
    return Image.open(BytesIO(b64decode(shown["films"][0]["picture"].partition(",")[2])))


def test_the_finding_and_what_the_page_shows_are_the_predictor_s(
    demo: gr.Blocks, client: Client, predictor: BonePredictor, tmp_path: Path
) -> None:
    path = tmp_path / "wrist.png"
    grey().save(path)
    shown = shown_for(demo, path)
    (expected,) = predictor.predict(path)
    finding = {**expected.to_dict(), "source": "wrist.png", "checkpoint": "my-model"}
    assert shown["finding"] == finding == client.predict(handle_file(path), api_name="/predict")
    assert words(expected.verdict) in shown["verdict"]
    html = shown["films"][0]["html"]
    places = [html.index(f"<span>{words(name)}</span><b>{percent(expected.probabilities[name])}</b>".replace("<b><", "<b>&lt;"))
              for name in THREE_CLASS.names]  # fmt: skip
    assert places == sorted(places), "in the scheme's order, whichever is likeliest"
    assert np.array_equal(np.asarray(picture_of(shown)), np.asarray(grey()))
    assert "PNG, 70 × 90 px" in html and "heat" not in shown["films"][0], "the heat map is made when somebody looks at it"


@pytest.mark.parametrize("kind", ["deep.png", "deep.tiff", "film.dcm", "no-name"])
def test_files_that_browsers_cannot_show_reach_the_model_as_they_are(
    demo: gr.Blocks, predictor: BonePredictor, tmp_path: Path, kind: str
) -> None:
    deep = np.asarray(grey(seed=1)).astype(np.uint16) * 16
    path = tmp_path / kind
    if kind.startswith("deep"):
        Image.fromarray(deep).save(path)
    else:
        path.write_bytes(dicom(deep, bits=12))
    shown = shown_for(demo, path)
    (expected,) = predictor.predict(path)
    assert shown["finding"]["raw_probabilities"] == pytest.approx(expected.raw_probabilities, abs=1e-6)
    assert np.ptp(np.asarray(picture_of(shown)).astype(int)) > 200, "16 bits were clipped or left dark"
    assert "windowed" in shown["films"][0]["html"] and "Doe" not in json.dumps(shown)


def bomb() -> bytes:
    """A PNG whose header claims 60,000 × 60,000 pixels."""
    whole = png(grey())
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    return whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", Refusal.NOT_AN_IMAGE),
        (b"", Refusal.NOT_AN_IMAGE),
        (png(grey())[:900], Refusal.UNDECODABLE),
        (bomb(), Refusal.BOMB),
        (png(grey(9, 9)), Refusal.TOO_SMALL),
    ],
    ids=["text", "empty", "cut", "bomb", "tiny"],
)
def test_a_bad_file_gets_a_clear_message(demo: gr.Blocks, tmp_path: Path, content: bytes, reason: Refusal) -> None:
    path = tmp_path / "wrist.jpg"
    path.write_bytes(content)
    shown = shown_for(demo, path)
    finding, verdict = shown["finding"], shown["verdict"]
    assert shown["state"] == "refused" and finding["verdict"] == "unreadable" and finding["reasons"][0] == reason
    assert escape(explain(reason).partition(".")[0]) in verdict and "wrist.jpg" in verdict and "Traceback" not in verdict
    assert 'class="probabilities"' not in shown["films"][0]["html"] and "picture" not in shown["films"][0]
    assert str(tmp_path) not in json.dumps(shown) and "/gradio" not in json.dumps(shown)


def test_a_file_of_the_server_cannot_be_asked_for(client: Client, checkpoint: Path) -> None:
    # By hand: the client would upload the file first.
    stolen = {"data": [{"path": str(checkpoint / "config.json"), "meta": {"_type": "gradio.FileData"}}, "my-model"]}
    call = f"{client.src}gradio_api/call/predict"
    request = urllib.request.Request(call, json.dumps(stolen).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}") as response:
        answered = response.read().decode()
    assert "event: error" in answered and "verdict" not in answered


@pytest.mark.parametrize("headers", [{"Host": "films.example"}, {"Origin": "http://films.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_site_gets_no_answer(client: Client, headers: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(f"{client.src}config", headers=headers))


def test_predict_is_the_only_public_endpoint(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/predict"] and not described["unnamed_endpoints"]


def test_nothing_is_recorded_or_reported_and_uploads_are_deleted(client: Client) -> None:
    config = client.config
    assert config["run_history"] is False and config["analytics_enabled"] is False
    assert 0 < CLEAN_EVERY + KEEP_FOR <= 20 * 60, "the page promises 20 minutes"


def test_all_images_are_gone_when_the_server_stops(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(cache))
    demo = build_demo(checkpoint)
    client = Client(serve(demo, wait=False), verbose=False, download_files=False)
    grey().save(tmp_path / "wrist.png")
    client.predict(handle_file(tmp_path / "wrist.png"), api_name="/predict")
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 1, "the upload, and nothing that was made of it"
    demo.close(verbose=False)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_large_images_are_shown_smaller_but_classified_whole(predictor: BonePredictor) -> None:
    pixels = np.asarray(grey(3 * VIEW_SIDE // 2, VIEW_SIDE))
    found = answer(predictor, pixels, "large")
    assert found.view is not None and found.heat is not None and found.radiograph is not None
    assert found.view.size == found.heat.size == (round(VIEW_SIDE * 2 / 3), VIEW_SIDE)
    assert found.radiograph.pixels.shape == pixels.shape and found.finding.heatmap is not None
    assert found.finding.heatmap.shape == pixels.shape


def test_the_heat_map_is_for_the_likeliest_class_other_than_the_normal_one(predictor: BonePredictor) -> None:
    for seed in range(6):
        found = answer(predictor, np.asarray(grey(seed=seed)), "image")
        others = {name: p for name, p in found.finding.probabilities.items() if name != "healthy"}
        assert found.explained == max(others, key=lambda name: others[name])
