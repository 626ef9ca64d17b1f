"""Whole small runs: learning, stopping, resuming, several processes. Run: pytest tests/training/test_trainer.py"""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import main, parse_recipe
from repository import ROOT
from small_run import arguments, assert_same_weights, last_step, weights
from two_processes import start_one

from hf_bones import BonePredictor
from hf_bones.config.recipe import Recipe, RecipeError
from hf_bones.dataset.build import load_bones
from hf_bones.logits import softmax
from hf_bones.record import read_json
from hf_bones.training.processes import check_processes
from hf_bones.training.run.arguments import training_arguments
from hf_bones.training.run.checkpoints import earlier_checkpoints, last_complete_checkpoint, prepare_output
from hf_bones.training.run_scheme import noted
from hf_bones.training.trainer import train

TWICE = ("--evaluations_per_epoch", "2")


@pytest.fixture(scope="module")
def finished(ground, tmp_path_factory):
    """One uninterrupted run, two validations an epoch, for the tests that compare with it."""
    output = tmp_path_factory.mktemp("finished") / "run"
    assert main(arguments(ground, output, *TWICE)) == 0
    return output


def test_a_run_learns_and_leaves_a_whole_checkpoint(finished):
    record = read_json(finished / "record.json")
    assert record["metrics"]["validation"]["auroc_abnormal"] > 0.9
    assert record["metrics"]["validation"]["n"] == 18
    assert record["data"]["synthetic_only"] is True
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "decision.json", "record.json", "curves.png", "README.md"} <= {
        path.name for path in finished.iterdir()
    }


def test_the_kept_checkpoint_is_the_best_one_and_not_the_last(ground, tmp_path):
    # A rate that wrecks the network after a good start: the best evaluation is not the last.
    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--learning_rate", "3e-2", "--head_learning_rate", "3e-2", "--warmup", "0"))
    trained = train(recipe)
    scores = [entry["eval_selection"] for entry in trained.history if "eval_selection" in entry]
    from hf_bones.metrics import selection_score

    assert selection_score(trained.labels, softmax(trained.logits), 0) == pytest.approx(max(scores), abs=1e-6)


def test_a_run_whose_dataset_was_split_anew_since_is_not_resumed(ground, finished, tmp_path, capsys):
    output = shutil.copytree(finished, tmp_path / "run")
    rows = (output / "learnt_rows.csv").read_text()
    (output / "learnt_rows.csv").write_text(rows.replace(",train", ",validation", 1))
    assert main(arguments(ground, output, *TWICE)) == 2
    assert "holds a run on other rows" in capsys.readouterr().err
    assert weights(output).keys() == weights(finished).keys()


def test_a_run_killed_between_checkpoints_resumes_to_the_same_state(ground, finished, tmp_path):
    output = tmp_path / "run"
    words = arguments(ground, output, *TWICE)
    process = start_one(main, (words,), tmp_path / "printed.txt")
    deadline = time.monotonic() + 240
    while not (output / "checkpoint-9" / "trainer_state.json").exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.join()
    assert not (output / "model.safetensors").exists(), "the run ended before it could be killed"
    assert main(words) == 0
    assert_same_weights(last_step(output), last_step(finished), atol=1e-6)
    assert_same_weights(output, finished, atol=1e-6)


def test_accelerates_silent_single_process_is_stopped_where_two_were_asked_for(ground, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(ROOT / "scripts" / "train.py")]
    done = subprocess.run(
        [*command, *arguments(ground, tmp_path / "run", "--processes", "2")], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode != 0
    assert "processes: 2 requested, 1 running" in done.stderr and "torchrun --nproc_per_node 2" in done.stderr


def test_the_number_of_processes_is_only_checked_when_asked(ground, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    check_processes(parse_recipe(arguments(ground, Path("x"))).training)


def test_class_weights_reach_the_loss_of_the_trainer(ground, tmp_path):
    from hf_bones.labels import THREE_CLASS
    from hf_bones.training.backbone.loading import load_model
    from hf_bones.training.build import make_trainer
    from hf_bones.training.data.rows import training_rows

    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--class_weights", "balanced", "--max_train_rows", "24"))
    rows, validation = training_rows(recipe.data, THREE_CLASS, 0)
    rows.labels = [0] * 20 + [1] * 2 + [2] * 2
    model, spec = load_model(recipe.model, THREE_CLASS)
    trainer = make_trainer(recipe, model, spec, THREE_CLASS, rows, validation)
    batch = trainer.data_collator([trainer.train_dataset[row] for row in (0, 23)])
    losses = {}
    for label in (0, 2):
        inputs = {**batch, "labels": torch.tensor([label, label])}
        model.eval()
        logits = model(pixel_values=trainer.network_inputs(inputs)["pixel_values"]).logits
        plain = torch.nn.functional.cross_entropy(logits, torch.tensor([label, label]))
        losses[label] = (trainer.compute_loss(model, inputs) / plain).item()
    assert losses[2] / losses[0] == pytest.approx(10, rel=1e-3)


def test_another_recipe_in_the_same_folder_is_refused_by_the_keys_that_differ(ground, finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    with pytest.raises(RecipeError, match=r"seed differ.*--resume false"):
        prepared(parse_recipe(arguments(ground, copy, *TWICE, "--seed", "5")), copy)
    assert prepared(parse_recipe(arguments(ground, copy, *TWICE)), copy) == last_step(copy)
    assert prepared(parse_recipe(arguments(ground, copy, *TWICE, "--seed", "5", "--resume", "false")), copy) is None


def test_a_finished_run_that_is_run_again_keeps_its_looks_at_test(ground, finished, tmp_path):
    output = shutil.copytree(finished, tmp_path / "run")
    record = read_json(output / "record.json")
    record["test_looks"] = [{"split": "test", "dataset_sha256": "a", "date": "2026-11-29"}]
    (output / "record.json").write_text(json.dumps(record))
    assert main(arguments(ground, output, *TWICE)) == 0
    again = read_json(output / "record.json")
    assert again["test_looks"] == record["test_looks"] and again["finished"] != record["finished"]


def test_a_key_newer_than_the_run_counts_as_its_default(ground, finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    noted = read_json(copy / "run.json")
    del noted["box_loss"]
    (copy / "run.json").write_text(json.dumps(noted))
    assert prepared(parse_recipe(arguments(ground, copy, *TWICE)), copy) is not None
    with pytest.raises(RecipeError, match="box_loss differ"):
        prepared(parse_recipe(arguments(ground, copy, *TWICE, "--box_loss", "0.5")), copy)


def test_a_checkpoint_cut_off_while_saving_is_passed_over(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    newest = last_step(copy)
    (newest / "trainer_state.json").write_text('{"epoch": 3')
    older = last_complete_checkpoint(copy)
    assert older is not None and older != newest
    (older / "optimizer.pt").unlink()
    assert last_complete_checkpoint(copy) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mixed_precision", "fp16"], "fp16 needs a GPU"),
        (["--mixed_precision", "half"], "expected auto"),
        (["--recipe", "nothing"], "neither a file nor"),
        (["--learing_rate", "1"], "--learning-rate"),
        (["--save_dtype", "int4"], "save_dtype"),
        (["--dataset", "/no/such/folder"], "no such"),
    ],
)
def test_a_wrong_key_or_value_ends_with_one_line_that_says_so(ground, tmp_path, capsys, more, message):
    assert main(arguments(ground, tmp_path / "run", *more)) == 2
    assert message in capsys.readouterr().err


def test_trainer_entries_of_a_recipe_win_and_a_wrong_one_is_named(ground, tmp_path):
    recipe = parse_recipe(arguments(ground, tmp_path))
    recipe.trainer = {"max_grad_norm": 0.5}
    assert training_arguments(recipe.training, recipe.trainer, 48).max_grad_norm == 0.5
    recipe.trainer = {"max_gradnorm": 0.5}
    with pytest.raises(RecipeError, match="did you mean 'max_grad_norm'"):
        training_arguments(recipe.training, recipe.trainer, 48)


def test_the_global_batch_is_shared_out_over_processes(ground, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = parse_recipe(arguments(ground, tmp_path, "--batch_size", "7"))
    with pytest.raises(RecipeError, match="cannot be split evenly over 2"):
        training_arguments(recipe.training, recipe.trainer, 48)


def test_help_lists_every_key_and_the_recipes(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "--learning-rate" in text and "dinov2-small" in text and "--rotation-degrees" in text


def test_a_checkpoint_says_how_it_was_made(finished):
    record = read_json(finished / "record.json")
    assert record["recipe"]["training"]["learning_rate"] == 3e-3
    assert len(record["data"]["sha256"]) == 64 and record["environment"]["packages"]["torch"]
    assert json.loads((finished / "decision.json").read_text())["temperature"] > 0
    assert os.access(finished / "curves.png", os.R_OK)


@pytest.fixture(scope="module")
def uneven(ground, tmp_path_factory):
    """The dataset with 16, 8 and 4 training rows of the classes."""
    splits = load_bones(str(ground / "dataset"))
    labels = np.array(splits["train"]["label"])
    kept = np.concatenate([np.flatnonzero(labels == label)[:count] for label, count in enumerate((16, 8, 4))])
    splits["train"] = splits["train"].select(np.sort(kept).tolist())
    folder = tmp_path_factory.mktemp("uneven") / "dataset"
    splits.save_to_disk(str(folder))
    return folder


@pytest.mark.parametrize("save_dtype", ["float32", "float8"])
def test_balanced_verdicts_move_the_biases_alone_and_are_what_is_measured(ground, uneven, tmp_path, save_dtype):
    common = ("--class_weights", "none", "--epochs", "1", "--save_dtype", save_dtype, "--dataset", str(uneven))
    assert main(arguments(ground, tmp_path / "plain", *common)) == 0
    assert main(arguments(ground, tmp_path / "balanced", *common, "--balanced_verdicts", "true")) == 0
    plain, balanced = weights(tmp_path / "plain"), weights(tmp_path / "balanced")
    assert [name for name in plain if not torch.equal(plain[name], balanced[name])] == ["classifier.bias"]
    moved = balanced["classifier.bias"].float() - plain["classifier.bias"].float()
    assert moved.tolist() == pytest.approx([-math.log(share / 28) for share in (16, 8, 4)], abs=2e-3)
    record = read_json(tmp_path / "balanced" / "record.json")
    assert list(record["verdict_shift"].values()) == pytest.approx(moved.tolist(), abs=1e-6)
    rows = load_bones(str(uneven))["validation"]
    found = BonePredictor.from_pretrained(tmp_path / "balanced").predict(list(rows["image"]))
    names = rows.features["label"].names
    loss = [-math.log(finding.raw_probabilities[names[label]]) for finding, label in zip(found, rows["label"], strict=True)]
    assert record["metrics"]["validation"]["log_loss"] == pytest.approx(sum(loss) / len(loss), abs=1e-4)
    assert record["metrics"]["validation"]["log_loss"] != pytest.approx(
        read_json(tmp_path / "plain" / "record.json")["metrics"]["validation"]["log_loss"], abs=1e-3
    )


def test_a_run_that_starts_over_deletes_what_another_kept_but_not_before_it_can_run(ground, finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (copy / "start" / "of another run").mkdir(parents=True)
    with pytest.raises((ValueError, FileNotFoundError)):
        train(parse_recipe(arguments(ground, copy, "--resume", "false", "--dataset", str(tmp_path / "nothing"))))
    assert last_step(copy) and (copy / "start" / "of another run").is_dir()
    train(parse_recipe(arguments(ground, copy, "--resume", "false", "--max_steps", "1", "--epochs", "1")))
    assert [path.name for path in copy.glob("checkpoint-*")] == ["checkpoint-1"]
    assert not (copy / "start" / "of another run").exists() and (copy / "model.safetensors").is_file()


def test_a_folder_called_start_is_left_alone_where_no_run_has_been(tmp_path):
    (tmp_path / "start").mkdir()
    assert earlier_checkpoints(tmp_path) == []


def test_a_key_that_recipes_have_no_more_is_passed_over_with_a_warning(ground, finished, tmp_path, caplog):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (copy / "run.json").write_text(json.dumps({**read_json(copy / "run.json"), "teacher_size": 448}))
    assert prepared(parse_recipe(arguments(ground, copy, *TWICE)), copy) == last_step(copy)
    assert "teacher_size is ignored" in caplog.text


def prepared(recipe: Recipe, output: Path) -> Path | None:
    return prepare_output(noted(recipe), output, recipe.training.resume)
