"""Percentile intervals by a cluster bootstrap: whole groups (patients, runs of neighbouring films) are drawn, not rows.

Rows of one patient resemble each other; drawing rows alone would make intervals too narrow (Field and Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Sequence

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
    fixed-specificity figures is chosen anew in each resample. (NaN, NaN) where over 5 % of the resamples cannot define the figure.
    The answer does not depend on the order of rows. Raises ValueError for fewer than 2 groups, repeats < 1 or level outside (0, 1).
    """
    truth, scores = checked(labels, probabilities, names, normal_id)
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    if member.shape != truth.shape:
        raise ValueError(f"groups have shape {member.shape}; expected one group a row, {truth.shape}")
    count = int(member.max(initial=-1)) + 1
    if count < 2:
        raise ValueError(f"a bootstrap over groups needs 2 groups or more; these {len(truth)} rows have {count}")
    if repeats < 1 or not 0 < level < 1:
        raise ValueError(f"repeats is {repeats} and level {level}; expected repeats ≥ 1 and 0 < level < 1")
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[npt.NDArray[np.float64]]] = {}
    step = max(1, _CHUNK // len(truth))
    for start in range(0, repeats, step):
        size = min(step, repeats - start)
        times = generator.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        for key, values in weighted_figures(truth, scores, times[:, member], names, normal_id, specificity).items():
            if not is_count(key):
                drawn.setdefault(key, []).append(values)
    tail = 100 * (1 - level) / 2
    return {key: _percentiles(np.concatenate(parts), tail) for key, parts in drawn.items()}


def _percentiles(values: npt.NDArray[np.float64], tail: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if len(defined) < MIN_DEFINED_SHARE * len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
