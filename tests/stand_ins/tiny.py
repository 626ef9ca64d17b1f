"""Small real things for tests: checkpoints with random weights and a dataset folder of simple pictures."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hf_bones.labels import THREE_CLASS, LabelScheme
from hf_bones.preprocess import InputSpec, image_processor

if TYPE_CHECKING:
    from datasets import Dataset


def tiny_checkpoint(folder: Path, kind: str = "dinov2", scheme: LabelScheme | None = THREE_CLASS, size: int = 56, blocks: int = 3) -> Path:
    """A saved checkpoint of a few thousand random weights: `dinov2`, `vit` or `convnextv2`; without a scheme it has a placeholder head."""
    import torch
    from transformers import (
        ConvNextV2Config,
        ConvNextV2ForImageClassification,
        Dinov2Config,
        Dinov2ForImageClassification,
        ViTConfig,
        ViTForImageClassification,
    )

    torch.manual_seed(0)
    head = {"id2label": scheme.id2label, "label2id": scheme.label2id} if scheme else {}
    plain = {"hidden_size": 32, "num_hidden_layers": blocks, "num_attention_heads": 2, "image_size": size}
    if kind == "dinov2":
        model = Dinov2ForImageClassification(Dinov2Config(**plain, patch_size=14, **head))
    elif kind == "vit":
        model = ViTForImageClassification(ViTConfig(**plain, intermediate_size=64, patch_size=14, **head))
    else:
        model = ConvNextV2ForImageClassification(
            ConvNextV2Config(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=size, **head)
        )
    model.save_pretrained(folder)
    image_processor(InputSpec(size)).save_pretrained(folder)
    return folder


def telling_checkpoint(folder: Path, kind: str = "dinov2", seed: int = 0, size: int = 56, strong_head: bool = True) -> Path:
    """A tiny checkpoint whose random weights, those of a `strong_head` above all, give images clearly different probabilities."""
    import torch
    from transformers import AutoModelForImageClassification, ConvNextV2Config, Dinov2Config, ViTConfig

    torch.manual_seed(seed)
    labels = {"id2label": THREE_CLASS.id2label, "label2id": THREE_CLASS.label2id}
    tokens = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": size, "patch_size": 14}
    config = {
        "dinov2": lambda: Dinov2Config(**tokens, initializer_range=0.3, mlp_ratio=2, **labels),
        "vit": lambda: ViTConfig(**tokens, initializer_range=0.3, intermediate_size=64, **labels),
        "convnextv2": lambda: ConvNextV2Config(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1], **labels),
    }[kind]()
    model = AutoModelForImageClassification.from_config(config)
    if strong_head:
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    image_processor(InputSpec(size)).save_pretrained(folder)
    return folder


def grey(height: int = 90, width: int = 70, seed: int = 0) -> Image.Image:
    """A smooth random 8-bit grey image."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 4), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def bar_picture(label: int, seed: int, height: int = 64, width: int = 48) -> np.ndarray:
    """A grey picture whose class a small network learns in a few steps: the class says how many bright bars cross it."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (height, width), dtype=np.uint8)
    for bar in range(label + 1):
        pixels[8 + 18 * bar : 16 + 18 * bar] = random.integers(170, 250)
    return pixels


def bone_row(pixels: np.ndarray, index: int, **changes: Any) -> dict[str, Any]:
    """A row as `hf-bones build` writes it, of a grey picture; its class comes in turn."""
    row = {
        "image": {"bytes": png(Image.fromarray(pixels)), "path": None},
        "label": index % 3,
        "subtype": "",
        "group": f"g{index}",
        "source": "",
        "region": "hand",
        "view": "frontal",
        "licence": "CC0-1.0",
        "sha256": f"{index:064x}",
        "boxes": [],
        "severity": float("nan"),
        "synthetic": True,
        "image_id": f"image{index}",
        "hardware": None,
        "cast": None,
    }
    return row | changes


def bone_rows(rows: Iterable[dict[str, Any]]) -> Dataset:
    """One split of such rows."""
    from datasets import Dataset

    from hf_bones.dataset.schema import bone_features

    return Dataset.from_list(list(rows), features=bone_features(THREE_CLASS.names))


def bar_dataset(folder: Path, train: int = 48, held_out: int = 18) -> Path:
    """A dataset as `hf-bones build` writes it, of bar pictures, classes in turn."""
    from datasets import DatasetDict

    def part(count: int, start: int) -> Dataset:
        licences = ("CC-BY-4.0", "CC0-1.0")
        return bone_rows(
            bone_row(bar_picture(index % 3, index), index, source="bars", licence=licences[index % 2], image_id=f"bar{index}")
            for index in range(start, start + count)
        )

    DatasetDict(train=part(train, 0), validation=part(held_out, 1000), test=part(held_out, 2000)).save_to_disk(str(folder))
    return folder
