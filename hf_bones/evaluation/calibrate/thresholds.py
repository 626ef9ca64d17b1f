"""Thresholds of prediction sets: class-conditional (Mondrian) split conformal prediction.

The score of a film is the calibrated probability of its class. With n films of a class, the threshold is their k-th smallest score, k =
⌊(n + 1) α⌋. A new film that is exchangeable with them is as likely to rank anywhere among the n + 1, so that its set lacks its class with
probability k ÷ (n + 1) ≤ α, and, without ties, no more than 1 ÷ (n + 1) below it (Lei et al., "Distribution-Free Predictive Inference for
Regression", JASA 2018, theorem 2). Below n = ⌈1/α⌉ − 1 films k is 0, and no threshold but 0 keeps the promise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from hf_bones.evaluation.calibrate.recipe import CostSettings
from hf_bones.inference.conformal import OUT_OF_FOLD, VALIDATION
from hf_bones.metrics.decisions import REFERRED
from hf_bones.metrics.figures import Floats, Ints


class TooFewFilmsError(ValueError):
    """A class has too few films for its error level; the message names it, how many are missing, and what to do."""


def needed(alpha: float) -> int:
    """The fewest films of a class for an error level: ⌈1/α⌉ − 1."""
    return math.ceil(1 / Fraction(str(alpha))) - 1


def too_few(labels: Ints, names: Sequence[str], alpha: Mapping[str, float]) -> dict[str, tuple[int, int]]:
    """Class → (films, films missing), of the classes that have too few."""
    counts = np.bincount(labels, minlength=len(names))
    short = {name: (int(count), needed(alpha[name]) - int(count)) for name, count in zip(names, counts, strict=True)}
    return {name: (count, missing) for name, (count, missing) in short.items() if missing > 0}


def refusal(short: Mapping[str, tuple[int, int]], alpha: Mapping[str, float], fitted_on: str, why: str = "") -> TooFewFilmsError:
    """The error for classes that have too few films, with what can be done."""
    named = []
    for name, (count, missing) in short.items():
        largest = 1 / (count + 1)
        larger = f"from --class-alpha {name}={math.ceil(1000 * largest) / 1000:g} on they are enough" if count else "it has none"
        named.append(f"{name}: {count} film{'s' * (count != 1)}, {missing} too few for an error level of {alpha[name]:g} ({larger})")
    remedy = "allow a larger error level, or collect more films of it"
    if fitted_on == VALIDATION:
        remedy = "allow a larger error level, fit on train and validation together (--fit-on out_of_fold), or collect more films of it"
    return TooFewFilmsError(f"{'; '.join(named)}. {why}{remedy[0].upper()}{remedy[1:]}")


def conformal_thresholds(
    probabilities: Floats, labels: Ints, names: Sequence[str], alpha: Mapping[str, float], fitted_on: str = OUT_OF_FOLD
) -> dict[str, float]:
    """Class → the least calibrated probability with which it is in the prediction set, from probabilities (N, C) and labels (N,).

    Raises `TooFewFilmsError` naming classes with fewer films than `needed`.
    """
    if short := too_few(labels, names, alpha):
        raise refusal(short, alpha, fitted_on)
    found = {}
    for index, name in enumerate(names):
        scores = np.sort(probabilities[labels == index, index])
        found[name] = float(scores[math.floor((len(scores) + 1) * Fraction(str(alpha[name]))) - 1])
    return found


def normal_threshold(costs: CostSettings) -> float | None:
    """The threshold of the normal class under costs, None without them.

    To call a film normal costs P(abnormal) × miss on average, to call it abnormal P(normal) × alarm. The former is the cheaper from
    P(normal) = miss ÷ (miss + alarm) on.
    """
    return None if costs.miss is None or costs.alarm is None else costs.miss / (costs.miss + costs.alarm)


def open_classes(probabilities: Floats, names: Sequence[str], thresholds: Mapping[str, float]) -> np.ndarray:
    """Which classes each row of (N, C) leaves open, bool (N, C)."""
    return np.asarray(probabilities >= np.array([thresholds[name] for name in names]))


def verdicts_of(sets: np.ndarray, probabilities: Floats | None = None, normal_id: int | None = None) -> Ints:
    """The one class of each row of open classes (N, C), `REFERRED` where there are none or several, (N,).

    With `normal_id` several of which the normal class is none are answered by the likeliest of them, by `probabilities` (N, C).
    """
    found = np.where(sets.sum(axis=1) == 1, sets.argmax(axis=1), REFERRED)
    if normal_id is None or probabilities is None:
        return found
    abnormal = sets.any(axis=1) & ~sets[:, normal_id]
    return np.where(abnormal, np.where(sets, probabilities, -1.0).argmax(axis=1), found)
