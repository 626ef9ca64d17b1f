"""Fitting how a checkpoint's logits are scaled: one factor for all classes (a temperature), or a factor and an offset each (vector
scaling).

What is said of a fit is out of fold: each film is scaled by numbers that were fitted to films of other groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.calibrate.recipe import AUTO, TEMPERATURE, VECTOR, ScalingSettings
from hf_bones.inference.decision import fit_temperature, negative_log_likelihood
from hf_bones.inference.vector import VectorScaling
from hf_bones.logits import softmax
from hf_bones.metrics.figures import Floats, Ints

# Standard deviation of log factors about the temperature's, and of offsets about 0: what a dozen films of a class cannot outweigh. Of 0.1
# to infinite, 0.3 and 0.5 have the least log loss out of fold on the bundled model's validation films; beyond 0.3 it hardly matters.
SPREAD = 0.5


@dataclass(frozen=True, eq=False)
class Scaled:
    """A fit. scaling: fitted to all rows. method: that of it. probabilities (N, C): out of fold. losses: method → log loss out of fold."""

    scaling: VectorScaling
    method: str
    probabilities: Floats
    losses: dict[str, float]


def fit_scaling(logits: Floats, labels: Ints, groups: Sequence[str], names: Sequence[str], settings: ScalingSettings) -> Scaled:
    """The scaling of logits (N, C), as the decision rule has them before it, for labels (N,).

    Whole groups (N,) go to one fold. Raises ValueError naming a class without a row, or with rows of one group only.
    """
    deal = group_folds(labels, groups, names, settings.folds, settings.seed)
    methods = (TEMPERATURE, VECTOR) if settings.method == AUTO else (settings.method,)
    held: dict[str, Floats] = {}
    for method in methods:
        scaled = np.empty(logits.shape, dtype=np.float64)
        for rest, part in deal:
            scaled[part] = _fitted(method, logits[rest], labels[rest]).applied(logits[part])
        held[method] = scaled
    losses = {method: negative_log_likelihood(scaled, labels) for method, scaled in held.items()}
    best = min(methods, key=losses.__getitem__)  # of equals the temperature, which has fewer numbers
    told = {"n": len(labels), "method": best, "log_loss_before": negative_log_likelihood(logits, labels), "log_loss_out_of_fold": losses}
    return Scaled(replace(_fitted(best, logits, labels), fitted_on=told), best, softmax(held[best]), losses)


def _fitted(method: str, logits: Floats, labels: Ints) -> VectorScaling:
    return temperature_scaling(logits, labels) if method == TEMPERATURE else vector_scaling(logits, labels)


def temperature_scaling(logits: Floats, labels: Ints) -> VectorScaling:
    """Equal factors without offsets, by `fit_temperature`."""
    classes = logits.shape[1]
    return VectorScaling((1 / fit_temperature(logits, labels),) * classes, (0.0,) * classes)


def vector_scaling(logits: Floats, labels: Ints, spread: float = SPREAD) -> VectorScaling:
    """The factors and offsets that minimise the log loss of labels (N,), drawn to the temperature as by a normal prior of deviation
    `spread` in log factors and offsets; infinite: not at all."""
    from scipy.optimize import minimize

    start = np.log(np.array(temperature_scaling(logits, labels).scale))
    log_shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    rows, classes = np.arange(len(labels)), logits.shape[1]
    weight = 0.0 if np.isinf(spread) else 1 / (2 * spread**2)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        log_scale, bias = numbers[:classes], numbers[classes:]
        scaled = log_shares * np.exp(log_scale) + bias
        shares = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
        slopes = np.exp(shares)
        slopes[rows, labels] -= 1
        away = np.concatenate([log_scale - start, bias])
        value = -float(shares[rows, labels].sum()) + weight * float(away @ away)
        slope = np.concatenate([(slopes * log_shares).sum(axis=0) * np.exp(log_scale), slopes.sum(axis=0)]) + 2 * weight * away
        return value, slope

    limits = [(-5.0, 5.0)] * classes + [(-20.0, 20.0)] * classes  # separable classes have no finite fit
    found = minimize(
        loss,
        np.concatenate([start, np.zeros(classes)]),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options={"maxiter": 500, "ftol": 1e-12},
    )
    bias = found.x[classes:] - found.x[classes:].mean()  # a number added to all logits changes nothing
    return VectorScaling(tuple(np.exp(found.x[:classes]).tolist()), tuple(bias.tolist()))


def group_folds(
    labels: Ints, groups: Sequence[str], names: Sequence[str], folds: int, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(rest, held out) of each fold: whole groups, classes spread evenly; as many folds as the class with the fewest groups allows.

    Raises ValueError naming a class without a row, or with rows of one group only.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    spread = {name: len(set(member[labels == index].tolist())) for index, name in enumerate(names)}
    alone = [f"{name} has {'no film' if not count else 'films of one group only'}" for name, count in spread.items() if count < 2]
    if alone:
        raise ValueError(
            f"{' and '.join(alone)} among these {len(labels)}: a class needs films of two groups (patients, pages) or more, to fit on one "
            "and score on the other"
        )
    deal = StratifiedGroupKFold(min(folds, *spread.values()), shuffle=True, random_state=seed)
    return [(rest, held) for rest, held in deal.split(np.zeros((len(labels), 1)), labels, member) if len(held)]
