"""How well images can be told apart at each size: grouped cross-validation of a head on frozen features, and the choice between sizes.

Every size is judged on the same rows, in the same folds and the same bootstrap draws, so that sizes are compared draw by draw. The choice
is the one-standard-error rule: the cheapest size that is within one standard error of the best (Breiman, Friedman, Olshen and Stone,
"Classification and Regression Trees", 1984, section 3.4.3).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.evaluation.opinions.frozen import Backbone
from hf_bones.evaluation.opinions.out_of_fold import deals
from hf_bones.evaluation.opinions.stored_arrays import read_arrays, write_arrays
from hf_bones.labels import LabelScheme
from hf_bones.metrics import SPECIFICITY
from hf_bones.metrics.figures import Floats, Ints, weighted_auroc, weighted_figures
from hf_bones.metrics.headlines import TABLE
from hf_bones.metrics.intervals import group_weights, percentile_interval

AUROC, BALANCED_ACCURACY = TABLE
_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Judged:
    """Out-of-fold probabilities of the same N rows at one size: (R, N, C), one deal after another, and the strengths chosen."""

    size: int
    probabilities: Floats
    strengths: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class SizeFigures:
    """Figures of one size: means over the deals, with 95 % intervals from resamples of whole groups.

    `standard_error` is the deviation of balanced accuracy over those resamples; `between_deals` its deviation from deal to deal (None for
    one deal). `behind_best` is balanced accuracy less that of the size which is best by it, with the interval of that difference draw by
    draw; `auroc_behind_best` the same of AUROC(abnormal), whose best size may be another; `sensitivities` by class. None for an interval
    where a class is too rare for one, and for the difference of the best from itself.
    """

    size: int
    balanced_accuracy: float
    interval: tuple[float, float] | None
    standard_error: float
    between_deals: float | None
    behind_best: float
    behind_best_interval: tuple[float, float] | None
    auroc: float
    auroc_interval: tuple[float, float] | None
    auroc_behind_best: float
    auroc_behind_best_interval: tuple[float, float] | None
    sensitivities: Mapping[str, float]
    strengths: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """`best` has the greatest balanced accuracy; `advised` is the cheapest of `within`, the sizes at most one standard error below it."""

    best: int
    advised: int
    within: tuple[int, ...]
    standard_error: float


def judge(
    backbone: Backbone,
    features: npt.NDArray[np.float32],
    labels: Ints,
    groups: Sequence[str],
    hashes: Sequence[str],
    scheme: LabelScheme,
    settings: OpinionSettings,
    cache: Path | None = None,
) -> Judged:
    """Cross-validates a head on `features` (N, F), or takes what an earlier run of the same rows and settings left in `cache`."""
    rows = "\n".join(f"{digest} {label} {group}" for digest, label, group in zip(hashes, labels, groups, strict=True))
    key = hashlib.sha256(f"{backbone.key} {scheme.names} {scheme.normal_id} {asdict(settings)}\n{rows}".encode()).hexdigest()[:24]
    path = None if cache is None else cache / "judged" / f"{key}.npz"
    kept = read_arrays(path, "probabilities", "strengths", "seconds") if path is not None else None
    if kept is not None:
        probabilities, strengths, seconds = kept
        return Judged(backbone.spec.size, probabilities, tuple(strengths.tolist()), float(seconds))
    began = time.perf_counter()
    found = list(deals(features, labels, groups, scheme.names, settings, normal_id=scheme.normal_id))
    judged = Judged(
        backbone.spec.size,
        np.stack([deal.probabilities for deal in found]),
        tuple(strength for deal in found for strength in deal.strengths),
        time.perf_counter() - began,
    )
    if path is not None:
        write_arrays(path, probabilities=judged.probabilities, strengths=judged.strengths, seconds=judged.seconds)
    return judged


def compare_sizes(judged: Sequence[Judged], labels: Ints, groups: Sequence[str], scheme: LabelScheme, seed: int = 0) -> list[SizeFigures]:
    """The figures of each size, in the order given. Raises ValueError for rows of one group only."""
    names, normal = scheme.names, scheme.normal_id
    once = np.ones((1, len(labels)))
    plain = [[weighted_figures(labels, deal, once, names, normal, SPECIFICITY) for deal in each.probabilities] for each in judged]
    accuracy: list[list[Floats]] = [[] for _ in judged]
    auroc: list[list[Floats]] = [[] for _ in judged]
    for weights in group_weights(groups, len(labels), _RESAMPLES, seed):
        for place, each in enumerate(judged):
            accuracy[place].append(np.mean([_balanced_accuracy(labels, deal, weights) for deal in each.probabilities], axis=0))
            scores = [weighted_auroc(labels != normal, 1 - deal[:, normal], weights) for deal in each.probabilities]
            auroc[place].append(np.mean(scores, axis=0))
    accuracy_draws = [np.concatenate(parts) for parts in accuracy]
    auroc_draws = [np.concatenate(parts) for parts in auroc]

    def mean(place: int, key: str) -> float:
        return float(np.mean([figures[key][0] for figures in plain[place]]))

    accuracies = [mean(place, BALANCED_ACCURACY) for place in range(len(judged))]
    aurocs = [mean(place, AUROC) for place in range(len(judged))]
    best, best_auroc = int(np.argmax(accuracies)), int(np.argmax(aurocs))
    rows = []
    for place, each in enumerate(judged):
        by_deal = [float(figures[BALANCED_ACCURACY][0]) for figures in plain[place]]
        rows.append(
            SizeFigures(
                size=each.size,
                balanced_accuracy=accuracies[place],
                interval=_stated(accuracy_draws[place]),
                standard_error=float(np.nanstd(accuracy_draws[place], ddof=1)),
                between_deals=float(np.std(by_deal, ddof=1)) if len(by_deal) > 1 else None,
                behind_best=accuracies[place] - accuracies[best],
                behind_best_interval=None if place == best else _stated(accuracy_draws[place] - accuracy_draws[best]),
                auroc=aurocs[place],
                auroc_interval=_stated(auroc_draws[place]),
                auroc_behind_best=aurocs[place] - aurocs[best_auroc],
                auroc_behind_best_interval=None if place == best_auroc else _stated(auroc_draws[place] - auroc_draws[best_auroc]),
                sensitivities={name: mean(place, f"sensitivity_{name}") for name in names},
                strengths=each.strengths,
            )
        )
    return rows


def _balanced_accuracy(labels: Ints, probabilities: Floats, weights: Floats) -> Floats:
    """`balanced_accuracy` of `metrics.weighted_figures` by itself, for each of R weightings: the others would take ten times as long."""
    classes = np.eye(probabilities.shape[1])[labels]
    hits = classes * (probabilities.argmax(axis=1) == labels)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Floats = ((weights @ hits) / (weights @ classes)).mean(axis=1)
    return mean


def _stated(draws: Floats) -> tuple[float, float] | None:
    low, high = percentile_interval(draws)
    return None if np.isnan(low) else (low, high)


def choose(figures: Sequence[SizeFigures], milliseconds: Mapping[int, float]) -> Choice:
    """The cheapest size by `milliseconds` among those within one standard error of the best; of equal accuracies the smaller is best."""
    best = min(figures, key=lambda row: (-row.balanced_accuracy, row.size))
    within = [row.size for row in figures if row.balanced_accuracy >= best.balanced_accuracy - best.standard_error]
    advised = min(within, key=lambda size: (milliseconds[size], size))
    return Choice(best.size, advised, tuple(within), best.standard_error)
