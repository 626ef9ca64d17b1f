"""transformers' Trainer with our batches, sampling, parameter groups, further losses and schedule; everything else is the Trainer's."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hf_bones.config.recipe import AugmentConfig, TrainConfig
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import NAME, UNKNOWN, further_losses
from hf_bones.training.backbone.loading import head_parameters
from hf_bones.training.backbone.lora import LoraTrainer
from hf_bones.training.data.batches import (
    SOURCE,
    RunSampler,
    TrainingRows,
    batch_matrices,
    batch_tiles,
    batch_to_input,
    labels_in_view,
)
from hf_bones.training.processes import first_process_says
from hf_bones.training.run.checkpoints import best_whole_checkpoint, load_weights
from hf_bones.training.run.ema import AveragingTrainer
from hf_bones.training.run.watch import WatchedTrainer

TILES = "tiles"  # in what the losses take: which images (B,) are tiles
PRIVATE_HOOKS = ("_get_train_sampler", "_load_from_checkpoint", "_load_best_model")
"""What the trainers of this package override of transformers' Trainer beside its public methods."""


class BoneTrainer(WatchedTrainer, AveragingTrainer, LoraTrainer):
    """A Trainer whose batches stay 8-bit grey until they are on the device, where they are augmented and normalised."""

    def __init__(
        self,
        *,
        spec: InputSpec,
        policy: AugmentConfig,
        sampler: RunSampler,
        optimiser_groups: list[dict[str, Any]],
        config: TrainConfig | None = None,
        normal_label: int = 0,
        **arguments: Any,
    ):
        self.config = config or TrainConfig()
        self.spec = spec
        self.policy = policy
        self.sampler = sampler
        self.normal_label = normal_label
        self.optimiser_groups = optimiser_groups
        super().__init__(watched=self.config, ema_decay=self.config.ema_decay, **arguments)

    def labelled_rows(self) -> TrainingRows:
        """The training rows that have a label."""
        return self.train_dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> RunSampler:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if getattr(self, "optimizer", None) is None:
            self.optimizer: Any = torch.optim.AdamW(self.optimiser_groups, fused=torch.cuda.is_available())
        return self.optimizer

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.model, Path(resume_from_checkpoint))
        self.resume_averages(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        best = (Path(str(self.args.output_dir)), Path(self.state.best_model_checkpoint), self.state.log_history)
        load_weights(self.model, first_process_says(lambda: best_whole_checkpoint(*best)))

    def network_inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What the network and the losses take, from a collated batch on the device: augmented in training, as it is in validation."""
        policy = self.policy if self.model.training else None
        matrices = batch_matrices(batch, policy) if "draws" in batch else None
        network = self.accelerator.unwrap_model(self.model)
        chosen = batch_tiles(batch, policy)
        inputs = {"labels": batch["labels"]}
        if chosen is not None and matrices is not None:
            inputs = {"labels": labels_in_view(batch, matrices, policy, self.normal_label), TILES: chosen}
        if "kept" in batch:  # what the frozen part gave for the images
            inputs["kept"] = batch["kept"]
        else:
            inputs["pixel_values"] = batch_to_input(batch, self.spec, policy, matrices, getattr(network.config, "num_channels", 3))
        if self.model.training and SOURCE in batch:
            inputs[SOURCE] = batch[SOURCE]
        if self.model.training and hasattr(network, NAME):
            inputs |= {key: value for key, value in batch.items() if key.endswith("_label")}
            if "subtype_label" in inputs:  # a tile without the break does not show of what kind it is
                inputs["subtype_label"] = inputs["subtype_label"].masked_fill(inputs["labels"] != batch["labels"], UNKNOWN)
            if getattr(network, NAME).patch is not None:
                inputs |= {"matrices": matrices} | {key: batch[key] for key in ("boxes", "boxes_known", "heights", "widths")}
        return inputs

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | int | None = None
    ) -> Any:
        """The recipe's loss, and the losses of the further heads, each summed over images and divided as it is. Takes a collated batch."""
        with torch.autocast(self.args.device.type, enabled=False):  # places of pixels need all the digits of float32
            inputs = self.network_inputs(inputs)
        targets = {key: inputs.pop(key) for key in list(inputs) if key not in ("pixel_values", "kept", "labels")}
        count = len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        whole: Any = getattr(self, "compute_loss_func")  # noqa: B009 - its type cannot be told
        if SOURCE in targets and whole is not None:  # the Trainer hands its loss the outputs and the labels alone
            self.compute_loss_func = partial(whole, source=targets.pop(SOURCE))
        try:
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        finally:
            self.compute_loss_func = whole
        further = self.further_losses(outputs, targets)
        if further:
            # As the Trainer scales the main one: gradients are averaged over processes, sums are not.
            processes = self.accelerator.num_processes if num_items_in_batch is not None else 1
            loss = loss + torch.stack(list(further.values())).sum() / count * processes
        return (loss, outputs) if return_outputs else loss

    def further_losses(self, outputs: Any, targets: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses beside the recipe's own, weighted, each summed over the images of the batch."""
        return further_losses(outputs, targets, self.spec.size, self.config)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The Trainer's schedule; in a two-stage run the backbone's starts when `head_epochs` are over, and its rate is 0 until then."""
        if not self.config.head_epochs or getattr(self, "lr_scheduler", None) is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        optimiser = optimizer or self.optimizer
        first = round(num_training_steps * self.config.head_epochs / self.config.epochs)
        head = head_parameters(self.accelerator.unwrap_model(self.model))

        def cosine(step: int, start: int) -> float:
            step, total = step - start, max(1, num_training_steps - start)
            warm = max(1, round(total * self.config.warmup))
            if step < 0:
                return 0.0
            return step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

        starts = [0 if all(id(p) in head for p in group["params"]) else first for group in optimiser.param_groups]
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, [partial(cosine, start=start) for start in starts])
        return self.lr_scheduler
