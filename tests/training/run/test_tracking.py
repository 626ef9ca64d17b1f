"""Curves of a run land in trackio or TensorBoard, on this machine. Run: pytest tests/training/run/test_tracking.py"""

import http.server
import importlib.util
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import small_run
from command_line import main, parse_recipe
from repository import ROOT

from hf_bones.config.recipe import RecipeError
from hf_bones.record import read_json
from hf_bones.training.run.tracking import LocalTensorBoard, run_name, trackers


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    return small_run.arguments(ground, output, "--head_start", "random", "--epochs", "2", *more)


def curve(folder: Path, key: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(key)]


def test_a_run_and_its_resumption_are_one_curve_in_tensorboard(ground, tmp_path):
    output = tmp_path / "bars"
    assert main(arguments(ground, output, "--report_to", "tensorboard")) == 0
    name = read_json(output / "tracking.json")["run"]
    assert name.startswith("quickstart-bars-")
    history = read_json(output / "record.json")["history"]
    logged = [(entry["step"], pytest.approx(entry["loss"], rel=1e-4)) for entry in history if "loss" in entry]
    assert curve(output / "tensorboard" / name, "train/loss") == logged
    scores = curve(output / "tensorboard" / name, "eval/selection")
    assert scores == [(entry["step"], pytest.approx(entry["eval_selection"])) for entry in history if "eval_selection" in entry]
    # As if it had been killed after step 11: the checkpoint of step 6 is the last.
    for file in (output / "checkpoint-12").iterdir():
        file.unlink()
    (output / "checkpoint-12").rmdir()
    assert main(arguments(ground, output, "--report_to", "tensorboard")) == 0
    assert [path.name for path in (output / "tensorboard").iterdir()] == [name]
    assert [step for step, _ in curve(output / "tensorboard" / name, "eval/selection")] == [6, 12]


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers nothing useful and counts who asks."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_POST = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
def test_a_run_is_in_trackios_own_store_and_nothing_is_sent_even_with_a_token(ground, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_TOKEN": "hf_none", "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TRACKIO_", "HF_HUB_OFFLINE"))} | place
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments(ground, tmp_path / "bars", "--report_to", "trackio")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, env=environment)
    server.shutdown()
    assert done.returncode == 0, done.stderr[-3000:]
    assert Hub.asked == []
    assert "trackio show --project" in done.stdout
    with sqlite3.connect(tmp_path / "trackio" / "hf-bones.db") as store:
        rows = store.execute("select run_name, metrics, step from metrics").fetchall()
    assert max(step for *_, step in rows) == 12  # optimiser steps
    assert {name for name, *_ in rows} == {read_json(tmp_path / "bars" / "tracking.json")["run"]}
    text = " ".join(metrics if isinstance(metrics, str) else metrics.decode("latin1") for _, metrics, _ in rows)
    assert "train/loss" in text and "eval/selection" in text and "train/learning_rate" in text


@pytest.mark.parametrize("tracker", ["trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_an_error_with_the_line_that_installs_it(ground, tmp_path, monkeypatch, capsys, tracker):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == tracker else find(name, *more))
    assert main(arguments(ground, tmp_path / "run", "--report_to", tracker)) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: report_to: {tracker} is not installed") and "pip install 'hf-bones[track]'" in message


def test_an_unknown_tracker_is_answered_with_the_nearest(ground, tmp_path):
    with pytest.raises(RecipeError, match="report_to: expected none, trackio or tensorboard, got 'tensorbord'; did you mean 'tensorboard'"):
        parse_recipe(arguments(ground, tmp_path, "--report_to", "tensorbord"))


def test_what_would_send_a_run_elsewhere_is_refused_by_name(ground, tmp_path, monkeypatch):
    recipe = parse_recipe(arguments(ground, tmp_path, "--report_to", "trackio"))
    recipe.trainer = {"trackio_space_id": "somebody/curves"}
    with pytest.raises(RecipeError, match="take trackio_space_id out of trainer"):
        followed(recipe, resumed=False)
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/curves")
    with pytest.raises(RecipeError, match="TRACKIO_SPACE_ID in the environment"):
        followed(recipe, resumed=False)


def test_a_new_run_in_the_same_folder_has_another_name_and_a_resumed_one_the_same(ground, tmp_path, monkeypatch):
    recipe = parse_recipe(arguments(ground, tmp_path / "bars"))
    first = run_name(recipe.name, Path(recipe.training.output_dir), resumed=False)
    assert run_name(recipe.name, Path(recipe.training.output_dir), resumed=True) == first
    assert run_name(recipe.name, Path(recipe.training.output_dir), resumed=False).startswith("quickstart-bars-")
    assert followed(recipe, resumed=False) == []
    recipe.training.report_to = "tensorboard"
    (tracker,) = followed(recipe, resumed=True)
    assert isinstance(tracker, LocalTensorBoard)


def followed(recipe, resumed):
    return trackers(recipe.training, recipe.trainer, recipe.name, resumed)
