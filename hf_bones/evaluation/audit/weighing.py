"""Figures of an audit's own with intervals over groups, as those of evaluations have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.report.figures import ENOUGH_GROUPS, MIN_GROUPS, ROUGH, Figure, Resampling
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import Floats
from hf_bones.metrics.intervals import group_weights, percentile_interval

Statistic = Callable[[Floats], Floats]  # weights (R, N) of N rows → the figure of each weighting (R,)


def weighed(statistic: Statistic, groups: Sequence[str], resampling: Resampling, *, n: int | None = None, of: str = "films") -> Figure:
    """The figure of N rows with its interval, or without one and with the reason. `n`: the rows that it rests on, by default all, which
    are called `of`."""
    rows, count = len(groups), len(set(groups))
    n = rows if n is None else n
    value = float(statistic(np.ones((1, rows)))[0]) if rows else math.nan
    if math.isnan(value):
        return Figure(None, None, n, of, count, "not defined on these films")
    if n < MIN_ROWS:
        return Figure(value, None, n, of, count, f"only {n} rows of {of}" if n != 1 else f"only 1 row of {of}")
    if count < MIN_GROUPS:
        return Figure(value, None, n, of, count, f"only {count} group{'s' * (count != 1)}")
    drawn = [statistic(weights) for weights in group_weights(groups, rows, resampling.repeats, resampling.seed)]
    interval = percentile_interval(np.concatenate(drawn), resampling.level)
    if math.isnan(interval[0]):
        return Figure(value, None, n, of, count, "undefined in over 5 % of the resamples")
    if interval[0] == interval[1]:
        return Figure(value, None, n, of, count, "the same in every resample")
    return Figure(value, interval, n, of, count, f"{ROUGH}: only {count} groups" if count < ENOUGH_GROUPS else None)


def share_of(hits: npt.NDArray[np.bool_] | Floats) -> Statistic:
    """The weighted share of the rows that are a hit."""
    values = np.asarray(hits, dtype=np.float64)

    def share(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        return np.asarray(np.divide(weights @ values, total, out=np.full(len(weights), np.nan), where=total > 0))

    return share


def figure_words(figure: Figure, more: str = "", *, form: str = ".2f") -> str:
    """`0.82 (0.78–0.86)`, with `more` within the brackets; what there is of it; `not defined` without a value."""
    if figure.value is None:
        return "not defined"
    span = f"{figure.interval[0]:{form}}–{figure.interval[1]:{form}}" if figure.interval else ""
    within = "; ".join(part for part in (span, more) if part)
    return f"{figure.value:{form}}" + (f" ({within})" if within else "")


def percent_words(figure: Figure) -> str:
    """`12 % (8–17 %)`, or the share alone."""
    if figure.value is None:
        return "not defined"
    span = f" ({100 * figure.interval[0]:.0f}–{100 * figure.interval[1]:.0f} %)" if figure.interval else ""
    return f"{100 * figure.value:.0f} %{span}"
