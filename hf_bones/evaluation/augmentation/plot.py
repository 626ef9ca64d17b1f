"""The plot of the augmentation check: what each transform keeps of view, angles and contrast, a colour for each set of films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from hf_bones.evaluation.augmentation.transforms import COUNTER_EXAMPLE
from hf_bones.evaluation.report.plots import save_figure
from hf_bones.pages.palette import GRID, SERIES

if TYPE_CHECKING:
    from hf_bones.evaluation.augmentation.results import AugmentCheck

_LIMIT = {"color": "#444444", "linewidth": 1.1, "linestyle": "--"}


def plot_check(check: AugmentCheck, path: Path) -> None:
    """Three panels over the transforms: draws in view with their interval, change of angles, contrast kept."""
    rows = check.sets[0].transforms
    figure = Canvas(figsize=(12.6, 1.9 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True, width_ratios=[1.15, 1, 1])
    places = np.arange(len(rows))[::-1]
    for number, films in enumerate(check.sets):
        shifted = places + 0.24 * ((len(check.sets) - 1) / 2 - number)
        colour, marker = SERIES[number % len(SERIES)], "osD^"[number % 4]
        look = {"color": colour, "marker": marker, "markersize": 5.5, "linestyle": "none"}
        for y, row in zip(shifted, films.transforms, strict=True):
            if row.in_view.interval is not None:
                axes[0].plot([100 * bound for bound in row.in_view.interval], [y, y], color=colour, linewidth=1.6)
            axes[1].plot([row.bend[50], row.bend[99]], [y, y], color=colour, linewidth=1.6)
            if row.contrast_low is not None and row.contrast_median is not None:
                axes[2].plot([row.contrast_low.value, row.contrast_median.value], [y, y], color=colour, linewidth=1.6)
                axes[2].plot(row.contrast_median.value, y, **look)
        axes[0].plot([100 * row.in_view.value for row in films.transforms], shifted, label=f"{films.name} ({films.films:,} films)", **look)
        axes[1].plot([row.bend[50] for row in films.transforms], shifted, **look)
    names = [f"{row.name}\n{row.setting}" for row in rows]
    axes[0].set_yticks(places, names, fontsize=8)
    first_counter = next(place for place, row in zip(places, rows, strict=True) if row.kind == COUNTER_EXAMPLE)
    for axis in axes:
        axis.axhspan(-0.6, first_counter + 0.5, color="#f4f4f4", zorder=0, linewidth=0)
        axis.grid(**GRID)
        axis.set_ylim(-0.6, len(rows) - 0.4)
    criteria = check.criteria
    _panel(axes[0], 100 * criteria.in_view, "draws with the break in view, %", "In view, with 95 % interval")
    _panel(axes[1], criteria.bend_degrees, "most that an angle changes, degrees", "Angles: median to 99th percentile")
    _panel(axes[2], criteria.contrast, "contrast of the break, after ÷ before", "Contrast: 5th percentile to median")
    axes[2].set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=len(check.sets), fontsize=9, frameon=False)
    figure.suptitle(
        f"Recipe {check.recipe.name}: does augmentation keep the break? Dashed: what must be kept; grey: must fail", fontsize=11
    )
    save_figure(figure, path)


def _panel(axis: Any, limit: float, label: str, title: str) -> None:
    axis.axvline(limit, **_LIMIT)
    axis.set_xlabel(label, fontsize=9)
    axis.set_title(title, fontsize=10)
    axis.tick_params(axis="x", labelsize=8)
