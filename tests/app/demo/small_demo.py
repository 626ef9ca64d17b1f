"""A tiny checkpoint for the demo, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2ForImageClassification

from hf_bones.inference.decision import Decision, write_decision
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, image_processor
from hf_bones.record import write_json

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


def grey(height: int = 90, width: int = 70, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 4), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
