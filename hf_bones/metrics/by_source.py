"""How a model does on each source of films: recall and specificity, and a score that thirty films of one class can carry.

The score is one less the Brier score of the two sides: the squared distance of the probability of abnormal from what the film is. A source
with one class has no AUROC, and its recall moves by 0.03 with each of thirty films; this is defined for any films, moves with every one of
them, and no film can weigh more than 1, as one of a log loss could. So that it compares checkpoints and not how sure of itself each is:

- both sides count as equally frequent: what a run learnt of class frequencies is taken out (`log_prior`), and of a source that has both
  sides each weighs half;
- one temperature, fitted to all films, divides the log odds, as calibration does when the run is over;
- each side of a source is lent `LENT` films that lose what that side loses on average over all sources. Three films alone say little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.metrics.figures import Floats, Ints, weighted_auroc

NOT_STATED = "not stated"  # the source of rows that name none
LENT = 10.0
_COLDEST, _HOTTEST = 0.05, 20.0  # temperatures, the bounds of calibration


@dataclass(frozen=True)
class SourceFigures:
    """Of one source: films of each side, recall (share of abnormal films called abnormal), specificity (share of normal films not called
    so) and AUROC(abnormal), None where a side has no film, and the score, in [0, 1]; 0.75 is a coin's."""

    normal: int
    abnormal: int
    recall: float | None
    specificity: float | None
    auroc_abnormal: float | None
    score: float


def named_sources(origins: Sequence[str]) -> npt.NDArray[np.str_]:
    """The source of each row by name, (N,); rows that name none are of one source, `NOT_STATED`."""
    return np.array([origin or NOT_STATED for origin in origins], dtype=str)


def abnormal_log_odds(logits: Floats, log_prior: Floats, normal_id: int) -> Floats:
    """Log odds of abnormal against normal, (N,), with both sides equally frequent: from logits (N, C) that reckon with `log_prior` (C,)."""
    others = np.arange(logits.shape[1]) != normal_id
    sides = np.logaddexp.reduce(logits[:, others], axis=1) - logits[:, normal_id]
    return np.asarray(sides - (np.logaddexp.reduce(log_prior[others]) - log_prior[normal_id]))


def figures_by_source(log_odds: Floats, abnormal: npt.NDArray[np.bool_], sources: npt.NDArray[np.str_]) -> dict[str, SourceFigures]:
    """The figures of each source, by name: from log odds of abnormal (N,), which films are abnormal (N,), and their sources (N,)."""
    cooled = log_odds / fitted_temperature(log_odds, abnormal)
    losses = np.exp(-2 * np.logaddexp(0, np.where(abnormal, cooled, -cooled)))  # (1 - probability of the right side)²
    usual = {side: float(losses[abnormal == side].mean()) for side in (False, True) if (abnormal == side).any()}
    found = {}
    for name in np.unique(sources).tolist():
        own = sources == name
        rows = {side: own & (abnormal == side) for side in usual if (own & (abnormal == side)).any()}
        lent = [(losses[which].sum() + LENT * usual[side]) / (which.sum() + LENT) for side, which in rows.items()]
        called = {side: float((log_odds[which] > 0).mean()) for side, which in rows.items()}
        area = float(weighted_auroc(abnormal[own], log_odds[own], np.ones((1, int(own.sum()))))[0])
        found[name] = SourceFigures(
            normal=int((own & ~abnormal).sum()),
            abnormal=int((own & abnormal).sum()),
            recall=called.get(True),
            specificity=1 - called[False] if False in called else None,
            auroc_abnormal=None if np.isnan(area) else area,
            score=float(1 - np.mean(lent)),
        )
    return found


def fitted_temperature(log_odds: Floats, abnormal: npt.NDArray[np.bool_]) -> float:
    """The temperature that gives the least log loss, each side weighing half; between 0.05 and 20."""
    counts = {side: max(1, int((abnormal == side).sum())) for side in (False, True)}
    weights = np.where(abnormal, 1 / counts[True], 1 / counts[False])
    signed = np.where(abnormal, -log_odds, log_odds)

    def loss(log_temperature: float) -> float:
        return float((weights * np.logaddexp(0, signed / np.exp(log_temperature))).sum())

    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    for _ in range(60):  # a convex function of the inverse has one least value in the logarithm too
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if loss(first) <= loss(second) else (first, high)
    return float(np.exp((low + high) / 2))


def worst_source(found: Mapping[str, SourceFigures]) -> str:
    """The source with the lowest score; of several, the first by name."""
    return min(found, key=lambda name: (found[name].score, name))


def by_source_metrics(logits: Floats, labels: Ints, origins: Sequence[str], log_prior: Floats, normal_id: int) -> dict[str, Any]:
    """What a run's record says of its sources, as plain data: `sources` and `worst_source`; nothing where there is one source alone."""
    sources = named_sources(origins)
    if len(np.unique(sources)) < 2:
        return {}
    found = figures_by_source(abnormal_log_odds(logits, log_prior, normal_id), labels != normal_id, sources)
    return {"sources": {name: asdict(each) for name, each in found.items()}, "worst_source": worst_source(found)}


def worst_source_line(metrics: Mapping[str, Any]) -> str:
    """The worst source in one line, from `by_source_metrics`; "" where there is one source alone."""
    if "worst_source" not in metrics:
        return ""
    name, every = metrics["worst_source"], metrics["sources"]
    own = every[name]
    said = [
        f"recall {own['recall']:.2f} of {own['abnormal']} abnormal films" if own["abnormal"] else "no abnormal film",
        f"specificity {own['specificity']:.2f} of {own['normal']} normal ones" if own["normal"] else "no normal one",
    ]
    others = [f"{other} {figures['score']:.3f}" for other, figures in every.items() if other != name]
    return f"{name}, score {own['score']:.3f}: {', '.join(said)}; the others: {', '.join(others)}"
