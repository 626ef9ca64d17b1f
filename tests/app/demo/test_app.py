"""The demo through its API; the page itself is in test_app_browser.py. Run: pytest tests/app/demo/test_app.py"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from grey_images import dicom
from PIL import Image
from tiny import grey, png

from hf_bones.app.demo import texts
from hf_bones.app.demo.classify import VIEW_SIDE, answer
from hf_bones.app.demo.page import CLEAN_EVERY, KEEP_FOR, build_demo, serve
from hf_bones.images.opening import Refusal, explain
from hf_bones.inference.heat import HeatScale
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.text import percent, words


@pytest.fixture(scope="module")
def client(checkpoint: Path) -> Iterator[Client]:
    demo = build_demo(checkpoint)
    address = serve(demo, wait=False)
    yield Client(address, verbose=False)
    demo.close(verbose=False)


def test_classify_gives_the_finding_and_what_the_page_shows(client: Client, predictor: BonePredictor, tmp_path: Path) -> None:
    path = tmp_path / "wrist.png"
    grey().save(path)
    finding, verdict, probabilities, heat, caption, view = client.predict(handle_file(path), api_name="/classify")
    (expected,) = predictor.predict(path)
    assert finding == {**expected.to_dict(), "source": "wrist.png", "checkpoint": "my-model"}
    assert words(expected.verdict) in verdict
    places = [probabilities.index(f"<span>{words(name)}</span><b>{percent(expected.probabilities[name])}</b>".replace("<b><", "<b>&lt;"))
              for name in THREE_CLASS.names]  # fmt: skip
    assert places == sorted(places), "in the scheme's order, whichever is likeliest"
    assert np.array_equal(np.asarray(Image.open(view)), np.asarray(grey()))
    colours = np.asarray(Image.open(heat))
    assert (colours == np.asarray(grey())[..., None]).all(), "little speaks for a class here"
    assert "No place of this film reaches 0.1" in caption
    assert "does not locate a fracture" in caption and "PNG, 70 × 90 px" in caption


@pytest.mark.parametrize("kind", ["deep.png", "deep.tiff", "film.dcm", "no-name"])
def test_files_that_browsers_cannot_show_reach_the_model_as_they_are(
    client: Client, predictor: BonePredictor, tmp_path: Path, kind: str
) -> None:
    deep = np.asarray(grey(seed=1)).astype(np.uint16) * 16
    path = tmp_path / kind
    if kind.startswith("deep"):
        Image.fromarray(deep).save(path)
    else:
        path.write_bytes(dicom(deep, bits=12))
    finding, _, _, _, caption, view = client.predict(handle_file(path), api_name="/classify")
    (expected,) = predictor.predict(path)
    assert finding["raw_probabilities"] == pytest.approx(expected.raw_probabilities, abs=1e-6)
    assert np.ptp(np.asarray(Image.open(view)).astype(int)) > 200, "16 bits were clipped or left dark"
    assert "windowed" in caption and "Doe" not in json.dumps([finding, caption])


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
def test_a_bad_file_gets_a_clear_message(client: Client, tmp_path: Path, content: bytes, reason: Refusal) -> None:
    path = tmp_path / "wrist.jpg"
    path.write_bytes(content)
    finding, verdict, probabilities, heat, caption, view = client.predict(handle_file(path), api_name="/classify")
    assert finding["verdict"] == "unreadable" and finding["reasons"][0] == reason
    assert explain(reason) in verdict and "wrist.jpg" in verdict and "Traceback" not in verdict
    assert not probabilities and heat is None and view is None and caption == ""
    assert str(tmp_path) not in json.dumps(finding) and "/gradio" not in json.dumps([finding, verdict])


def test_no_image_gets_a_hint(client: Client) -> None:
    finding, verdict, *rest = client.predict(None, api_name="/classify")
    assert finding is None and texts.HINT in verdict and not any(rest)


def test_a_file_of_the_server_cannot_be_asked_for(client: Client, checkpoint: Path) -> None:
    # By hand: the client would upload the file first.
    stolen = {"data": [{"path": str(checkpoint / "config.json"), "meta": {"_type": "gradio.FileData"}}]}
    call = f"{client.src}gradio_api/call/classify"
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


def test_classify_is_the_only_public_endpoint(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/classify"] and not described["unnamed_endpoints"]


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
    client.predict(handle_file(tmp_path / "wrist.png"), api_name="/classify")
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 3, "upload, view and heat map"
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
        assert f"<strong>{words(found.explained).lower()}</strong>" in texts.caption_html(found, "healthy")


def test_a_place_that_reaches_the_scale_is_coloured_and_the_scale_is_shown(checkpoint: Path) -> None:
    predictor = BonePredictor.from_pretrained(checkpoint)
    predictor.decision = replace(predictor.decision, heat=HeatScale("log_odds", 0.01, 0.05))
    found = answer(predictor, np.asarray(grey()), "image")
    colours = np.asarray(found.heat)
    assert (colours[..., 0] != colours[..., 2]).any() and not found.silent
    caption = texts.caption_html(found, "healthy")
    assert "<b>0.01</b><b>0.03</b><b>0.05 +</b>" in caption and "No place" not in caption and "White frames" not in caption


def test_a_model_without_feature_maps_still_answers(checkpoint: Path) -> None:
    class Opaque(BonePredictor):
        def explain(self, pixels: object, targets: object = None) -> list[np.ndarray]:
            raise ValueError("Opaque returns no hidden states; heat maps need them")

    found = answer(Opaque.from_pretrained(checkpoint), np.asarray(grey()), "image")
    assert found.finding.readable and found.heat is None
    assert "No heat map: Opaque returns no hidden states" in texts.caption_html(found, "healthy")
