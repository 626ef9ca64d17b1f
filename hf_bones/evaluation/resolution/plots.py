"""The pictures of the resolution report: sizes with their clusters, the elbow, and accuracy against what an image costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from hf_bones.evaluation.report.plots import save_figure
from hf_bones.evaluation.resolution.shapes import SizeClusters, elbow
from hf_bones.metrics.headlines import TITLES
from hf_bones.pages.palette import GRID, SERIES

if TYPE_CHECKING:
    from hf_bones.evaluation.resolution.measure import Choice
    from hf_bones.evaluation.resolution.results import Shapes, SizeMeasurements


def plot_sizes(shapes: Shapes, path: Path) -> None:
    """Width against height, a dot a size, its area by how many images have it; cluster centres, and the corner of each candidate size."""
    figure = Canvas(figsize=(6.6, 7.6), layout="constrained")
    axis = figure.subplots()
    clusters = shapes.clusters
    ends = np.array([0, 1.06 * shapes.sizes.max()])
    axis.plot(ends, ends, color="#bbbbbb", linewidth=0.8, linestyle=":")
    for candidate in shapes.candidates:
        if candidate.size < ends[1]:
            side = candidate.size
            axis.plot([0, side, side], [side, side, 0], color="#777777", linewidth=0.9, linestyle="--")
            axis.annotate(f"{side} px", (side, 0), xytext=(-3, 4), textcoords="offset points", ha="right", fontsize=8, color="#555555")
    points, index, counts = np.unique(shapes.sizes, axis=0, return_index=True, return_counts=True)
    area = 10 + 190 * counts / counts.max()
    colours = [SERIES[cluster % len(SERIES)] for cluster in clusters.member[index]]
    axis.scatter(points[:, 0], points[:, 1], s=area, c=colours, alpha=0.45, linewidths=0)
    for place, ((width, height), count) in enumerate(zip(clusters.centres, clusters.counts, strict=True)):
        label = f"{width:.0f} × {height:.0f}: {count:,}"
        colour = SERIES[place % len(SERIES)]
        axis.plot(width, height, marker="X", markersize=9, color=colour, markeredgecolor="black", linestyle="none", label=label)
    axis.set_xlim(*ends)
    axis.set_ylim(*ends)
    axis.set_aspect("equal")
    axis.grid(**GRID)
    axis.set_xlabel("width, px")
    axis.set_ylabel("height, px")
    title = f"centre{'s' if clusters.k > 1 else ''} of {clusters.k} cluster{'s' if clusters.k > 1 else ''}: images"
    columns = min(4, clusters.k)
    figure.legend(loc="outside lower center", ncols=columns, fontsize=8, title=title, title_fontsize=8, frameon=False)
    axis.set_title(f"Sizes of {len(shapes.sizes):,} images, from their headers\ndashed: where the long side is a candidate size")
    save_figure(figure, path)


def plot_elbow(clusters: SizeClusters, path: Path) -> None:
    """Inertia of KMeans against the number of clusters, the chord, and the number chosen: the point furthest below it."""
    figure = Canvas(figsize=(5.6, 4.2), layout="constrained")
    axis = figure.subplots()
    count = np.arange(1, len(clusters.inertias) + 1)
    # The root of the mean squared distance is in pixels, but the elbow is that of the inertia itself, as the rule has it.
    share = clusters.inertias / clusters.inertias[0] if clusters.inertias[0] > 0 else clusters.inertias
    axis.plot(count, share, color=SERIES[0], marker="o", markersize=5)
    if len(count) > 1:
        axis.plot(count[[0, -1]], share[[0, -1]], color="#999999", linewidth=1, linestyle=":", label="chord")
    chosen = elbow(clusters.inertias)
    axis.plot(chosen, share[chosen - 1], marker="o", markersize=13, color="none", markeredgecolor=SERIES[1], markeredgewidth=2)
    axis.annotate(
        f"{chosen} clusters" if chosen > 1 else "1 cluster",
        (chosen, share[chosen - 1]), xytext=(14, 10), textcoords="offset points", color=SERIES[1],
    )  # fmt: skip
    axis.set_xticks(count)
    axis.set_ylim(bottom=-0.06)
    axis.grid(**GRID)
    axis.set_xlabel("clusters of (width, height)")
    axis.set_ylabel("squared distance to the centres,\nshare of that of one cluster")
    axis.set_title("The elbow: furthest below the chord")
    save_figure(figure, path)


def plot_accuracy(measured: SizeMeasurements, path: Path) -> None:
    """Balanced accuracy and AUROC(abnormal) with their intervals against milliseconds and megabytes an image."""
    figure = Canvas(figsize=(10.4, 7.4), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row", sharex="col")
    costs = {cost.size: cost for cost in measured.costs}
    time = [costs[row.size].milliseconds for row in measured.figures]
    memory = [costs[row.size].training_mb for row in measured.figures]
    choice = measured.choice
    best = next(row for row in measured.figures if row.size == choice.best)
    for column, cost in enumerate((time, memory)):
        axes[0, column].axhspan(
            best.balanced_accuracy - choice.standard_error, best.balanced_accuracy,
            color=SERIES[2], alpha=0.15, linewidth=0, label="within one standard error of the best",
        )  # fmt: skip
        _against(axes[0, column], choice, [(row.size, row.balanced_accuracy, row.interval) for row in measured.figures], cost)
        _against(axes[1, column], choice, [(row.size, row.auroc, row.auroc_interval) for row in measured.figures], cost)
        axes[1, column].set_xscale("log")
        axes[1, column].set_xlim(min(cost) / 1.3, max(cost) * 1.6)
        ticks = sorted({float(f"{value:.2g}") for value in cost})
        axes[1, column].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes[1, column].minorticks_off()
    axes[1, 0].set_xlabel("ms an image: opening, scaling and a forward pass")
    axes[1, 1].set_xlabel("MB an image that fine-tuning keeps for the backward pass")
    axes[0, 0].set_ylabel(f"{TITLES['balanced_accuracy']}, out of fold")
    axes[1, 0].set_ylabel(f"{TITLES['auroc_abnormal']}, out of fold")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    figure.suptitle(
        f"{measured.model}, frozen, {sum(measured.rows.values()):,} images in {measured.groups:,} groups: "
        f"balanced accuracy best at {choice.best} px, advised {choice.advised} px"
    )
    save_figure(figure, path)


def _against(axis: Any, choice: Choice, points: Sequence[tuple[int, float, tuple[float, float] | None]], cost: Sequence[float]) -> None:
    """Figures (size, value, interval) over what an image costs there; the advised size stands out."""
    axis.plot(cost, [value for _, value, _ in points], color="#aaaaaa", linewidth=1, zorder=1)
    for (size, value, interval), x in zip(points, cost, strict=True):
        advised = size == choice.advised
        colour = SERIES[1] if advised else SERIES[0]
        if interval is not None:
            axis.plot([x, x], interval, color=colour, linewidth=1.6)
        label = "advised, with its 95 % interval" if advised else None
        axis.plot(x, value, marker="D" if advised else "o", markersize=8, color=colour, linestyle="none", label=label)
        behind = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}
        axis.annotate(f"{size} px", (x, value), xytext=(8, -14), textcoords="offset points", fontsize=9, bbox=behind)
    axis.grid(**GRID)
