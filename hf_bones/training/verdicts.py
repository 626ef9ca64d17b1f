"""The shift of a head's biases under which verdicts hold all classes for equally frequent, fitted on films that taught the network nothing.

What a network reckons of class frequencies can be read from its training rows (`loss.learnt_log_prior`), as long as films look as those
did. On films of another system its logits lean one way or another, so the shift can be fitted on augmented copies of validation films.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy.optimize import minimize
from tqdm import tqdm
from transformers import PreTrainedModel

from hf_bones.config.recipe import AugmentConfig
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.preprocess import InputSpec
from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_to_input

SPREAD = 1.0  # standard deviation, in logits, of a fitted shift about the one that frequencies give: what a few films cannot outweigh


def logits_of_copies(
    model: PreTrainedModel,
    spec: InputSpec,
    rows: TrainingRows,
    copies: int,
    policy: AugmentConfig,
    batch_size: int,
    device: torch.device,
) -> Floats:
    """What the network says of `copies` augmented copies of each row: float64 (copies × N, C), the first copies of all rows first.

    Copies are not enlarged and no tiles are taken of them: they are whole films, as a user has them.
    """
    whole = dataclasses.replace(policy, zoom=1.0, tile_probability=0.0)
    keys = [(row, (copy + 1) * len(rows) + row) for copy in range(copies) for row in range(len(rows))]
    collate, channels, was_training = SquareCollator(spec.size), getattr(model.config, "num_channels", 3), model.training
    model.eval().to(device)
    found: list[Floats] = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(keys), batch_size), desc="copies of validation", unit="batch", disable=None):
            batch = {key: value.to(device) for key, value in collate([rows[key] for key in keys[start : start + batch_size]]).items()}
            found.append(model(pixel_values=batch_to_input(batch, spec, whole, None, channels)).logits.double().cpu().numpy())
    model.train(was_training)
    return np.concatenate(found)


def fitted_shift(logits: Floats, labels: Ints, start: Floats) -> Floats:
    """The shift (C,) of logits (N, C) that minimises the log loss of labels (N,) with every class counting alike, near `start` (C,).

    A temperature is fitted beside it and left to `decision.calibrate`. Classes count as many films as the rarest has, and the shift is
    drawn to `start` as by a normal prior of deviation `SPREAD`: a dozen films do not move it far. Raises ValueError for a class without
    films.
    """
    counts = np.bincount(labels, minlength=logits.shape[1]).astype(np.float64)
    if (counts == 0).any():
        raise ValueError(f"verdict_copies: needs validation rows of every class; counts are {counts.astype(int).tolist()}")
    weights = (counts.min() / counts)[labels]
    rows = np.arange(len(labels))

    def loss(numbers: Floats) -> tuple[float, Floats]:
        inverse, shift = np.exp(-numbers[0]), numbers[1:]
        scaled = (logits + shift) * inverse
        log_shares = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
        slopes = np.exp(log_shares)
        slopes[rows, labels] -= 1
        slopes *= weights[:, None]
        away = shift - start
        value = -float(weights @ log_shares[rows, labels]) + float(away @ away) / (2 * SPREAD**2)
        return value, np.concatenate([[-(slopes * scaled).sum()], slopes.sum(axis=0) * inverse + away / SPREAD**2])

    found = minimize(loss, np.concatenate([[0.0], start]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x[1:], dtype=np.float64)
