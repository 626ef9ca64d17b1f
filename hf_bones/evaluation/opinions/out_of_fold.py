"""Out-of-fold probabilities: each image judged by a linear head that was fitted to images of other groups.

Whole groups are dealt out to folds, classes spread evenly (scikit-learn's StratifiedGroupKFold); the head is multinomial logistic
regression on standardised features (`training/probe.py`). Its strength is chosen within the rows that it is fitted to, by the same
division once more, so that no image has a say in the head that judges it (Varma and Simon, "Bias in error estimation when using
cross-validation for model selection", BMC Bioinformatics 2006).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.logits import softmax
from hf_bones.metrics import selection_score
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head


class TooFewGroupsError(ValueError):
    """A class has rows of one group only, so that no head can both learn it and be asked about it."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """One deal: `probabilities` (N, C) of each row by a head that did not see its group; `strengths` those chosen, one a fold."""

    probabilities: Floats
    strengths: tuple[float, ...]


def out_of_fold(
    features: npt.NDArray[np.floating[Any]],
    labels: npt.ArrayLike,
    groups: Sequence[str],
    names: Sequence[str],
    settings: OpinionSettings | None = None,
    *,
    normal_id: int = 0,
) -> Floats:
    """Probabilities (N, C), the mean over the deals that `settings.repeats` asks for. Arguments and errors as in `deals`."""
    chosen = settings or OpinionSettings()
    every = [deal.probabilities for deal in deals(features, labels, groups, names, chosen, normal_id=normal_id)]
    mean: Floats = np.mean(every, axis=0)
    return mean


def deals(
    features: npt.NDArray[np.floating[Any]],
    labels: npt.ArrayLike,
    groups: Sequence[str],
    names: Sequence[str],
    settings: OpinionSettings,
    *,
    normal_id: int = 0,
) -> Iterator[OutOfFold]:
    """`settings.repeats` deals into folds, one after another.

    `features` (N, F), `labels` (N,) as indices of the C `names`, `groups` (N,): rows of one group are never on both sides. Where a class
    has fewer groups than there are folds, there are as many folds as it has groups. A class without any row keeps probability 0. Raises
    `TooFewGroupsError` for a class with rows of one group only, ValueError for features that are not finite or too few classes.
    """
    truth, class_count = np.asarray(labels, dtype=np.int64), len(names)
    _, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    if not np.isfinite(features).all():
        raise ValueError("some features are not finite: leave out the rows of images that cannot be opened (FrozenFeatures.kept)")
    present = sorted(set(truth.tolist()))
    if len(present) < 2:
        raise ValueError(f"an opinion needs rows of two classes or more; these {len(truth)} rows have {len(present)}")
    spread = {label: len(set(member[truth == label].tolist())) for label in present}
    alone = [names[label] for label in present if spread[label] < 2]
    if alone:
        raise TooFewGroupsError(
            f"all images of class {' and of class '.join(alone)} are of one group (a patient, page or block), so that nothing which learnt "
            "from other groups knows it: collect more of it, or leave it out"
        )
    folds = min(settings.folds, *spread.values())
    for repeat in range(settings.repeats):
        seed = settings.seed + repeat
        probabilities = np.zeros((len(truth), class_count))
        strengths = []
        # The matrices are small: threads would wait for each other longer than they work, many times so on a busy machine.
        with threadpool_limits(limits=1):
            for train, test in _folds(truth, member, folds, seed):
                strength = best_strength(features[train], truth[train], member[train], class_count, settings, normal_id, seed)
                probabilities[test] = judged(features[train], truth[train], features[test], class_count, strength, settings.class_weights)
                strengths.append(strength)
        yield OutOfFold(probabilities, tuple(strengths))


def _folds(truth: Ints, member: Ints, folds: int, seed: int) -> list[tuple[Ints, Ints]]:
    from sklearn.model_selection import StratifiedGroupKFold

    dealer = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    return [(train, test) for train, test in dealer.split(np.zeros((len(truth), 1)), truth, member) if len(train) and len(test)]


def best_strength(
    features: npt.NDArray[Any], truth: Ints, member: Ints, class_count: int, settings: OpinionSettings, normal_id: int, seed: int
) -> float:
    """The strength whose inner out-of-fold probabilities score best (`metrics.selection_score`); of equals the smallest."""
    candidates = sorted(settings.strengths)
    groups = len(set(member.tolist()))
    # Folds of one class only, or a class that has no row to learn from, cannot tell strengths apart.
    if len(candidates) == 1 or groups < 2:
        return candidates[0]
    scores = np.full(len(candidates), -np.inf)
    inner = _folds(truth, member, min(settings.inner_folds, groups, int(np.bincount(truth).max())), seed)
    for place, strength in enumerate(candidates):
        probabilities = np.zeros((len(truth), class_count))
        for train, test in inner:
            probabilities[test] = judged(features[train], truth[train], features[test], class_count, strength, settings.class_weights)
        score = selection_score(truth, probabilities, normal_id)
        scores[place] = -np.inf if np.isnan(score) else score
    return candidates[int(scores.argmax())]


def judged(features: npt.NDArray[Any], truth: Ints, asked: npt.NDArray[Any], class_count: int, strength: float, weighting: str) -> Floats:
    """Probabilities (M, C) of the rows `asked` by a head fitted to `features` and `truth`; 0 for classes that these lack."""
    present, local = np.unique(truth, return_inverse=True)
    probabilities = np.zeros((len(asked), class_count))
    if len(present) == 1:
        probabilities[:, present[0]] = 1.0
        return probabilities
    weights, biases = fit_head(features, local, len(present), strength, class_weights(np.bincount(local), weighting))
    probabilities[:, present] = softmax(asked.astype(np.float64) @ weights.T + biases)
    return probabilities
