"""Thresholds for probabilities before scaling, sets of abnormal classes. Run: pytest tests/inference/test_sets_before_scaling.py"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hf_bones.evaluation.calibrate.thresholds import REFERRED, verdicts_of
from hf_bones.inference.conformal import Conformal
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import REFER
from hf_bones.inference.vector import VectorScaling
from hf_bones.inference.verdict import verdict_of
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax

VECTOR = VectorScaling((0.9, 1.0, 1.7), (0.8, -0.5, -0.3))
LEVELS = Conformal(dict.fromkeys(THREE_CLASS.names, 0.1), dict.fromkeys(THREE_CLASS.names, 50), "validation")
RULE = DecisionRule(1.0, THREE_CLASS, 56, {"healthy": 0.1, "fractured": 0.3, "beyond_repair": 0.2}, vector=VECTOR, conformal=LEVELS)


@pytest.mark.parametrize("seed", range(5))
def test_scaling_is_undone(seed: int) -> None:
    before = softmax(np.random.default_rng(seed).normal(scale=4, size=3))
    assert VECTOR.undone(softmax(VECTOR.applied(np.log(before)[None]))[0]) == pytest.approx(before, abs=1e-9)


def test_thresholds_may_be_for_the_probabilities_before() -> None:
    before = np.array([0.5, 0.28, 0.22])
    calibrated = softmax(VECTOR.applied(np.log(before)[None]))[0]
    assert calibrated[2] < 0.2
    assert RULE.prediction_set(calibrated.tolist()) == ("healthy",)
    early = replace(RULE, conformal=replace(LEVELS, before_scaling=True))
    assert early.prediction_set(calibrated.tolist()) == ("healthy", "beyond_repair")


def test_a_set_of_abnormal_classes_may_be_answered_by_the_likeliest() -> None:
    shares = np.array([0.05, 0.5, 0.45])
    assert verdict_of(RULE, shares)[0] == REFER
    together = replace(RULE, conformal=replace(LEVELS, abnormal_together=True))
    verdict, open_classes, reasons = verdict_of(together, shares)
    assert (verdict, open_classes, reasons) == ("fractured", ("fractured", "beyond_repair"), ("beyond_repair is possible too",))
    assert verdict_of(together, np.array([0.2, 0.5, 0.3]))[0] == REFER
    assert verdict_of(together, shares, unfamiliar=True)[0] == REFER


def test_rows_of_sets_are_told_as_single_films_are() -> None:
    sets = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]], dtype=bool)
    shares = np.array([[0.9, 0.05, 0.05], [0.1, 0.4, 0.5], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4]])
    assert verdicts_of(sets).tolist() == [0, REFERRED, REFERRED, REFERRED]
    assert verdicts_of(sets, shares, 0).tolist() == [0, 2, REFERRED, REFERRED]
