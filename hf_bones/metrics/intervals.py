"""Percentile intervals by a cluster bootstrap: whole groups (patients, runs of neighbouring films) are drawn, not rows.

Rows of one patient resemble each other; drawing rows alone would make intervals too narrow (Field and Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hf_bones.metrics.figures import SPECIFICITY, checked, is_count, weighted_figures

# Where more than one repeat in twenty cannot define the figure (a rare class was not drawn), what is left is no fair sample of it.
MIN_DEFINED_SHARE = 0.95
# Elements of the weight matrix held at once: 16 MB.
_CHUNK = 2_000_000


def bootstrap_intervals(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: Sequence[str] | npt.NDArray[np.generic],
    names: Sequence[str],
    normal_id: int = 0,
    specificity: float = SPECIFICITY,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """(low, high) of every figure of `classification_metrics` that is not a count, from `repeats` resamples of groups.

    `groups` (N,) says which rows belong together; other arguments as in `classification_metrics`. The threshold of the
    fixed-specificity figures is chosen again in each resample. (NaN, NaN) where over 5 % of the resamples cannot define the figure.
    The answer does not depend on the order of rows. Raises ValueError for fewer than 2 groups, repeats < 1 or level outside (0, 1).
    """
    truth, scores = checked(labels, probabilities, names, normal_id)
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected 0 < level < 1")
    drawn: dict[str, list[npt.NDArray[np.float64]]] = {}
    for weights in group_weights(groups, len(truth), repeats, seed):
        for key, values in weighted_figures(truth, scores, weights, names, normal_id, specificity).items():
            if not is_count(key):
                drawn.setdefault(key, []).append(values)
    return {key: percentile_interval(np.concatenate(parts), level) for key, parts in drawn.items()}


def paired_differences(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: Sequence[str] | npt.NDArray[np.generic],
    names: Sequence[str],
    normal_id: int = 0,
    specificity: float = SPECIFICITY,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float, float]]:
    """(difference, low, high) of every figure that is not a count: the first model's less the second's, on the same rows.

    `first` and `second` are (N, C) probabilities. Both models are given the same resamples of groups, so that what makes rows hard for
    both cancels out. Arguments and errors otherwise as in `bootstrap_intervals`.
    """
    truth, one = checked(labels, first, names, normal_id)
    _, other = checked(labels, second, names, normal_id)

    def differences(weights: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
        mine, theirs = (weighted_figures(truth, scores, weights, names, normal_id, specificity) for scores in (one, other))
        return {key: mine[key] - theirs[key] for key in mine if not is_count(key)}

    value = differences(np.ones((1, len(truth))))
    drawn = [differences(weights) for weights in group_weights(groups, len(truth), repeats, seed)]
    return {key: (float(value[key][0]), *percentile_interval(np.concatenate([part[key] for part in drawn]), level)) for key in value}


def group_weights(
    groups: Sequence[str] | npt.NDArray[np.generic], rows: int, repeats: int = 1000, seed: int = 0
) -> Iterator[npt.NDArray[np.float64]]:
    """How often each of `rows` rows is drawn in `repeats` resamples of whole groups: matrices (R, N) of whole numbers, R in all `repeats`.

    The same groups, repeats and seed give the same draws, so that figures of several models can be compared draw by draw. Raises ValueError
    for fewer than 2 groups, another number of groups than rows, or repeats < 1.
    """
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    if member.shape != (rows,):
        raise ValueError(f"groups have shape {member.shape}; expected one group a row, ({rows},)")
    count = int(member.max(initial=-1)) + 1
    if count < 2:
        raise ValueError(f"a bootstrap over groups needs 2 groups or more; these {rows} rows have {count}")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; expected 1 or more")
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // rows)
    for start in range(0, repeats, step):
        size = min(step, repeats - start)
        times = generator.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        yield times[:, member]


def percentile_interval(values: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """(low, high) of the figures (R,) of R resamples; (NaN, NaN) where too many of them cannot be defined."""
    defined = values[~np.isnan(values)]
    if len(defined) < MIN_DEFINED_SHARE * len(values):
        return float("nan"), float("nan")
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
