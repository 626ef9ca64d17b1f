"""What a paired difference of scores tells apart. Run: pytest tests/evaluation/compare/test_paired_differences.py"""

import math

import numpy as np
import pytest

from hf_bones.evaluation.compare.figures import ABNORMAL, ALL, Part, abnormal_score, difference, parts_of, score_draws, seed_figures
from hf_bones.evaluation.compare.scores import SplitRows
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.labels import THREE_CLASS
from hf_bones.metrics import selection_score
from hf_bones.metrics.figures import weighted_selection

FEW = Resampling(repeats=60)
NAMES = THREE_CLASS.names


def part_of(labels: np.ndarray, groups: np.ndarray) -> Part:
    return Part("rows", labels, groups, np.arange(len(labels)), NAMES, 0)


def softened(labels: np.ndarray, noise: float, seed: int) -> np.ndarray:
    scores = np.eye(3)[labels] + np.random.default_rng(seed).normal(0, noise, (len(labels), 3))
    shares = np.exp(scores)
    return shares / shares.sum(axis=1, keepdims=True)


def test_the_weighted_selection_score_of_rows_drawn_often_is_the_one_that_training_gives_them():
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 0])
    table = softened(labels, 1.0, 3)
    times = np.array([[1] * 8, [2, 1, 3, 0, 1, 1, 0, 1], [1, 1, 0, 2, 3, 0, 1, 1], [1, 0, 0, 1, 0, 0, 1, 1]])
    wanted = [selection_score(np.repeat(labels, each), np.repeat(table, each, axis=0)) for each in times]
    assert weighted_selection(labels, table, times.astype(float), 0) == pytest.approx(wanted, nan_ok=True)


def test_a_paired_difference_tells_apart_what_is_apart_and_nothing_else():
    labels = np.tile([0, 0, 1, 2], 60)
    part = part_of(labels, np.array([f"g{place // 3}" for place in range(len(labels))]))
    good, poor = softened(labels, 0.5, 1), softened(labels, 3.0, 2)

    def draws(*tables):
        return score_draws(part, tables, abnormal_score(0), ABNORMAL, FEW)

    found = difference(draws(good), draws(poor), 0.95)
    assert found.value > 0 and found.interval[0] > 0 and found.p == pytest.approx(2 / 61)
    back = difference(draws(poor), draws(good), 0.95)
    assert back.value == -found.value and back.p == found.p
    same = difference(draws(poor, good), draws(good, poor), 0.95)
    assert same.value == 0 and same.interval is None and same.p is None
    other = softened(labels, 1.0, 4)
    equal = difference(draws(other), draws(np.roll(other, 120, axis=0)), 0.95)  # as good, by other rows of the same classes
    assert equal.value == pytest.approx(0) and equal.interval[0] < 0 < equal.interval[1] and equal.p > 0.3


def test_too_few_rows_or_groups_give_a_difference_without_interval():
    labels = np.array([0, 1, 2] * 4)
    part = part_of(labels, np.array([f"g{place}" for place in range(12)]))
    tables = [softened(labels, 1.0, seed) for seed in (1, 2)]
    found = difference(*(score_draws(part, [table], abnormal_score(0), ABNORMAL, FEW) for table in tables), 0.95)
    assert found.interval is None and found.p is None and not math.isnan(found.value)


def test_the_interval_of_one_seed_is_that_of_the_evaluation_report():
    from hf_bones.metrics import bootstrap_intervals

    labels = np.tile([0, 0, 1, 2], 30)
    groups = np.array([f"g{place // 2}" for place in range(len(labels))])
    table = softened(labels, 1.5, 1)
    found = seed_figures(part_of(labels, groups), [table], 0.85, FEW)
    wanted = bootstrap_intervals(labels, table, groups, NAMES, repeats=60)
    for key in ("auroc_abnormal", "balanced_accuracy", "sensitivity_fractured_at_specificity_85"):
        assert found.figures[key].interval == pytest.approx(wanted[key])
    assert found.spread["auroc_abnormal"] is None


def test_sources_stand_apart_and_one_with_both_kinds_of_rows_is_read_first():
    labels = np.array([1, 2, 1, 2, 0, 1, 2])
    rows = SplitRows("test", None, THREE_CLASS, labels, tuple("abcdefg"), ("web",) * 4 + ("clinic",) * 3, "", "")
    readable, blank = softened(labels, 1.0, 1), softened(labels, 1.0, 2)
    blank[3] = np.nan  # one model could not read a row: nobody is scored on it
    parts = parts_of(rows, [readable, blank])
    assert [(part.name, part.kept.tolist()) for part in parts] == [("clinic", [4, 5, 6]), ("web", [0, 1, 2]), (ALL, [0, 1, 2, 4, 5, 6])]
