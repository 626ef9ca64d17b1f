"""Figures with intervals for one part of the rows, and the words for those that cannot be had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import Slice
from hf_bones.metrics import MIN_ROWS, bootstrap_intervals, figure_parts, figure_support, undefined_reason
from hf_bones.metrics.figures import Floats, is_count
from hf_bones.metrics.modules import ALL, load_metric

CHECKPOINT = "checkpoint"
# A bootstrap draws groups, so what counts is how many groups hold the rows that a figure needs. Under `MIN_GROUPS` the resamples
# are too few and too alike for an interval; under `ENOUGH_GROUPS` the interval is given and called rough.
MIN_GROUPS = 5
ENOUGH_GROUPS = 10
ROUGH = "rough"


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: a bootstrap over groups."""

    repeats: int = 1000
    seed: int = 0
    level: float = 0.95


@dataclass(frozen=True)
class Figure:
    """One figure: value (None: undefined), interval (None: not given), rows it rests on, and why something is missing or rough.

    n and rests_on are the scarcest rows that it needs, such as 22 and "beyond_repair"; groups is the fewest groups that hold any of
    the rows it needs.
    """

    value: float | None
    interval: tuple[float, float] | None
    n: int
    rests_on: str
    groups: int
    reason: str | None = None


@dataclass(frozen=True)
class SliceFigures:
    """All figures of one model on one slice. `supports` and `class_groups`: rows of each class, and groups that hold some;
    `counts`: whole numbers such as `correct_fractured`, None where undefined.
    """

    model: str
    kind: str
    name: str
    n: int
    groups: int
    supports: dict[str, int]
    class_groups: dict[str, int]
    counts: dict[str, int | None]
    figures: dict[str, Figure]


def figures_of(
    rows: ScoredRows, part: Slice, specificity: float, resampling: Resampling, model: str = CHECKPOINT, probabilities: Floats | None = None
) -> SliceFigures:
    """The figures of `part`, from `probabilities` (N, C; those of a baseline, say) or from the rows' own.

    An interval is left out, with the reason, where the figure rests on fewer than `MIN_ROWS` rows of a class it needs or on fewer
    than `MIN_GROUPS` groups with such rows, where over 5 % of the resamples cannot define it, and where all resamples agree (all
    rows right, say: that there was no error among 34 does not mean that there can be none).
    """
    scores = (rows.probabilities if probabilities is None else probabilities)[part.mask]
    labels = rows.labels[part.mask]
    groups = np.asarray(rows.groups)[part.mask]
    group_count = len(np.unique(groups))
    given = {"names": rows.names, "normal_id": rows.normal_id, "specificity": specificity}
    values: dict[str, float | int] = load_metric(ALL).compute(predictions=scores, references=labels, **given)
    intervals: dict[str, tuple[float, float]] = {}
    if group_count >= MIN_GROUPS:
        intervals = bootstrap_intervals(
            labels, scores, groups, rows.names, rows.normal_id, specificity, resampling.repeats, resampling.seed, resampling.level
        )
    supports = rows.supports(part.mask)
    holding = {name: set(groups[labels == index].tolist()) for index, name in enumerate(rows.names)}
    figures = {
        key: stated_figure(key, float(value), intervals.get(key), supports, holding, rows.normal)
        for key, value in values.items()
        if not is_count(key)
    }
    counts = {key: None if math.isnan(value) else int(value) for key, value in values.items() if is_count(key) and key != "n"}
    class_groups = {name: len(found) for name, found in holding.items()}
    return SliceFigures(model, part.kind, part.name, len(labels), group_count, supports, class_groups, counts, figures)


def main_figures(table: SliceFigures, keys: Sequence[str], counts: Sequence[str]) -> SliceFigures:
    """`table` with these figures and counts alone: for parts of which more would be read as more than it is."""
    return replace(table, figures={key: table.figures[key] for key in keys}, counts={key: table.counts[key] for key in counts})


def table_from(data: Mapping[str, Any]) -> SliceFigures:
    """The figures of a slice as metrics.json has them."""
    figures = {key: Figure(**{**value, "interval": _span(value.get("interval"))}) for key, value in data["figures"].items()}
    return SliceFigures(**{**data, "figures": figures})


def _span(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def stated_figure(
    key: str,
    value: float,
    interval: tuple[float, float] | None,
    supports: dict[str, int],
    holding: dict[str, set[str]],
    normal: str,
) -> Figure:
    """A value with its interval, or without one and with the reason (`figures_of` says when). `holding`: groups with rows of each class."""
    count, rests_on = figure_support(key, supports, normal)
    parts = figure_parts(key, tuple(supports), normal).values()
    groups = min(len(set().union(*(holding[name] for name in members))) for members in parts)
    if math.isnan(value):
        return Figure(None, None, count, rests_on, groups, undefined_reason(key, supports, normal))
    if count < MIN_ROWS:
        return Figure(value, None, count, rests_on, groups, f"only {_plural(count, 'row')} of {rests_on}")
    if interval is None or groups < MIN_GROUPS:
        return Figure(value, None, count, rests_on, groups, f"only {_plural(groups, 'group')}")
    if math.isnan(interval[0]):
        return Figure(value, None, count, rests_on, groups, "undefined in over 5 % of the resamples")
    if interval[0] == interval[1]:
        return Figure(value, None, count, rests_on, groups, "the same in every resample")
    reason = f"{ROUGH}: only {_plural(groups, 'group')}" if groups < ENOUGH_GROUPS else None
    return Figure(value, interval, count, rests_on, groups, reason)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
