"""Vector scaling and error levels in decision.json, and what a referred film is told. Run: pytest tests/inference/test_conformal.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import grey, telling_checkpoint

from hf_bones.inference.conformal import Conformal, refer_reasons
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.predictor import BonePredictor
from hf_bones.inference.vector import VectorScaling
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax

NAMES = THREE_CLASS.names
LEVELS = Conformal(dict.fromkeys(NAMES, 0.1), dict.fromkeys(NAMES, 20), "validation", costs={"miss": 4.0, "alarm": 1.0})
VECTOR = VectorScaling((2.0, 0.5, 1.0), (0.1, -0.2, 0.1), fitted_on={"n": 60})


def test_vector_scaling_takes_no_notice_of_a_number_added_to_all_logits() -> None:
    logits = np.array([[1.0, 0.0, -1.0], [300.0, 0.0, -300.0]])
    once = VECTOR.applied(logits)
    assert np.isfinite(once).all() and np.allclose(once, VECTOR.applied(logits + 7))
    assert np.allclose(softmax(VectorScaling((0.5,) * 3, (0.0,) * 3).applied(logits)), softmax(logits / 2))


def test_a_rule_with_all_of_it_survives_its_file(tmp_path: Path) -> None:
    rule = DecisionRule(1.7, THREE_CLASS, 224, dict.fromkeys(NAMES, 0.3), vector=VECTOR, conformal=LEVELS)
    write_decision(rule, tmp_path)
    assert read_decision(tmp_path) == rule


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vector": [1, 2]}, "'vector' must be null or a mapping"),
        ({"vector": {"scale": [1, 1, 1]}}, "key 'bias' is missing"),
        ({"vector": {"scale": [1, 1, 0], "bias": [0, 0, 0]}}, "scale must hold finite numbers over 0"),
        ({"vector": {"scale": [1, 1], "bias": [0, 0]}}, "2 numbers in scale"),
        ({"vector": {"scale": [1, 1, 1], "bias": [0, 0]}}, "3 numbers in scale, 2 in bias"),
        ({"conformal": 3}, "'conformal' must be null or a mapping"),
        ({"conformal": {"alpha": {}, "n": {}}}, "key 'fitted_on' is missing"),
        ({"conformal": {"alpha": {"healthy": 2}, "n": {"healthy": 1}, "fitted_on": "validation"}}, "alpha must be between 0 and 1"),
        ({"conformal": {"alpha": {"healthy": 0.1}, "n": {"healthy": 9}, "fitted_on": "test"}}, "fitted_on must be"),
        ({"conformal": {"alpha": [1], "n": {}, "fitted_on": "validation"}}, "conformal"),
        ({"thresholds": None}, "needs 'thresholds'"),
    ],
)
def test_a_malformed_file_is_refused_by_name_and_key(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write_decision(DecisionRule(1.0, THREE_CLASS, 56, dict.fromkeys(NAMES, 0.3), vector=VECTOR, conformal=LEVELS), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=said) as refused:
        read_decision(tmp_path)
    assert str(path) in str(refused.value)


def test_a_referred_film_is_told_why() -> None:
    shares = {"healthy": 0.52, "fractured": 0.4, "beyond_repair": 0.08}
    assert refer_reasons(("healthy", "fractured"), shares, LEVELS)[0] == (
        "healthy (52 %) and fractured (40 %) are both possible at an error level of 10 %"
    )
    every = refer_reasons(NAMES, shares, None)[0]
    assert every == "healthy (52 %), fractured (40 %) and beyond_repair (8 %) are all possible"
    mixed = Conformal({**LEVELS.alpha, "beyond_repair": 0.2}, LEVELS.n, "validation")
    assert refer_reasons((), shares, mixed)[0] == (
        "no class is likely enough at error levels of 10 to 20 %: the likeliest is healthy (52 %)"
    )


def test_the_predictor_scales_last_and_refers(tmp_path: Path) -> None:
    folder = telling_checkpoint(tmp_path)
    film = np.asarray(grey())
    write_decision(DecisionRule(2.0, THREE_CLASS, 56), folder)
    before = BonePredictor.from_pretrained(folder, device="cpu")
    plain = before.predict(film)[0]
    write_decision(DecisionRule(2.0, THREE_CLASS, 56, dict.fromkeys(NAMES, 1e-9), vector=VECTOR, conformal=LEVELS), folder)
    found = BonePredictor.from_pretrained(folder, device="cpu").predict(film)[0]
    scaled = softmax(VECTOR.applied(before.logits([film]) / 2.0))[0]
    assert list(found.probabilities.values()) == pytest.approx(scaled.tolist(), abs=1e-6)
    assert found.raw_probabilities == pytest.approx(plain.raw_probabilities) and plain.verdict in NAMES
    assert found.verdict == "refer" and len(found.prediction_set) == 3 and "error level of 10 %" in found.reasons[0]
