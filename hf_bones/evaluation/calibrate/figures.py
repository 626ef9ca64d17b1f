"""How far probabilities mean what they say: calibration errors in bins of equally many films, Brier score, log loss, class by class.

All figures are computed for many weightings of the same rows at once, as in `metrics/figures.py`: the figure itself and its bootstrap
resamples of whole groups. Bins are made once, on all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.metrics.decisions import Share, share
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.metrics.intervals import group_weights, percentile_interval

Interval = tuple[float, float]
CLASS_BINS = 8  # of a reliability table
MIN_IN_BIN = 10  # class-wise bins of fewer films would say nothing


@dataclass(frozen=True)
class Change:
    """A figure before and after, and after less before, each with its 95 % interval (None: too few groups)."""

    before: float
    after: float
    change: float
    before_interval: Interval | None
    after_interval: Interval | None
    change_interval: Interval | None


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows with like probabilities of a class: their mean, and the share that is of the class, with its interval."""

    probability: float
    share: Share


def equal_mass_bins(scores: Floats, bins: int) -> Ints:
    """The bin, from 0, of each score (N,): as many bins as asked, or as rows, each with as many rows, the lowest scores first."""
    places = np.empty(len(scores), dtype=np.int64)
    for number, rows in enumerate(np.array_split(np.argsort(scores, kind="stable"), min(bins, max(1, len(scores))))):
        places[rows] = number
    return places


def ece_of(scores: Floats, right: npt.NDArray[np.bool_], bins: int, weights: Floats | None = None) -> Floats:
    """Expected calibration error, equal mass: the mean gap between score and share right, (R,) for weights (R, N), else (1,).

    scores (N,): probabilities. right (N,): whether what they are of came true.
    """
    many = np.ones((1, len(scores))) if weights is None else weights
    gaps = np.zeros((len(scores), bins))
    gaps[np.arange(len(scores)), equal_mass_bins(scores, bins)] = right - scores
    found: Floats = np.abs(many @ gaps).sum(axis=1) / many.sum(axis=1)
    return found


def calibration_figures(
    probabilities: Floats, labels: Ints, names: Sequence[str], bins: int, weights: Floats | None = None
) -> dict[str, Floats]:
    """`ece` of the likeliest class, `brier`, `log_loss`, and `ece_X` of P(X) of each class, (R,) for weights (R, N), else (1,)."""
    many = np.ones((1, len(labels))) if weights is None else weights
    rows, total = np.arange(len(labels)), many.sum(axis=1)
    target = np.zeros_like(probabilities)
    target[rows, labels] = 1.0
    given = np.clip(probabilities[rows, labels], np.finfo(np.float64).eps, 1.0)
    found = {
        "ece": ece_of(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins, many),
        "brier": many @ ((probabilities - target) ** 2).sum(axis=1) / total,
        "log_loss": many @ -np.log(given) / total,
    }
    for index, name in enumerate(names):
        found[f"ece_{name}"] = ece_of(probabilities[:, index], labels == index, bins, many)
    return found


def changes(
    before: Floats,
    after: Floats,
    labels: Ints,
    groups: Sequence[str],
    names: Sequence[str],
    *,
    bins: int,
    repeats: int = 1000,
    seed: int = 0,
) -> dict[str, Change]:
    """Every calibration figure before and after, with intervals from the same resamples of groups for both."""
    once = [calibration_figures(each, labels, names, bins) for each in (before, after)]
    drawn: dict[str, list[tuple[Floats, Floats]]] = {key: [] for key in once[0]}
    if len(set(groups)) >= 2:
        for weights in group_weights(groups, len(labels), repeats, seed):
            both = [calibration_figures(each, labels, names, bins, weights) for each in (before, after)]
            for key in drawn:
                drawn[key].append((both[0][key], both[1][key]))
    found = {}
    for key, parts in drawn.items():
        one, two = float(once[0][key][0]), float(once[1][key][0])
        spans: list[Interval | None] = [None, None, None]
        if parts:
            first, second = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
            spans = [percentile_interval(values) for values in (first, second, second - first)]
        found[key] = Change(one, two, two - one, *spans)
    return found


def reliability(
    probabilities: Floats, labels: Ints, groups: Sequence[str], names: Sequence[str], *, repeats: int = 1000, seed: int = 0
) -> dict[str, list[ReliabilityBin]]:
    """Class → bins of equally many rows by P(class), lowest first: up to `CLASS_BINS`, none of fewer than `MIN_IN_BIN` rows."""
    bins = max(1, min(CLASS_BINS, len(labels) // MIN_IN_BIN))
    found: dict[str, list[ReliabilityBin]] = {}
    for index, name in enumerate(names):
        places = equal_mass_bins(probabilities[:, index], bins)
        found[name] = [
            ReliabilityBin(
                float(probabilities[places == number, index].mean()),
                share(labels == index, places == number, groups, repeats=repeats, seed=seed),
            )
            for number in range(bins)
        ]
    return found


def ece_by_chance(probabilities: Floats, bins: int, *, repeats: int = 1000, seed: int = 0, level: float = 0.95) -> float:
    """The ECE that perfectly calibrated probabilities (N, C) stay below in a share `level` of draws: labels are drawn from them anew.

    An error below it cannot be told from none. Rows are drawn independently, though films of a group are not: with groups the true bound
    is higher.
    """
    generator = np.random.default_rng(seed)
    top = probabilities.max(axis=1)
    right = generator.random((repeats, len(top))) < top
    places = equal_mass_bins(top, bins)
    sums = np.stack([(right - top)[:, places == number].sum(axis=1) for number in range(int(places.max(initial=0)) + 1)], axis=1)
    return float(np.quantile(np.abs(sums).sum(axis=1) / len(top), level))


def as_data(change: Change) -> dict[str, Any]:
    """A figure before and after, for JSON."""
    return {
        "before": [change.before, *(change.before_interval or (None, None))],
        "after": [change.after, *(change.after_interval or (None, None))],
        "change": [change.change, *(change.change_interval or (None, None))],
    }
