"""The pictures of a report: confusion matrix, ROC curves, reliability diagram. Matplotlib's objects, no pyplot, no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from PIL import Image
from sklearn.metrics import confusion_matrix, roc_curve

from hf_bones.evaluation.report.figures import SliceFigures
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import Slice
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import CALIBRATION_BINS, Floats, calibration_bins
from hf_bones.pages.palette import GRID, SERIES, class_colour
from hf_bones.pages.text import span

_STYLES = ("-", "--", "-.", ":")  # differ beside the colours, for print
_DPI = 130
_PALETTE = 64


def confusion_counts(rows: ScoredRows, part: Slice) -> np.ndarray:
    """(C, C) int64: rows are the true class, columns the predicted one."""
    return np.asarray(confusion_matrix(rows.labels[part.mask], rows.predicted[part.mask], labels=range(len(rows.names))))


def plot_confusion(rows: ScoredRows, parts: Sequence[Slice], path: Path) -> None:
    """One matrix for each part; each cell has its count and its share of the true class."""
    size = 1.15 * len(rows.names) + 1.7
    figure, axes = _panels(len(parts), size, size - 0.2)
    for axis, part in zip(axes, parts, strict=True):
        counts = confusion_counts(rows, part)
        support = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for true, predicted in np.ndindex(counts.shape):
            share = f"\n{_share(shares[true, predicted])}" if support[true, 0] else ""
            colour = "white" if shares[true, predicted] > 0.55 else "black"
            axis.text(predicted, true, f"{counts[true, predicted]}{share}", ha="center", va="center", color=colour, fontsize=10)
        ticks = range(len(rows.names))
        axis.set_xticks(ticks, [_words(name) for name in rows.names])
        axis.set_yticks(ticks, [f"{_words(name)}\nn = {support[i, 0]}" for i, name in enumerate(rows.names)])
        axis.set_xlabel("predicted")
        axis.set_ylabel("true" if axis is axes[0] else "")
        axis.set_title(f"{part.title}, n = {counts.sum()}")
    narrow = size * len(parts) < 4.8  # inches: two classes of one part
    figure.suptitle("Confusion matrix:" + ("\n" if narrow else " ") + "counts and share of each true class")
    save_figure(figure, path)


def plot_roc(rows: ScoredRows, parts: Sequence[tuple[Slice, SliceFigures]], path: Path) -> None:
    """ROC curves of abnormal against normal and of each class against the rest, one panel for each part."""
    figure, axes = _panels(len(parts), 5.2, 5.2)
    for axis, (part, figures) in zip(axes, parts, strict=True):
        labels, scores = rows.labels[part.mask], rows.probabilities[part.mask]
        curves = [("auroc_abnormal", "any abnormal", labels != rows.normal_id, 1 - scores[:, rows.normal_id])]
        curves += [(f"auroc_ovr_{name}", name, labels == index, scores[:, index]) for index, name in enumerate(rows.names)]
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
        for index, (key, name, positive, score) in enumerate(curves):
            if not 0 < positive.sum() < len(positive):
                continue
            found = figures.figures[key]
            label = f"{_words(name)} ({int(positive.sum())} of {len(positive)}): {found.value:.2f}{span(found.interval, '.2f')}"
            false, true, _ = roc_curve(positive, score, drop_intermediate=False)
            width = 2.6 if index == 0 else 1.5
            axis.plot(
                false, true, label=label, color="black" if index == 0 else class_colour(name, index - 1),
                linestyle=_STYLES[index % len(_STYLES)], linewidth=width,
            )  # fmt: skip
        _square(axis)
        axis.set_xlabel("1 − specificity")
        axis.set_ylabel("sensitivity")
        axis.set_title(f"{part.title}, n = {len(labels)}")
        axis.legend(loc="lower right", fontsize=8, title="against the rest: AUROC (95 %)", title_fontsize=8)
    figure.suptitle("ROC curves")
    save_figure(figure, path)


def plot_reliability(rows: ScoredRows, versions: Mapping[str, Floats], path: Path) -> None:
    """How often the likeliest class is right against how sure the model was, for each version (N, C) of the probabilities."""
    figure = Canvas(figsize=(5.6, 6.6), layout="constrained")
    axes = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    axes[0].plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":", label="perfect")
    for index, (name, scores) in enumerate(versions.items()):
        confidence = scores.max(axis=1)
        right = scores.argmax(axis=1) == rows.labels
        bins = calibration_bins(confidence)
        counts = np.bincount(bins, minlength=CALIBRATION_BINS)
        full = np.flatnonzero(counts)
        sure = np.array([confidence[bins == b].mean() for b in full])
        share = np.array([right[bins == b].mean() for b in full])
        error = np.abs(share - sure) @ counts[full] / counts.sum()
        look = {"color": SERIES[index % len(SERIES)], "linestyle": _STYLES[index % len(_STYLES)]}
        sparse = counts[full] < MIN_ROWS
        mark = {"marker": "os^D"[index % 4], "linestyle": "none", "markersize": 6, "color": look["color"]}
        axes[0].plot(sure, share, linewidth=1.5, **look)
        axes[0].plot(sure[sparse], share[sparse], markerfacecolor="white", **mark)
        axes[0].plot(sure[~sparse], share[~sparse], label=f"{name}: ECE {error:.3f}", **mark)
        axes[1].stairs(counts, edges, label=name, linewidth=1.5, **look)
    axes[0].set_ylim(-0.02, 1.02)
    axes[0].set_ylabel("share right")
    axes[0].grid(**GRID)
    axes[0].legend(loc="upper left", fontsize=9)
    note = f"{CALIBRATION_BINS} bins of equal width; hollow: fewer than {MIN_ROWS} rows"
    axes[0].set_title(f"Reliability of the likeliest class, n = {len(rows.labels)}\n{note}")
    axes[1].set_xlim(0, 1)
    axes[1].set_xlabel("probability given to the likeliest class")
    axes[1].set_ylabel("rows in bin")
    save_figure(figure, path)


def _share(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{share * 100:.0f} %"


def _panels(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    figure = Canvas(figsize=(width * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _square(axis: Any) -> None:
    axis.set_xlim(-0.01, 1.01)
    axis.set_ylim(-0.01, 1.01)
    axis.set_aspect("equal")
    axis.grid(**GRID)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("$", r"\$")


def save_figure(figure: Any, path: Path) -> None:
    """Writes a figure as PNG with a palette, a third as large as one in full colour."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # By coverage: a median cut gives the palette to the greys of the letters and merges the colours of small marks.
    picture.quantize(_PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)
