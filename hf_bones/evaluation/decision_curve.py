"""Decision curves: what calling films abnormal from some probability on is worth, against calling all of them or none.

Net benefit (Vickers and Elkin, "Decision curve analysis", Medical Decision Making 2006): found abnormal films less false alarms, as a share
of all films, a false alarm weighed by the odds of the threshold. A threshold of 0.2 says that one miss is as bad as four false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from hf_bones.evaluation.report.plots import save_figure
from hf_bones.metrics.figures import Floats
from hf_bones.metrics.intervals import group_weights
from hf_bones.pages.palette import GRID, SERIES

_STYLES = ("-", "--", "-.")

THRESHOLDS = np.round(np.arange(0.01, 0.81, 0.01), 2)


@dataclass(frozen=True, eq=False)
class NetBenefit:
    """A model's net benefit (T,) with its 95 % interval, and what that is over the better of calling all and calling none, with its own.

    Intervals are NaN where there are too few groups.
    """

    value: Floats
    low: Floats
    high: Floats
    over: Floats
    over_low: Floats
    over_high: Floats


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit at each of T thresholds: of calling all films abnormal (T,), and of each model. Calling none has net benefit 0."""

    thresholds: Floats
    everyone: Floats
    models: Mapping[str, NetBenefit]

    def best(self, name: str) -> npt.NDArray[np.bool_]:
        """(T,) where a model is worth more than calling all and than calling none."""
        return self.models[name].over > 0


def net_benefit(abnormal: npt.ArrayLike, probability: npt.ArrayLike, thresholds: npt.ArrayLike, weights: Floats | None = None) -> Floats:
    """Net benefit (R, T) of calling films abnormal whose P(abnormal) (N,) reaches each threshold (T,), for R weightings (R, N) or one.

    `abnormal` (N,) bool. Thresholds lie in [0, 1).
    """
    truth, given = np.asarray(abnormal, dtype=bool), np.asarray(probability, dtype=np.float64)
    limits = np.asarray(thresholds, dtype=np.float64)
    if not ((limits >= 0) & (limits < 1)).all():
        raise ValueError("thresholds must lie in [0, 1)")
    each = np.ones((1, len(truth))) if weights is None else weights
    reached = given[:, None] >= limits[None, :]
    found, alarms = each @ (reached & truth[:, None]), each @ (reached & ~truth[:, None])
    value: Floats = (found - alarms * (limits / (1 - limits))) / each.sum(axis=1, keepdims=True)
    return value


def decision_curve(
    abnormal: npt.ArrayLike,
    models: Mapping[str, npt.ArrayLike],
    groups: Sequence[str],
    *,
    thresholds: npt.ArrayLike = THRESHOLDS,
    repeats: int = 200,
    seed: int = 0,
) -> DecisionCurve:
    """The decision curve of each of `models`, name → P(abnormal) (N,), with 95 % intervals from resamples of `groups` (N,).

    Raises ValueError where there are no films, or films of one side alone: nothing can then be weighed.
    """
    truth, limits = np.asarray(abnormal, dtype=bool), np.asarray(thresholds, dtype=np.float64)
    if not 0 < truth.sum() < len(truth):
        raise ValueError("a decision curve weighs misses against false alarms: it needs normal and abnormal films")
    everyone = net_benefit(truth, np.ones(len(truth)), limits)[0]
    found = {}
    for name, probability in models.items():
        value = net_benefit(truth, probability, limits)[0]
        (low, high), (over_low, over_high) = np.full((2, 2, len(limits)), np.nan)
        if len(set(groups)) > 1:
            drawn, over = [], []
            for weights in group_weights(groups, len(truth), repeats, seed):
                drawn.append(net_benefit(truth, probability, limits, weights))
                over.append(drawn[-1] - np.maximum(net_benefit(truth, np.ones(len(truth)), limits, weights), 0))
            (low, high), (over_low, over_high) = (np.percentile(np.concatenate(each), [2.5, 97.5], axis=0) for each in (drawn, over))
        found[name] = NetBenefit(value, low, high, value - np.maximum(everyone, 0), over_low, over_high)
    return DecisionCurve(limits, everyone, found)


def calls_at(abnormal: npt.ArrayLike, probability: npt.ArrayLike, threshold: float) -> tuple[int, int]:
    """(finds, false alarms) of whoever calls films abnormal from this P(abnormal) on."""
    truth, called = np.asarray(abnormal, dtype=bool), np.asarray(probability) >= threshold
    return int((called & truth).sum()), int((called & ~truth).sum())


def place_of(threshold: float) -> int:
    """Where a threshold stands in `THRESHOLDS`."""
    return int(np.abs(THRESHOLDS - threshold).argmin())


def plot_decision_curve(curve: DecisionCurve, path: Path) -> None:
    """Net benefit against the threshold, for each model, for calling all films abnormal and for calling none."""
    figure = Canvas(figsize=(6.6, 4.6), layout="constrained")
    axis = figure.subplots()
    axis.axhline(0, color="#555555", linewidth=1, label="call none abnormal")
    axis.plot(curve.thresholds, curve.everyone, color="#999999", linewidth=1.2, linestyle=":", label="call all abnormal")
    highest = [0.05]
    for index, (name, found) in enumerate(curve.models.items()):
        axis.plot(curve.thresholds, found.value, color=SERIES[index], linestyle=_STYLES[index % 3], linewidth=1.8, label=name)
        highest.append(float(found.value.max()))
        if index == 0 and np.isfinite(found.low).all():
            highest.append(float(found.high.max()))
            axis.fill_between(curve.thresholds, found.low, found.high, color=SERIES[index], alpha=0.15, linewidth=0)
    axis.set_ylim(-0.25 * max(highest), 1.15 * max(highest))
    axis.set_xlim(0, float(curve.thresholds[-1]))
    axis.set_xlabel("threshold: from which probability a film is called abnormal")
    axis.set_ylabel("net benefit per film")
    axis.set_title("Decision curve (band: 95 %)")
    axis.grid(**GRID)
    axis.legend(fontsize=9)
    save_figure(figure, path)
