"""The pictures of a calibration: reliability before and after and risk against coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas

from hf_bones.evaluation.calibrate.results import Calibration
from hf_bones.evaluation.report.plots import save_figure
from hf_bones.pages.palette import GRID, SERIES, class_colour

LOOKS = {"before": {"color": SERIES[0], "marker": "o", "linestyle": "--"}, "after": {"color": SERIES[1], "marker": "s", "linestyle": "-"}}


def plot_calibration(done: Calibration, path: Path) -> None:
    """For each class the share of films that are of it against its probability, in bins of equally many films, with intervals."""
    names = list(next(iter(done.fitted.reliability.values())))
    figure = Canvas(figsize=(4.6 * len(names), 5.2), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":", label="perfect")
        for when, look in LOOKS.items():
            bins = [each for each in done.fitted.reliability[when][name] if each.share.value is not None]
            for each in bins:
                if each.share.interval is not None:
                    axis.plot([each.probability] * 2, each.share.interval, color=look["color"], linewidth=1, alpha=0.6)
            error = getattr(done.fitted.changes[f"ece_{name}"], when)
            shown = [each.probability for each in bins], [each.share.value for each in bins]
            axis.plot(*shown, label=f"{when}: error {error:.3f}", linewidth=1.5, markersize=5, **look)
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylim(-0.02, 1.02)
        axis.set_aspect("equal")
        axis.grid(**GRID)
        axis.set_xlabel(f"probability of {_words(name)}")
        axis.set_title(_words(name))
        axis.legend(loc="upper left", fontsize=8)
    figure.axes[0].set_ylabel("share of films that are of the class")
    figure.suptitle(f"Reliability by class, n = {len(done.rows.labels)}, bins of equally many films, 95 % intervals; after: out of fold")
    save_figure(figure, path)


def plot_risk_coverage(done: Calibration, path: Path) -> None:
    """Error among decided films against the share that is decided, over all films and by true class."""
    risk, names = done.fitted.risk, done.fitted.decision.scheme.names
    figure = Canvas(figsize=(10.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(risk.coverage, risk.risk, color="black", linewidth=2)
    all_decisions = done.fitted.decisions[0]
    if all_decisions.wrong.value is not None and all_decisions.decided.value is not None:
        left.plot(all_decisions.decided.value, all_decisions.wrong.value, "D", color=SERIES[1], label="prediction sets (thresholds)")
        left.legend(loc="upper left", fontsize=8)
    left.set_title(f"all films, n = {len(done.rows.labels)}; area {risk.area:.3f}")
    left.set_xlabel("share of films decided, the most confident first")
    for index, name in enumerate(names):
        steps = ~np.isnan(risk.class_risk[name])
        count = int((done.rows.labels == index).sum())
        right.plot(
            risk.coverage[steps], risk.class_risk[name][steps], color=class_colour(name, index), linewidth=1.8,
            linestyle=("-", "--", "-.", ":")[index % 4], label=f"{_words(name)}, n = {count}",
        )  # fmt: skip
    right.set_title("by true class")
    right.set_xlabel("share of all films decided")
    right.legend(loc="upper left", fontsize=8)
    for axis in (left, right):
        axis.set_xlim(0, 1.01)
        axis.set_ylim(bottom=-0.01)
        axis.set_ylabel("error among the decided")
        axis.grid(**GRID)
    figure.suptitle("Risk against coverage: what referring the least confident films buys")
    save_figure(figure, path)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("$", r"\$")
