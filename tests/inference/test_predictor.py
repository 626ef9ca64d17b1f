"""The predictor: parity with transformers' pipeline, bad images, heat maps. Run: pytest tests/inference/test_predictor.py"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import grey, png, telling_checkpoint
from transformers import AutoImageProcessor, pipeline

from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, to_input

SHAPES = [(90, 60), (60, 90), (56, 56), (40, 33), (34, 50), (300, 77), (51, 400), (225, 224)]


@pytest.mark.parametrize("architecture", ["dinov2", "vit", "convnextv2"])
def test_raw_probabilities_are_those_of_a_plain_pipeline(tmp_path: Path, architecture: str) -> None:
    folder = telling_checkpoint(tmp_path, architecture)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    plain = pipeline("image-classification", model=str(folder), image_processor=processor, device="cpu")
    images = [grey(*shape, seed=index) for index, shape in enumerate(SHAPES)]
    findings = BonePredictor.from_pretrained(folder, device="cpu").predict(images, batch_size=3)
    for image, finding in zip(images, findings, strict=True):
        expected = {row["label"]: row["score"] for row in plain(image, top_k=3)}
        assert finding.raw_probabilities == pytest.approx(expected, abs=1e-4), f"{image.size}"
    spread = np.ptp([f.raw_probabilities["healthy"] for f in findings])
    assert spread > 0.01, "all images look alike to this model, so the comparison above says nothing"


def test_every_kind_of_source_gives_the_same_answer(tmp_path: Path, predictor: BonePredictor) -> None:
    image = grey(80, 60)
    path = tmp_path / "wrist.png"
    path.write_bytes(png(image))
    sources = [path, str(path), path.read_bytes(), image, np.asarray(image)]
    findings = predictor.predict(sources)
    assert [f.source for f in findings] == [str(path), str(path), "image[2]", "image[3]", "image[4]"]
    assert len({tuple(f.raw_probabilities.values()) for f in findings}) == 1
    for source in sources:
        (alone,) = predictor.predict(source)
        assert alone.raw_probabilities == pytest.approx(findings[0].raw_probabilities, abs=1e-6)


def test_one_bad_image_changes_nothing_for_the_others(tmp_path: Path, predictor: BonePredictor) -> None:
    good = [grey(80, 60, seed) for seed in range(5)]
    mixed = [b"not an image", good[0], good[1], grey(10, 10), good[2], tmp_path / "missing.png", good[3], good[4], png(good[0])[:60]]
    findings = predictor.predict(mixed, batch_size=4)
    assert [f.verdict == "unreadable" for f in findings] == [True, False, False, True, False, True, False, False, True]
    assert findings[3].reasons[0] == "too_small"
    for bad in (findings[0], findings[3], findings[5], findings[8]):
        assert len(bad.reasons) == 3 and bad.reasons[1].endswith(".") and bad.probabilities == {} and bad.prediction_set == ()
    alone = predictor.predict(good, batch_size=1)
    for one, among in zip(alone, [f for f in findings if f.readable], strict=True):
        assert among.raw_probabilities == pytest.approx(one.raw_probabilities, abs=1e-5)


def test_only_bad_images_and_no_images_are_fine(predictor: BonePredictor) -> None:
    assert predictor.predict([]) == []
    assert [f.verdict for f in predictor.predict([b"", b"x"], heatmap=True)] == ["unreadable", "unreadable"]


def test_predicting_twice_gives_the_same_numbers(predictor: BonePredictor) -> None:
    images = [grey(80, 60, seed) for seed in range(6)]
    first, second = (predictor.predict(images, batch_size=4, heatmap=True) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert one.to_dict(heatmap=True) == two.to_dict(heatmap=True)


def test_a_stream_is_read_one_batch_at_a_time(predictor: BonePredictor) -> None:
    taken = 0

    def stream():
        nonlocal taken
        for seed in range(100):
            taken += 1
            yield grey(60, 60, seed)

    findings = predictor.predict_iter(stream(), batch_size=4)
    next(findings)
    assert taken == 4


def test_a_batch_size_below_one_is_refused(predictor: BonePredictor) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        predictor.predict([grey(60, 60)], batch_size=0)


def test_heat_maps_lie_on_the_image_as_opened(predictor: BonePredictor) -> None:
    shapes = [(80, 60), (33, 200), (40, 40), (300, 120), (64, 64)]
    findings = predictor.predict([b"bad", *(grey(*shape, seed=1) for shape in shapes)], heatmap=True)
    assert findings[0].heatmap is None
    for finding, shape in zip(findings[1:], shapes, strict=True):
        heat = finding.heatmap
        assert heat is not None and heat.shape == shape and heat.dtype == np.float32
        assert heat.min() >= 0 and heat.max() <= 1
    assert predictor.predict(grey(80, 60))[0].heatmap is None


def test_a_heat_map_can_be_asked_for_any_class(predictor: BonePredictor) -> None:
    pixels = [np.asarray(grey(80, 60))]
    maps = {name: predictor.explain(pixels, [name])[0] for name in predictor.names}
    assert not np.array_equal(maps["healthy"], maps["fractured"])
    assert any(np.array_equal(predictor.explain(pixels)[0], maps[name]) for name in ("fractured", "beyond_repair"))


@pytest.mark.parametrize("shape", [(90, 60), (60, 90), (40, 33)])
def test_mirror_averages_the_logits_of_the_picture_and_of_the_picture_mirrored(tmp_path: Path, shape: tuple[int, int]) -> None:
    folder = telling_checkpoint(tmp_path)
    write_decision(DecisionRule(4.0, THREE_CLASS, 56), folder)
    predictor = BonePredictor.from_pretrained(folder, device="cpu")
    image = grey(*shape, seed=3)
    pair = [np.asarray(image), np.asarray(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
    inputs = torch.from_numpy(np.stack([to_input(pixels, InputSpec(56)) for pixels in pair]))
    with torch.inference_mode():
        upright, mirrored = predictor.model(pixel_values=inputs).logits
        flipped_input = predictor.model(pixel_values=inputs[:1].flip(-1)).logits[0]
    mean = (upright + mirrored) / 2

    finding, plain = predictor.predict(image, mirror=True)[0], predictor.predict(image)[0]
    assert list(finding.raw_probabilities.values()) == pytest.approx(mean.softmax(0).tolist(), abs=1e-5)
    assert list(finding.probabilities.values()) == pytest.approx((mean / 4).softmax(0).tolist(), abs=1e-5), "averaged before calibration"
    assert list(plain.raw_probabilities.values()) == pytest.approx(upright.softmax(0).tolist(), abs=1e-5)
    assert (finding.mirrored, plain.mirrored) == (True, False) and finding.to_dict()["mirrored"] is True

    # What would be wrong must give other numbers here, or the lines above say nothing.
    means_of_probabilities = (upright.softmax(0) + mirrored.softmax(0)) / 2
    wrong = [upright, mirrored, means_of_probabilities.log()] + [(upright + flipped_input) / 2] * (shape[1] < shape[0])
    assert all((other.softmax(0) - mean.softmax(0)).abs().max() > 1e-3 for other in wrong)


def test_mirror_changes_nothing_for_a_symmetric_picture(predictor: BonePredictor) -> None:
    half = np.asarray(grey(90, 25, seed=2))
    symmetric = np.hstack([half, half[:, ::-1]])  # upright, so that it is padded on the right
    lopsided = np.hstack([half, half])
    plain, mirrored = (predictor.predict([symmetric, lopsided], mirror=mirror) for mirror in (False, True))
    assert mirrored[0].raw_probabilities == pytest.approx(plain[0].raw_probabilities, abs=1e-6)
    assert mirrored[1].raw_probabilities != pytest.approx(plain[1].raw_probabilities, abs=1e-3)


def test_mirror_keeps_the_order_among_images_that_cannot_be_read(tmp_path: Path, predictor: BonePredictor) -> None:
    good = [grey(80, 60, seed) for seed in range(4)]
    mixed = [b"not an image", good[0], good[1], grey(10, 10), tmp_path / "missing.png", good[2], png(good[0])[:60], good[3]]
    findings = predictor.predict(mixed, batch_size=3, mirror=True)
    assert [f.readable for f in findings] == [False, True, True, False, False, True, False, True]
    assert not any(f.mirrored for f in findings if not f.readable)
    alone = [predictor.predict(image, mirror=True)[0] for image in good]
    for one, among in zip(alone, [f for f in findings if f.readable], strict=True):
        assert among.raw_probabilities == pytest.approx(one.raw_probabilities, abs=1e-5)
    assert len({round(f.raw_probabilities["healthy"], 4) for f in alone}) == 4, "images alike could be swapped unseen"


def test_a_heat_map_stays_that_of_the_upright_image(predictor: BonePredictor) -> None:
    image = grey(80, 60, seed=1)
    finding = predictor.predict(image, mirror=True, heatmap=True)[0]
    target = max(("fractured", "beyond_repair"), key=finding.probabilities.__getitem__)
    assert finding.heatmap is not None and np.array_equal(finding.heatmap, predictor.explain([np.asarray(image)], [target])[0])


def test_a_finding_is_plain_json(predictor: BonePredictor) -> None:
    finding = predictor.predict(grey(80, 60), heatmap=True)[0]
    data = json.loads(json.dumps(finding.to_dict(), allow_nan=False))
    assert data["schema_version"] == 2 and "heatmap" not in data
    assert data["verdict"] == max(data["probabilities"], key=data["probabilities"].get) and data["prediction_set"] == [data["verdict"]]
    assert sum(data["probabilities"].values()) == pytest.approx(1)
    rows = json.loads(json.dumps(finding.to_dict(heatmap=True)))["heatmap"]
    assert len(rows) == 80 and len(rows[0]) == 60
