"""Averaged weights. Run: pytest tests/training/run/test_ema.py"""

import shutil
from functools import partial
from pathlib import Path

import pytest
import small_run
import torch
from command_line import main, parse_recipe
from safetensors.torch import load_file
from small_run import StopAt, last_step, weights
from transformers import TrainerCallback
from two_processes import run_two

from hf_bones.config.recipe import RecipeError
from hf_bones.finetune import fit
from hf_bones.logits import softmax
from hf_bones.metrics import selection_score
from hf_bones.training.run.ema import TRAINED_WEIGHTS, AveragedWeights, decay_at, learning_tensors
from hf_bones.training.run.hashes import HASHES
from hf_bones.training.trainer import train


class Watch(TrainerCallback):
    """Keeps copies of the learning weights after each step and at the first batch of each validation."""

    def __init__(self) -> None:
        self.after_steps: list[dict[str, torch.Tensor]] = []
        self.validated: dict[int, dict[str, torch.Tensor]] = {}

    def on_train_begin(self, args, state, control, model=None, **_):
        self.start = copy_of(model)

    def on_step_end(self, args, state, control, model=None, **_):
        self.after_steps.append(copy_of(model))

    def on_prediction_step(self, args, state, control, model=None, **_):
        self.validated.setdefault(state.global_step, copy_of(model))


def copy_of(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad}


TWICE = ("--evaluations_per_epoch", "2")


def arguments(smaller: Path, output: Path, *more: str) -> list[str]:
    return small_run.arguments(smaller, output, "--head_start", "random", "--epochs", "3", "--ema_decay", "0.6", *more)


def watched(recipe):
    """A run of the recipe with a `Watch` on it."""
    watch = Watch()
    return watch, train(recipe, callbacks=[watch])


def averaged_by_hand(watch: Watch, decay: float) -> list[dict[str, torch.Tensor]]:
    average = {name: tensor.double() for name, tensor in watch.start.items()}
    found = []
    for step, trained in enumerate(watch.after_steps):
        keep = min(decay, (1 + step) / (10 + step))
        average = {name: keep * old + (1 - keep) * trained[name].double() for name, old in average.items()}
        found.append(average)
    return found


assert_close = partial(torch.testing.assert_close, atol=1e-6, rtol=1e-5, check_dtype=False)


def test_the_decay_warms_up_so_that_a_short_run_forgets_its_start():
    assert [decay_at(0.999, step) for step in (0, 8)] == [0.1, 0.5]
    assert decay_at(0.999, 10**6) == 0.999
    assert decay_at(0.05, 0) == 0.05


@pytest.fixture(scope="module")
def averaged(smaller, tmp_path_factory):
    """One uninterrupted run, two validations an epoch: what was watched, what it handed on, and its folder."""
    output = tmp_path_factory.mktemp("averaged") / "run"
    watch = Watch()
    return watch, fit(parse_recipe(arguments(smaller, output, *TWICE)), [watch], finished=True), output


def test_validation_and_checkpoints_have_the_average_computed_by_hand_and_training_the_weights_of_the_optimiser(
    smaller, averaged, tmp_path
):
    watch, trained, output = averaged
    averages = averaged_by_hand(watch, 0.6)
    assert sorted(watch.validated) == [2, 4, 6, 8, 10, 12]
    for step, seen in watch.validated.items():
        assert_close(seen, averages[step - 1])
    assert max((averages[3][name] - watch.after_steps[3][name]).abs().max() for name in averages[3]) > 1e-3
    # The optimiser's path is the one of a run without averages.
    recipe = parse_recipe(arguments(smaller, tmp_path / "plain", "--ema_decay", "0"))
    plain, _ = watched(recipe)
    for mine, theirs in zip(watch.after_steps, plain.after_steps, strict=True):
        assert_close(mine, theirs, atol=0)
    # What is handed on is the best of the validated averages, and the last checkpoint holds both sets.
    scores = {entry["step"]: entry["eval_selection"] for entry in trained.history if "eval_selection" in entry}
    best = max(scores, key=scores.__getitem__)
    assert_close(copy_of(trained.model), averages[best - 1])
    assert selection_score(trained.labels, softmax(trained.logits), 0) == pytest.approx(scores[best], abs=1e-6)
    assert_close(load_file(output / "checkpoint-12" / TRAINED_WEIGHTS), watch.after_steps[-1], atol=0)
    assert not (tmp_path / "plain" / "checkpoint-12" / TRAINED_WEIGHTS).exists()


@pytest.fixture(scope="module")
def one_block(smaller, tmp_path_factory):
    """A run in which one block learns: its arguments without those of its folder, what was watched, and its folder."""
    output, options = tmp_path_factory.mktemp("one-block") / "run", ("--trainable", "last:1", "--epochs", "1")
    watch, _ = watched(parse_recipe(arguments(smaller, output, *options)))
    return options, watch, output


def test_only_weights_that_learn_are_averaged(one_block):
    _, watch, output = one_block
    kept = load_file(output / "checkpoint-4" / TRAINED_WEIGHTS)
    assert any("layer.1." in name for name in kept) and not any("layer.0." in name for name in kept)
    assert_close(watch.validated[4], averaged_by_hand(watch, 0.6)[3])


def test_a_run_cut_off_between_checkpoints_resumes_to_the_same_weights_and_averages(smaller, averaged, tmp_path):
    output, whole = tmp_path / "run", averaged[2]
    with pytest.raises(KeyboardInterrupt):
        train(parse_recipe(arguments(smaller, output, *TWICE)), callbacks=[StopAt(7)])
    assert last_step(output).name == "checkpoint-6"
    assert main(arguments(smaller, output, *TWICE)) == 0
    assert_close(weights(last_step(output)), weights(last_step(whole)), atol=0)
    assert_close(load_file(last_step(output) / TRAINED_WEIGHTS), load_file(last_step(whole) / TRAINED_WEIGHTS), atol=0)
    assert_close(weights(output), weights(whole), atol=0)


def test_a_checkpoint_that_lost_its_trained_weights_is_not_resumed_as_if_it_had_them(smaller, one_block, tmp_path, capsys):
    options, _, output = one_block
    copy = shutil.copytree(output, tmp_path / "run")
    step = last_step(copy)
    (step / TRAINED_WEIGHTS).unlink()
    (step / HASHES).unlink()  # as in one of an earlier version; with them it is known to be damaged
    assert main(arguments(smaller, copy, *options)) == 2
    message = capsys.readouterr().err
    assert "ema_decay" in message and TRAINED_WEIGHTS in message and "--resume false" in message


def test_two_processes_average_what_one_does(smaller, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ("--trainable", "last:1", "--epochs", "2", "--learning_rate", "1e-3")
    assert main(arguments(smaller, one, *options)) == 0
    for code, printed in run_two(main, (arguments(smaller, two, *options),), tmp_path / "printed"):
        assert code == 0, printed[-3000:]
    assert_close(weights(last_step(two)), weights(last_step(one)), atol=2e-4)
    assert_close(load_file(last_step(two) / TRAINED_WEIGHTS), load_file(last_step(one) / TRAINED_WEIGHTS), atol=2e-4)


def test_running_statistics_are_averaged_with_the_weights():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    averaged = AveragedWeights(0.5)
    averaged.start(network)
    start = learning_tensors(network)["1.running_mean"].clone()
    network(torch.randn(4, 1, 3, 3) + 5)
    moved = learning_tensors(network)["1.running_mean"].clone()
    averaged.update(network, 100)
    with averaged.swapped_in(network):
        torch.testing.assert_close(network[1].running_mean, (start + moved) / 2)
        assert network[1].num_batches_tracked == 1
    torch.testing.assert_close(network[1].running_mean, moved, atol=0, rtol=0)


def test_a_weight_that_is_set_free_later_is_averaged_from_then_on():
    network = torch.nn.Linear(2, 2)
    network.bias.requires_grad = False
    averaged = AveragedWeights(0.5)
    averaged.start(network)
    assert set(averaged.averages) == {"weight"}
    network.bias.requires_grad = True
    averaged.update(network, 100)
    assert set(averaged.averages) == {"weight", "bias"}


def test_a_run_that_never_validates_ends_with_the_averages(smaller, tmp_path):
    recipe = parse_recipe(arguments(smaller, tmp_path / "run", "--trainable", "last:1", "--epochs", "1"))
    recipe.trainer = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    watch, trained = watched(recipe)
    assert_close(copy_of(trained.model), averaged_by_hand(watch, 0.6)[-1])


def test_sharded_weights_are_refused(smaller, tmp_path, monkeypatch):
    from hf_bones.training.run.ema import AveragingTrainer

    monkeypatch.setattr(AveragingTrainer, "create_accelerator_and_postprocess", shard(AveragingTrainer.create_accelerator_and_postprocess))
    with pytest.raises(RecipeError, match=r"ema_decay: .* FSDP"):
        train(parse_recipe(arguments(smaller, tmp_path / "run", "--trainable", "last:1")))


def shard(make):
    def made(trainer):
        make(trainer)
        trainer.is_fsdp_enabled = True

    return made
