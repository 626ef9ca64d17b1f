"""The curves of a run: training and validation loss, and the scores that chose the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_bones.metrics.headlines import TITLES, TRAINING

WORST = "eval_worst_source_score"
SCORES = {"eval_selection": "selection score (mean of the two AUROCs)", WORST: "score of the worst source"} | {
    f"eval_{key}": TITLES[key] for key in TRAINING[:3]
}
LOSSES = {
    "loss": "training",
    "eval_loss": "validation, labels",
    "teacher_loss": "distance from the teacher",
    "feature_loss": "distance from its features",
}


def plot_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws the Trainer's log history to a PNG; steps are optimiser steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4))
    # Room for the labels by measure: a layout engine draws every text twice, which takes as long as a small run's last epoch.
    losses, scores = figure.subplots(1, 2, gridspec_kw={"left": 0.065, "right": 0.985, "bottom": 0.125, "top": 0.92, "wspace": 0.14})
    for key, label in LOSSES.items():
        points = [(entry["step"], entry[key]) for entry in history if key in entry]
        if points:
            losses.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
    losses.set(xlabel="optimiser step", ylabel="loss", title="Loss")
    evaluations = [entry for entry in history if "eval_selection" in entry]
    by_worst = bool(evaluations) and all(entry.get(WORST) == entry["eval_selection"] for entry in evaluations)
    for key, label in SCORES.items():
        shown = [entry for entry in evaluations if key in entry]
        if shown and not (key == WORST and by_worst):
            label = "score of the worst source, which chooses" if key == "eval_selection" and by_worst else label
            scores.plot([e["step"] for e in shown], [e[key] for e in shown], marker="o", markersize=3, label=label)
    if evaluations:
        best = max(evaluations, key=lambda entry: entry["eval_selection"])
        scores.axvline(best["step"], color="grey", linestyle=":", label="kept checkpoint")
    scores.set(xlabel="optimiser step", title="Validation", ylim=(0, 1.02))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
