"""Runs that go wrong end early and say what to change. Run: pytest tests/training/run/test_watch.py"""

import io
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_run
import torch
from command_line import main, parse_recipe
from tiny import bar_dataset
from transformers import TrainerCallback

from hf_bones.config.recipe import TrainConfig, load_recipe
from hf_bones.training.errors import DivergedError, LoaderDiedError, TooLittleMemoryError
from hf_bones.training.run.arguments import training_arguments
from hf_bones.training.run.checkpoints import last_complete_checkpoint
from hf_bones.training.run.watch import RunWatch, has_left, loader_advice, says_what_to_change
from hf_bones.training.trainer import train


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    return small_run.arguments(ground, output, "--head_start", "random", *more)


def assert_only_numbers_were_saved(output: Path) -> None:
    for checkpoint in output.glob("checkpoint-*"):
        assert all(bool(torch.isfinite(tensor).all()) for tensor in small_run.weights(checkpoint).values()), checkpoint


HUGE = ("--learning_rate", "1e30", "--head_learning_rate", "1e30")


def test_a_learning_rate_that_gives_nan_ends_the_run_and_leaves_the_last_good_checkpoint(ground, tmp_path, capsys):
    # The first step of the warm-up changes nothing, and is validated and saved; the second one wrecks the network.
    output = tmp_path / "run"
    assert main(arguments(ground, output, *HUGE, "--evaluations_per_epoch", "6")) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: step 2: ") and "NaN or infinite" in message
    assert "lower learning_rate" in message and "learning_rate 1e+30" in message and "mixed_precision no" in message
    assert f"last good checkpoint is {output / 'checkpoint-1'}" in message and "--resume false" in message
    assert [path.name for path in output.glob("checkpoint-*")] == ["checkpoint-1"]
    assert_only_numbers_were_saved(output)
    assert not (output / "model.safetensors").exists()


@pytest.mark.parametrize("hidden", [False, True])
def test_a_loss_that_is_nan_is_seen_between_logs_even_where_the_trainer_would_hide_it(ground, tmp_path, hidden):
    recipe = parse_recipe(arguments(ground, tmp_path / "run", *HUGE))
    recipe.trainer = {"logging_nan_inf_filter": hidden, "logging_steps": 1000}
    with pytest.raises(DivergedError, match=r"step 3: the loss is (nan|inf).*No checkpoint had been saved yet"):
        train(recipe)
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_the_trainer_does_not_hide_nan_unless_told_to(ground, tmp_path):
    assert training_arguments(parse_recipe(arguments(ground, tmp_path)).training, {}, 48).logging_nan_inf_filter is False


class At(TrainerCallback):
    """Does something to the network and its optimiser at one step."""

    def __init__(self, step, deed):
        self.step, self.deed = step, deed

    def on_step_begin(self, args, state, control, model=None, optimizer=None, **_):
        if state.global_step == self.step:
            self.deed(model, optimizer)


def test_weights_that_are_no_numbers_are_not_saved_even_where_no_output_shows_it(ground, tmp_path):
    def poison(model, _):
        with torch.no_grad():  # the mask token is in the checkpoint and takes no part in classifying
            next(value for name, value in model.named_parameters() if "mask_token" in name).fill_(float("inf"))

    recipe = parse_recipe(arguments(ground, tmp_path / "run"))
    with pytest.raises(DivergedError, match=r"step 12: weights of the network.*checkpoint-6"):
        train(recipe, callbacks=[At(8, poison)])
    assert_only_numbers_were_saved(tmp_path / "run")


def test_a_loss_that_leaves_and_stays_away_ends_the_run(ground, tmp_path):
    def wreck(model, optimizer):
        with torch.no_grad():
            model.classifier.weight.mul_(-50)
        for group in optimizer.param_groups:
            group["lr"] = 0.0

    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--epochs", "6", "--spike_logs", "3"))
    recipe.trainer = {"logging_steps": 1, "lr_scheduler_type": "constant"}

    class Frozen(At):
        def on_step_begin(self, args, state, control, model=None, optimizer=None, **_):
            if state.global_step >= self.step:
                self.deed(model if state.global_step == self.step else SimpleNamespace(classifier=torch.nn.Linear(1, 1)), optimizer)

    with pytest.raises(
        DivergedError, match=r"step 23: the training loss has stayed over 2 times.*spike_factor or spike_logs.*checkpoint-18"
    ):
        train(recipe, callbacks=[Frozen(20, wreck)])


def test_noise_and_a_short_spike_are_no_reason_to_end_a_run():
    falling = list(np.linspace(1.2, 0.2, 30))
    assert has_left(falling, 2.0, 5) is None
    assert has_left([*falling, 5.0, 5.0, 5.0, 5.0, 0.2], 2.0, 5) is None
    assert has_left([*falling, *[1.3] * 5], 2.0, 5) == pytest.approx(np.median(falling[-20:]))
    assert has_left([*falling, *[1e-3] * 40, *[5e-3] * 5], 2.0, 5) is None  # five times of nearly nothing
    assert has_left([*falling, *[1.3] * 5], 0, 5) is None
    assert has_left([9.0] * 5, 2.0, 5) is None


def test_gradients_that_overflow_step_after_step_in_fp16_end_the_run(tmp_path):
    skipped = SimpleNamespace(optimizer_step_was_skipped=True)
    watch = RunWatch(SimpleNamespace(watched=TrainConfig(skipped_steps=3), accelerator=skipped))
    at = (SimpleNamespace(fp16=True, output_dir=str(tmp_path)), SimpleNamespace(global_step=7), None)
    watch.on_step_end(*at)
    watch.on_step_end(*at)
    skipped.optimizer_step_was_skipped = False
    watch.on_step_end(*at)
    skipped.optimizer_step_was_skipped = True
    watch.on_step_end(*at)
    watch.on_step_end(*at)
    with pytest.raises(DivergedError, match=r"step 7: the gradients overflowed in 3 steps in a row.*mixed_precision: bf16"):
        watch.on_step_end(*at)


def test_a_killed_loader_worker_ends_the_run_with_what_to_change_and_the_command_goes_on_later(ground, tmp_path, capsys):
    output, killed = tmp_path / "run", []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not (output / "checkpoint-6" / "trainer_state.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        for worker in multiprocessing.active_children()[:1]:
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    code = main(arguments(ground, output, "--data_loader_workers", "1", "--epochs", "40"))
    killer.join()
    assert killed and code == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: data loader: worker process {killed[0]} ")
    for word in ("data_loader_workers (now 1;", "memory", "/dev/shm", "--shm-size", "The same command resumes from"):
        assert word in message
    assert last_complete_checkpoint(output) is not None


def damaged_dataset(folder: Path, row: int) -> Path:
    from datasets import load_from_disk

    from hf_bones.dataset.schema import bone_features
    from hf_bones.labels import THREE_CLASS

    bar_dataset(folder / "whole")
    splits = load_from_disk(str(folder / "whole"))

    def cut(example, index):
        stream = io.BytesIO()
        example["image"].save(stream, "PNG")
        data = stream.getvalue()
        return {"image": {"bytes": data[: len(data) // 2] if index == row else data, "path": None}}

    splits["train"] = splits["train"].map(cut, with_indices=True, features=bone_features(THREE_CLASS.names))
    splits.save_to_disk(str(folder / "damaged"))
    return folder / "damaged"


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_image_ends_the_run_in_one_line_that_names_it(ground, tmp_path, capsys, workers):
    dataset = damaged_dataset(tmp_path, row=17)
    assert main(arguments(ground, tmp_path / "run", "--dataset", str(dataset), "--data_loader_workers", workers)) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: dataset: image 'bar17' (source bars, sha256 000000000000…) cannot be read: ")
    assert "undecodable" in message and "hf-bones build" in message


def test_too_little_memory_names_the_keys_that_take_less(tmp_path):
    @says_what_to_change
    def hungry(recipe):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(
        TooLittleMemoryError, match=r"Tried to allocate.*batch_size \(16\).*gradient_accumulation_steps.*image_size \(224\)"
    ):
        hungry(load_recipe("quickstart"))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that …"),
            r"worker process 12 was killed \(Bus",
        ),
        (RuntimeError("DataLoader worker (pid(s) 12, 13) exited unexpectedly"), "worker process 12, 13 is gone"),
        (RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nunable to allocate shared memory(shm) for file"), "/dev/shm"),
        (OSError(24, "Too many open files"), "ulimit -n"),
    ],
)
def test_every_way_in_which_a_loader_dies_is_explained(tmp_path, error, advice):
    @says_what_to_change
    def loading(recipe):
        raise error

    recipe = load_recipe("quickstart")
    recipe.training.data_loader_workers, recipe.training.output_dir = 2, str(tmp_path)
    with pytest.raises(LoaderDiedError, match=advice):
        loading(recipe)


def test_any_other_error_keeps_its_trace(tmp_path):
    @says_what_to_change
    def broken(recipe):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        broken(load_recipe("quickstart"))
    assert loader_advice("No space left on device: checkpoint-6", TrainConfig(data_loader_workers=2, output_dir=str(tmp_path))) is None
