"""Averaged weights: an exponential moving average over the optimiser steps, which is what is validated, kept as best and shipped.

Training itself goes on with the weights that the optimiser left. Both sets are in each checkpoint: the averages as its
`model.safetensors`, so that whoever loads a checkpoint gets what was validated, and the trained weights in a file beside it, so that a
killed run resumes as if it had not been. Averages of weights along one run: Polyak and Juditsky 1992; with exponential forgetting, as
here, Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017, arXiv 1703.01780.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import Trainer, TrainerCallback

from hf_bones.config.recipe import RecipeError

TRAINED_WEIGHTS = "trained_weights.safetensors"


def decay_at(decay: float, step: int) -> float:
    """The decay after `step` earlier ones: a short run is not dominated by where it started, a long one reaches `decay`."""
    return min(decay, (1 + step) / (10 + step))


def learning_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """By name, the parameters that learn now, and the running statistics that go with them."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return parameters | {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}


class AveragedWeights(TrainerCallback):
    """The averages of a network's learning weights, on its device; every process of a run computes the same ones."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.averages: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.start(model)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.update(model, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if not (args.load_best_model_at_end and state.best_model_checkpoint):  # else the best checkpoint's averages are loaded by now
            self._swap(model)

    @torch.no_grad()
    def start(self, model: torch.nn.Module) -> None:
        """Starts the average of each weight that has none yet (all of them, or those that a later stage sets free) at its value now."""
        for name, tensor in learning_tensors(model).items():
            if name not in self.averages:
                self.averages[name] = tensor.detach().clone()

    @torch.no_grad()
    def update(self, model: torch.nn.Module, step: int) -> None:
        """Takes the weights after an optimiser step into the averages; `step` counts the steps before it."""
        self.start(model)
        current = learning_tensors(model)
        average = get_ema_multi_avg_fn(decay_at(self.decay, step))
        average([self.averages[name] for name in current], list(current.values()), None)

    @contextmanager
    def swapped_in(self, model: torch.nn.Module) -> Iterator[None]:
        """The network with its averaged weights, inside; with its trained ones again, after."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: torch.nn.Module) -> None:
        # In place and one after the other: optimiser, other processes and compiled code hold on to these very tensors.
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        for name, average in self.averages.items():
            trained = tensors[name].detach().clone()
            tensors[name].copy_(average)
            average.copy_(trained)

    def save_trained(self, model: torch.nn.Module, folder: Path) -> None:
        """Writes the trained weights that have an average into a checkpoint's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        save_file({name: tensors[name].detach().contiguous() for name in self.averages}, folder / TRAINED_WEIGHTS)

    @torch.no_grad()
    def resume(self, model: torch.nn.Module, folder: Path) -> None:
        """Takes the averages from `model`, into which a checkpoint was just read, and gives it the trained weights of that checkpoint.

        Raises `RecipeError` where the checkpoint has no trained weights.
        """
        if not (folder / TRAINED_WEIGHTS).is_file():
            raise RecipeError(
                f"ema_decay: {folder} has no {TRAINED_WEIGHTS}, only averaged weights, from which training cannot resume as it was; "
                "delete that folder to resume from an earlier checkpoint, or start over with --resume false"
            )
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        for name, trained in load_file(folder / TRAINED_WEIGHTS).items():
            self.averages[name] = tensors[name].detach().clone()
            tensors[name].copy_(trained)


class AveragingTrainer(Trainer):
    """A Trainer that validates and saves averaged weights where it is given a decay over 0, and is a plain one otherwise."""

    def __init__(self, *, ema_decay: float = 0.0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.averaged = AveragedWeights(ema_decay) if ema_decay > 0 else None
        if self.averaged is None:
            return
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise RecipeError("ema_decay: averages need whole weights on each process, not FSDP or DeepSpeed shards; set ema_decay to 0")
        self.add_callback(self.averaged)

    def resume_averages(self, folder: Path) -> None:
        """Call it when the weights of a checkpoint were read into the model to resume from there."""
        if self.averaged is not None:
            self.averaged.resume(self.model, folder)

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        if self.averaged is None or not self.is_in_train:
            return super().evaluate(*arguments, **options)
        with self.averaged.swapped_in(self.model):
            return super().evaluate(*arguments, **options)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if self.averaged is None or not self.is_in_train:
            return super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            self.averaged.save_trained(self.model, Path(output_dir or str(self.args.output_dir)))
        with self.averaged.swapped_in(self.model):
            return super().save_model(output_dir, _internal_call)
