"""From a network's answers to a new decision rule: scaling, thresholds, costs, and what all of it is worth on the same films."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hf_bones.evaluation.calibrate.figures import changes, ece_by_chance, reliability
from hf_bones.evaluation.calibrate.heads import HeadAnswers
from hf_bones.evaluation.calibrate.recipe import AUTO, CalibrateRecipe, error_levels
from hf_bones.evaluation.calibrate.results import MODEL, CalibratedRows, Fitted
from hf_bones.evaluation.calibrate.scaling import Scaled, fit_scaling
from hf_bones.evaluation.calibrate.selective import risk_coverage
from hf_bones.evaluation.calibrate.thresholds import (
    conformal_thresholds,
    normal_threshold,
    open_classes,
    refusal,
    too_few,
    verdicts_of,
)
from hf_bones.evaluation.decision_curve import decision_curve
from hf_bones.inference.conformal import OUT_OF_FOLD, VALIDATION, Conformal
from hf_bones.inference.decision import DecisionRule, negative_log_likelihood
from hf_bones.logits import softmax
from hf_bones.metrics.decisions import decisions_by_class
from hf_bones.metrics.figures import Floats, Ints

Heads = Callable[[], HeadAnswers]


def fit_decision(rows: CalibratedRows, decision: DecisionRule, recipe: CalibrateRecipe, heads: Heads | None = None) -> Fitted:
    """The decision rule of a checkpoint, `decision` so far, fitted anew to rows that it did not learn from.

    heads: gives answers out of fold over train and validation; asked only where thresholds are fitted on them. Without patches and second
    look the scaling becomes the temperature where it is one, else the last step (`vector`).

    Raises ValueError naming a class without films of two groups, `TooFewFilmsError` naming classes with too few for their error level.
    """
    names, scaling = decision.scheme.names, recipe.scaling
    alpha = error_levels(recipe.sets, names)
    short = too_few(rows.labels, names, alpha)
    if short and (recipe.sets.fit_on == VALIDATION or (heads is None and recipe.sets.fit_on == AUTO)):
        raise refusal(short, alpha, VALIDATION)
    fitted_on = recipe.sets.fit_on if recipe.sets.fit_on != AUTO else OUT_OF_FOLD if short else VALIDATION
    scaled = fit_scaling(rows.joined, rows.labels, rows.groups, names, scaling)
    notes: list[str] = []
    shares = softmax(rows.joined) if recipe.sets.before_scaling else scaled.probabilities  # that thresholds are for
    scores, truth = shares, rows.labels
    if fitted_on == OUT_OF_FOLD:
        if recipe.sets.before_scaling:
            raise ValueError(
                "before_scaling: answers of heads have no scaling; fit on validation (--fit-on validation), or set it to false"
            )
        if heads is None:
            raise ValueError("out of fold: needs the films of the train split, too; fit on validation instead (--fit-on validation)")
        stand_ins = heads()
        if short and recipe.sets.fit_on == AUTO and stand_ins.is_flattered:
            raise refusal(short, alpha, VALIDATION, f"{flattered(stand_ins)}, so their answers out of fold are no stand-in. ")
        scores, truth = stand_ins.probabilities, stand_ins.labels
        notes += head_notes(stand_ins, scaled, rows.labels)
    thresholds = conformal_thresholds(scores, truth, names, alpha, fitted_on)
    counts = np.bincount(truth, minlength=len(names))
    levels = Conformal(
        alpha,
        {name: int(count) for name, count in zip(names, counts, strict=True)},
        fitted_on,
        abnormal_together=recipe.sets.abnormal_together,
        before_scaling=recipe.sets.before_scaling,
    )
    moved = dict(thresholds)
    costly, normal = normal_threshold(recipe.costs), decision.scheme.normal
    if costly is not None:
        assert recipe.costs.miss is not None and recipe.costs.alarm is not None
        moved[normal] = costly
        levels = replace(levels, costs={"miss": recipe.costs.miss, "alarm": recipe.costs.alarm})
        notes.append(
            f"Costs moved the threshold of {normal} from {thresholds[normal]:.3f} to {costly:.3f}; its error level of {alpha[normal]:g} "
            "holds for the former alone"
        )
    if decision.second_look is not None:
        notes.append("The second look (--zoom) joins before the scaling; thresholds were fitted without it")
    sets = open_classes(shares, names, moved)
    told = verdicts_of(sets, shares, decision.scheme.normal_id if recipe.sets.abnormal_together else None)
    measure: dict[str, Any] = {"repeats": scaling.repeats, "seed": scaling.seed}
    pair = (rows.before, scaled.probabilities)
    normal_id = decision.scheme.normal_id
    return Fitted(
        decision=_scaled_rule(decision, scaled, rows, moved, levels),
        method=scaled.method,
        losses=scaled.losses,
        probabilities=scaled.probabilities,
        conformal_thresholds=thresholds,
        changes=changes(*pair, rows.labels, rows.groups, names, bins=scaling.bins, **measure),
        by_chance=ece_by_chance(scaled.probabilities, scaling.bins, **measure),
        reliability={
            when: reliability(each, rows.labels, rows.groups, names, **measure)
            for when, each in zip(("before", "after"), pair, strict=True)
        },
        decisions=decisions_by_class(rows.labels, sets, told, rows.groups, names, normal_id, **measure),
        risk=risk_coverage(scaled.probabilities, rows.labels, names),
        curve=decision_curve(rows.labels != normal_id, {MODEL: 1 - scaled.probabilities[:, normal_id]}, rows.groups, **measure),
        notes=tuple(notes),
    )


def _scaled_rule(
    decision: DecisionRule, scaled: Scaled, rows: CalibratedRows, thresholds: dict[str, float], levels: Conformal
) -> DecisionRule:
    """`decision` with its new scaling and thresholds. One factor with nothing joined is a temperature, and stands as one."""
    new = replace(decision, vector=None, thresholds=thresholds, conformal=levels)
    if scaled.method != "temperature" or decision.patches is not None or decision.second_look is not None:
        return replace(new, vector=scaled.scaling)
    temperature = decision.temperature / scaled.scaling.scale[0]
    counts = np.bincount(rows.labels, minlength=len(decision.scheme.names))
    own = rows.joined * decision.temperature
    told = {
        "n": len(rows.labels),
        "counts": {name: int(count) for name, count in zip(decision.scheme.names, counts, strict=True)},
        "log_loss_before": negative_log_likelihood(own, rows.labels),
        "log_loss_after": negative_log_likelihood(own / temperature, rows.labels),
    }
    return replace(new, temperature=temperature, fitted_on=told)


def flattered(heads: HeadAnswers) -> str:
    """That the backbone knows training films, in words."""
    value, low, high = heads.flattery
    return (
        "heads on this checkpoint's features judge films of training better than those of validation that they saw as little of (log loss "
        f"lower by {value:.2f}, {low:.2f} to {high:.2f}): its backbone learnt their labels"
    )


def head_notes(heads: HeadAnswers, scaled: Scaled, labels: Ints) -> list[str]:
    """How far the heads stand for the checkpoint: log loss of both on validation, and whether training films are flattered."""
    own, theirs = (
        _log_loss(scaled.probabilities, labels),
        _log_loss(heads.probabilities[~heads.in_training], heads.labels[~heads.in_training]),
    )
    notes = [
        f"Thresholds were fitted to answers out of fold of heads on frozen features, over {len(heads.labels)} films of train and "
        f"validation. On validation their log loss is {theirs:.3f}, the checkpoint's {own:.3f}: thresholds fit it as far as these agree"
    ]
    if heads.is_flattered:
        notes.append(
            f"{flattered(heads)[0].upper()}{flattered(heads)[1:]}. Thresholds are too high for new films: more of them are referred"
        )
    return notes


def _log_loss(probabilities: Floats, labels: Ints) -> float:
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).eps, 1)).mean())
