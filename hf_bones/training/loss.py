"""The loss: cross-entropy with class weights and label smoothing, the same however a batch is split over processes and steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

LossFunction = Callable[..., torch.Tensor]


def class_weights(counts: np.ndarray, scheme: str) -> np.ndarray:
    """Weight of each class from its count in the training rows, float64 (C,), averaging 1 over those rows.

    `none` gives ones, `balanced` n / count, `sqrt` the square root of that. Raises ValueError for a class without rows, since its
    weight would be infinite, or an unknown scheme.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if scheme == "none":
        return np.ones_like(counts)
    if scheme not in ("balanced", "sqrt"):
        raise ValueError(f"class_weights: expected 'none', 'sqrt' or 'balanced', got {scheme!r}")
    if (counts == 0).any():
        raise ValueError(f"class_weights: {scheme} needs rows of every class; counts are {counts.astype(int).tolist()}")
    weights = counts.sum() / counts
    if scheme == "sqrt":
        weights = np.sqrt(weights)
    return weights * counts.sum() / (weights * counts).sum()


def weighted_cross_entropy(weights: np.ndarray, label_smoothing: float = 0.0) -> LossFunction:
    """A `compute_loss_func` for transformers' Trainer.

    The sum of weighted losses is divided by the number of images in the whole step (not by the sum of the batch's weights), so that
    gradient accumulation and several processes give the gradient of one large batch.
    """
    weight = torch.as_tensor(weights, dtype=torch.float32)

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        each = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=label_smoothing)
        total = (each * weight.to(each.device)[labels]).sum()
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss
