"""Calibration and decision.json. Run: pytest tests/inference/test_decision.py"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hf_bones.inference.decision import (
    TEMPERATURE_RANGE,
    DecisionRule,
    calibrate,
    fit_temperature,
    negative_log_likelihood,
    read_decision,
    softmax,
    write_decision,
)
from hf_bones.labels import THREE_CLASS, TWO_CLASS


def drawn_logits(count: int, overconfidence: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from softmax(logits / overconfidence)."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(count, 3)) * 1.5
    labels = np.array([rng.choice(3, p=row) for row in softmax(honest)])
    return honest * overconfidence, labels


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 3.0])
def test_temperature_undoes_a_known_overconfidence(overconfidence: float) -> None:
    logits, labels = drawn_logits(5000, overconfidence)
    assert fit_temperature(logits, labels) == pytest.approx(overconfidence, rel=0.08)


def test_temperature_is_where_the_loss_is_least() -> None:
    logits, labels = drawn_logits(300, 2.0, seed=1)
    best = fit_temperature(logits, labels)
    losses = {t: negative_log_likelihood(logits / t, labels) for t in (best * 0.98, best, best * 1.02)}
    assert min(losses, key=losses.__getitem__) == best


def test_temperature_stays_in_range_where_the_classes_are_separated_or_the_labels_are_wrong() -> None:
    labels = np.array([0, 1, 2] * 5)
    assert fit_temperature(np.eye(3)[labels], labels) == TEMPERATURE_RANGE[0]
    assert fit_temperature(np.eye(3)[(labels + 1) % 3] * 9, labels) == TEMPERATURE_RANGE[1]


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0)),
        (np.zeros((2, 3)), np.zeros(3)),
        (np.zeros((2, 3)), np.array([0, 3])),
        (np.full((1, 3), np.nan), np.zeros(1)),
    ],
)
def test_temperature_refuses_what_it_cannot_fit(logits: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="temperature needs"):
        fit_temperature(logits, labels)


def test_calibrating_never_changes_the_order_of_classes_and_lowers_the_loss() -> None:
    logits, labels = drawn_logits(500, 2.5)
    decision = calibrate(logits, labels, scheme=THREE_CLASS, image_size=224)
    calibrated = softmax(decision.calibrated(logits))
    assert (calibrated.argsort(axis=1) == logits.argsort(axis=1)).all()
    assert np.allclose(calibrated.sum(axis=1), 1)
    assert decision.fitted_on["log_loss_after"] < decision.fitted_on["log_loss_before"]
    assert sum(decision.fitted_on["counts"].values()) == decision.fitted_on["n"] == 500


def test_calibrating_refuses_logits_of_another_scheme() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        calibrate(*drawn_logits(10, 1.0), scheme=TWO_CLASS, image_size=224)


@pytest.mark.parametrize("thresholds", [None, {"healthy": 0.3, "fractured": 0.25, "beyond_repair": 0.1}])
def test_a_decision_survives_its_file(tmp_path: Path, thresholds: dict[str, float] | None) -> None:
    written = DecisionRule(1.7, THREE_CLASS, 224, thresholds, {"n": 12})
    write_decision(written, tmp_path)
    assert read_decision(tmp_path) == written


def test_no_file_means_no_decision(tmp_path: Path) -> None:
    assert read_decision(tmp_path) is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema_version", 9, "update hf-bones"),
        ("temperature", 0, "positive"),
        ("temperature", None, "temperature|float"),
        ("labels", ["healthy"], "label scheme"),
        ("thresholds", {"healthy": 0.1}, "thresholds are for"),
        ("thresholds", 0.5, "thresholds"),
        ("image_size", "big", "big"),
    ],
)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = write_decision(DecisionRule(1.0, THREE_CLASS, 224), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ValueError, match=message) as caught:
        read_decision(tmp_path)
    assert "decision.json" in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = write_decision(DecisionRule(1.0, THREE_CLASS, 224), tmp_path)
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "image_size"}))
    with pytest.raises(ValueError, match=r"image_size.*missing"):
        read_decision(tmp_path)


def test_without_thresholds_the_set_is_the_likeliest_class() -> None:
    assert DecisionRule(1.0, THREE_CLASS, 224).prediction_set([0.4, 0.35, 0.25]) == ("healthy",)


def test_with_thresholds_the_set_holds_every_class_that_reaches_its_own() -> None:
    decision = DecisionRule(1.0, THREE_CLASS, 224, {"healthy": 0.5, "fractured": 0.3, "beyond_repair": 0.1})
    assert decision.prediction_set([0.2, 0.3, 0.5]) == ("beyond_repair", "fractured")
    assert decision.prediction_set([0.49, 0.29, 0.09]) == ()
    assert decision.prediction_set([0.9, 0.05, 0.05]) == ("healthy",)
