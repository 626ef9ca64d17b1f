"""Bootstrap intervals. Run: pytest tests/metrics/test_intervals.py"""

from __future__ import annotations

import numpy as np
import pytest
from drawn_scores import NAMES, drawn_rows
from sklearn import metrics as oracle

from hf_bones.metrics import bootstrap_intervals


def test_bootstrap_draws_whole_groups() -> None:
    # Ten copies of each of 20 rows: drawing rows would shrink the interval by about √10, drawing groups must not.
    labels, scores = drawn_rows(6, 20)
    groups = np.arange(20).astype(str)
    single = bootstrap_intervals(labels, scores, groups, NAMES, repeats=400)
    copied = bootstrap_intervals(np.tile(labels, 10), np.tile(scores, (10, 1)), np.tile(groups, 10), NAMES, repeats=400)
    assert copied["accuracy"] == pytest.approx(single["accuracy"])
    ungrouped = bootstrap_intervals(np.tile(labels, 10), np.tile(scores, (10, 1)), np.arange(200).astype(str), NAMES, repeats=400)
    width = {"copied": np.ptp(copied["accuracy"]), "ungrouped": np.ptp(ungrouped["accuracy"])}
    assert width["ungrouped"] < 0.5 * width["copied"]


def test_intervals_agree_with_a_plain_loop_over_resamples() -> None:
    labels, scores = drawn_rows(8, 120)
    groups = np.repeat(np.arange(30), 4)
    fast = bootstrap_intervals(labels, scores, groups, NAMES, repeats=200, seed=3)
    times = np.random.default_rng(3).multinomial(30, np.full(30, 1 / 30), size=200)
    slow = []
    for draw in times:
        rows = np.repeat(np.arange(120), draw[groups])
        slow.append(oracle.roc_auc_score(labels[rows] != 0, 1 - scores[rows, 0]))
    assert fast["auroc_abnormal"] == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    # 60 groups of 5 rows that are right or wrong together, with accuracy 0.7: 95 % intervals should miss seldom.
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(60):
        right = np.repeat(rng.random(60) < 0.7, 5)
        scores = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        low, high = bootstrap_intervals(np.zeros(300, int), scores, np.repeat(np.arange(60), 5), NAMES[:2], repeats=200)["accuracy"]
        held += low <= 0.7 <= high
    assert held >= 51


def test_an_interval_that_most_resamples_cannot_define_is_nan() -> None:
    labels, scores = np.array([0] * 8 + [1]), np.full((9, 2), 0.5)
    intervals = bootstrap_intervals(labels, scores, np.arange(9), NAMES[:2], repeats=200)
    assert np.isnan(intervals["auroc_abnormal"]).all()
    assert not np.isnan(intervals["accuracy"]).any()


def test_one_group_is_too_few_to_resample() -> None:
    labels, scores = drawn_rows(0, 10)
    with pytest.raises(ValueError, match="2 groups or more"):
        bootstrap_intervals(labels, scores, ["a"] * 10, NAMES)
