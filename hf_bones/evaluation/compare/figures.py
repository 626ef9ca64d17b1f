"""Figures of a comparison: means over seeds with intervals, the ranking by validation, and paired differences between neighbours in it.

Each figure is computed for each seed's probabilities and then averaged: what one training run can be expected to give, not what an
ensemble of the seeds would give. Intervals come from resamples of whole groups, the seeds averaged in each; they tell how far the rows
decide the figure. How far the seed decides it is given apart, as a standard deviation. All models are drawn alike, so that two of them
are compared draw by draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.compare.scores import SplitRows
from hf_bones.evaluation.report.figures import MIN_GROUPS, Figure, Resampling, stated_figure
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import Floats, Ints, is_count, weighted_auroc, weighted_figures
from hf_bones.metrics.intervals import group_weights, percentile_interval

ALL = "all rows"
ABNORMAL = "auroc_abnormal"
SELECTION = "auroc_ovr_macro"  # the figure that rests on the same rows as the selection score: some of every class
Score = Callable[[Ints, Floats, Floats], Floats]  # labels (N,), probabilities (N, C), weights (R, N) → (R,)


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that figures are made on: all that every model could read, or those of one source."""

    name: str
    labels: Ints
    groups: npt.NDArray[np.str_]
    kept: npt.NDArray[np.int64]  # their places among the rows of the split
    names: tuple[str, ...]
    normal_id: int

    @property
    def supports(self) -> dict[str, int]:
        return {name: int((self.labels == index).sum()) for index, name in enumerate(self.names)}

    @property
    def holding(self) -> dict[str, set[str]]:
        """The groups that hold rows of each class."""
        return {name: set(self.groups[self.labels == index].tolist()) for index, name in enumerate(self.names)}

    @property
    def has_both(self) -> bool:
        """Whether there are normal and abnormal rows, without which there is no AUROC(abnormal)."""
        return 0 < int((self.labels == self.normal_id).sum()) < len(self.labels)


@dataclass(frozen=True, eq=False)
class SeedFigures:
    """Figures of one model on one part: means over its seeds, the standard deviation between seeds (None for one), and mean counts."""

    part: str
    figures: Mapping[str, Figure]
    spread: Mapping[str, float | None]
    counts: Mapping[str, float | None]
    supports: Mapping[str, int]


@dataclass(frozen=True)
class Difference:
    """One model's score less another's on the same rows. `p` is two-sided, of this pair by itself.

    Neither interval nor p where the rows are too few for them, or where the difference is the same in every resample.
    """

    value: float
    interval: tuple[float, float] | None
    p: float | None


def parts_of(rows: SplitRows, tables: Sequence[Floats]) -> list[Part]:
    """The parts of a split, the one to read first: sources with normal and abnormal rows, largest first, then others, then all rows.

    `tables` are (N, C) probabilities of all models: rows that one of them could not read (NaN) are left out for all.
    """
    readable = np.all([~np.isnan(table).any(axis=1) for table in tables], axis=0)
    groups, sources = np.array(rows.groups), np.array(rows.sources)

    def part(name: str, mask: npt.NDArray[np.bool_]) -> Part:
        kept = np.flatnonzero(mask & readable)
        return Part(name, rows.labels[kept], groups[kept], kept, rows.scheme.names, rows.scheme.normal_id)

    whole = part(ALL, np.ones(len(rows.labels), dtype=bool))
    if not len(whole.kept):
        raise ValueError(f"split {rows.split!r}: no image can be read")
    found = [part(str(name) or "not stated", sources == name) for name in np.unique(sources)]
    found = sorted((one for one in found if len(one.kept)), key=lambda one: (not one.has_both, -len(one.kept), one.name))
    return [*found, whole] if len(found) > 1 else [whole]


def seed_figures(part: Part, tables: Sequence[Floats], specificity: float, resampling: Resampling) -> SeedFigures:
    """The figures of a model's seeds, each an (N, C) table of the whole split, on `part`."""
    scores = [table[part.kept] for table in tables]
    once = np.ones((1, len(part.labels)))

    def figures(weights: Floats) -> list[dict[str, Floats]]:
        return [weighted_figures(part.labels, each, weights, part.names, part.normal_id, specificity) for each in scores]

    by_seed = figures(once)
    keys = list(by_seed[0])
    draws: dict[str, list[Floats]] = {key: [] for key in keys if not is_count(key)}
    if len(np.unique(part.groups)) >= MIN_GROUPS:
        for weights in group_weights(part.groups, len(part.labels), resampling.repeats, resampling.seed):
            drawn = figures(weights)
            for key, kept in draws.items():
                kept.append(np.mean([each[key] for each in drawn], axis=0))
    normal = part.names[part.normal_id]
    found, spread, counts = {}, {}, {}
    for key in keys:
        values = np.array([float(each[key][0]) for each in by_seed])
        if is_count(key):
            counts[key] = None if np.isnan(values).any() else float(values.mean())
            continue
        interval = percentile_interval(np.concatenate(draws[key]), resampling.level) if draws[key] else None
        found[key] = stated_figure(key, float(values.mean()), interval, part.supports, part.holding, normal)
        spread[key] = float(values.std(ddof=1)) if len(values) > 1 and not np.isnan(values).any() else None
    return SeedFigures(part.name, found, spread, counts, part.supports)


@dataclass(frozen=True, eq=False)
class ScoreDraws:
    """One score of a model: its value, mean over seeds, and the same of each resample (R,).

    There are no draws where the score rests on fewer rows or groups than an interval needs (see `figures.figures_of`).
    """

    value: float
    draws: Floats
    figure: Figure


def score_draws(part: Part, tables: Sequence[Floats], score: Score, key: str, resampling: Resampling) -> ScoreDraws:
    """The score of a model's seeds on `part`, and of the resamples, which are the same for every model.

    `key` names a figure that rests on the same rows as the score.
    """
    scores = [table[part.kept] for table in tables]

    def mean(weights: Floats) -> Floats:
        return np.asarray(np.mean([score(part.labels, each, weights) for each in scores], axis=0))

    value = float(mean(np.ones((1, len(part.labels))))[0])
    draws = np.zeros(0)
    if len(np.unique(part.groups)) >= MIN_GROUPS:
        draws = np.concatenate([mean(w) for w in group_weights(part.groups, len(part.labels), resampling.repeats, resampling.seed)])
    interval = percentile_interval(draws, resampling.level) if len(draws) else None
    figure = stated_figure(key, value, interval, part.supports, part.holding, part.names[part.normal_id])
    too_few = figure.n < MIN_ROWS or figure.groups < MIN_GROUPS
    return ScoreDraws(value, np.zeros(0) if too_few else draws, figure)


def difference(first: ScoreDraws, second: ScoreDraws, level: float) -> Difference:
    """The first model's score less the second's, with the interval of the difference draw by draw and a bootstrap p.

    p is twice the smaller share of the resamples on either side of no difference, itself counted among them (Davison and Hinkley,
    "Bootstrap Methods and their Application", 1997, section 4.4): it cannot be 0.
    """
    value = first.value - second.value
    draws = first.draws - second.draws
    interval = percentile_interval(draws, level) if len(draws) else (math.nan, math.nan)
    if math.isnan(interval[0]) or interval[0] == interval[1]:
        return Difference(value, None, None)
    known = draws[~np.isnan(draws)]
    fewer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return Difference(value, interval, min(1.0, 2 * (fewer + 1) / (len(known) + 1)))


def abnormal_score(normal_id: int) -> Score:
    """AUROC(abnormal) as a score."""
    return lambda labels, probabilities, weights: weighted_auroc(labels != normal_id, 1 - probabilities[:, normal_id], weights)
