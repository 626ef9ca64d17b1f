"""The plot of a search: scores trial by trial, evaluation by evaluation, and against each key searched over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_bones.config.search_space import Range
from hf_bones.training.search.study import TrialRow

COLOURS = {"complete": "tab:blue", "pruned": "tab:orange", "ended": "tab:red", "running": "tab:grey"}
MARKERS = {"complete": "o", "pruned": "x", "ended": "v", "running": "."}
COLUMNS = 4


def plot_search(rows: Sequence[TrialRow], space: Mapping[str, Range], path: Path) -> None:
    """Draws the trials to a PNG. A pruned or ended trial stands at the best score on its way."""
    from matplotlib.figure import Figure

    lines = math.ceil(len(space) / COLUMNS)
    figure = Figure(figsize=(13, 4 + 2.9 * lines), layout="constrained")
    parts = figure.subfigures(2 if lines else 1, 1, squeeze=False, height_ratios=[4, 2.9 * lines] if lines else None)[:, 0]
    top, bottom = parts[0], parts[1] if lines else None
    by_trial, by_evaluation = top.subplots(1, 2)
    scatter(by_trial, rows, [row.number for row in rows])
    best, highest = [], -math.inf
    for row in rows:
        if row.state == "complete" and row.score is not None:
            highest = max(highest, row.score)
        best.append(highest if math.isfinite(highest) else math.nan)
    by_trial.step([row.number for row in rows], best, where="post", color="tab:blue", alpha=0.4, label="best so far")
    by_trial.set_xlim(min(row.number for row in rows) - 0.5, max(row.number for row in rows) + 0.5)
    by_trial.set(xlabel="trial", ylabel="selection score", title="Trials")
    by_trial.xaxis.get_major_locator().set_params(integer=True)
    by_trial.legend(fontsize=8)
    for row in rows:
        if row.curve:
            colour = COLOURS[row.state]
            by_evaluation.plot(range(1, len(row.curve) + 1), row.curve, color=colour, alpha=0.6, marker=MARKERS[row.state], markersize=3)
    by_evaluation.set(xlabel="evaluation", title="On their way")
    by_evaluation.xaxis.get_major_locator().set_params(integer=True)
    if bottom is not None:
        panels = list(bottom.subplots(lines, min(COLUMNS, len(space)), squeeze=False, sharey=True).flat)
        for axes, (key, values) in zip(panels, space.items(), strict=False):
            _against(axes, rows, key, values)
        for axes in panels[len(space) :]:
            axes.set_axis_off()
    for axes in (by_trial, by_evaluation):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def scatter(axes: Any, rows: Sequence[TrialRow], places: Sequence[float]) -> None:
    """The scores of trials at `places`, one kind of mark for each state; those that ended without a score stand at the lower edge."""
    for state, colour in COLOURS.items():
        points = [(place, row.score) for row, place in zip(rows, places, strict=True) if row.state == state and row.score is not None]
        if points:
            axes.scatter(*zip(*points, strict=True), color=colour, marker=MARKERS[state], s=28, label=state)
    lost = [place for row, place in zip(rows, places, strict=True) if row.state == "ended" and row.score is None]
    if lost:
        edge = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.scatter(lost, [0.02] * len(lost), color=COLOURS["ended"], marker=MARKERS["ended"], s=28, label="ended without a score", **edge)


def _against(axes: Any, rows: Sequence[TrialRow], key: str, values: Range) -> None:
    known = [row for row in rows if key in row.params]
    if values.choices is not None:
        scatter(axes, known, [values.choices.index(row.params[key]) for row in known])
        axes.set_xticks(range(len(values.choices)), [str(choice) for choice in values.choices])
        axes.set_xlim(-0.5, len(values.choices) - 0.5)
    else:
        scatter(axes, known, [row.params[key] for row in known])
        if values.log:
            axes.set_xscale("log")
            axes.set_xlim(values.low * (values.low / values.high) ** 0.04, values.high * (values.high / values.low) ** 0.04)
            ticks = [values.low, math.sqrt(values.low * values.high), values.high]
            axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
            axes.minorticks_off()
        else:
            axes.set_xlim(values.low - 0.04 * (values.high - values.low), values.high + 0.04 * (values.high - values.low))
    axes.set_xlabel(key)
    axes.grid(alpha=0.3)
