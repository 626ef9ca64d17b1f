"""The pictures of an audit. Matplotlib's objects, no pyplot, no display."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas
from PIL import Image

from hf_bones.evaluation.report.figures import Figure
from hf_bones.evaluation.report.plots import save_figure
from hf_bones.pages.palette import GRID, SERIES, class_colour
from hf_bones.pages.sheet import Band, Cell, Words, draw_sheet

_WIDE = 6.8  # inches, as wide as a text column
_MOST = 24  # lines of one plot; more stay in the table
_LONGEST = 30  # letters of a name


def plot_shares(counts: Mapping[str, Sequence[int]], names: Sequence[str], path: Path) -> None:
    """A bar for each source, its films parted by class."""
    shown = list(counts.items())[:_MOST]
    figure = Canvas(figsize=(_WIDE, 1.4 + 0.36 * len(shown)), layout="constrained")
    axis = figure.subplots()
    places, left = np.arange(len(shown)), np.zeros(len(shown))
    for index, name in enumerate(names):
        share = np.array([own[index] / max(1, sum(own)) for _, own in shown])
        axis.barh(places, share, left=left, color=class_colour(name, index), label=_words(name), edgecolor="white", linewidth=0.6)
        left += share
    axis.set_yticks(places, [f"{_words(name)} ({sum(own)})" for name, own in shown])
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the films of a source")
    figure.legend(loc="outside upper center", ncols=len(names), frameon=False, fontsize=9)
    save_figure(figure, path)


def plot_lines(groups: Mapping[str, Mapping[str, Figure]], what: str, path: Path, *, chance: float | None = None) -> None:
    """A point with its interval for each figure, hollow without one; `groups`: series → line → figure. No line without a value."""
    lines = list(dict.fromkeys(name for own in groups.values() for name, figure in own.items() if figure.value is not None))[:_MOST]
    figure = Canvas(figsize=(_WIDE, 1.5 + 0.36 * len(lines)), layout="constrained")
    axis = figure.subplots()
    apart = 0.5 / max(1, len(groups))
    for place, (series, own) in enumerate(groups.items()):
        shift = (place - (len(groups) - 1) / 2) * apart
        first = True
        for row, name in enumerate(lines):
            found = own.get(name)
            if found is None or found.value is None:
                continue
            colour = SERIES[place % len(SERIES)]
            if found.interval is not None:
                axis.plot(found.interval, [row + shift] * 2, color=colour, linewidth=1.8)
            fill = colour if found.interval is not None else "white"
            label = series if first and len(groups) > 1 else None
            axis.plot(found.value, row + shift, marker="os^D"[place % 4], color=colour, markerfacecolor=fill, linestyle="none", label=label)
            first = False
    if chance is not None:
        axis.axvline(chance, color="#999999", linewidth=1, linestyle=":", label="chance")
    axis.set_yticks(range(len(lines)), [_words(name) for name in lines])
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.grid(axis="x", **GRID)
    axis.set_xlabel(what)
    if len(groups) > 1 or chance is not None:
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    save_figure(figure, path)


def plot_curves(curves: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]], labels: tuple[str, str], path: Path) -> None:
    """Curves, each x (K,) and y (K,) in [0, 1]; x on a logarithmic axis."""
    figure = Canvas(figsize=(_WIDE, 4.2), layout="constrained")
    axis = figure.subplots()
    for place, (name, (x, y)) in enumerate(curves.items()):
        axis.plot(x, y, color=SERIES[place % len(SERIES)], linestyle=("-", "--", "-.", ":")[place % 4], label=name.replace("_", " "))
    axis.set_xscale("log")
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    axis.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axis.minorticks_off()
    axis.set_ylim(-0.02, 1.02)
    axis.grid(**GRID)
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])
    axis.legend(fontsize=9)
    save_figure(figure, path)


def plot_found(checked: npt.NDArray[np.float64], found: npt.NDArray[np.float64], share: float, path: Path) -> None:
    """The share of planted errors found (K,) against the share of films looked at (K,), the most suspect first."""
    figure = Canvas(figsize=(_WIDE, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(checked, found, color=SERIES[0], label="the most suspect labels first")
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":", label="in any order")
    axis.axvline(share, color=SERIES[1], linewidth=1, linestyle="--", label=f"the top {100 * share:g} %")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.02)
    axis.grid(**GRID)
    axis.set_xlabel("share of the films looked at")
    axis.set_ylabel("share of the planted errors found")
    axis.legend(loc="lower right", fontsize=9)
    save_figure(figure, path)


def draw_examples(films: Sequence[npt.NDArray[np.uint8]], changes: Mapping[str, Callable[..., npt.NDArray[np.uint8]]], path: Path) -> None:
    """A picture file with each film as it is and after each change, a band a change."""

    def cell(pixels: npt.NDArray[np.uint8], change: Callable[..., npt.NDArray[np.uint8]], number: int) -> Cell:
        return Cell(lambda: Image.fromarray(change(pixels)), [[Words(f"film {number}")]])

    bands = [
        Band(name, SERIES[place % len(SERIES)], "", [cell(pixels, change, row + 1) for row, pixels in enumerate(films)])
        for place, (name, change) in enumerate(changes.items())
    ]
    draw_sheet(bands, title="What the model was shown", cell=160).save(path)


def _words(name: str) -> str:
    text = name.replace("_", " ").replace("$", r"\$")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
