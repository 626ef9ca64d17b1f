"""Trains small networks of timm through transformers' wrapper, prints what became of them. For a process of its own: see test_timm.py."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

# torchvision's compiled part wants the CUDA build of torch; timm needs only its Python part, which asks for these two to be known.
OPERATORS = torch.library.Library("torchvision", "DEF")
if not hasattr(torch.ops.torchvision, "nms"):
    for operator in ("nms", "qnms"):
        OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# ruff: noqa: E402 - timm can be imported from here on
import timm
from command_line import parse_recipe
from tiny import bar_dataset
from transformers import AutoModelForImageClassification, TimmWrapperConfig, TimmWrapperForImageClassification

from hf_bones import BonePredictor
from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.finetune import run
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.preprocess import to_input
from hf_bones.training.backbone.loading import blocks_of, head_of, load_model, parameter_groups
from hf_bones.training.run.checkpoints import save_checkpoint
from hf_bones.training.trainer import train

ARCHITECTURES = {
    "vit_tiny_patch16_224": {"img_size": 32, "depth": 2, "embed_dim": 32, "num_heads": 2},
    "convnextv2_atto": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "resnet18": {"layers": (1, 1, 1, 1), "channels": (8, 16, 24, 32)},
}
SIZE = 64
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def start(folder: Path, architecture: str) -> Path:
    """A checkpoint as a timm repository is: no processor, a head of five nameless classes, its mean and deviation in the config."""
    torch.manual_seed(0)
    config = TimmWrapperConfig.from_dict(
        {
            "architecture": architecture,
            "model_args": ARCHITECTURES[architecture] or None,
            "num_classes": 5,
            "pretrained_cfg": {"input_size": [3, 32, 32], "mean": MEAN, "std": STD},
        }
    )
    TimmWrapperForImageClassification(config).save_pretrained(folder)
    return folder


def learning(folder: Path, trainable: str) -> list[str] | str:
    try:
        model, _ = load_model(ModelConfig(str(folder), image_size=SIZE, trainable=trainable), THREE_CLASS)
    except ValueError as error:
        return str(error)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def refused(arguments: list[str], *more: str) -> str:
    try:
        train(parse_recipe([*arguments, *more]))
    except ValueError as error:
        return str(error)
    return "not refused"


def tried(architecture: str, work: Path) -> dict[str, Any]:
    folder = start(work / architecture, architecture)
    found: dict[str, Any] = {trainable: learning(folder, trainable) for trainable in ("head", "last:1")}
    model, spec = load_model(ModelConfig(str(folder), image_size=SIZE, drop_path=0.1), THREE_CLASS)
    decay = parameter_groups(model, 1e-3, 1e-2, 0.05, 0.5) if architecture != "resnet18" else []
    found |= {
        "spec": [spec.size, spec.mean, spec.std],
        "blocks": len(blocks_of(model)) if architecture != "resnet18" else 0,
        "rates": sorted({round(group["lr"], 9) for group in decay}),
        "undecayed": sum(group["weight_decay"] == 0 for group in decay),
        "drop_path": model.config.model_args["drop_path_rate"],
    }
    output = work / f"{architecture}-run"
    arguments = ["--recipe", "quickstart", "--cpu", "true", "--model", str(folder), "--image_size", str(SIZE), "--trainable", "all"]
    arguments += ["--dataset", str(work / "bars"), "--drawn_images", "0", "--drawn_validation_images", "0", "--batch_size", "8"]
    arguments += ["--epochs", "2", "--learning_rate", "1e-3", "--head_learning_rate", "1e-2", "--output_dir", str(output)]
    run(parse_recipe(arguments))
    loaded = AutoModelForImageClassification.from_pretrained(output).eval()
    image = load_bones(str(work / "bars"))["validation"][0]["image"]
    finding = BonePredictor.from_pretrained(output).predict([image])[0]
    with torch.inference_mode():
        pixels = torch.from_numpy(to_input(np.asarray(image.convert("L")), spec))[None]
        plain = loaded(pixel_values=pixels).logits.softmax(dim=1)[0].tolist()
    two = work / f"{architecture}-two"
    save_checkpoint(*load_model(ModelConfig(str(folder), image_size=SIZE), TWO_CLASS), two)
    with torch.inference_mode():
        before = AutoModelForImageClassification.from_pretrained(two).eval()(pixel_values=pixels).logits.softmax(dim=1)[0, 0].item()
        grown, _ = load_model(ModelConfig(str(two), image_size=SIZE), THREE_CLASS)
        after = grown.eval()(pixel_values=pixels).logits.softmax(dim=1)[0, 0].item()
    assert head_of(grown).out_features == len(THREE_CLASS.names) > len(TWO_CLASS.names)
    again = ["--max_steps", "1", "--resume", "false", "--output_dir", str(work / "refused")]
    return found | {
        "labels": list(loaded.config.id2label.values()),
        "plain": plain,
        "predictor": list(finding.raw_probabilities.values()),
        "files": sorted(path.name for path in output.iterdir() if path.is_file()),
        "healthy": [before, after],
        "box_loss": refused(arguments, *again, "--box_loss", "0.5"),
        "pooling": refused(arguments, *again, "--pooling", "max"),
        "cached_views": refused(arguments, *again, "--trainable", "head", "--cached_views", "1"),
        "heatmap": heat_map(output, image),
        "one_channel": refused(arguments, *again, "--input_channels", "1"),
    }


def heat_map(folder: Path, image: Any) -> list[int] | str:
    try:
        found = BonePredictor.from_pretrained(folder).predict([image], heatmap=True)[0].heatmap
    except ValueError as error:
        return str(error)
    return [] if found is None else list(found.shape)


def main() -> None:
    work = Path(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        bar_dataset(work / "bars")
        found = {architecture: tried(architecture, work) for architecture in ARCHITECTURES}
    print(json.dumps({"timm": timm.__version__, **found}))


if __name__ == "__main__":
    main()
