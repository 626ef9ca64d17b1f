"""A config is held to the weights that came with it before a network is built.

Run: pytest tests/training/backbone/test_checkpoint_sizes.py"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tiny import telling_checkpoint

from hf_bones.config.stages import ModelConfig
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.checkpoint_sizes import CheckpointSizeError, check_config, check_sizes, weight_sizes
from hf_bones.training.backbone.loading import load_model


def changed(folder: Path, **changes: object) -> Path:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_sound_checkpoint_passes_and_its_weights_are_counted(tmp_path: Path) -> None:
    folder = telling_checkpoint(tmp_path)
    check_sizes(folder)
    sizes = weight_sizes([folder / "model.safetensors"])
    assert sizes.tensors > 10 and 0 < sizes.largest < sizes.parameters


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**6}, {"hidden_size": 10**6}, {"mlp_ratio": 10**5}, {"image_size": 10**6}, {"patch_size": 10**400},
        {"hidden_size": 1024, "num_hidden_layers": 60, "num_attention_heads": 16}, {"backbone_config": {"hidden_sizes": [9, 10**9]}},
    ],
)  # fmt: skip
def test_a_giant_config_is_refused_before_anything_is_built(tmp_path: Path, change: dict[str, object]) -> None:
    folder = changed(telling_checkpoint(tmp_path), **change)
    with pytest.raises(CheckpointError, match="nothing was built"):
        BonePredictor.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("asked", [{"quant_method": "bitsandbytes", "load_in_4bit": True}, {"quant_method": ["x"]}, "yes", {}])
def test_quantised_weights_are_refused_in_a_sentence(tmp_path: Path, asked: object) -> None:
    folder = changed(telling_checkpoint(tmp_path), quantization_config=asked)
    with pytest.raises(CheckpointError, match=r"asks for quantised weights.*hf_bones loads unquantised ones alone"):
        BonePredictor.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "decision.json"])
def test_brackets_without_end_are_a_sentence(tmp_path: Path, name: str) -> None:
    folder = telling_checkpoint(tmp_path)
    (folder / name).write_text('{"a": ' + "[" * 100_000)
    with pytest.raises(ValueError, match=f"{name}.*nested too deeply"):
        BonePredictor.from_pretrained(folder, device="cpu")
    if name == "config.json":
        with pytest.raises(ValueError, match=r"model: the config.json of .* cannot be read"):
            load_model(ModelConfig(model=str(folder)), THREE_CLASS)


def test_a_giant_input_is_refused(tmp_path: Path) -> None:
    folder = telling_checkpoint(tmp_path)
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace("56", "560000"))
    (folder / "decision.json").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="560000 px"):
        BonePredictor.from_pretrained(folder, device="cpu")


def test_weights_that_lie_about_their_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for content in (struct.pack("<Q", 2**40) + b"{}", struct.pack("<Q", 9) + b'{"a": []}', struct.pack("<Q", 20_000) + b"[" * 20_000):
        path.write_bytes(content)
        with pytest.raises(CheckpointSizeError, match=r"model\.safetensors"):
            weight_sizes([path])


def test_without_weights_a_config_is_held_to_what_any_network_has() -> None:
    check_config({"hidden_size": 4096, "num_hidden_layers": 48, "id2label": {str(label): label for label in range(20_000)}})
    for config in ({"hidden_size": 10**6}, {"depths": [2] * 10_000}, {"stages": {"num_layers": 4000}}):
        with pytest.raises(CheckpointSizeError):
            check_config(config)
