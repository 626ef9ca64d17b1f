"""The plots of a local validation that no other report has: subgroups, what was and is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas

from hf_bones.evaluation.report.plots import save_figure
from hf_bones.evaluation.site.subgroups import Subgroup
from hf_bones.pages.palette import GRID, SERIES

_MOST = 40  # subgroups in the plot


def plot_subgroups(found: Sequence[Subgroup], overall: Sequence[tuple[str, float | None]], path: Path) -> None:
    """Sensitivity and specificity of each subgroup with their intervals; hollow: a small one. overall: key and value of all films."""
    shown = list(found)[:_MOST]
    figure = Canvas(figsize=(8.2, 1.4 + 0.34 * len(shown)), layout="constrained")
    axes = figure.subplots(1, len(overall), sharey=True, squeeze=False)[0]
    places = np.arange(len(shown))[::-1]
    for axis, (key, whole), colour in zip(axes, overall, SERIES, strict=False):
        for place, each in zip(places, shown, strict=True):
            one = each.shares[key].figure
            if one.value is None:
                continue
            if one.interval is not None:
                axis.plot(one.interval, [place, place], color=colour, linewidth=1.6)
            axis.plot(one.value, place, "o", color=colour, markerfacecolor="white" if each.small or one.interval is None else colour)
        if whole is not None:
            axis.axvline(whole, color="#777777", linewidth=1, linestyle=":")
        axis.set_xlim(-0.02, 1.02)
        axis.set_title(key)
        axis.grid(axis="x", **GRID)
    axes[0].set_yticks(places, [_short(f"{each.column}: {each.value} ({each.n})") for each in shown])
    axes[0].set_ylim(-0.7, len(shown) - 0.3)
    more = f"; {len(found) - _MOST} more in the table" if len(found) > _MOST else ""
    figure.suptitle(f"Subgroups at the shipped decision; dotted: all films; hollow: few films{more}", fontsize=10)
    save_figure(figure, path)


def _short(text: str) -> str:
    return (text if len(text) <= 38 else f"{text[:37]}…").replace("$", r"\$")
