"""A temperature and a threshold fitted to a site's own films: one function, `refit`, and what it would have said of films it did not see.

The shipped rule stays as it is. The new one is written beside it into the folder of the report and never into the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.evaluation.report.figures import MIN_GROUPS
from hf_bones.evaluation.shipped_rule import keep_shipped, rule_parts
from hf_bones.evaluation.site.operating import CALLED_ABNORMAL, CALLED_NORMAL, Mask
from hf_bones.inference.decision import TEMPERATURE_RANGE, DecisionRule, fit_temperature, write_decision
from hf_bones.inference.vector import VectorScaling
from hf_bones.logits import softmax
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import Floats, Ints

FOLDS = 5
_COARSE = 120  # temperatures tried, evenly in their logarithm


@dataclass(frozen=True)
class SiteRule:
    """What a site's films ask for: a temperature that divides the calibrated logits, and from which P(abnormal) on a film is abnormal.

    sensitivity: the share of abnormal films that was asked for. fitted_on: films of each side and groups.
    """

    temperature: float
    abnormal_from: float
    sensitivity: float
    fitted_on: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Refit:
    """The rule fitted to all films, and what rules fitted to the other films say of each: probabilities (N, C), calls (N,)."""

    rule: SiteRule
    probabilities: Floats
    calls: Ints


def refit(logits: Floats, labels: Ints, normal_id: int, *, by_class: bool, sensitivity: float) -> tuple[float, float]:
    """Temperature and threshold for films with calibrated logits (N, C): the one place where a site's decision is fitted.

    labels (N,): classes where `by_class`, else 1 for abnormal. The temperature gives the labels the least log loss. The threshold is the
    highest P(abnormal) that at least the share `sensitivity` of the abnormal films reaches, at that temperature.
    """
    temperature = fit_temperature(logits, labels) if by_class else _side_temperature(logits, labels == 1, normal_id)
    given = 1 - softmax(logits / temperature)[:, normal_id]
    abnormal = labels != normal_id if by_class else labels == 1
    ranked = np.sort(given[abnormal])[::-1]
    return temperature, float(ranked[max(int(np.ceil(sensitivity * len(ranked) - 1e-9)), 1) - 1])


def refit_site(
    logits: Floats, labels: Ints, groups: Sequence[str], normal_id: int, *, by_class: bool, sensitivity: float, seed: int = 0
) -> Refit | str:
    """`refit` on all films and, so that its figures are of films that it did not see, on each four fifths of the groups.

    Returns a sentence instead where there are too few films of a side, or groups with them, to fit anything.
    """
    abnormal = labels != normal_id if by_class else labels == 1
    if missing := _too_few(abnormal, groups):
        return missing
    from sklearn.model_selection import StratifiedGroupKFold

    asked: dict[str, Any] = {"by_class": by_class, "sensitivity": sensitivity}
    temperature, limit = refit(logits, labels, normal_id, **asked)
    probabilities, calls = np.zeros(logits.shape), np.zeros(len(labels), dtype=np.int64)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(logits, abnormal, groups)
    for others, own in folds:
        if not 0 < abnormal[others].sum() < len(others):
            return "No threshold was refitted: too few groups hold films of both sides."
        fitted, reached = refit(logits[others], labels[others], normal_id, **asked)
        probabilities[own] = softmax(logits[own] / fitted)
        calls[own] = np.where(1 - probabilities[own, normal_id] >= reached, CALLED_ABNORMAL, CALLED_NORMAL)
    counts = {"abnormal": int(abnormal.sum()), "normal": int((~abnormal).sum()), "groups": len(set(groups))}
    return Refit(SiteRule(temperature, limit, sensitivity, counts), probabilities, calls)


def _too_few(abnormal: Mask, groups: Sequence[str]) -> str:
    for side, own in (("abnormal", abnormal), ("normal", ~abnormal)):
        holding = len({group for group, inside in zip(groups, own, strict=True) if inside})
        if own.sum() < MIN_ROWS or holding < MIN_GROUPS:
            return (
                f"No threshold was refitted: it needs {MIN_ROWS} {side} films of {MIN_GROUPS} patients or other groups, and there are "
                f"{int(own.sum())} of {holding}."
            )
    return ""


def _side_temperature(logits: Floats, abnormal: Mask, normal_id: int) -> float:
    """The temperature with the least log loss of the two sides. Sums of classes bend the loss, so it is looked for on a grid, twice."""

    def losses(temperatures: Floats) -> Floats:
        found = []
        for each in temperatures:
            normal = np.clip(softmax(logits / each)[:, normal_id], 1e-12, 1 - 1e-12)
            found.append(-np.log(np.where(abnormal, 1 - normal, normal)).mean())
        return np.array(found)

    coarse = np.geomspace(*TEMPERATURE_RANGE, _COARSE)
    best = int(losses(coarse).argmin())
    fine = np.geomspace(coarse[max(best - 1, 0)], coarse[min(best + 1, _COARSE - 1)], _COARSE)
    return float(fine[losses(fine).argmin()])


def site_decision(decision: DecisionRule, temperature: float) -> DecisionRule:
    """The rule whose probabilities are those of `decision` with their logarithms over `temperature`, patches and second look included.

    Its thresholds are those shipped: they were fitted to other probabilities, and stay for comparison.
    """
    count = len(decision.scheme.names)
    own = decision.vector or VectorScaling((1.0,) * count, (0.0,) * count)
    scale, bias = (tuple(value / temperature for value in values) for values in (own.scale, own.bias))
    return replace(decision, vector=VectorScaling(scale, bias))


def write_site_decision(decision: DecisionRule, rule: SiteRule, folder: Path, fitted_on: str) -> Path:
    """Writes folder/decision.json: the site's rule, with the shipped one beside it under `site`. Returns its path."""
    path = write_decision(site_decision(decision, rule.temperature), folder)
    keep_shipped(path, rule_parts(decision), fitted_on, **rule.as_dict())
    return path
