"""Decision curve: what acting on P(abnormal) is worth beside acting on every film, and on none (Vickers and Elkin, "Decision Curve
Analysis", Medical Decision Making 2006).

Whoever acts from a probability t on holds a false alarm to be worth t ÷ (1 − t) of a find. Net benefit is finds less false alarms in that
currency, per film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_bones.metrics.figures import Floats, Ints
from hf_bones.metrics.intervals import group_weights, percentile_interval

PROBABILITIES = np.round(np.arange(0.01, 0.81, 0.01), 2)
SHOWN = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit per film (T,) at each of the threshold probabilities `at` (T,): by the model, and of acting on all; on none it is 0.

    over (T,): the model's less the better of the other two, with the 95 % interval low, high (T,) (NaN: too few groups).
    """

    at: Floats
    model: Floats
    treat_all: Floats
    over: Floats
    low: Floats
    high: Floats


def decision_curve(
    abnormal_probability: Floats, abnormal: np.ndarray, groups: Sequence[str], *, repeats: int = 1000, seed: int = 0
) -> DecisionCurve:
    """The curve of P(abnormal) (N,) for films that are `abnormal` (N,) bool; groups (N,) are resampled whole."""
    at = PROBABILITIES
    acted = abnormal_probability[:, None] >= at
    odds = at / (1 - at)
    gain = np.where(abnormal[:, None], 1.0, -odds)  # (N, T): what acting on a film is worth

    def benefits(weights: Floats) -> tuple[Floats, Floats]:
        total = weights.sum(axis=1, keepdims=True)
        return weights @ (acted * gain) / total, weights @ gain / total

    model, everybody = (values[0] for values in benefits(np.ones((1, len(abnormal)))))
    low, high = np.full(len(at), np.nan), np.full(len(at), np.nan)
    if len(set(groups)) >= 2:
        drawn = []
        for weights in group_weights(groups, len(abnormal), repeats, seed):
            mine, theirs = benefits(weights)
            drawn.append(mine - np.maximum(theirs, 0))
        values = np.concatenate(drawn)
        low, high = (np.array(side) for side in zip(*(percentile_interval(values[:, place]) for place in range(len(at))), strict=True))
    return DecisionCurve(at, model, everybody, model - np.maximum(everybody, 0), low, high)


def place_of(probability: float) -> int:
    """Where a threshold probability stands in the curve."""
    return int(np.abs(PROBABILITIES - probability).argmin())


def counts_at(abnormal_probability: Floats, labels: Ints, normal_id: int, probability: float) -> tuple[int, int]:
    """(finds, false alarms) of whoever acts from this probability on."""
    acted = abnormal_probability >= probability
    return int((acted & (labels != normal_id)).sum()), int((acted & (labels == normal_id)).sum())
