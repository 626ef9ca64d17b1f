"""What a checkpoint must hold, and what its decision does. Run: pytest tests/inference/test_checkpoint.py"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import grey, telling_checkpoint
from transformers import Dinov2Model

from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS


def test_without_a_decision_the_predictor_says_so(predictor: BonePredictor, checkpoint: Path) -> None:
    finding = predictor.predict(grey(80, 60))[0]
    assert not finding.calibrated and finding.probabilities == finding.raw_probabilities
    assert finding.checkpoint == str(checkpoint) and finding.revision is None
    assert predictor.names == THREE_CLASS.names and predictor.scheme.definition("healthy") == THREE_CLASS.definition("healthy")


def test_a_decision_calibrates_and_leaves_the_raw_probabilities_alone(tmp_path: Path, predictor: BonePredictor) -> None:
    folder = telling_checkpoint(tmp_path)
    write_decision(DecisionRule(4.0, THREE_CLASS, 56), folder)
    image = grey(80, 60)
    plain, calibrated = predictor.predict(image)[0], BonePredictor.from_pretrained(folder, device="cpu").predict(image)[0]
    assert calibrated.calibrated and calibrated.raw_probabilities == pytest.approx(plain.raw_probabilities, abs=1e-6)
    assert calibrated.verdict == plain.verdict
    assert max(calibrated.probabilities.values()) < max(plain.probabilities.values())


def test_thresholds_turn_an_open_case_into_refer(tmp_path: Path) -> None:
    folder = telling_checkpoint(tmp_path)
    image = grey(80, 60)

    def verdict(threshold: float) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        write_decision(DecisionRule(1.0, THREE_CLASS, 56, dict.fromkeys(THREE_CLASS.names, threshold)), folder)
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
    folder = telling_checkpoint(tmp_path)
    write_decision(DecisionRule(1.0, THREE_CLASS, 56 if broken == "labels" else 224), folder)
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
    (telling_checkpoint(tmp_path) / removed).unlink()
    with pytest.raises(CheckpointError, match=message) as caught:
        BonePredictor.from_pretrained(tmp_path)
    assert removed in str(caught.value)


def test_pickled_weights_are_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = telling_checkpoint(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*save_pretrained"):
        BonePredictor.from_pretrained(folder)


def test_a_backbone_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    folder = telling_checkpoint(tmp_path)
    Dinov2Model.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"classifier.*train it first"):
        BonePredictor.from_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [("cut weights", "its header .* cannot be in a file of 500"), ("odd config", "cannot load it as an image")],
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str, said: str) -> None:
    folder = telling_checkpoint(tmp_path)
    if damage == "cut weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])
    else:
        (folder / "config.json").write_text(json.dumps({"model_type": "cat", "id2label": THREE_CLASS.id2label}))
    with pytest.raises(CheckpointError, match=said) as caught:
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
