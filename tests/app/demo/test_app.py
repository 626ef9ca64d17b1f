"""The demo through its API and its words; the page itself is in test_app_browser.py. Run: pytest tests/app/demo/test_app.py"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import gradio
import numpy as np
import pydicom
import pytest
import torch
import yaml
from gradio_client import Client, handle_file
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from transformers import Dinov2Config, Dinov2ForImageClassification

import hf_bones
from hf_bones.app.demo import texts
from hf_bones.app.demo.classify import VIEW_SIDE, answer
from hf_bones.app.demo.examples import CHOSEN, draw_examples
from hf_bones.app.demo.page import CLEAN_EVERY, KEEP_FOR, build_demo, serve
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.images.opening import Refusal, explain
from hf_bones.inference.decision import Decision, write_decision
from hf_bones.inference.finding import REFER
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS, LabelClass, LabelScheme
from hf_bones.pages.palette import SIGNS
from hf_bones.pages.text import percent, words
from hf_bones.preprocess import InputSpec, image_processor
from hf_bones.record import write_json

ROOT = Path(__file__).parents[3]
SIZE = 56


def save_checkpoint(
    folder: Path, *, thresholds: dict[str, float] | None = None, calibrated: bool = True, drawn: bool | None = None
) -> Path:
    """A tiny checkpoint whose random weights are large enough that images differ."""
    torch.manual_seed(3)
    labels = {"id2label": THREE_CLASS.id2label, "label2id": THREE_CLASS.label2id}
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIZE, "patch_size": 14, "mlp_ratio": 2}
    model = Dinov2ForImageClassification(Dinov2Config(**shape, initializer_range=0.3, **labels))
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    image_processor(InputSpec(SIZE)).save_pretrained(folder)
    if calibrated:
        write_decision(Decision(temperature=2.0, scheme=THREE_CLASS, image_size=SIZE, thresholds=thresholds), folder)
    if drawn is not None:
        write_json(folder / "record.json", {"data": {"synthetic_only": drawn}})
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "my-model")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> BonePredictor:
    return BonePredictor.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def client(checkpoint: Path) -> Iterator[Client]:
    demo = build_demo(checkpoint)
    address = serve(demo, wait=False)
    yield Client(address, verbose=False)
    demo.close(verbose=False)


def grey(height: int = 90, width: int = 70, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 4), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def dicom(stored: np.ndarray) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.PatientName, dataset.Rows, dataset.Columns = "Doe^Jane", *stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = stored.tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def test_classify_gives_the_finding_and_what_the_page_shows(client: Client, predictor: BonePredictor, tmp_path: Path) -> None:
    path = tmp_path / "wrist.png"
    grey().save(path)
    finding, verdict, probabilities, heat, caption, view = client.predict(handle_file(path), api_name="/classify")
    (expected,) = predictor.predict(path)
    assert finding == {**expected.to_dict(), "source": "wrist.png", "checkpoint": "my-model"}
    assert words(expected.verdict) in verdict
    shown = {row["label"]: row["confidence"] for row in probabilities["confidences"]}
    assert shown == pytest.approx({words(name): p for name, p in expected.probabilities.items()})
    assert np.array_equal(np.asarray(Image.open(view)), np.asarray(grey()))
    colours = np.asarray(Image.open(heat))
    assert colours.shape == (90, 70, 3) and (colours[..., 0] != colours[..., 2]).any()
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
        path.write_bytes(dicom(deep))
    finding, _, _, _, caption, view = client.predict(handle_file(path), api_name="/classify")
    (expected,) = predictor.predict(path)
    assert finding["raw_probabilities"] == pytest.approx(expected.raw_probabilities, abs=1e-6)
    assert np.ptp(np.asarray(Image.open(view)).astype(int)) > 200, "16 bits were clipped or left dark"
    assert "windowed" in caption and "Doe" not in json.dumps([finding, caption])


def png_of(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG whose header claims 60,000 × 60,000 pixels."""
    png = png_of(grey())
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", Refusal.NOT_AN_IMAGE),
        (b"", Refusal.NOT_AN_IMAGE),
        (png_of(grey())[:900], Refusal.UNDECODABLE),
        (bomb(), Refusal.BOMB),
        (png_of(grey(9, 9)), Refusal.TOO_SMALL),
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


def test_a_model_without_feature_maps_still_answers(checkpoint: Path) -> None:
    class Opaque(BonePredictor):
        def explain(self, pixels: object, targets: object = None) -> list[np.ndarray]:
            raise ValueError("Opaque returns no hidden states; heat maps need them")

    found = answer(Opaque.from_pretrained(checkpoint), np.asarray(grey()), "image")
    assert found.finding.readable and found.heat is None
    assert "No heat map: Opaque returns no hidden states" in texts.caption_html(found, "healthy")


def test_an_undecided_model_says_that_it_is_not_sure(tmp_path: Path) -> None:
    predictor = BonePredictor.from_pretrained(save_checkpoint(tmp_path, thresholds=dict.fromkeys(THREE_CLASS.names, 0.0)))
    found = answer(predictor, np.asarray(grey()), "image")
    html = texts.verdict_html(found, THREE_CLASS)
    assert found.finding.verdict == REFER and "Not sure" in html and found.finding.reasons[0] in html


@pytest.mark.parametrize(("drawn", "said"), [(True, True), (False, False), (None, False)])
def test_a_model_of_drawings_alone_says_so(tmp_path: Path, drawn: bool | None, said: bool) -> None:
    facts = texts.model_facts(BonePredictor.from_pretrained(save_checkpoint(tmp_path, drawn=drawn)))
    assert ("learnt from drawn radiographs only" in texts.header_html(facts)) is said


def test_the_header_names_the_model_and_whether_it_is_calibrated(tmp_path: Path, predictor: BonePredictor) -> None:
    html = texts.header_html(texts.model_facts(predictor))
    assert "my-model" in html and "56 px" in html and "probabilities calibrated" in html and str(tmp_path.parent) not in html
    raw = BonePredictor.from_pretrained(save_checkpoint(tmp_path, calibrated=False))
    assert "not calibrated" in texts.header_html(texts.model_facts(raw))


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


@pytest.mark.parametrize(("probability", "shown"), [(0.534, "53%"), (0.0004, "under 1%"), (1.0, "over 99%"), (0.99, "99%"), (0.01, "1%")])
def test_no_probability_is_shown_as_none_or_all(probability: float, shown: str) -> None:
    assert percent(probability) == shown


def test_examples_are_drawn_two_of_a_class_and_the_same_each_time(predictor: BonePredictor) -> None:
    examples = draw_examples()
    assert [example.label for example in examples] == [name for name in THREE_CLASS.names for _ in range(2)]
    assert len({example.png for example in examples}) == len({example.name for example in examples}) == 6
    assert all(example.name.startswith("drawn-") and len(example.png) <= 60_000 for example in examples)
    assert [example.png for example in draw_examples()] == [example.png for example in examples]
    assert all(answer(predictor, example.png, example.name).finding.readable for example in examples)
    assert "drawn, not real" in texts.examples_html(examples)


def test_the_break_of_a_broken_example_is_plain_to_see() -> None:
    for seed, label, subtype, region in CHOSEN:
        if label == "healthy":
            continue
        broken = draw_radiograph(seed, label, subtype=subtype, region=region, cast=False)
        whole = draw_radiograph(seed, "healthy", region=region, cast=False)
        changed = np.abs(broken.pixels.astype(int) - whole.pixels)[broken.mask]
        assert changed.mean() > 8 and broken.mask.mean() > 0.001, f"choose another seed than {seed} for {label}, {region}"


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
