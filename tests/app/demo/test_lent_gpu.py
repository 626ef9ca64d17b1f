"""Answers from a process that has a GPU for a moment. Run: pytest tests/app/demo/test_lent_gpu.py"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import bar_picture, telling_checkpoint

from hf_bones.app.demo.models import lent_gpu
from hf_bones.app.demo.models.lent_gpu import LentGpuPredictor, run
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS

PICTURES = [bar_picture(index % 3, index) for index in range(3)]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lent_gpu, "_here", {})
    telling_checkpoint(tmp_path / "model", seed=3)
    write_decision(DecisionRule(2.0, THREE_CLASS, 56), tmp_path / "model")
    return tmp_path / "model"


class Elsewhere:
    """Another process, as far as it can be told: what is asked and answered are copies, and it has no model yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.models: dict[Any, Any] = {}
        self.monkeypatch = monkeypatch

    def __call__(self, *given: Any) -> Any:
        self.asked.append(given[2])
        with self.monkeypatch.context() as patch:
            patch.setattr(lent_gpu, "_here", self.models)
            return pickle.loads(pickle.dumps(run(*pickle.loads(pickle.dumps(given)))))


def test_answers_are_those_of_the_plain_predictor(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, plain = Elsewhere(monkeypatch), BonePredictor.from_pretrained(checkpoint)
    lent = LentGpuPredictor.load(checkpoint, revision=None, run=elsewhere)
    assert lent.model.device.type == "cpu" and lent.names == plain.names and lent.calibrated
    for mine, other in zip(
        lent.predict(PICTURES, heatmap=True, mirror=True), plain.predict(PICTURES, heatmap=True, mirror=True), strict=True
    ):
        assert mine.probabilities == pytest.approx(other.probabilities, abs=1e-6) and mine.verdict == other.verdict
        assert mine.heatmap is not None and np.allclose(mine.heatmap, other.heatmap, atol=1e-5)
    target = plain.names[1]
    assert np.allclose(lent.heat(PICTURES[:1], [target])[0], plain.heat(PICTURES[:1], [target])[0], atol=1e-5)
    assert elsewhere.asked == ["_classify", "heat"]
    assert len(elsewhere.models) == 1 and next(iter(elsewhere.models.values())) is not lent


def test_one_that_cannot_be_opened_asks_nothing_of_the_gpu(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Elsewhere(monkeypatch)
    assert LentGpuPredictor.load(checkpoint, revision=None, run=elsewhere).predict(b"no picture")[0].verdict == "unreadable"
    assert elsewhere.asked == []


def test_a_process_forked_off_has_the_model_already(checkpoint: Path) -> None:
    lent = LentGpuPredictor.load(checkpoint, revision=None, run=run)
    before = dict(lent_gpu._here)
    lent.predict(PICTURES[0])
    assert lent_gpu._here == before and len(before) == 1


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        LentGpuPredictor.load(tmp_path / "never-made", revision=None, run=run)
