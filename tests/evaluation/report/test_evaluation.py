"""Evaluating a checkpoint, from its images to its report. Run: pytest tests/evaluation/report/test_evaluation.py"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from repository import ROOT
from scored_rows import ABOUT, NAMES, QUICK, scored
from tiny import bone_row, bone_rows, tiny_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.evaluation.report import looks
from hf_bones.evaluation.report.baselines import FOREST, MAJORITY
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.looks import count_look, count_look_somewhere
from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.run import evaluate_checkpoint, scheme_labels
from hf_bones.hub.card_figures import measured_table
from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS, TWO_CLASS


def test_looks_are_counted_and_the_rest_of_the_record_is_kept(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text('{"recipe": {"seed": 1}}')
    assert count_look(record, "test", "aa") == 1
    assert count_look(record, "external", "bb") == 1
    assert count_look(record, "test", "cc") == 2
    data = json.loads(record.read_text())
    assert data["recipe"] == {"seed": 1}
    assert [(look["split"], look["dataset_sha256"]) for look in data["test_looks"]] == [("test", "aa"), ("external", "bb"), ("test", "cc")]
    record.write_text('{"test_looks": 3}')
    with pytest.raises(ValueError, match=r"record\.json.*must be a list"):
        count_look(record, "test")


def test_a_look_at_a_read_only_checkpoint_is_counted_beside_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not bind root, under whom tests may run, so the refusal of the file system is played.
    checkpoint, fallback = tmp_path / "checkpoint", tmp_path / "out" / "test_looks.json"
    checkpoint.mkdir()
    write = looks.write_json

    def refuse(path: Path, data: dict[str, object]) -> None:
        if path.parent == checkpoint:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        write(path, data)

    monkeypatch.setattr(looks, "write_json", refuse)
    assert count_look_somewhere(checkpoint, fallback, "test", "") == (1, fallback)
    assert count_look_somewhere(checkpoint, fallback, "test", "") == (2, fallback)
    assert count_look_somewhere(None, fallback, "test", "") == (3, fallback)
    assert not (checkpoint / "record.json").exists()


def small_split(rows: int, seed: int) -> Dataset:
    """Noise that is brighter for each class, so that brightness statistics tell the label."""
    made = []
    for index in range(rows):
        pixels = np.random.default_rng(seed + index).normal(40 + 70 * (index % 3), 20, (48, 36)).clip(0, 255).astype(np.uint8)
        source, licence = (("web", "unclear"), ("hospital", "CC-BY-4.0"))[index % 2]
        own = {"group": f"{seed}-{index // 2}", "sha256": f"{seed}{index}", "image_id": f"{seed}/{index}", "subtype": f"subtype {index}"}
        own |= {"boxes": [[0.5, 0.5, 0.2, 0.2]] * (index % 4)}
        made.append(bone_row(pixels, index, source=source, licence=licence, **own))
    return bone_rows(made)


@pytest.fixture(scope="module")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and test split as saved on disk; one test image is broken."""
    folder = tmp_path_factory.mktemp("data") / "bones"
    test = small_split(42, seed=1000).to_list()
    test[5]["image"] = {"bytes": b"no image at all", "path": None}
    DatasetDict({"train": small_split(60, seed=0), "test": bone_rows(test)}).save_to_disk(folder)
    return folder


@pytest.fixture
def checkpoint_folder(tmp_path: Path) -> Path:
    folder = tiny_checkpoint(tmp_path / "checkpoint", size=28, blocks=2)
    write_decision(DecisionRule(temperature=2.0, scheme=THREE_CLASS, image_size=28), folder)
    return folder


def test_no_forest_stands_beside_the_model_on_the_rows_that_it_was_fitted_to(
    dataset_folder: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    done = evaluate_checkpoint(checkpoint_folder, dataset_folder, tmp_path / "out", EvaluateChoices(split="train", repeats=20, worst=0))
    assert {table.model for table in done.tables} == {"checkpoint", MAJORITY}
    assert any("rows that it was fitted to" in note for note in json.loads(done.metrics.read_text())["notes"])
    assert done.errors is None and "orst error" not in done.report.read_text(encoding="utf-8")  # none were asked for


def test_a_checkpoint_is_evaluated_end_to_end(dataset_folder: Path, checkpoint_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = evaluate_checkpoint(
        checkpoint_folder, dataset_folder, out, EvaluateChoices(repeats=50, batch_size=8, baseline_licences=("CC-BY-4.0",)), command="a"
    )
    data = json.loads(done.metrics.read_text())
    assert data["rows"] == {"scored": 41, "left_out": {"1000/5": "unreadable: not_an_image"}}
    assert (data["looks"]["count"], data["looks"]["recorded_in"]) == (1, "the checkpoint's record.json")
    assert json.loads((checkpoint_folder / "record.json").read_text())["test_looks"][0]["dataset_sha256"] == data["dataset"]["sha256"]
    assert set(data["calibration"]) == {"before calibration", "after calibration"}
    assert data["command"] == "a"
    assert "Baselines were fitted on 30 training rows with licence CC-BY-4.0." in data["notes"]
    overall = {table.model: table.figures for table in done.tables if table.kind == "all"}
    assert overall[FOREST]["accuracy"].value == pytest.approx(1.0), "brightness gives the label away here"
    assert overall[MAJORITY]["auroc_abnormal"].value == pytest.approx(0.5)

    # The figures are those of the predictor on the same rows.
    rows = [row for index, row in enumerate(small_split(42, seed=1000)) if index != 5]
    findings = BonePredictor.from_pretrained(checkpoint_folder, device="cpu").predict([row["image"] for row in rows])
    said = [max(finding.probabilities, key=finding.probabilities.__getitem__) for finding in findings]
    share = np.mean([name == NAMES[row["label"]] for name, row in zip(said, rows, strict=True)])
    assert done.tables[0].figures["accuracy"].value == pytest.approx(share)

    # What is known of a film stands with that film, though one before it could not be read.
    assert done.errors is not None
    page = done.errors.read_text()
    wrong = [row for name, row in zip(said, rows, strict=True) if name != NAMES[row["label"]]]
    # A map on which nothing reaches the scale is not shown; that is said.
    assert page.count("<dt>heat map</dt>") == len(wrong) > 0
    assert page.count('alt="Heat map for') == len(wrong) - page.count(": nothing reaches the scale</dd>")
    for row in wrong:
        index = int(row["image_id"].split("/")[1])
        card = page.split(f"<dd>{row['image_id']}</dd>")[1].split("</dl>")[0]
        assert f"<dd>subtype {index}</dd>" in card and f"<dt>boxes</dt><dd>{index % 4 or 'none in the dataset'}</dd>" in card

    again = evaluate_checkpoint(checkpoint_folder, dataset_folder, out, EvaluateChoices(repeats=50, baselines=False))
    assert json.loads(again.metrics.read_text())["looks"]["count"] == 2
    assert "2 times" in again.report.read_text()
    evaluate_checkpoint(checkpoint_folder, dataset_folder, out, EvaluateChoices(split="train", repeats=50, baselines=False))
    assert len(json.loads((checkpoint_folder / "record.json").read_text())["test_looks"]) == 2, "train may be looked at freely"


def test_figures_of_mirrored_images_say_so_wherever_they_are_shown(checkpoint_folder: Path, tmp_path: Path) -> None:
    test = small_split(12, seed=1000).to_list()
    test[1]["image"] = {"bytes": b"no image at all", "path": None}
    part = bone_rows(test)
    DatasetDict({"test": part}).save_to_disk(tmp_path / "data")
    command = ["evaluate", str(checkpoint_folder), str(tmp_path / "data"), "--repeats", "20", "--no-baselines", "--device", "cpu"]
    told = {}
    for mirror in (False, True):
        out = tmp_path / f"mirror {mirror}"
        done = CliRunner().invoke(app, [*command, "--out", str(out), *(["--mirror"] if mirror else [])])
        assert done.exit_code == 0, done.output
        data = json.loads((out / "metrics.json").read_text())
        assert data["method"]["mirror"] is mirror and ("--mirror" in data["command"].split()) is mirror
        for text in (done.output, (out / "report.md").read_text(), measured_table(data, THREE_CLASS)):
            assert ("mirrored left-right" in text) is mirror
        told[mirror] = data["slices"][0]["figures"]["log_loss"]["value"]

    predictor = BonePredictor.from_pretrained(checkpoint_folder, device="cpu")
    rows = list(part.select([index for index in range(12) if index != 1]))
    for mirror, value in told.items():
        findings = predictor.predict([row["image"] for row in rows], mirror=mirror)
        given = [finding.probabilities[NAMES[row["label"]]] for finding, row in zip(findings, rows, strict=True)]
        assert value == pytest.approx(-np.log(given).mean(), abs=1e-6)
    assert told[True] != pytest.approx(told[False], abs=1e-5), "the figures are of other probabilities"


def test_a_card_of_figures_from_before_mirror_was_known_is_plain(tmp_path: Path) -> None:
    data = json.loads(evaluate_probabilities(scored(), tmp_path, ABOUT, resampling=QUICK).metrics.read_text())
    del data["method"]["mirror"]
    assert "mirrored" not in measured_table(data, THREE_CLASS)


def test_the_command_prints_figures_and_says_what_is_wrong(dataset_folder: Path, checkpoint_folder: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", str(checkpoint_folder), str(dataset_folder), "--out", str(tmp_path / "out"), "--repeats", "20"]
    good = CliRunner().invoke(app, [*arguments, "--no-baselines"])
    assert good.exit_code == 0, good.output
    assert "AUROC(abnormal)" in good.output and str(tmp_path / "out" / "report.md") in good.output
    bad = CliRunner().invoke(app, [*arguments, "--split", "tset"])
    assert bad.exit_code == 2
    assert "no split 'tset'; it has train, test; did you mean 'test'?" in bad.output


def test_the_script_starts_from_any_folder(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "200"}
    command = [sys.executable, str(ROOT / "scripts" / "evaluate_model.py"), "--help"]
    started = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert started.returncode == 0, started.stderr
    assert "--baseline-licence" in started.stdout


def test_rows_of_a_class_that_the_checkpoint_lacks_are_refused_and_unlabelled_ones_marked() -> None:
    part = small_split(9, seed=5)
    with pytest.raises(ValueError, match=r"does not know: {'beyond_repair': 3}"):
        scheme_labels(part, TWO_CLASS, "data, split 'test'")
    known = part.select([0, 1, 3, 4])
    assert scheme_labels(known, TWO_CLASS, "data").tolist() == [0, 1, 0, 1]
    rows = part.to_list()
    rows[0]["label"] = -1
    assert scheme_labels(Dataset.from_list(rows, features=part.features), THREE_CLASS, "data").tolist()[:3] == [-1, 1, 2]


def test_no_train_split_means_no_baselines_and_the_report_says_so(checkpoint_folder: Path, tmp_path: Path) -> None:
    predictor = BonePredictor.from_pretrained(checkpoint_folder, device="cpu")
    done = evaluate_checkpoint(predictor, DatasetDict({"test": small_split(12, seed=9)}), tmp_path / "out", EvaluateChoices(repeats=20))
    assert {table.model for table in done.tables} == {"checkpoint"}
    assert "no train split" in done.report.read_text()
    assert json.loads((tmp_path / "out" / "test_looks.json").read_text())["test_looks"][0]["split"] == "test"
