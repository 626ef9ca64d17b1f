"""Searches of tiny recipes: pruned, diverged, killed, reported. Run: pytest tests/training/search/test_search.py"""

import csv
import os
import shlex
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import main
from small_search import recipe_file, study_of
from two_processes import start_one

from hf_bones.config.recipe import RecipeError, load_recipe
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec
from hf_bones.record import read_json
from hf_bones.training.run.result import TrainedModel
from hf_bones.training.search.run import search


def table(output: Path) -> list[dict[str, str]]:
    with (output / "trials.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def searched(ground, tmp_path_factory):
    """One uninterrupted search, for the tests that look at it or compare with it, and what it printed."""
    import contextlib
    import io

    output = tmp_path_factory.mktemp("searched") / "search"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["--recipe", str(recipe_file(ground, output)), "--search", "optuna"]) == 0
    return output, said.getvalue()


def test_hopeless_trials_are_pruned_diverged_ones_recorded_and_the_search_goes_on(searched):
    rows = table(searched[0])
    assert [row["folder"] for row in rows] == [f"trial-{number:03d}" for number in range(4)]
    by_state = {state: [row for row in rows if row["state"] == state] for state in ("complete", "pruned", "ended")}
    assert {state: len(found) for state, found in by_state.items()} == {"complete": 2, "pruned": 1, "ended": 1}
    assert all(row["learning_rate"] == "0.001" for row in by_state["complete"])
    assert all(row["evaluations"] == "2" and "under the median after 2" in row["reason"] for row in by_state["pruned"])
    assert {row["learning_rate"] for row in by_state["pruned"]} == {"1e-09"}
    assert {row["learning_rate"] for row in by_state["ended"]} == {"1e+30"}
    assert all("lower learning_rate" in row["reason"] for row in by_state["ended"])
    assert all(float(row["minutes"]) >= 0 for row in rows)


def test_the_first_trial_is_the_recipe_as_it_stands(searched):
    first = table(searched[0])[0]
    # label_smoothing 0 and batch_size 8 are the recipe's and the default's.
    assert (float(first["learning_rate"]), float(first["label_smoothing"]), first["batch_size"]) == (1e-3, 0.0, "8")


def test_the_score_is_the_selection_score_of_the_checkpoint_that_the_trial_kept(searched):
    output, _ = searched
    for row in table(output):
        if row["state"] == "complete":
            figures = read_json(output / row["folder"] / "record.json")["metrics"]["validation"]
            assert float(row["selection"]) == pytest.approx((figures["auroc_abnormal"] + figures["auroc_ovr_macro"]) / 2)
            assert 0 <= float(row["standard_error"]) < 0.2


def test_only_the_best_trial_keeps_weights_and_nobody_training_state(searched):
    output, _ = searched
    complete = [row for row in table(output) if row["state"] == "complete"]
    best = max(complete, key=lambda row: float(row["selection"]))
    assert [path.parent.name for path in output.glob("trial-*/model.safetensors")] == [best["folder"]]
    assert not list(output.glob("trial-*/checkpoint-*"))
    assert all((output / row["folder"] / "record.json").is_file() for row in complete)
    assert {"search.db", "search.png", "trials.md", "trials.csv", "best.yaml"} <= {path.name for path in output.iterdir()}


def test_the_printed_line_trains_the_best_trial_once_more(ground, searched, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    output, said = searched
    monkeypatch.chdir(tmp_path)
    words = shlex.split(said.strip().splitlines()[-1])
    assert words[:3] == ["hf-bones", "train", "--recipe"] and str(ground) not in (output / "best.yaml").read_text()
    assert main(words[2:]) == 0
    best = next(output.glob("trial-*/model.safetensors"))
    mine, theirs = load_file(tmp_path / "runs" / "bars-best" / "model.safetensors"), load_file(best)
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_to_the_same_trials(ground, searched, tmp_path):
    output = tmp_path / "search"
    command = ["--recipe", str(recipe_file(ground, output)), "--search", "optuna", "--trials", "3"]
    process = start_one(main, (command,), tmp_path / "printed.txt")
    deadline = time.monotonic() + 240
    reached = output / "trial-000" / "checkpoint-12" / "trainer_state.json"  # of 18 steps
    while not reached.exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    killed_before_its_end = not (output / "trial-000" / "record.json").exists()
    assert main(command) == 0
    assert killed_before_its_end, "the first trial ended before it could be killed"
    columns = ("folder", "state", "evaluations", "learning_rate", "label_smoothing", "batch_size")
    # From the trial's row to the proposals that depend on it, all is as if nothing had happened.
    mine, theirs = table(output), table(searched[0])[:3]
    assert [[row[key] for key in columns] for row in mine] == [[row[key] for key in columns] for row in theirs]
    for row, other in zip(mine, theirs, strict=True):
        if row["state"] == "complete":
            assert float(row["selection"]) == pytest.approx(float(other["selection"]), abs=1e-6)


def guesses(recipe, callbacks):
    """A finished trial without the training: fixed logits for nine validation rows."""
    random = np.random.default_rng(0)
    labels = np.arange(9) % 3
    Path(recipe.training.output_dir, "run.json").write_text("{}")
    return TrainedModel(
        model=None,
        spec=InputSpec(56),
        scheme=THREE_CLASS,
        logits=np.eye(3)[labels] + random.normal(size=(9, 3)),
        labels=labels,
        groups=[f"g{row}" for row in range(9)],
        metrics={},
        data={},
        history=[],
        seconds=0.0,
        is_main_process=True,
    )


def test_more_trials_can_be_asked_for_later_and_none_are_made_twice(ground, tmp_path):
    output, made = tmp_path / "more", []

    def run_trial(recipe, callbacks):
        made.append(Path(recipe.training.output_dir).name)
        return guesses(recipe, callbacks)

    recipe = load_recipe(recipe_file(ground, output, trials=1))
    search(recipe, run_trial)
    recipe.search.trials = 2
    search(recipe, run_trial)
    assert made == ["trial-000", "trial-001"] and len(table(output)) == 2
    recipe.training.epochs = 2
    with pytest.raises(RecipeError, match="holds a search whose epochs differ"):
        search(recipe, run_trial)
    recipe.search.trials, recipe.training.resume = 1, False
    search(recipe, run_trial)
    assert len(table(output)) == 1 and not (output / "trial-001").exists()


def test_a_search_stopped_by_ctrl_c_says_so_and_keeps_its_trial_open(ground, tmp_path, capsys, monkeypatch, request):
    from hf_bones.training.search import run as module

    output = tmp_path / "stopped"
    note = module.TrialWatch.on_evaluate

    def press(self, args, state, control, **options):
        note(self, args, state, control, **options)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(module.TrialWatch, "on_evaluate", press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with Ctrl-C ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    assert main(["--recipe", str(recipe_file(ground, output)), "--search", "optuna"]) == 130
    assert "run the same command again" in capsys.readouterr().err
    (row,) = study_of(load_recipe(recipe_file(ground, output)), output).rows()
    assert row.state == "running" and len(row.curve) == 1 and row.minutes > 0
