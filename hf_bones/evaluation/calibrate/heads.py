"""Answers out of fold: heads on the checkpoint's frozen features stand in for it on films that it learnt from.

A class that has too few films in validation for its error level may have enough with those of training, of which the checkpoint itself
says too much. Each film is judged by a linear head that was fitted to films of other groups; the heads' answers are scaled as the
checkpoint's are, and thresholds are fitted to them. That holds as far as the heads answer as the checkpoint does, and as far as its
backbone did not learn the labels of the training films: `flattery` measures the latter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.dataset.schema import image_bytes
from hf_bones.evaluation.calibrate.recipe import ScalingSettings, SetSettings
from hf_bones.evaluation.calibrate.scaling import Scaled, fit_scaling
from hf_bones.evaluation.columns import text_column
from hf_bones.evaluation.opinions.frozen import FrozenFeatures, ImageBytes, frozen_features, load_backbone
from hf_bones.evaluation.opinions.out_of_fold import out_of_fold
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.metrics.intervals import group_weights, percentile_interval

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, eq=False)
class HeadAnswers:
    """probabilities (N, C) out of fold, scaled; labels (N,); in_training (N,): rows of the train split. flattery: log loss on validation
    less that on training, classes counting alike, with its 95 % interval: over 0 where the backbone knows the training labels."""

    probabilities: Floats
    labels: Ints
    in_training: np.ndarray
    scaled: Scaled
    flattery: tuple[float, float, float]

    @property
    def is_flattered(self) -> bool:
        """Whether films of training are judged better than those of validation, beyond chance."""
        return self.flattery[1] > 0


def features_of(name: str, parts: Sequence[tuple[Dataset, Sequence[int]]], cache: Path | None, device: str | None) -> FrozenFeatures:
    """The frozen features of the checkpoint's backbone for rows of splits, one split after another."""
    from datasets import Image

    readers: list[ImageBytes] = []
    hashes: list[str] = []
    for part, rows in parts:
        images = part.select_columns("image").cast_column("image", Image(decode=False))
        stated = text_column(part, "sha256")
        for row in rows:
            readers.append(partial(_bytes_of, images, row))
            hashes.append(stated[row] or hashlib.sha256(readers[-1]()).hexdigest())
    return frozen_features(load_backbone(name, device=device), readers, hashes, cache)


def _bytes_of(images: Dataset, row: int) -> bytes:
    return image_bytes(images[row]["image"])


def head_answers(
    features: np.ndarray,
    labels: Ints,
    groups: Sequence[str],
    in_training: np.ndarray,
    names: Sequence[str],
    normal_id: int,
    sets: SetSettings,
    scaling: ScalingSettings,
) -> HeadAnswers:
    """Scaled answers out of fold of heads on features (N, F) for labels (N,); whole groups (N,) go to one fold."""
    settings = OpinionSettings(
        folds=sets.head_folds, repeats=1, strengths=list(sets.head_strengths), class_weights="none", seed=scaling.seed
    )
    shares = out_of_fold(features, labels, groups, names, settings, normal_id=normal_id)
    logits = np.log(np.clip(shares, np.finfo(np.float64).tiny, 1.0))
    scaled = fit_scaling(logits, labels, groups, names, scaling)
    told = flattery(scaled.probabilities, labels, groups, in_training, repeats=scaling.repeats, seed=scaling.seed)
    return HeadAnswers(scaled.probabilities, labels, in_training, scaled, told)


def flattery(
    probabilities: Floats, labels: Ints, groups: Sequence[str], in_training: np.ndarray, *, repeats: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Log loss on validation less that on training, each the mean of the classes' own, and its 95 % interval over groups.

    NaN where a class is missing from either.
    """
    loss = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).eps, 1.0))
    cells = [(labels == index) & (in_training == side) for side in (False, True) for index in range(probabilities.shape[1])]

    def gap(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.stack([(weights[:, cell] @ loss[cell]) / weights[:, cell].sum(axis=1) for cell in cells], axis=1)
        half = len(cells) // 2
        difference: Floats = means[:, :half].mean(axis=1) - means[:, half:].mean(axis=1)
        return difference

    value = float(gap(np.ones((1, len(labels))))[0])
    drawn = np.concatenate([gap(weights) for weights in group_weights(groups, len(labels), repeats, seed)])
    return value, *percentile_interval(drawn)
