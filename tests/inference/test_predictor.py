"""The predictor: parity with transformers' pipeline, bad images, folders, CSV. Run: pytest tests/inference/test_predictor.py"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    ConvNextV2Config,
    ConvNextV2ForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    ViTConfig,
    ViTForImageClassification,
    pipeline,
)

from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import Decision, write_decision
from hf_bones.inference.finding import write_findings_csv
from hf_bones.inference.folder import list_files, predict_paths
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, image_processor, to_input

SIZE = 56
TOKENS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIZE,
    "patch_size": 14,
    "initializer_range": 0.3,
}
LABELS = {"id2label": THREE_CLASS.id2label, "label2id": THREE_CLASS.label2id}


def save_checkpoint(folder: Path, architecture: str = "dinov2", seed: int = 0) -> Path:
    """A tiny checkpoint with weights large enough that images get clearly different probabilities."""
    torch.manual_seed(seed)
    model = {
        "dinov2": lambda: Dinov2ForImageClassification(Dinov2Config(**TOKENS, mlp_ratio=2, **LABELS)),
        "vit": lambda: ViTForImageClassification(ViTConfig(**TOKENS, intermediate_size=64, **LABELS)),
        "convnextv2": lambda: ConvNextV2ForImageClassification(
            ConvNextV2Config(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1], **LABELS)
        ),
    }[architecture]()
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    image_processor(InputSpec(SIZE)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> BonePredictor:
    return BonePredictor.from_pretrained(checkpoint, device="cpu")


def grey(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth random 8-bit grey image."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 4), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


SHAPES = [(90, 60), (60, 90), (56, 56), (40, 33), (34, 50), (300, 77), (51, 400), (225, 224)]


@pytest.mark.parametrize("architecture", ["dinov2", "vit", "convnextv2"])
def test_raw_probabilities_are_those_of_a_plain_pipeline(tmp_path: Path, architecture: str) -> None:
    folder = save_checkpoint(tmp_path, architecture)
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
    folder = save_checkpoint(tmp_path)
    write_decision(Decision(4.0, THREE_CLASS, SIZE), folder)
    predictor = BonePredictor.from_pretrained(folder, device="cpu")
    image = grey(*shape, seed=3)
    pair = [np.asarray(image), np.asarray(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
    inputs = torch.from_numpy(np.stack([to_input(pixels, InputSpec(SIZE)) for pixels in pair]))
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
    assert data["schema_version"] == 1 and "heatmap" not in data
    assert data["verdict"] == max(data["probabilities"], key=data["probabilities"].get) and data["prediction_set"] == [data["verdict"]]
    assert sum(data["probabilities"].values()) == pytest.approx(1)
    rows = json.loads(json.dumps(finding.to_dict(heatmap=True)))["heatmap"]
    assert len(rows) == 80 and len(rows[0]) == 60


def test_without_a_decision_the_predictor_says_so(predictor: BonePredictor, checkpoint: Path) -> None:
    finding = predictor.predict(grey(80, 60))[0]
    assert not finding.calibrated and finding.probabilities == finding.raw_probabilities
    assert finding.checkpoint == str(checkpoint) and finding.revision is None
    assert predictor.names == THREE_CLASS.names and predictor.scheme.definition("healthy") == THREE_CLASS.definition("healthy")


def test_a_decision_calibrates_and_leaves_the_raw_probabilities_alone(tmp_path: Path, predictor: BonePredictor) -> None:
    folder = save_checkpoint(tmp_path)
    write_decision(Decision(4.0, THREE_CLASS, SIZE), folder)
    image = grey(80, 60)
    plain, calibrated = predictor.predict(image)[0], BonePredictor.from_pretrained(folder, device="cpu").predict(image)[0]
    assert calibrated.calibrated and calibrated.raw_probabilities == pytest.approx(plain.raw_probabilities, abs=1e-6)
    assert calibrated.verdict == plain.verdict
    assert max(calibrated.probabilities.values()) < max(plain.probabilities.values())


def test_thresholds_turn_an_open_case_into_refer(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path)
    image = grey(80, 60)

    def verdict(threshold: float) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        write_decision(Decision(1.0, THREE_CLASS, SIZE, dict.fromkeys(THREE_CLASS.names, threshold)), folder)
        finding = BonePredictor.from_pretrained(folder, device="cpu").predict(image)[0]
        return finding.verdict, finding.prediction_set, finding.reasons

    both, everything, reasons = verdict(0.0)
    assert both == "refer" and set(everything) == set(THREE_CLASS.names) and "possible" in reasons[0]
    assert verdict(1.1)[:2] == ("refer", ())
    probabilities = BonePredictor.from_pretrained(folder, device="cpu").predict(image)[0].probabilities
    single, members, reasons = verdict(max(probabilities.values()))
    assert members == (single,) and reasons == ()


@pytest.mark.parametrize("broken", ["labels", "size"])
def test_a_decision_of_another_checkpoint_is_refused(tmp_path: Path, broken: str) -> None:
    folder = save_checkpoint(tmp_path)
    write_decision(Decision(1.0, THREE_CLASS, SIZE if broken == "labels" else 224), folder)
    if broken == "labels":
        config = json.loads((folder / "config.json").read_text())
        config["id2label"] = {"0": "fractured", "1": "healthy", "2": "beyond_repair"}
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="calibrate this checkpoint again"):
        BonePredictor.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs/nothing/here", "neither 'bundled', nor a folder"),
        ("/nowhere/at/all", "neither 'bundled', nor a folder"),
        ("just-a-word", "owner/name"),
        (Path("owner/name"), "neither 'bundled', nor a folder"),
    ],
)
def test_a_missing_checkpoint_is_named(name: str | Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        BonePredictor.from_pretrained(name)
    assert str(name) in str(caught.value)


@pytest.mark.parametrize(("removed", "message"), [("config.json", "save_pretrained"), ("preprocessor_config.json", "image_processor")])
def test_an_incomplete_folder_says_what_is_missing(tmp_path: Path, removed: str, message: str) -> None:
    (save_checkpoint(tmp_path) / removed).unlink()
    with pytest.raises(CheckpointError, match=message) as caught:
        BonePredictor.from_pretrained(tmp_path)
    assert removed in str(caught.value)


def test_pickled_weights_are_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*save_pretrained"):
        BonePredictor.from_pretrained(folder)


def test_a_backbone_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path)
    Dinov2Model(Dinov2Config(**TOKENS, mlp_ratio=2, **LABELS)).save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"classifier.*train it first"):
        BonePredictor.from_pretrained(folder)


@pytest.mark.parametrize("damage", ["cut weights", "odd config"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    folder = save_checkpoint(tmp_path)
    if damage == "cut weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])
    else:
        (folder / "config.json").write_text(json.dumps({"model_type": "cat", "id2label": LABELS["id2label"]}))
    with pytest.raises(CheckpointError, match="cannot load it as an image classifier") as caught:
        BonePredictor.from_pretrained(folder)
    assert str(folder) in str(caught.value)


def test_a_revision_of_a_folder_and_a_file_for_a_folder_are_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="only Hub ids have revisions"):
        BonePredictor.from_pretrained(checkpoint, revision="main")
    with pytest.raises(CheckpointError, match="is a file"):
        BonePredictor.from_pretrained(checkpoint / "config.json")


def test_importing_the_package_or_the_predictor_leaves_torch_alone() -> None:
    code = (
        "import sys, hf_bones, hf_bones.inference.predictor; print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# --- folders and CSV --------------------------------------------------------------------------------------------------


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of seven readable films, one text file, hidden files and sub-folders."""
    folder = tmp_path / "films"
    for index, name in enumerate(["b.png", "a.png", "arm/2.png", "arm/1.PNG", "arm/left, upper/x.png", "leg/no_suffix", "z;x.png"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(grey(60 + index, 50, seed=index)))
    (folder / "arm" / "notes.txt").write_text("left wrist")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "c.png").write_bytes(png(grey(60, 60)))
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def test_folders_are_walked_in_a_stable_order_without_hidden_files(films: Path) -> None:
    listed = [str(path.relative_to(films)) for path in list_files([films])]
    assert listed == ["a.png", "b.png", "z;x.png", "arm/1.PNG", "arm/2.png", "arm/notes.txt", "arm/left, upper/x.png", "leg/no_suffix"]


def test_a_missing_path_is_an_error_before_anything_is_predicted(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        predict_paths(predictor, [films, tmp_path / "nothing_here"], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_becomes_a_csv(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    counts = predict_paths(predictor, [films, films / "a.png"], tmp_path / "out.csv", batch_size=3)
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["file", "verdict", "p_healthy", "p_fractured", "p_beyond_repair", "reasons"]
    assert [row["file"] for row in rows] == [str(path) for path in list_files([films])]
    assert sum(counts.values()) == len(rows) == 8 and counts["unreadable"] == 1
    text = next(row for row in rows if row["file"].endswith("notes.txt"))
    assert text["verdict"] == "unreadable" and text["p_healthy"] == "" and text["reasons"]
    assert all(sum(float(row[f"p_{name}"]) for name in predictor.names) == pytest.approx(1, abs=1e-5) for row in rows if row != text)


def test_an_interrupted_run_continues_where_it_stopped(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    counts = predict_paths(predictor, [films], whole, batch_size=2)
    lines = whole.read_text().splitlines(keepends=True)
    cut.write_text("".join(lines[:4]) + lines[4][:9])  # killed while it wrote the fourth row
    seen: list[Path] = []
    real = predictor.predict_iter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "predict_iter", lambda images, **options: real(seen.extend(images) or seen, **options))
        assert predict_paths(predictor, [films], cut, resume=True, batch_size=2) == counts
    assert [row["file"] for row in rows_of(cut)] == [row["file"] for row in rows_of(whole)]
    assert len(seen) == 5, "the three whole rows are not predicted again"


def test_rows_are_on_disk_before_the_run_ends(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    real = predictor.predict_iter

    def dies_at_the_fifth(images, **options):
        for index, finding in enumerate(real(images, **options)):
            if index == 4:
                raise KilledError
            yield finding

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "predict_iter", dies_at_the_fifth)
        with pytest.raises(KilledError):
            predict_paths(predictor, [films], tmp_path / "out.csv", batch_size=2)
    assert len(rows_of(tmp_path / "out.csv")) == 4


def test_an_existing_csv_is_not_overwritten_nor_mixed(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("file,verdict,p_cat,reasons\n")
    with pytest.raises(FileExistsError, match="--resume"):
        predict_paths(predictor, [films], target)
    with pytest.raises(ValueError, match="p_cat"):
        predict_paths(predictor, [films], target, resume=True)
    assert target.read_text() == "file,verdict,p_cat,reasons\n"


def test_the_csv_may_stand_in_the_folder_it_describes(films: Path, predictor: BonePredictor) -> None:
    target = films / "out.csv"
    predict_paths(predictor, [films], target)
    predict_paths(predictor, [films], target, resume=True)
    assert len(rows_of(target)) == 8 and "out.csv" not in target.read_text()


def test_file_names_that_are_not_utf8_do_not_end_the_run(predictor: BonePredictor, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    odd = Path(str(folder / "r") + b"\xf6ntgen.png".decode("utf-8", "surrogateescape"))
    try:
        odd.write_bytes(png(grey(60, 60)))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    predict_paths(predictor, [folder], tmp_path / "out.csv")
    predict_paths(predictor, [folder], tmp_path / "out.csv", resume=True)
    assert [row["file"] for row in rows_of(tmp_path / "out.csv")] == [str(odd)]


def test_findings_can_be_written_as_a_csv(predictor: BonePredictor, tmp_path: Path) -> None:
    write_findings_csv(predictor.predict([b"bad", grey(60, 60)]), tmp_path / "out.csv")
    bad, good = rows_of(tmp_path / "out.csv")
    assert (bad["verdict"], bad["p_healthy"]) == ("unreadable", "") and float(good["p_healthy"]) >= 0
    write_findings_csv([], tmp_path / "empty.csv")
    assert rows_of(tmp_path / "empty.csv") == []
