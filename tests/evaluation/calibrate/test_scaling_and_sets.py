"""Scaling, thresholds and what they are worth, on drawn answers. Run: pytest tests/evaluation/calibrate/test_scaling_and_sets.py"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bones.config.fields import RecipeError
from hf_bones.evaluation.calibrate.figures import calibration_figures, changes, ece_by_chance, ece_of, equal_mass_bins, reliability
from hf_bones.evaluation.calibrate.fit import fit_decision
from hf_bones.evaluation.calibrate.heads import HeadAnswers, flattery, head_answers
from hf_bones.evaluation.calibrate.recipe import (
    CalibrateRecipe,
    CostSettings,
    ScalingSettings,
    SetSettings,
    error_levels,
)
from hf_bones.evaluation.calibrate.results import CalibratedRows
from hf_bones.evaluation.calibrate.scaling import fit_scaling, group_folds, temperature_scaling, vector_scaling
from hf_bones.evaluation.calibrate.thresholds import (
    TooFewFilmsError,
    conformal_thresholds,
    needed,
    normal_threshold,
    open_classes,
    verdicts_of,
)
from hf_bones.inference.decision import DecisionRule, negative_log_likelihood
from hf_bones.inference.vector import VectorScaling
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax

NAMES = THREE_CLASS.names
QUICK = ScalingSettings(folds=4, repeats=40)


def drawn(count: int, seed: int = 0, prior: tuple[float, ...] = (1.0, 0.0, -1.0)) -> tuple[np.ndarray, np.ndarray]:
    """Honest logits (N, 3), and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 3)) * 1.6 + np.array(prior)
    labels = (softmax(logits).cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    return logits, labels


def rows(count: int = 300, seed: int = 0, spoilt: float = 3.0) -> CalibratedRows:
    """Films whose logits claim `spoilt` times too much."""
    logits, labels = drawn(count, seed)
    joined = logits * spoilt
    return CalibratedRows(joined, softmax(joined), labels, [f"g{row // 2}" for row in range(count)])


# Scaling
def test_vector_scaling_undoes_factors_and_offsets_that_a_temperature_cannot() -> None:
    logits, labels = drawn(6000)
    wrong = VectorScaling((2.0, 0.7, 1.5), (0.0, 1.0, -1.0)).applied(logits)
    vector, temperature = vector_scaling(wrong, labels), temperature_scaling(wrong, labels)
    honest = negative_log_likelihood(logits, labels)
    assert negative_log_likelihood(vector.applied(wrong), labels) == pytest.approx(honest, abs=0.01)
    assert negative_log_likelihood(temperature.applied(wrong), labels) > honest + 0.03
    assert sum(vector.bias) == pytest.approx(0, abs=1e-9)


def test_a_few_films_of_separable_classes_leave_finite_numbers() -> None:
    labels = np.array([0, 1, 2] * 4)
    found = vector_scaling(np.eye(3)[labels] * 5, labels)
    assert np.isfinite([*found.scale, *found.bias]).all() and min(found.scale) > 0


def test_auto_takes_the_lower_log_loss_out_of_fold_and_no_group_is_on_both_sides() -> None:
    logits, labels = drawn(600)
    groups = [f"g{row // 3}" for row in range(600)]
    for wrong in (logits * 2, VectorScaling((2.0, 0.5, 1.5), (0, 2.0, 0)).applied(logits)):
        found = fit_scaling(wrong, labels, groups, NAMES, QUICK)
        assert found.method == min(found.losses, key=found.losses.__getitem__)
        assert negative_log_likelihood(np.log(found.probabilities), labels) == pytest.approx(found.losses[found.method])
    assert found.method == "vector" and found.losses["vector"] < found.losses["temperature"] - 0.01
    named = fit_scaling(logits, labels, groups, NAMES, replace(QUICK, method="vector"))
    assert named.method == "vector" and set(named.losses) == {"vector"}
    for rest, held in group_folds(labels, groups, NAMES, 5, 0):
        assert not {groups[row] for row in rest} & {groups[row] for row in held}


def test_a_class_of_one_group_is_named() -> None:
    logits, labels = drawn(40)
    groups = ["same" if label == 2 else str(row) for row, label in enumerate(labels)]
    with pytest.raises(ValueError, match="beyond_repair has films of one group only"):
        fit_scaling(logits, labels, groups, NAMES, QUICK)


# Figures
def test_calibration_error_in_bins_of_equally_many_films_by_hand() -> None:
    scores, right = np.array([0.9, 0.1, 0.8, 0.3]), np.array([True, False, False, True])
    assert equal_mass_bins(scores, 2).tolist() == [1, 0, 1, 0]
    assert ece_of(scores, right, 2)[0] == pytest.approx((abs(1 - 0.4) + abs(1 - 1.7)) / 4)
    weights = np.array([[2.0, 0.0, 0.0, 1.0]])
    assert ece_of(scores, right, 2, weights)[0] == pytest.approx((abs(0.7) + abs(0.2)) / 3)
    assert equal_mass_bins(scores, 9).max() == 3, "no more bins than films"


def test_honest_probabilities_are_within_chance_and_spoilt_ones_are_not() -> None:
    logits, labels = drawn(1500, seed=3)
    for factor, honest in ((1.0, True), (3.0, False)):
        shares = softmax(logits * factor)
        assert (calibration_figures(shares, labels, NAMES, 15)["ece"][0] < ece_by_chance(shares, 15, repeats=300)) == honest


def test_changes_have_intervals_of_the_same_resamples_and_none_of_one_group() -> None:
    logits, labels = drawn(400)
    groups = [str(row // 4) for row in range(400)]
    found = changes(softmax(logits * 3), softmax(logits), labels, groups, NAMES, bins=10, repeats=100)
    for key in ("ece", "brier", "log_loss"):
        change = found[key]
        assert change.change < 0 and change.change_interval is not None and change.change_interval[1] < 0, key
        assert (change.after_interval is not None and change.after_interval[0] <= change.after <= change.after_interval[1]) or key == "ece"
    alone = changes(softmax(logits), softmax(logits), labels, ["g"] * 400, NAMES, bins=10)["brier"]
    assert alone.change == 0 and alone.change_interval is None


def test_reliability_bins_hold_all_films_and_say_what_came_true() -> None:
    logits, labels = drawn(90)
    table = reliability(softmax(logits), labels, [str(row) for row in range(90)], NAMES, repeats=20)
    for index, name in enumerate(NAMES):
        assert sum(each.share.of for each in table[name]) == 90
        assert sum(each.share.count for each in table[name]) == int((labels == index).sum())
        means = [each.probability for each in table[name]]
        assert means == sorted(means)


# Thresholds
@pytest.mark.parametrize(("alpha", "least"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.07, 14), (0.3, 3)])
def test_the_fewest_films_of_an_error_level(alpha: float, least: int) -> None:
    assert needed(alpha) == least
    scores = np.linspace(0.1, 0.9, least)
    table = np.stack([scores, 1 - scores], axis=1)
    labels = np.zeros(least, dtype=np.int64)
    level = {"a": alpha, "b": 0.99}
    with pytest.raises(TooFewFilmsError, match="b: 0 films"):
        conformal_thresholds(table, labels, ("a", "b"), level)
    found = conformal_thresholds(np.vstack([table, [[0.2, 0.8]]]), np.append(labels, 1), ("a", "b"), level)
    assert found["a"] == pytest.approx(0.1), "with the fewest films it is the smallest probability"


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 60), st.sampled_from([0.05, 0.1, 0.13, 0.25]), st.integers(0, 10_000))
def test_the_quantile_leaves_out_as_many_as_the_correction_says(count: int, alpha: float, seed: int) -> None:
    if count < needed(alpha):
        return
    scores = np.random.default_rng(seed).random(count)
    threshold = conformal_thresholds(scores[:, None], np.zeros(count, dtype=np.int64), ("a",), {"a": alpha})["a"]
    below = int((scores < threshold).sum())
    # A new film ranks below the threshold in below + 1 of count + 1 places.
    assert (below + 1) / (count + 1) <= alpha + 1e-12 < (below + 2) / (count + 1) + 1e-12


def test_coverage_over_draws_is_what_was_promised() -> None:
    alpha, count, draws = 0.1, 39, 400
    random = np.random.default_rng(0)
    covered = []
    for _ in range(draws):
        fit, new = random.beta(3, 1, count), random.beta(3, 1, 200)
        covered.append((new >= conformal_thresholds(fit[:, None], np.zeros(count, dtype=np.int64), ("a",), {"a": alpha})["a"]).mean())
    error = np.std(covered) / np.sqrt(draws)
    assert 1 - alpha - 2 * error <= np.mean(covered) <= 1 - alpha + 1 / (count + 1) + 2 * error


def test_a_class_with_too_few_films_is_named_with_what_is_missing_and_what_to_do() -> None:
    own = rows()
    few = np.flatnonzero(own.labels != 2).tolist() + np.flatnonzero(own.labels == 2)[:5].tolist()
    part = CalibratedRows(own.joined[few], own.before[few], own.labels[few], [str(row) for row in few])
    rule = DecisionRule(1.0, THREE_CLASS, 56)
    with pytest.raises(TooFewFilmsError) as refused:
        fit_decision(part, rule, CalibrateRecipe(scaling=QUICK))
    said = str(refused.value)
    assert "beyond_repair: 5 films, 4 too few for an error level of 0.1" in said and "healthy" not in said
    assert "--class-alpha beyond_repair=0.167" in said and "--fit-on out_of_fold" in said
    allowed = CalibrateRecipe(scaling=QUICK, sets=SetSettings(class_alpha={"beyond_repair": 0.167}))
    found = fit_decision(part, rule, allowed).decision
    assert found.conformal is not None and found.conformal.n["beyond_repair"] == 5 and found.conformal.alpha["beyond_repair"] == 0.167


def test_sets_verdicts_and_the_threshold_by_costs() -> None:
    shares = np.array([[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.3, 0.35, 0.35]])
    sets = open_classes(shares, NAMES, {"healthy": 0.5, "fractured": 0.3, "beyond_repair": 0.4})
    assert sets.tolist() == [[True, True, False], [True, False, False], [False, True, False]]
    assert verdicts_of(sets).tolist() == [-1, 0, 1]
    assert normal_threshold(CostSettings(9.0, 1.0)) == pytest.approx(0.9) and normal_threshold(CostSettings()) is None
    with pytest.raises(RecipeError, match="both costs or none"):
        CostSettings(miss=3.0)


# The rule as a whole
def test_a_temperature_stands_as_one_where_nothing_is_joined_and_scales_the_logits_as_was_said() -> None:
    own, rule = rows(), DecisionRule(2.0, THREE_CLASS, 56)
    recipe = CalibrateRecipe(scaling=replace(QUICK, method="temperature"))
    found = fit_decision(own, rule, recipe)
    assert found.decision.vector is None and found.decision.temperature == pytest.approx(6.0, rel=0.3)
    logits = own.joined * 2.0
    scale = temperature_scaling(own.joined, own.labels)
    assert np.allclose(softmax(found.decision.calibrated(logits)), softmax(scale.applied(own.joined)))
    assert found.changes["log_loss"].change < 0 and found.decision.fitted_on["n"] == 300
    vector = fit_decision(own, rule, CalibrateRecipe(scaling=replace(QUICK, method="vector")))
    assert vector.decision.temperature == 2.0 and vector.decision.vector is not None


def test_costs_move_the_normal_threshold_alone_and_the_record_says_so() -> None:
    own, rule = rows(), DecisionRule(1.0, THREE_CLASS, 56)
    plain = fit_decision(own, rule, CalibrateRecipe(scaling=QUICK))
    moved = fit_decision(own, rule, CalibrateRecipe(scaling=QUICK, costs=CostSettings(9.0, 1.0)))
    assert plain.decision.thresholds is not None and moved.decision.thresholds is not None
    assert moved.decision.thresholds == {**plain.decision.thresholds, "healthy": 0.9}
    assert moved.conformal_thresholds == plain.decision.thresholds
    assert moved.decision.conformal is not None and moved.decision.conformal.costs == {"miss": 9.0, "alarm": 1.0}
    assert "Costs moved" in " ".join(moved.notes)
    assert moved.decisions[0].missed.count <= plain.decisions[0].missed.count, "a dearer miss is made no more often"


def test_out_of_fold_answers_lend_films_to_a_rare_class_unless_the_backbone_knows_them() -> None:
    own = rows(120)
    short = SetSettings(alpha=1 / (int((own.labels == 2).sum()) + 2) - 1e-4)
    rule = DecisionRule(1.0, THREE_CLASS, 56)
    many_logits, many = drawn(600, seed=5)
    scaled = fit_scaling(many_logits, many, [str(row) for row in range(600)], NAMES, QUICK)
    honest = HeadAnswers(scaled.probabilities, many, np.arange(600) >= 120, scaled, (0.01, -0.05, 0.07))
    found = fit_decision(own, rule, CalibrateRecipe(scaling=QUICK, sets=short), lambda: honest)
    assert found.decision.conformal is not None and found.decision.conformal.fitted_on == "out_of_fold"
    assert found.decision.conformal.n["beyond_repair"] == int((many == 2).sum())
    assert found.decision.thresholds == conformal_thresholds(scaled.probabilities, many, NAMES, error_levels(short, NAMES))
    knows = replace(honest, flattery=(0.5, 0.3, 0.7))
    with pytest.raises(TooFewFilmsError, match="learnt their labels"):
        fit_decision(own, rule, CalibrateRecipe(scaling=QUICK, sets=short), lambda: knows)
    asked = CalibrateRecipe(scaling=QUICK, sets=replace(short, fit_on="out_of_fold"))
    assert "Thresholds are too high" in " ".join(fit_decision(own, rule, asked, lambda: knows).notes)


def test_heads_judge_films_of_other_groups_and_flattery_is_seen() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(180) % 3
    groups = [f"g{row // 6}" for row in range(180)]
    features = random.normal(size=(180, 5)) + np.eye(5)[labels] * 2
    training = np.arange(180) >= 90
    sets = SetSettings(head_folds=3, head_strengths=[1.0])
    fair = head_answers(features, labels, groups, training, NAMES, 0, sets, QUICK)
    assert (fair.probabilities.argmax(axis=1) == labels).mean() > 0.7 and not fair.is_flattered
    told = features + np.where(training[:, None], np.eye(5)[labels] * 6, 0)  # features of training films give the label away
    assert head_answers(told, labels, groups, training, NAMES, 0, sets, QUICK).is_flattered
    assert np.isnan(flattery(fair.probabilities, labels, groups, np.zeros(180, dtype=bool), repeats=5)).all()
