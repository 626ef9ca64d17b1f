"""`hf-bones calibrate` as a user runs it. Run: pytest tests/evaluation/calibrate/test_calibrate_command.py"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import bar_picture, bone_row, bone_rows, telling_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.duplicates.seen_films import SEEN_FILE, seen_films, write_seen_films
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.run import evaluate_checkpoint
from hf_bones.evaluation.report.summary import summary_text
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json

QUICK = Path(__file__).parent / "quick.yaml"
WRITTEN = ("calibration.json", "calibration.md", "calibration.html", "calibration.png", "risk_coverage.png", "decision_curve.png")


def films(count: int, start: int) -> Any:
    """Rows of two sources and licences, two films a group."""
    return bone_rows(
        bone_row(
            bar_picture(index % 3, index),
            index,
            group=f"g{index // 6}-{index % 3}",
            image_id=f"bar{index}",
            source=("ward", "clinic")[index % 2],
            licence=("CC-BY-4.0", "CC0-1.0")[index % 2],
        )
        for index in range(start, start + count)
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from datasets import DatasetDict

    folder = tmp_path_factory.mktemp("data") / "bars"
    DatasetDict(train=films(60, 0), validation=films(60, 1002), test=films(36, 2004)).save_to_disk(str(folder))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = telling_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint", strong_head=False)
    write_decision(DecisionRule(2.0, THREE_CLASS, 56), folder)
    return folder


def calibrate(*words: object, code: int = 0) -> str:
    """What the command prints, with few resamples unless a recipe is named."""
    quick = () if "--recipe" in words else ("--recipe", str(QUICK))
    done = CliRunner().invoke(app, ["calibrate", *map(str, words), *quick, "--device", "cpu", "--batch-size", "16"])
    assert done.exit_code == code, done.output
    return done.output


def test_a_checkpoint_is_calibrated_in_place_refers_and_is_evaluated(source: Path, dataset: Path, tmp_path: Path) -> None:
    folder, cache = Path(shutil.copytree(source, tmp_path / "run")), tmp_path / "kept"
    said = calibrate(folder, dataset, "--cache", cache)
    for words in ("scaling", "log loss", "healthy", "error level 0.1, 20 films", "referred", "every answer has it"):
        assert words in said, words
    assert all((folder / name).is_file() for name in WRITTEN)
    rule = read_decision(folder)
    assert rule is not None and rule.thresholds is not None and rule.conformal is not None
    assert rule.conformal.n == dict.fromkeys(THREE_CLASS.names, 20) and rule.conformal.fitted_on == "validation"
    record = read_json(folder / "calibration.json")
    assert record["replaced"]["temperature"] == 2.0 and record["rows"]["n"] == 60
    assert record["figures"]["log_loss"]["after"][0] == pytest.approx(min(record["scaling"]["log_loss_out_of_fold"].values()))
    # The same rows once more, at another level, without a pass through the network.
    for file in cache.rglob("*.npz"):
        assert set(np.load(file)["answers"].shape) == {60, 4}
    again = calibrate(
        folder, dataset, "--cache", cache, "--class-alpha", "healthy=0.25", "--method", "temperature", "--cost-miss", 4, "--cost-alarm", 1,
        "--site",
    )  # fmt: skip
    assert "films: 0" not in again and "by costs 4 to 1" in again
    moved = read_decision(folder)
    assert moved is not None and moved.thresholds is not None and moved.thresholds["healthy"] == 0.8 and moved.vector is None
    shipped = {"temperature": rule.temperature, "thresholds": rule.thresholds, "conformal": rule.conformal.as_dict()}
    kept = read_json(folder / "decision.json")["site"]
    assert kept["fitted_to"].endswith("split validation") and {**kept["shipped"], **shipped} == kept["shipped"]
    calibrate(folder, dataset, "--cache", cache, "--site")  # a second fit to the site's films keeps the shipped rule, not the first fit
    assert read_json(folder / "decision.json")["site"]["shipped"] == kept["shipped"]
    # What inference and evaluation make of it.
    predictor = BonePredictor.from_pretrained(folder, device="cpu")
    findings = predictor.predict([bar_picture(label, 5000 + label) for label in range(3)])
    assert all((finding.verdict == "refer") == (len(finding.prediction_set) != 1) for finding in findings)
    assert all("error level" in finding.reasons[0] for finding in findings if finding.verdict == "refer")
    done = evaluate_checkpoint(folder, dataset, tmp_path / "report", EvaluateChoices(device="cpu", baselines=False, worst=0, repeats=20))
    told = done.report.read_text(encoding="utf-8")
    assert "error among the decided" in told and "decisions: " in summary_text(done)
    tally = read_json(done.metrics)["decisions"]
    assert [each["name"] for each in tally] == ["all classes", *THREE_CLASS.names]
    assert tally[0]["decided"]["count"] + tally[0]["referred"]["count"] == tally[0]["covered"]["of"] == 36


def test_a_copy_is_made_where_the_checkpoint_is_not_to_be_changed(source: Path, dataset: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    out = tmp_path / "copies" / "calibrated"
    printed = calibrate(source, dataset, "--out", out, "--licences", "CC-BY-4.0", "--class-alpha", "healthy=0.2", "--json", "--quiet")
    assert json.loads(printed)["scaling"] == read_json(out / "calibration.json")["scaling"]
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    assert {*before, *WRITTEN} == {path.name for path in out.iterdir()} and [path.name for path in out.parent.iterdir()] == ["calibrated"]
    assert read_json(out / "calibration.json")["rows"]["left_out"] == {"another licence": 30}
    assert "is there already" in calibrate(source, dataset, "--out", out, code=2)
    assert "--out" in calibrate("bundled", dataset, code=2)


def test_films_that_were_learnt_from_are_left_out_and_too_few_are_refused(source: Path, dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "run"))
    before = (folder / "decision.json").read_bytes()
    hashes = [f"{index:064x}" for index in range(1002, 1062) if index % 3 == 2][:15]
    write_seen_films(seen_films(hashes, [False] * 15, [None] * 15), folder / SEEN_FILE)
    said = calibrate(folder, dataset, "--fit-on", "validation", code=2)
    assert "beyond_repair: 5 films, 4 too few for an error level of 0.1" in said and "out_of_fold" in said
    assert (folder / "decision.json").read_bytes() == before and not (folder / "calibration.json").exists()
    calibrate(folder, dataset, "--fit-on", "out_of_fold", "--cache", tmp_path / "kept")
    rule, record = read_decision(folder), read_json(folder / "calibration.json")
    assert rule is not None and rule.conformal is not None and rule.conformal.fitted_on == "out_of_fold"
    assert rule.conformal.n["beyond_repair"] == 25 and record["rows"]["left_out"] == {"learnt from": 15}
    assert "out of fold of heads" in " ".join(record["notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--split", "train"), "knows these films"),
        (("--sources", "elsewhere"), "there are: clinic, ward"),
        (("--alpha", "0.01"), "too few for an error level of 0.01"),
        (("--cost-miss", "3"), "both costs"),
        (("--class-alpha", "broken=0.2"), "'broken' is no class"),
        (("--recipe", "standart"), "did you mean 'standard'"),
    ],
)
def test_wrong_use_is_said_and_nothing_written(words: tuple[str, ...], said: str, source: Path, dataset: Path, tmp_path: Path) -> None:
    assert said in calibrate(source, dataset, "--out", tmp_path / "new", *words, code=2)
    assert list(tmp_path.iterdir()) == []
