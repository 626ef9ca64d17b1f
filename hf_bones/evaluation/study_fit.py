"""How the views of a study are joined best: by validation films, paired into studies where the data name no studies of their own.

Two films of one class and region that no group holds both are taken for the two views of a study. They are of two patients, so their errors
go together less than those of real views do: the gain over one view is an upper bound, and is said to be of made-up studies.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hf_bones.inference.study.join import MEAN, MOST_ABNORMAL, StudyJoin
from hf_bones.metrics.figures import weighted_auroc

_CLEARLY = 0.002  # AUROC by which the second way must be better: the mean is the plainer one


def made_up_studies(labels: Sequence[int], regions: Sequence[str], groups: Sequence[str], seed: int = 0) -> list[tuple[int, int]]:
    """Pairs of rows of one class and region and of different groups, each row in at most one pair."""
    rng = random.Random(seed)
    strata: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(labels, regions, strict=True)):
        strata[key].append(row)
    pairs: list[tuple[int, int]] = []
    for _, rows in sorted(strata.items()):
        rng.shuffle(rows)
        while len(rows) > 1:
            first = rows.pop()
            other = next((row for row in rows if groups[row] != groups[first]), None)
            if other is not None:
                rows.remove(other)
                pairs.append((first, other))
    return pairs


def fit_study(
    probabilities: npt.NDArray[np.floating], labels: Sequence[int], regions: Sequence[str], groups: Sequence[str], normal_id: int
) -> StudyJoin:
    """The way of joining with the higher AUROC(abnormal) on made-up studies of two views; the mean where they are about as good.

    probabilities (N, C), calibrated, of films that the checkpoint did not learn from. `fitted_on` holds the figures of both and of the
    single views. Raises ValueError where there are no studies of both kinds.
    """
    pairs = made_up_studies(labels, regions, groups)
    truth = np.array([labels[first] != normal_id for first, _ in pairs], dtype=bool)
    if len(np.unique(truth)) < 2:
        raise ValueError("study: no two films of one class and region in different groups, of normal and of abnormal ones")
    figures = {}
    for kind in (MEAN, MOST_ABNORMAL):
        join = StudyJoin(kind)
        scores = np.array([1 - join.joined(probabilities[list(pair)], normal_id)[normal_id] for pair in pairs])
        figures[kind] = _auroc(truth, scores)
    single = np.array([1.0 - probabilities[pair[view], normal_id] for view in (0, 1) for pair in pairs])
    best = MOST_ABNORMAL if figures[MOST_ABNORMAL] > figures[MEAN] + _CLEARLY else MEAN
    told = {"studies": len(pairs), "made_up": True, "auroc_abnormal": {**figures, "one view": _auroc(np.tile(truth, 2), single)}}
    return StudyJoin(best, told)


def _auroc(truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float:
    return float(weighted_auroc(truth, scores, np.ones((1, len(scores))))[0])
