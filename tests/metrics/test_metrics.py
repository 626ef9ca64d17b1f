"""Figures against scikit-learn, by hand and where they are undefined. Run: pytest tests/metrics/test_metrics.py"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from drawn_scores import NAMES, drawn_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT
from sklearn import metrics as oracle

from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import bootstrap_intervals, classification_metrics, figure_support, selection_score, undefined_reason
from hf_bones.metrics.figures import weighted_auroc, weighted_figures
from hf_bones.metrics.modules import trainer_metrics


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_sklearn(seed: int, ties: bool) -> None:
    labels, scores = drawn_rows(seed, ties=ties)
    predicted = scores.argmax(axis=1)
    found = classification_metrics(labels, scores, NAMES)
    expected = {
        "accuracy": oracle.accuracy_score(labels, predicted),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, predicted),
        "macro_f1": oracle.f1_score(labels, predicted, average="macro"),
        "cohen_kappa": oracle.cohen_kappa_score(labels, predicted),
        "auroc_abnormal": oracle.roc_auc_score(labels != 0, 1 - scores[:, 0]),
        "auroc_ovr_macro": oracle.roc_auc_score(labels, scores, multi_class="ovr", average="macro"),
        "brier": oracle.brier_score_loss(labels, scores, scale_by_half=False),
        "log_loss": oracle.log_loss(labels, scores),
    }
    for index, name in enumerate(NAMES):
        expected[f"auroc_ovr_{name}"] = oracle.roc_auc_score(labels == index, scores[:, index])
        expected[f"sensitivity_{name}"] = oracle.recall_score(labels == index, predicted == index)
        expected[f"specificity_{name}"] = oracle.recall_score(labels != index, predicted != index)
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-12)


def test_a_weighted_row_counts_as_that_many_rows() -> None:
    labels, scores = drawn_rows(4, 60, ties=True)
    times = np.random.default_rng(0).integers(0, 4, 60)
    weighted = weighted_figures(labels, scores, times[None].astype(float), NAMES, 0, 0.85)
    repeated = classification_metrics(np.repeat(labels, times), np.repeat(scores, times, axis=0), NAMES)
    assert {key: float(value[0]) for key, value in weighted.items()} == pytest.approx(repeated, nan_ok=True)


def test_counts_and_rates_of_a_hand_worked_example() -> None:
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2]
    predicted = [0, 0, 0, 1, 1, 0, 2, 2, 1]
    scores = np.eye(3)[predicted] * 0.7 + 0.1
    found = classification_metrics(labels, scores, NAMES)
    assert [found[f"support_{name}"] for name in NAMES] == [4, 3, 2]
    assert [found[f"correct_{name}"] for name in NAMES] == [3, 1, 1]
    assert [found[f"predicted_{name}"] for name in NAMES] == [4, 3, 2]
    assert all(isinstance(found[f"correct_{name}"], int) for name in NAMES)
    assert found["n"] == 9
    assert found["sensitivity_fractured"] == pytest.approx(1 / 3)
    assert found["specificity_fractured"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 3 + 1 / 2) / 3)


def test_calibration_error_of_a_hand_worked_example() -> None:
    # Ten rows at confidence 0.8, six of them right: |0.6 - 0.8|; ten at 0.5, five right: 0.
    labels = [0] * 6 + [1] * 4 + [0] * 5 + [1] * 5
    scores = [[0.8, 0.2]] * 10 + [[0.5, 0.5]] * 10
    assert classification_metrics(labels, scores, ("healthy", "fractured"))["ece"] == pytest.approx(0.1)


def test_threshold_keeps_the_asked_share_of_healthy_rows_and_is_the_lowest_that_does() -> None:
    # Twenty healthy rows scored .01, .02, … .20: 17 of 20 must stay at or below, so the threshold is .17.
    healthy = np.arange(1, 21) / 100
    fractured, severe = np.array([0.16, 0.17, 0.171, 0.5]), np.array([0.1, 0.9])
    abnormal = np.concatenate([healthy, fractured, severe])
    labels = [0] * 20 + [1] * 4 + [2] * 2
    scores = np.stack([1 - abnormal, abnormal / 2, abnormal / 2], axis=1)
    found = classification_metrics(labels, scores, NAMES)
    assert found["threshold_at_specificity_85"] == pytest.approx(0.17)
    assert found["achieved_specificity_85"] == pytest.approx(17 / 20)
    assert (found["caught_fractured_at_specificity_85"], found["caught_beyond_repair_at_specificity_85"]) == (2, 1)
    assert found["sensitivity_fractured_at_specificity_85"] == pytest.approx(2 / 4)
    assert found["sensitivity_abnormal_at_specificity_85"] == pytest.approx(3 / 6)
    assert "sensitivity_abnormal_at_specificity_97.5" in classification_metrics(labels, scores, NAMES, specificity=0.975)


def test_sensitivity_at_specificity_is_a_point_of_the_roc_curve() -> None:
    labels, scores = drawn_rows(7)
    found = classification_metrics(labels, scores, NAMES, specificity=0.9)
    false, true, _ = oracle.roc_curve(labels != 0, 1 - scores[:, 0], drop_intermediate=False)
    assert found["sensitivity_abnormal_at_specificity_90"] == pytest.approx(true[false <= 0.1].max())


def test_two_classes_give_one_abnormal_class() -> None:
    labels, scores = drawn_rows(2, classes=2)
    found = classification_metrics(labels, scores, ("healthy", "fractured"))
    assert found["auroc_abnormal"] == pytest.approx(found["auroc_ovr_fractured"])
    assert found["sensitivity_abnormal_at_specificity_85"] == found["sensitivity_fractured_at_specificity_85"]


def test_normal_class_need_not_come_first() -> None:
    labels, scores = drawn_rows(5)
    swapped = [1, 2, 0]  # column k now holds what was column swapped[k]
    moved = classification_metrics(np.argsort(swapped)[labels], scores[:, swapped], [NAMES[k] for k in swapped], normal_id=2)
    assert moved == pytest.approx(classification_metrics(labels, scores, NAMES))


def test_what_a_slice_cannot_define_is_nan_with_a_reason_and_the_rest_is_given() -> None:
    labels, scores = drawn_rows(1)
    abnormal = labels != 0
    found = classification_metrics(labels[abnormal], scores[abnormal], NAMES)
    undefined = {key for key, value in found.items() if math.isnan(value)}
    assert {"auroc_abnormal", "balanced_accuracy", "macro_f1", "auroc_ovr_macro", "auroc_ovr_healthy", "sensitivity_healthy"} <= undefined
    assert {"threshold_at_specificity_85", "sensitivity_fractured_at_specificity_85", "caught_fractured_at_specificity_85"} <= undefined
    assert {"accuracy", "sensitivity_fractured", "auroc_ovr_fractured", "ece", "brier"}.isdisjoint(undefined)
    supports = {name: int(found[f"support_{name}"]) for name in NAMES}
    assert all(undefined_reason(key, supports, "healthy").endswith("no row of healthy") for key in undefined if "caught" not in key)


def test_no_rows_and_one_class_give_nan_and_no_crash() -> None:
    empty = classification_metrics(np.zeros(0, dtype=int), np.zeros((0, 3)), NAMES)
    assert empty["n"] == 0
    assert math.isnan(empty["accuracy"]) and math.isnan(empty["ece"]) and math.isnan(empty["auroc_abnormal"])
    one = classification_metrics([0, 0], [[0.9, 0.1], [0.8, 0.2]], ("healthy", "fractured"))
    assert one["accuracy"] == 1.0
    assert math.isnan(one["cohen_kappa"]) and math.isnan(one["auroc_abnormal"])


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 3], [[0.5, 0.3, 0.2]] * 2, "row 1: label 3"),
        ([0, -1], [[0.5, 0.3, 0.2]] * 2, "row 1: label -1"),
        ([0, 1], [[0.5, 0.3, 0.2], [2.0, -1.0, 0.0]], "row 1: .* softmax"),
        ([0, 1], [[0.5, 0.3, 0.2], [np.nan, 0.5, 0.5]], "row 1: .* not probabilities"),
        ([0], [[0.5, 0.3, 0.2]] * 2, r"labels have shape \(1,\)"),
        ([0.0, 1.0], [[0.5, 0.3, 0.2]] * 2, "whole numbers"),
        ([0, 1], [[0.5, 0.5]] * 2, r"expected \(rows, 3\)"),
    ],
)
def test_wrong_input_is_refused_naming_the_row(labels: list[float], scores: list[list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classification_metrics(labels, scores, NAMES)


def test_class_names_that_would_hide_a_figure_are_refused() -> None:
    with pytest.raises(ValueError, match="rename the class"):
        classification_metrics([0], [[0.5, 0.3, 0.2]], ("healthy", "abnormal", "other"))


def test_selection_score_is_the_mean_of_both_aurocs_and_leaves_out_a_missing_class() -> None:
    labels, scores = drawn_rows(3)
    found = classification_metrics(labels, scores, NAMES)
    assert selection_score(labels, scores) == pytest.approx((found["auroc_abnormal"] + found["auroc_ovr_macro"]) / 2)
    kept = labels != 2
    part = classification_metrics(labels[kept], scores[kept], NAMES)
    mean = (part["auroc_ovr_healthy"] + part["auroc_ovr_fractured"]) / 2
    assert selection_score(labels[kept], scores[kept]) == pytest.approx((part["auroc_abnormal"] + mean) / 2)
    assert math.isnan(selection_score([0, 0], scores[:2]))


def test_support_is_the_scarcest_class_that_a_figure_needs() -> None:
    supports = {"healthy": 500, "fractured": 90, "beyond_repair": 22}
    assert figure_support("balanced_accuracy", supports, "healthy") == (22, "beyond_repair")
    assert figure_support("auroc_abnormal", supports, "healthy") == (112, "any abnormal class")
    assert figure_support("sensitivity_fractured", supports, "healthy") == (90, "fractured")
    assert figure_support("specificity_healthy", supports, "healthy") == (112, "any class but healthy")
    assert figure_support("sensitivity_fractured_at_specificity_85", supports, "healthy") == (90, "fractured")
    assert figure_support("threshold_at_specificity_85", supports, "healthy") == (500, "healthy")
    assert figure_support("ece", supports, "healthy") == (612, "any class")


rows_strategy = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=rows_strategy, rows=st.integers(4, 40), ties=st.booleans())
def test_the_order_of_rows_changes_nothing(seed: int, rows: int, ties: bool) -> None:
    labels, scores = drawn_rows(seed, rows, ties=ties)
    groups = np.random.default_rng(seed).integers(0, 5, rows).astype(str)
    groups[:2] = ["0", "1"]
    order = np.random.default_rng(seed + 1).permutation(rows)
    assert classification_metrics(labels[order], scores[order], NAMES) == pytest.approx(
        classification_metrics(labels, scores, NAMES), nan_ok=True
    )
    intervals = bootstrap_intervals(labels, scores, groups, NAMES, repeats=30)
    shuffled = bootstrap_intervals(labels[order], scores[order], groups[order], NAMES, repeats=30)
    assert {k: v[0] for k, v in shuffled.items()} == pytest.approx({k: v[0] for k, v in intervals.items()}, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(seed=rows_strategy, rows=st.integers(4, 60), ties=st.booleans())
def test_rates_stay_in_range_and_auroc_turns_round_with_the_score(seed: int, rows: int, ties: bool) -> None:
    labels, scores = drawn_rows(seed, rows, ties=ties)
    for key, value in classification_metrics(labels, scores, NAMES).items():
        if key.startswith(("accuracy", "auroc", "sensitivity", "specificity", "ece", "balanced", "macro", "achieved")):
            assert math.isnan(value) or -1e-12 <= value <= 1 + 1e-12
    once, score = np.ones((1, rows)), scores[:, 0]
    assert weighted_auroc(labels == 0, score, once) + weighted_auroc(labels == 0, -score, once) == pytest.approx(1.0)


def test_evaluate_modules_work_without_a_network_and_leave_nothing_on_disk(tmp_path: Path) -> None:
    # A fresh process: cache folders are read from the environment when `evaluate` is imported.
    program = """
import socket, sys
def refuse(*args, **kwargs):
    raise OSError("no network in this test")
socket.socket.connect = refuse
import hf_bones.metrics
assert not {"torch", "evaluate", "datasets"} & set(sys.modules), "importing hf_bones.metrics must stay light"
from hf_bones.metrics.modules import METRICS, load_metric
import evaluate
rows = [[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]
truth = [0, 1, 1, 2]
for name in METRICS:
    figures = load_metric(name).compute(predictions=rows, references=truth)
    assert figures, name
    if name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc_abnormal", "cohen_kappa", "ece", "brier"):
        assert list(figures) == [name], figures
assert load_metric("accuracy").compute(predictions=rows, references=truth) == {"accuracy": 0.75}
fed = load_metric("accuracy")
fed.add_batch(predictions=rows[:3], references=truth[:3])
fed.add(prediction=rows[3], reference=truth[3])
assert fed.compute() == {"accuracy": 0.75}
together = evaluate.combine([load_metric("accuracy"), load_metric("ece")])
assert set(together.compute(predictions=rows, references=truth)) == {"accuracy", "ece"}
one = load_metric("sensitivity_at_specificity").compute(predictions=rows, references=truth, names=list("abc"), specificity=0.5)
assert "sensitivity_b_at_specificity_50" in one and "sensitivity_b" not in one, one
try:
    load_metric("acuracy")
except ValueError as error:
    assert "balanced_accuracy" in str(error)
else:
    raise AssertionError("an unknown name was accepted")
"""
    folder = tmp_path / "home"
    folder.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    left = [path for path in [*folder.rglob("*"), *scratch.rglob("*")] if path.is_file()]
    assert not [path for path in left if path.suffix in {".arrow", ".lock"}], left


def test_what_the_trainer_logs_is_what_the_plain_functions_give_and_draws_nothing() -> None:
    labels, scores = drawn_rows(3, 40)
    logits = np.log(scores).astype(np.float32)
    state = np.random.get_state()[1].copy()
    logged = trainer_metrics(THREE_CLASS)(SimpleNamespace(predictions=logits, label_ids=labels))
    assert (np.random.get_state()[1] == state).all()
    probabilities = softmax(logits.astype(np.float64))
    figures = classification_metrics(labels, probabilities, NAMES)
    assert list(logged) == ["selection", "accuracy", "balanced_accuracy", "auroc_abnormal", "auroc_ovr_macro"]
    assert logged == {"selection": selection_score(labels, probabilities)} | {key: figures[key] for key in list(logged)[1:]}
