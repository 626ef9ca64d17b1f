"""The FracAtlas rows of a dataset, and what a frozen backbone makes of them: a part of accuracy.py, drawn_worth.py and pooling.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from harness import few_of_each

from hf_bones.preprocess import InputSpec
from hf_bones.training.data.batches import PixelSource, TrainingRows
from hf_bones.training.data.rows import StoredImages
from hf_bones.training.probe import head_features


@dataclass(frozen=True)
class Films:
    """Films of some splits: their images by row, classes, groups, and the SHA-256 of their files."""

    images: StoredImages
    labels: np.ndarray
    groups: list[str]
    hashes: list[str]


def films(splits: Any, *names: str, few: int | None = None) -> Films:
    """The FracAtlas rows of the splits named, at most `few` of each class and split."""
    from datasets import concatenate_datasets

    parts = [splits[name].select(np.flatnonzero(np.array(splits[name]["source"]) == "fracatlas").tolist()) for name in names]
    rows = concatenate_datasets([few_of_each(part, few) if few else part for part in parts])
    return Films(StoredImages(rows), np.array(rows["label"]), list(rows["group"]), list(rows["sha256"]))


def frozen_features(model: Any, spec: InputSpec, images: PixelSource, labels: np.ndarray) -> np.ndarray:
    """What the head is given for each image, float32 (N, F)."""
    return head_features(model, spec, TrainingRows([images], labels, spec.size, 0), 16, torch.device("cpu"))
