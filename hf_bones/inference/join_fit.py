"""Fitting how patches join an answer: logistic regression of abnormal against healthy on the film's log odds and the patches' evidence.

Its figures are out of fold: each film is scored by numbers that were fitted to films of other groups. The numbers that are kept are fitted
to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from hf_bones.inference.decision import DecisionRule, negative_log_likelihood
from hf_bones.inference.join import Floats, PatchJoin, log_odds
from hf_bones.inference.second_look import SCALE, TOP, SecondLook

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

Made = TypeVar("Made", bound=PatchJoin)

FOLDS = 10
STRENGTH = 1.0  # scikit-learn's inverse regularisation, on standardised columns: next to none, and finite where classes are separable


def film_views(predictor: BonePredictor, films: Iterable[npt.NDArray[np.uint8]], batch_size: int) -> tuple[Floats, Floats]:
    """`BonePredictor.views` of any number of opened images: logits (N, C) and evidence (N,), a batch in memory at a time.

    Raises ValueError for no film, and for a checkpoint without a patch head.
    """
    logits, evidence = [], []
    remaining = iter(films)
    while batch := list(islice(remaining, batch_size)):
        own, seen = predictor.views(batch)
        if seen is None:
            raise ValueError(f"{predictor.checkpoint}: no patch head, so its patches say nothing; train it with box_loss over 0")
        logits.append(np.asarray(own, dtype=np.float64))
        evidence.append(seen)
    if not logits:
        raise ValueError("patches: no labelled film that can be opened")
    return np.concatenate(logits), np.concatenate(evidence)


def fit_join(
    single: npt.ArrayLike, evidence: npt.ArrayLike, abnormal: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> tuple[float, float, float]:
    """(log_odds, evidence, offset) by logistic regression of `abnormal` (N,) on log odds (N,) and evidence (N,), with weights (N,).

    Raises ValueError where there is only one kind of film, or a number that is not finite.
    """
    from sklearn.linear_model import LogisticRegression

    columns = np.stack([np.asarray(single, dtype=np.float64), np.asarray(evidence, dtype=np.float64)], axis=1)
    wanted = np.asarray(abnormal, dtype=bool)
    if not np.isfinite(columns).all():
        raise ValueError("patches: log odds and evidence must be finite")
    if wanted.all() or not wanted.any():
        raise ValueError(f"patches: {len(wanted)} films, all of them {'abnormal' if len(wanted) and wanted[0] else 'healthy'}")
    share = np.ones(len(wanted)) if weights is None else np.asarray(weights, dtype=np.float64)
    mean = np.average(columns, axis=0, weights=share)
    spread = np.sqrt(np.average((columns - mean) ** 2, axis=0, weights=share))
    spread[spread == 0] = 1.0  # a column that says nothing
    fitted = LogisticRegression(C=STRENGTH, max_iter=1000).fit((columns - mean) / spread, wanted, sample_weight=share)
    slopes = fitted.coef_[0] / spread
    return float(slopes[0]), float(slopes[1]), float(fitted.intercept_[0] - slopes @ mean)


def fit_patches(
    decision: DecisionRule,
    logits: npt.ArrayLike,
    evidence: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str],
    *,
    balanced: bool = False,
    seed: int = 0,
) -> PatchJoin:
    """How the patches of a film join its answer, from films that the network did not learn from.

    logits (N, C) and evidence (N,): as `BonePredictor.views` gives them. For the rest see `fit_second_look`.
    """
    calibrated = np.asarray(logits, dtype=np.float64) / decision.temperature
    return _fit(PatchJoin, decision, calibrated, evidence, labels, groups, balanced, seed)


def fit_second_look(
    decision: DecisionRule,
    calibrated: npt.ArrayLike,
    evidence: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str],
    *,
    balanced: bool = False,
    scale: float = SCALE,
    top: int = TOP,
    doubtful: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
) -> SecondLook:
    """The second look for a decision rule, from films that the network did not learn from.

    calibrated (N, C): as `DecisionRule.joined` gives them. evidence (N,): as `film_evidence` gives it with `scale` and `top`. labels
    (N,): class ids in the order of the rule's scheme. groups (N,): whole groups go to one fold. balanced: healthy and abnormal films
    weigh the same, for a checkpoint whose verdicts hold classes for equally frequent. `fitted_on` holds the figures, first look first, then
    joined, out of fold. Raises ValueError where healthy or abnormal films are of fewer than two groups.
    """
    make = partial(SecondLook, scale=scale, top=top, doubtful=doubtful)
    return _fit(make, decision, np.asarray(calibrated, dtype=np.float64), evidence, labels, groups, balanced, seed)


def _fit(
    make: Callable[[float, float, float], Made],
    decision: DecisionRule,
    calibrated: Floats,
    evidence: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str],
    balanced: bool,
    seed: int,
) -> Made:
    from sklearn.model_selection import StratifiedGroupKFold

    normal_id = decision.scheme.normal_id
    seen, truth = np.asarray(evidence, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    abnormal, single = truth != normal_id, log_odds(calibrated, normal_id)
    weigh = (
        evened if balanced else np.ones_like
    )  # anew in each fold, or a fold of broken films alone would be ranked low for being left out
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    folds = min(FOLDS, *(len(set(member[abnormal == kind].tolist())) for kind in (False, True)))
    if folds < 2:
        raise ValueError("patches: healthy and abnormal films of two groups or more are needed, to fit on one and score on the other")
    joined = np.empty_like(calibrated)
    deal = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for rest, held in deal.split(truth, abnormal, member):
        part = make(*fit_join(single[rest], seen[rest], abnormal[rest], weigh(abnormal[rest])))
        joined[held] = _joined(decision, calibrated[held], seen[held], part)
    found = make(*fit_join(single, seen, abnormal, weigh(abnormal)))
    return replace(found, fitted_on=_figures(decision, calibrated, joined, truth, member.tolist(), found))


def _joined(decision: DecisionRule, calibrated: Floats, evidence: Floats, join: PatchJoin) -> Floats:
    if isinstance(join, SecondLook):
        return decision.looked_again(calibrated, evidence, join)
    return join.joined(calibrated, evidence, decision.scheme.normal_id)


def alike(abnormal: npt.NDArray[np.bool_]) -> Floats:
    """Weights (N,) of 1."""
    return np.ones(len(abnormal))


def evened(abnormal: npt.NDArray[np.bool_]) -> Floats:
    """Weights (N,), averaging 1, under which healthy and abnormal films weigh the same.

    Not all classes: a join moves the abnormal ones together, and the rarest of them, which is the plainest to see, would decide the fit.
    """
    share = np.where(abnormal, abnormal.mean(), 1 - abnormal.mean())
    weights: Floats = 0.5 / share
    return weights


def _figures(
    decision: DecisionRule, single: Floats, joined: Floats, labels: npt.NDArray[np.int64], groups: list[int], join: PatchJoin
) -> dict[str, object]:
    """What decision.json says of a fit: counts, AUROC(abnormal) and log loss before and joined, and what is gained."""
    from sklearn.metrics import roc_auc_score

    from hf_bones.logits import softmax
    from hf_bones.metrics.intervals import paired_differences

    normal_id, names = decision.scheme.normal_id, decision.scheme.names
    both = [softmax(rows) for rows in (single, joined)]
    abnormal = labels != normal_id
    gained = paired_differences(labels, both[1], both[0], np.array(groups), names, normal_id)["auroc_abnormal"]
    return {
        "n": len(labels),
        "groups": len(set(groups)),
        "abnormal": int(abnormal.sum()),
        **({"doubtful": int(join.is_doubtful(1 - both[0][:, normal_id]).sum())} if isinstance(join, SecondLook) else {}),
        "auroc_abnormal": [float(roc_auc_score(abnormal, 1 - each[:, normal_id])) for each in both],
        "auroc_gained": [float(value) for value in gained],
        "log_loss": [negative_log_likelihood(rows, labels) for rows in (single, joined)],
    }


def pays(join: PatchJoin) -> bool:
    """Whether a fitted join ranks films of other groups at least as well as the answer without it."""
    gained: float = join.fitted_on["auroc_gained"][0]
    return gained >= 0


def join_line(join: PatchJoin) -> str:
    """What a fit was worth, for the terminal."""
    told = join.fitted_on
    (before, after), (gained, low, high) = told["auroc_abnormal"], told["auroc_gained"]
    what = (
        ("from the single view", "with the second look") if isinstance(join, SecondLook) else ("of the network alone", "with its patches")
    )
    again = f"; {told['doubtful']} of {told['n']} films looked at twice" if isinstance(join, SecondLook) else ""
    return (
        f"AUROC(abnormal) {before:.3f} {what[0]}, {after:.3f} {what[1]}, out of fold over {told['groups']} groups "
        f"({gained:+.3f}, {low:+.3f} to {high:+.3f}){again}"
    )
