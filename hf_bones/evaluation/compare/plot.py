"""Accuracy against latency, one mark a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Canvas

from hf_bones.evaluation.report.plots import save_figure
from hf_bones.metrics.headlines import TABLE, TITLES
from hf_bones.pages.palette import GRID, SERIES

if TYPE_CHECKING:
    from hf_bones.evaluation.compare.results import Comparison

_MARKS = "os^DvPX*<>"


def plot_leaderboard(done: Comparison, path: Path) -> None:
    """Figures of the shown split's first part with their intervals over milliseconds an image; baselines, which have none, as lines."""
    timed = [standing for standing in done.standings if standing.cost is not None]
    lines = [standing for standing in done.standings if standing.cost is None]
    figure = Canvas(figsize=(11.5, 5.2 + 0.22 * len(done.standings)), layout="constrained")
    axes = figure.subplots(1, len(TABLE))
    for axis, key in zip(axes, TABLE, strict=True):
        for place, standing in enumerate(timed):
            found, colour = standing.shown[0].figures[key], SERIES[place % len(SERIES)]
            if found.value is None or standing.cost is None:
                continue
            # Models of one architecture cost the same: beside each other, their intervals can be told apart.
            x = standing.cost.milliseconds * _apart(place, [other.cost.milliseconds for other in timed if other.cost])
            if found.interval is not None:
                axis.plot([x, x], found.interval, color=colour, linewidth=1.4, alpha=0.8)
            axis.plot(
                x, found.value, marker=_MARKS[place % len(_MARKS)], color=colour, markersize=8, linestyle="none",
                label=f"{standing.rank}. {standing.name}",
            )  # fmt: skip
        for place, standing in enumerate(lines):
            value = standing.shown[0].figures[key].value
            if value is not None:
                style = (":", "--", "-.")[place % 3]
                axis.axhline(value, color="#777777", linewidth=1.1, linestyle=style, label=f"{standing.rank}. {standing.name}")
        axis.set_xscale("log")
        if timed:
            ticks = sorted({float(f"{standing.cost.milliseconds:.2g}") for standing in timed if standing.cost})
            spaced = [tick for place, tick in enumerate(ticks) if place == 0 or tick / ticks[place - 1] > 1.12]
            axis.set_xticks(spaced, [f"{tick:g}" for tick in spaced])
            axis.set_xlim(ticks[0] / 1.4, ticks[-1] * 1.4)
        axis.minorticks_off()
        axis.grid(**GRID)
        axis.set_xlabel("ms an image on the CPU, one at a time: opening, scaling, network")
        axis.set_ylabel(TITLES[key])
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9, frameon=False,
        title="ranked by validation, with 95 % intervals of these rows", title_fontsize=9,
    )  # fmt: skip
    figure.suptitle(f"{done.dataset}, {done.split}, {done.parts[0].name}, n = {len(done.parts[0].labels)}")
    save_figure(figure, path)


def _apart(place: int, milliseconds: list[float]) -> float:
    """A factor near 1 that moves a mark aside, for each earlier one that stands within a twentieth of it."""
    near = sum(1 for earlier in milliseconds[:place] if abs(earlier / milliseconds[place] - 1) < 0.05)
    return 1 + 0.02 * ((near + 1) // 2) * (1 if near % 2 else -1)
