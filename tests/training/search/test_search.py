"""Searches of tiny recipes: pruned, diverged, killed, shared out, reported. Run: pytest tests/training/search/test_search.py"""

import csv
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import main
from tiny import bar_dataset, tiny_checkpoint

from hf_bones.config.recipe import RecipeError, load_recipe
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec
from hf_bones.record import read_json
from hf_bones.training.errors import DamagedImageError
from hf_bones.training.search.report import TrialRow, best_of, best_recipe, table_text, trial_rows
from hf_bones.training.search.run import prepare_search, run_claimed, search
from hf_bones.training.search.study import claim_trial, open_study
from hf_bones.training.trainer import TrainedModel

ROOT = Path(__file__).parents[3]

SPACE = {"learning_rate": {"choices": [1e-3, 1e-9, 1e30]}, "label_smoothing": {"low": 0.0, "high": 0.1}, "batch_size": {"choices": [8, 12]}}


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    tiny_checkpoint(folder / "start")
    return folder


def recipe_file(ground: Path, output: Path, **search: object) -> Path:
    """A recipe whose trials learn the bars in seconds, do not learn at all, or blow up."""
    data = {
        "name": "bars",
        "description": "Tells one bar from two and three.",
        "model": {"model": str(ground / "start"), "trainable": "all", "image_size": 56},
        "data": {"dataset": str(ground / "dataset")},
        "training": {
            "batch_size": 8,
            "epochs": 3,
            "learning_rate": 1e-3,
            "cpu": True,
            "seed": 3,  # with which four trials are enough: one diverges and one is pruned
            "output_dir": str(output),
        },
        "search": {"trials": 4, "startup_trials": 2, "prune_after": 1, "space": SPACE, **search},
    }
    file = ground / f"{output.name}.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


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
    for name, tensor in theirs.items():
        torch.testing.assert_close(mine[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_to_the_same_trials(ground, searched, tmp_path):
    output = tmp_path / "search"
    command = ["--recipe", str(recipe_file(ground, output)), "--search", "optuna", "--trials", "3"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    deadline = time.monotonic() + 240
    reached = output / "trial-000" / "checkpoint-12" / "trainer_state.json"  # of 18 steps
    while not reached.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
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
    (row,) = trial_rows(open_study(load_recipe(recipe_file(ground, output)), output).get_trials())
    assert row.state == "running" and len(row.curve) == 1 and row.minutes > 0


@pytest.fixture
def small(ground, tmp_path):
    """A recipe with a space, and its folder ready to be searched in."""
    recipe = load_recipe(recipe_file(ground, tmp_path / "small", trials=3))
    prepare_search(recipe, tmp_path / "small")
    return recipe, tmp_path / "small"


def test_two_searches_at_once_take_different_trials_and_a_dropped_one_is_taken_up(small):
    recipe, output = small
    first, first_lock = claim_trial(recipe, output)
    second, second_lock = claim_trial(recipe, output)
    assert {first.user_attrs["folder"], second.user_attrs["folder"]} == {"trial-000", "trial-001"}
    first.report(0.7, 1)
    first_lock.release()  # as when its process was killed
    again, again_lock = claim_trial(recipe, output)
    assert again.user_attrs["folder"] == "trial-000" and again.params == first.params
    third, third_lock = claim_trial(recipe, output)
    assert third.user_attrs["folder"] not in ("trial-000", "trial-001")
    assert claim_trial(recipe, output) is None
    assert len(trial_rows(open_study(recipe, output).get_trials())) == 3
    for lock in (second_lock, again_lock, third_lock):
        lock.release()


def failing(error):
    def run_trial(recipe, callbacks):
        raise error

    return run_trial


def test_keys_that_do_not_go_together_end_the_search_at_first_and_later_only_the_trial(small, capsys):
    recipe, output = small
    trial, lock = claim_trial(recipe, output)
    with pytest.raises(RecipeError, match="no such dataset"):
        run_claimed(trial, recipe, output, failing(RecipeError("dataset: no such dataset")))
    lock.release()
    assert trial_rows(open_study(recipe, output).get_trials()) == []
    trial, lock = claim_trial(recipe, output)
    trial.study.tell(trial, 0.9)
    lock.release()
    trial, lock = claim_trial(recipe, output)
    run_claimed(trial, recipe, output, failing(RecipeError("keep_blocks: the network has 3")))
    lock.release()
    row = trial_rows(open_study(recipe, output).get_trials())[-1]
    assert (row.state, row.reason) == ("ended", "keep_blocks: the network has 3")


def test_what_is_wrong_with_the_data_or_the_machine_ends_the_search_and_leaves_the_trial_open(small):
    recipe, output = small
    trial, lock = claim_trial(recipe, output)
    with pytest.raises(DamagedImageError):
        run_claimed(trial, recipe, output, failing(DamagedImageError("dataset: image 'a' cannot be read")))
    lock.release()
    again, lock = claim_trial(recipe, output)
    lock.release()
    assert again.user_attrs["folder"] == trial.user_attrs["folder"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--push_to_hub", "me/bones"], "push_to_hub: a search pushes nothing"),
        (["--trials", "0"], "--trials: expected 1 or more"),
        (["--recipe", "vit-tiny-nowhere"], "neither a file nor"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_by_key(ground, tmp_path, capsys, more, message):
    assert main(["--recipe", str(recipe_file(ground, tmp_path / "refused")), "--search", "optuna", *more]) == 2
    assert message in capsys.readouterr().err


def test_several_processes_a_missing_optuna_and_a_missing_space_are_named(ground, tmp_path, capsys, monkeypatch):
    command = ["--recipe", str(recipe_file(ground, tmp_path / "refused")), "--search", "optuna"]
    assert main(["--recipe", "quickstart", "--search", "optuna", "--output_dir", str(tmp_path / "quick")]) == 2
    assert "search: the recipe has no space" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        assert main(command) == 2
    assert "2 were started" in capsys.readouterr().err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "optuna" else find(name, *more))
    assert main(command) == 2
    assert "pip install 'hf-bones[search]'" in capsys.readouterr().err


def test_a_search_in_which_nothing_could_be_finished_says_where_the_reasons_are(ground, tmp_path, capsys):
    output = tmp_path / "hopeless"
    recipe = load_recipe(recipe_file(ground, output, trials=1, space={"learning_rate": {"choices": [1e30, 1e29]}}))
    from hf_bones.finetune import fit

    with pytest.raises(RecipeError, match=r"none of 1 trials could be finished; .*trials\.md says why"):
        search(recipe, lambda own, callbacks: fit(own, callbacks))
    assert "NaN or infinite" in (output / "trials.md").read_text() or "the loss is" in (output / "trials.md").read_text()


def row(number: int, state: str, score: float | None, **more: object) -> TrialRow:
    fields = {"folder": f"trial-{number:03d}", "standard_error": 0.01, "minutes": 2.0, "curve": [], "params": {}, "reason": ""}
    return TrialRow(number=number, state=state, score=score, **{**fields, **more})


def test_the_table_says_which_trials_the_best_cannot_be_told_from(ground, tmp_path):
    recipe = load_recipe(recipe_file(ground, tmp_path / "x"))
    rows = [
        row(0, "complete", 0.88),
        row(1, "pruned", 0.95),
        row(2, "complete", 0.885),
        row(3, "complete", 0.80),
        row(4, "complete", 0.885),
    ]
    best = best_of(rows)
    assert best is not None and best.number == 2  # a pruned trial is no winner, and the earlier of equals is
    text = table_text(rows, ["learning_rate"], recipe)
    assert "Best: trial 2, 0.8850 ± 0.0100. Within one standard error of it: trial 0, trial 4." in text
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ") and "trial" not in line] == list("24031")


def test_the_best_recipe_holds_no_path_of_this_machine(ground, tmp_path):
    recipe = load_recipe(recipe_file(ground, tmp_path / "x"))
    recipe.data.dataset_id, recipe.data.arrays_dir = "me/bones", "arrays"
    found, left_out = best_recipe(recipe, row(3, "complete", 0.9, params={"learning_rate": 1e-4}), 20)
    assert (found.data.dataset, found.model.model, found.data.arrays_dir, found.training.output_dir) == (
        "me/bones",
        "start",
        "arrays",
        "runs/bars-best",
    )
    assert found.training.learning_rate == 1e-4 and found.search is None and "The best of 20 trials" in found.description
    assert left_out == {"dataset": str(ground / "dataset"), "model": str(ground / "start")}
