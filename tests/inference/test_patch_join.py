"""Patches that join every answer: by hand, in findings, in decision.json, by command. Run: pytest tests/inference/test_patch_join.py"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import bone_row, bone_rows, grey, telling_checkpoint
from transformers import AutoImageProcessor, pipeline
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.join import PatchJoin, log_odds, log_sum_exp
from hf_bones.inference.predictor import BonePredictor
from hf_bones.inference.second_look import SecondLook
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.patch_head import FILE_NAME, PatchHead, write_patch_head

JOIN = PatchJoin(log_odds=0.6, evidence=0.9, offset=-0.4)


def joining(folder: Path, join: PatchJoin | None = JOIN, look: SecondLook | None = None, kind: str = "dinov2") -> Path:
    """A tiny checkpoint with a patch head, whose patches join its answers."""
    telling_checkpoint(folder, kind)
    width = 16 if kind == "convnextv2" else 32
    write_patch_head(PatchHead(np.random.default_rng(1).normal(size=width).astype(np.float32), -1.5), folder)
    write_decision(DecisionRule(1.5, THREE_CLASS, 56, patches=join, second_look=look), folder)
    return folder


def abnormal(logits: np.ndarray, evidence: float, join: PatchJoin = JOIN) -> float:
    """P(abnormal) by hand, of calibrated logits (C,)."""
    single = math.log(math.exp(logits[1]) + math.exp(logits[2])) - logits[0]
    return 1 / (1 + math.exp(-(join.log_odds * single + join.evidence * evidence + join.offset)))


@pytest.mark.parametrize("kind", ["dinov2", "convnextv2"])
def test_every_answer_has_the_patches_in_it_and_raw_probabilities_stay_the_networks(tmp_path: Path, kind: str) -> None:
    predictor = BonePredictor.from_pretrained(joining(tmp_path, kind=kind), device="cpu")
    films = [np.asarray(grey(90, 60, seed)) for seed in range(4)]
    found = predictor.predict(films, batch_size=3)
    logits, evidence = predictor.views(films)
    assert evidence is not None
    for finding, own, seen in zip(found, logits.astype(float), evidence, strict=True):
        assert 1 - finding.probabilities["healthy"] == pytest.approx(abnormal(own / 1.5, seen), abs=1e-5)
        two = (finding.probabilities["beyond_repair"], finding.probabilities["fractured"])
        assert math.log(two[0] / two[1]) == pytest.approx((own[2] - own[1]) / 1.5, abs=1e-4), "abnormal classes keep their difference"
    plain = pipeline(
        "image-classification", model=str(tmp_path), image_processor=AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    )
    expected = {row["label"]: row["score"] for row in plain(grey(90, 60, 0), top_k=3)}
    assert found[0].raw_probabilities == pytest.approx(expected, abs=1e-4)
    assert np.ptp(evidence) > 1e-3 and found[0].probabilities != pytest.approx(found[0].raw_probabilities, abs=1e-2)


def test_the_evidence_is_a_soft_maximum_over_the_patches_of_the_film_and_padding_says_nothing(tmp_path: Path) -> None:
    predictor = BonePredictor.from_pretrained(joining(tmp_path), device="cpu")
    narrow = np.asarray(grey(60, 30, 2))
    with torch.inference_mode():
        tokens = predictor.model.base_model(predictor._tensor([narrow])).last_hidden_state[0, 1:].unflatten(0, (4, 4))
    assert predictor.patch_head is not None
    by_hand = (tokens[:, :2].double() @ torch.from_numpy(predictor.patch_head.weight).double() + predictor.patch_head.bias).logsumexp(
        (0, 1)
    )
    assert predictor.views([narrow])[1] == pytest.approx(by_hand.item(), abs=1e-5)
    assert log_sum_exp([[0.0, math.log(3.0), -math.inf]]) == pytest.approx(math.log(4))


def test_mirror_averages_evidence_as_it_does_logits_and_a_second_look_joins_what_the_patches_joined(tmp_path: Path) -> None:
    look = SecondLook(log_odds=0.5, evidence=0.4, offset=0.1)
    predictor = BonePredictor.from_pretrained(joining(tmp_path, look=look), device="cpu")
    film = np.asarray(grey(90, 60, 4))
    (one, seen), (other, also) = (predictor.views([view]) for view in (film, film[:, ::-1]))
    assert seen is not None and also is not None and abs(seen[0] - also[0]) > 1e-3
    found = predictor.predict(film, mirror=True)[0]
    assert 1 - found.probabilities["healthy"] == pytest.approx(abnormal((one + other)[0] / 3.0, (seen + also)[0] / 2), abs=1e-5)
    joined = predictor.decision.calibrated(one, seen)
    expected = 0.5 * log_odds(joined, 0)[0] + 0.4 * predictor.evidence([film])[0] + 0.1
    zoomed = predictor.predict(film, zoom=True)[0]
    assert 1 - zoomed.probabilities["healthy"] == pytest.approx(1 / (1 + math.exp(-expected)), abs=1e-5)


def test_a_missing_patch_head_is_an_error_not_another_answer(tmp_path: Path) -> None:
    folder = joining(tmp_path)
    (folder / FILE_NAME).unlink()
    with pytest.raises(CheckpointError, match=r"patch_head\.safetensors.*missing"):
        BonePredictor.from_pretrained(folder, device="cpu")
    with pytest.raises(ValueError, match="none was given"):
        DecisionRule(1.0, THREE_CLASS, 56, patches=JOIN).calibrated(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="finite evidence"):
        JOIN.joined(np.zeros((2, 3)), [0.0, np.nan], 0)


@pytest.mark.parametrize(
    ("key", "value", "message"), [("evidence", None, "float"), ("offset", 1e999, "finite"), ("log_odds", ..., "log_odds")]
)
def test_malformed_patches_are_refused_by_name(tmp_path: Path, key: str, value: object, message: str) -> None:
    written = DecisionRule(1.0, THREE_CLASS, 56, patches=replace(JOIN, fitted_on={"n": 3}))
    path = write_decision(written, tmp_path)
    assert read_decision(tmp_path) == written
    data = json.loads(path.read_text())
    patches = {**data["patches"], key: value} if value is not ... else {name: each for name, each in data["patches"].items() if name != key}
    path.write_text(json.dumps({**data, "patches": patches}))
    with pytest.raises(ValueError, match=f"decision.json.*patches.*{message}"):
        read_decision(tmp_path)
    path.write_text(json.dumps({**data, "patches": "yes"}))
    with pytest.raises(ValueError, match="'patches' must be null or a mapping"):
        read_decision(tmp_path)


def test_the_command_fits_a_checkpoint_and_takes_a_second_look_that_joined_other_answers_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from datasets import DatasetDict

    made = joining(tmp_path / "mine", join=None, look=SecondLook(1.0, 0.0, 0.0))
    rows = [bone_row(np.asarray(grey(60, 50, seed)), seed) for seed in range(36)]
    rows[5] = {**rows[5], "image": {"bytes": b"no image", "path": None}}
    DatasetDict(train=bone_rows(rows[:3]), validation=bone_rows(rows)).save_to_disk(str(tmp_path / "films"))
    done = CliRunner().invoke(app, ["join-patches", str(made), str(tmp_path / "films"), "--device", "cpu", "--batch-size", "7"])
    assert "row 5 cannot be read and is left out" in caplog.text
    assert done.exit_code == 0 and "AUROC(abnormal)" in done.output and "every answer" in done.output, done.output
    decision = read_decision(made)
    assert decision is not None and decision.patches is not None and decision.second_look is None
    assert decision.patches.fitted_on["n"] == 35, "the row that cannot be opened is left out"
    done = CliRunner().invoke(app, ["join-patches", str(telling_checkpoint(tmp_path / "bare")), str(tmp_path / "films")])
    assert done.exit_code == 2 and "decision.json" in done.output
    write_decision(DecisionRule(1.0, THREE_CLASS, 56), tmp_path / "bare")
    done = CliRunner().invoke(app, ["join-patches", str(tmp_path / "bare"), str(tmp_path / "films")])
    assert done.exit_code == 2 and "box_loss" in done.output
