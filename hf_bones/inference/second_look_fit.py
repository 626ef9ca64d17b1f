"""Fitting a second look: logistic regression of abnormal against healthy on the single view's log odds and the patches' evidence.

Its figures are out of fold: each film is scored by numbers that were fitted to films of other groups. The numbers that are kept are fitted
to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hf_bones.inference.decision import DecisionRule, negative_log_likelihood
from hf_bones.inference.second_look import SCALE, TOP, Floats, SecondLook, log_odds

FOLDS = 5
STRENGTH = 1.0  # scikit-learn's inverse regularisation, on standardised columns: next to none, and finite where classes are separable


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
        raise ValueError("second look: log odds and evidence must be finite")
    if wanted.all() or not wanted.any():
        raise ValueError(f"second look: {len(wanted)} films, all of them {'abnormal' if len(wanted) and wanted[0] else 'healthy'}")
    share = np.ones(len(wanted)) if weights is None else np.asarray(weights, dtype=np.float64)
    mean = np.average(columns, axis=0, weights=share)
    spread = np.sqrt(np.average((columns - mean) ** 2, axis=0, weights=share))
    spread[spread == 0] = 1.0  # a column that says nothing
    fitted = LogisticRegression(C=STRENGTH, max_iter=1000).fit((columns - mean) / spread, wanted, sample_weight=share)
    slopes = fitted.coef_[0] / spread
    return float(slopes[0]), float(slopes[1]), float(fitted.intercept_[0] - slopes @ mean)


def fit_second_look(
    decision: DecisionRule,
    logits: npt.ArrayLike,
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

    logits (N, C): as the network gives them. evidence (N,): as `film_evidence` gives it with `scale` and `top`. labels (N,): class ids in
    the order of the rule's scheme. groups (N,): whole groups go to one fold. balanced: classes weigh the same, as the verdicts of a
    checkpoint with a verdict shift have it. `fitted_on` holds the figures, single view first, then joined, out of fold.
    Raises ValueError where healthy or abnormal films are of fewer than two groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    normal_id = decision.scheme.normal_id
    calibrated = np.asarray(logits, dtype=np.float64) / decision.temperature
    seen, truth = np.asarray(evidence, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    abnormal, single = truth != normal_id, log_odds(calibrated, normal_id)
    weights = class_balance(truth) if balanced else np.ones(len(truth))
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    folds = min(FOLDS, *(len(set(member[abnormal == kind].tolist())) for kind in (False, True)))
    if folds < 2:
        raise ValueError("second look: healthy and abnormal films of two groups or more are needed, to fit on one and score on the other")
    joined = np.empty_like(calibrated)
    deal = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for rest, held in deal.split(truth, abnormal, member):
        part = SecondLook(*fit_join(single[rest], seen[rest], abnormal[rest], weights[rest]), scale, top, doubtful)
        joined[held] = decision.looked_again(calibrated[held], seen[held], part)
    numbers = fit_join(single, seen, abnormal, weights)
    found = SecondLook(*numbers, scale, top, doubtful)
    return replace(found, fitted_on=_figures(decision, calibrated, joined, truth, member.tolist(), found))


def class_balance(labels: npt.NDArray[np.int64]) -> Floats:
    """Weights (N,), averaging 1, under which all classes that occur weigh the same."""
    _, member, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Floats = len(labels) / (len(counts) * counts[member])
    return weights


def _figures(
    decision: DecisionRule, single: Floats, joined: Floats, labels: npt.NDArray[np.int64], groups: list[int], look: SecondLook
) -> dict[str, object]:
    """What decision.json says of a fit: counts, AUROC(abnormal) and log loss of the single view and joined, and what is gained."""
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
        "doubtful": int(look.is_doubtful(1 - both[0][:, normal_id]).sum()),
        "auroc_abnormal": [float(roc_auc_score(abnormal, 1 - each[:, normal_id])) for each in both],
        "auroc_gained": [float(value) for value in gained],
        "log_loss": [negative_log_likelihood(rows, labels) for rows in (single, joined)],
    }


def look_line(look: SecondLook) -> str:
    """What a fit was worth, for the terminal."""
    told = look.fitted_on
    (before, after), (gained, low, high) = told["auroc_abnormal"], told["auroc_gained"]
    return (
        f"AUROC(abnormal) {before:.3f} from the single view, {after:.3f} with the second look, out of fold over {told['groups']} groups "
        f"({gained:+.3f}, {low:+.3f} to {high:+.3f}); {told['doubtful']} of {told['n']} films looked at twice"
    )
