"""The loss of a run: cross-entropy, focal, logit-adjusted or source-adjusted, the same however a batch is split over processes and steps.

Each is a sum over images, weighted by class, divided by the number of images in the whole optimiser step (not by the sum of the batch's
weights), so that gradient accumulation and several processes give the gradient of one large batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hf_bones.config.recipe import TrainConfig
from hf_bones.training.data.on_device import constant
from hf_bones.training.data.source_shares import SourceShares

LossFunction = Callable[..., torch.Tensor]
"""A `compute_loss_func` of transformers' Trainer: (outputs, labels, num_items_in_batch) to a scalar."""


def training_loss(config: TrainConfig, counts: np.ndarray, shares: SourceShares | None = None) -> LossFunction:
    """The loss that a recipe asks for; `counts` (C,) are the training rows of each class, `shares` how `sampling: source` draws them.

    Raises ValueError for a class without rows where the loss needs its frequency.
    """
    if shares is not None:
        return source_adjusted(shares.log_frequencies, config.label_smoothing)
    weights = class_weights(counts, config.class_weights)
    if config.loss == "cross_entropy":
        return weighted_cross_entropy(weights, config.label_smoothing)
    if config.loss == "focal":
        return focal_loss(weights, config.focal_gamma)
    return weighted_cross_entropy(weights, config.label_smoothing, logit_offsets(config, counts))


def class_weights(counts: np.ndarray, scheme: str) -> np.ndarray:
    """Weight of each class from its count in the training rows, float64 (C,), averaging 1 over those rows.

    `none` gives ones, `balanced` n / count, `sqrt` the square root of that. Raises ValueError for a class without rows, since its
    weight would be infinite.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if scheme == "none":
        return np.ones_like(counts)
    if (counts == 0).any():
        raise ValueError(f"class_weights: {scheme} needs rows of every class; counts are {counts.astype(int).tolist()}")
    weights = counts.sum() / counts
    if scheme == "sqrt":
        weights = np.sqrt(weights)
    return weights * counts.sum() / (weights * counts).sum()


def logit_offsets(config: TrainConfig, counts: np.ndarray) -> np.ndarray:
    """What the loss adds to the logits of each class, float64 (C,): `logit_adjustment` × log frequency, or zeros for the other losses.

    A head that was fitted to the plain logits starts the run where it left off when these are taken from its biases.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if config.loss != "logit_adjusted":
        return np.zeros_like(counts)
    if (counts == 0).any():
        raise ValueError(f"loss: logit_adjusted needs rows of every class; counts are {counts.astype(int).tolist()}")
    return config.logit_adjustment * np.log(counts / counts.sum())


def learnt_log_prior(config: TrainConfig, counts: np.ndarray, shares: SourceShares | None = None) -> np.ndarray:
    """Log of the class frequencies that a run's network reckons with, float64 (C,): the rows' own, as sampling, weights and loss bend them.

    Taken from the logits, it leaves verdicts that hold all classes for equally frequent (post-hoc logit adjustment, Menon et al. 2021, see
    `weighted_cross_entropy`). Exact for cross-entropy without label smoothing. A fitted head alone (no epochs) has seen each row once,
    however rows would have been sampled. Raises ValueError for a class without rows.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if (counts == 0).any():
        raise ValueError(f"balanced_verdicts: needs rows of every class; counts are {counts.astype(int).tolist()}")
    if shares is not None:  # its loss is told all frequencies, and leaves none to be learnt
        return np.full(len(counts), -np.log(len(counts)))
    power = {"uniform": 1.0, "sqrt": 0.5, "balanced": 0.0}[config.sampling if config.epochs > 0 else "uniform"]
    seen = counts**power * class_weights(counts, config.class_weights)
    return np.log(seen / seen.sum()) - logit_offsets(config, counts)


def weighted_cross_entropy(weights: np.ndarray, label_smoothing: float = 0.0, offsets: np.ndarray | None = None) -> LossFunction:
    """Cross-entropy by class weights (C,), of the logits plus `offsets` (C,) where given.

    With log class frequencies as offsets it is the logit-adjusted loss (Menon et al., "Long-tail learning via logit adjustment", ICLR
    2021, arXiv 2007.07314): the logits themselves then rank classes as if all were equally frequent.
    """
    weight = tuple(float(value) for value in weights)
    shift = None if offsets is None else tuple(float(value) for value in offsets)

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        logits = _logits(outputs)
        if shift is not None:
            logits = logits + constant(shift, logits.device)
        each = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
        return _over_the_step(each, weight, labels, num_items_in_batch)

    return loss


def source_adjusted(log_frequencies: np.ndarray, label_smoothing: float = 0.0) -> LossFunction:
    """Cross-entropy of the logits plus the log class frequencies (S, C) of each image's source: a logit-adjusted loss, source by source.

    Where the frequencies are known, nothing is to be gained from a look that gives them away: the logits hold what the image says beside
    its source, and rank classes as if all were equally frequent. A film teaches the differences that its own source shows: a source with
    one class teaches nothing of that class, whatever its films look like, and one with two of three classes what tells these two apart.
    Boxes teach all the same (`box_loss`).

    Menon et al. 2021 (see `weighted_cross_entropy`) with the frequencies of a known source of bias, as in the product of experts of Clark
    et al., "Don't Take the Easy Way Out", EMNLP 2019, arXiv 1909.03683. Smoothed labels are spread by the same frequencies: spread evenly,
    they would ask for classes that a source lacks.

    The function also takes `source` (B,), the number of each image's source; without it, as in validation, it is plain cross-entropy.
    """
    table = tuple(tuple(float(value) for value in row) for row in log_frequencies)
    classes = len(table[0])
    flat = tuple(value for row in table for value in row)

    def loss(
        outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, source: torch.Tensor | None = None
    ) -> torch.Tensor:
        logits = _logits(outputs)
        shift = torch.zeros_like(logits) if source is None else constant(flat, logits.device).view(-1, classes)[source]
        log_shares = (logits + shift).log_softmax(dim=1)
        each = torch.nn.functional.nll_loss(log_shares, labels, reduction="none")
        if label_smoothing:
            each = (1 - label_smoothing) * each - label_smoothing * (shift.softmax(dim=1) * log_shares).sum(dim=1)
        return each.sum() / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


def focal_loss(weights: np.ndarray, gamma: float) -> LossFunction:
    """Cross-entropy by class weights (C,) times (1 - p)^gamma, p being the true class's probability: what is easy counts less.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv 1708.02002, in its form for softmax. `gamma` 0 is cross-entropy.
    """
    weight = tuple(float(value) for value in weights)

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        log_true = -torch.nn.functional.cross_entropy(_logits(outputs), labels, reduction="none")
        # Kept off 0, where the power's slope is infinite for a gamma under 1 and times a loss of 0 gives NaN.
        missed = (-torch.expm1(log_true)).clamp(min=torch.finfo(log_true.dtype).tiny)
        return _over_the_step(-(missed**gamma) * log_true, weight, labels, num_items_in_batch)

    return loss


def _logits(outputs: Any) -> torch.Tensor:
    logits: torch.Tensor = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
    return logits.float()


def _over_the_step(
    each: torch.Tensor, weight: tuple[float, ...], labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
) -> torch.Tensor:
    total = (each * constant(weight, each.device)[labels]).sum()
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)
