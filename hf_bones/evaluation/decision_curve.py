"""Decision curves: what calling films abnormal from some probability on is worth, against calling all of them or none.

Net benefit (Vickers and Elkin, "Decision curve analysis", Medical Decision Making 2006): found abnormal films less false alarms, as a share
of all films, a false alarm weighed by the odds of the threshold. A threshold of 0.2 says that one miss is as bad as four false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.metrics.figures import Floats
from hf_bones.metrics.intervals import group_weights

THRESHOLDS = np.arange(0.01, 0.80, 0.01)


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit at each of T thresholds: of calling all films abnormal (T,), and of each model (value, low, high), each (T,).

    Calling none has net benefit 0. low and high are NaN where there are too few groups for an interval.
    """

    thresholds: Floats
    everyone: Floats
    models: Mapping[str, tuple[Floats, Floats, Floats]]

    def best(self, name: str) -> npt.NDArray[np.bool_]:
        """(T,) where a model is worth more than calling all and than calling none."""
        value = self.models[name][0]
        return (value > self.everyone) & (value > 0)


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
    found = {}
    for name, probability in models.items():
        low = high = np.full(len(limits), np.nan)
        if len(set(groups)) > 1:
            drawn = [net_benefit(truth, probability, limits, each) for each in group_weights(groups, len(truth), repeats, seed)]
            low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5], axis=0)
        found[name] = (net_benefit(truth, probability, limits)[0], low, high)
    return DecisionCurve(limits, net_benefit(truth, np.ones(len(truth)), limits)[0], found)
