"""Tiny checkpoints whose images get clearly different probabilities, and pictures for them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    ConvNextV2Config,
    ConvNextV2ForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, image_processor

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


def grey(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth random 8-bit grey image."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 4), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
