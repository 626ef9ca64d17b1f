"""Averaged weights. Run: pytest tests/training/run/test_ema.py"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import main, parse_recipe
from repository import ROOT
from safetensors.torch import load_file
from tiny import bar_dataset, tiny_checkpoint
from transformers import TrainerCallback

import hf_bones.training.trainer as trainer_module
from hf_bones.config.recipe import RecipeError
from hf_bones.logits import softmax
from hf_bones.metrics import selection_score
from hf_bones.training.run.checkpoints import last_complete_checkpoint
from hf_bones.training.run.ema import TRAINED_WEIGHTS, AveragedWeights, decay_at, learning_tensors
from hf_bones.training.trainer import train


class Watch(TrainerCallback):
    """Keeps copies of the learning weights after each step and at the first batch of each validation; may cut the run off after a step."""

    def __init__(self, cut_off_after: int | None = None) -> None:
        self.after_steps: list[dict[str, torch.Tensor]] = []
        self.validated: dict[int, dict[str, torch.Tensor]] = {}
        self.cut_off_after = cut_off_after

    def on_train_begin(self, args, state, control, model=None, **_):
        self.start = copy_of(model)

    def on_step_end(self, args, state, control, model=None, **_):
        self.after_steps.append(copy_of(model))
        if state.global_step == self.cut_off_after:
            raise KeyboardInterrupt

    def on_prediction_step(self, args, state, control, model=None, **_):
        self.validated.setdefault(state.global_step, copy_of(model))


def copy_of(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset", train=32, held_out=9)
    tiny_checkpoint(folder / "start", blocks=2)
    return folder


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--recipe", "quickstart", "--cpu", "true", "--model", str(ground / "start"), "--image_size", "56", "--head_start", "random"),
        *("--dataset", str(ground / "dataset"), "--drawn_images", "0", "--drawn_validation_images", "0", "--output_dir", str(output)),
        *("--batch_size", "8", "--epochs", "3", "--learning_rate", "3e-3", "--head_learning_rate", "3e-3", "--ema_decay", "0.6", *more),
    ]


def watched(monkeypatch, recipe, cut_off_after: int | None = None):
    """A run of the recipe with a `Watch` on it."""
    watch, make = Watch(cut_off_after), trainer_module.make_trainer

    def make_watched(*arguments, **options):
        trainer = make(*arguments, **options)
        trainer.add_callback(watch)
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "make_trainer", make_watched)
        return watch, train(recipe)


def averaged_by_hand(watch: Watch, decay: float) -> list[dict[str, torch.Tensor]]:
    average = {name: tensor.double() for name, tensor in watch.start.items()}
    found = []
    for step, weights in enumerate(watch.after_steps):
        keep = min(decay, (1 + step) / (10 + step))
        average = {name: keep * old + (1 - keep) * weights[name].double() for name, old in average.items()}
        found.append(average)
    return found


def assert_close(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], atol: float = 1e-6) -> None:
    assert mine.keys() == theirs.keys()
    for name in mine:
        torch.testing.assert_close(
            mine[name].float(), theirs[name].float(), atol=atol, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def last_step(folder: Path) -> Path:
    found = last_complete_checkpoint(folder)
    assert found is not None
    return found


def test_the_decay_warms_up_so_that_a_short_run_forgets_its_start():
    assert [decay_at(0.999, step) for step in (0, 8)] == [0.1, 0.5]
    assert decay_at(0.999, 10**6) == 0.999
    assert decay_at(0.05, 0) == 0.05


def test_validation_and_checkpoints_have_the_average_computed_by_hand_and_training_the_weights_of_the_optimiser(
    ground, tmp_path, monkeypatch
):
    recipe = parse_recipe(arguments(ground, tmp_path / "averaged", "--trainable", "all"))
    watch, trained = watched(monkeypatch, recipe)
    averages = averaged_by_hand(watch, 0.6)
    assert sorted(watch.validated) == [4, 8, 12]
    for step, seen in watch.validated.items():
        assert_close(seen, averages[step - 1])
    assert max((averages[3][name] - watch.after_steps[3][name]).abs().max() for name in averages[3]) > 1e-3
    # The optimiser's path is the one of a run without averages.
    recipe = parse_recipe(arguments(ground, tmp_path / "plain", "--trainable", "all", "--ema_decay", "0"))
    plain, _ = watched(monkeypatch, recipe)
    for mine, theirs in zip(watch.after_steps, plain.after_steps, strict=True):
        assert_close(mine, theirs, atol=0)
    # What is handed on is the best of the validated averages, and the last checkpoint holds both sets.
    scores = {entry["step"]: entry["eval_selection"] for entry in trained.history if "eval_selection" in entry}
    best = max(scores, key=scores.__getitem__)
    assert_close(copy_of(trained.model), averages[best - 1])
    assert selection_score(trained.labels, softmax(trained.logits), 0) == pytest.approx(scores[best], abs=1e-6)
    assert_close(load_file(tmp_path / "averaged" / "checkpoint-12" / TRAINED_WEIGHTS), watch.after_steps[-1], atol=0)
    assert not (tmp_path / "plain" / "checkpoint-12" / TRAINED_WEIGHTS).exists()


def test_only_weights_that_learn_are_averaged(ground, tmp_path, monkeypatch):
    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--trainable", "last:1", "--epochs", "1"))
    watch, _ = watched(monkeypatch, recipe)
    kept = load_file(tmp_path / "run" / "checkpoint-4" / TRAINED_WEIGHTS)
    assert any("layer.1." in name for name in kept) and not any("layer.0." in name for name in kept)
    assert_close(watch.validated[4], averaged_by_hand(watch, 0.6)[3])


def test_a_run_cut_off_between_checkpoints_resumes_to_the_same_weights_and_averages(ground, tmp_path, monkeypatch):
    whole, output = tmp_path / "whole", tmp_path / "run"
    options = ("--trainable", "all", "--evaluations_per_epoch", "2")
    assert main(arguments(ground, whole, *options)) == 0
    with pytest.raises(KeyboardInterrupt):
        watched(monkeypatch, parse_recipe(arguments(ground, output, *options)), cut_off_after=7)
    assert last_step(output).name == "checkpoint-6"
    assert main(arguments(ground, output, *options)) == 0
    assert_close(stored(last_step(output)), stored(last_step(whole)), atol=0)
    assert_close(load_file(last_step(output) / TRAINED_WEIGHTS), load_file(last_step(whole) / TRAINED_WEIGHTS), atol=0)
    assert_close(stored(output), stored(whole), atol=0)


def test_a_checkpoint_that_lost_its_trained_weights_is_not_resumed_as_if_it_had_them(ground, tmp_path, capsys):
    output = tmp_path / "run"
    assert main(arguments(ground, output, "--trainable", "last:1", "--epochs", "1")) == 0
    (last_step(output) / TRAINED_WEIGHTS).unlink()
    assert main(arguments(ground, output, "--trainable", "last:1", "--epochs", "1")) == 2
    message = capsys.readouterr().err
    assert "ema_decay" in message and TRAINED_WEIGHTS in message and "--resume false" in message


def test_two_processes_average_what_one_does(ground, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ("--trainable", "last:1", "--epochs", "2", "--learning_rate", "1e-3")
    assert main(arguments(ground, one, *options)) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(ROOT / "scripts" / "train.py")]
    done = subprocess.run([*launch, *arguments(ground, two, *options)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_close(stored(last_step(two)), stored(last_step(one)), atol=2e-4)
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


def test_a_run_that_never_validates_ends_with_the_averages(ground, tmp_path, monkeypatch):
    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--trainable", "last:1", "--epochs", "1"))
    recipe.trainer = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    watch, trained = watched(monkeypatch, recipe)
    assert_close(copy_of(trained.model), averaged_by_hand(watch, 0.6)[-1])


def test_sharded_weights_are_refused(ground, tmp_path, monkeypatch):
    from hf_bones.training.run.ema import AveragingTrainer

    monkeypatch.setattr(AveragingTrainer, "create_accelerator_and_postprocess", shard(AveragingTrainer.create_accelerator_and_postprocess))
    with pytest.raises(RecipeError, match=r"ema_decay: .* FSDP"):
        train(parse_recipe(arguments(ground, tmp_path / "run", "--trainable", "last:1")))


def shard(make):
    def made(trainer):
        make(trainer)
        trainer.is_fsdp_enabled = True

    return made
