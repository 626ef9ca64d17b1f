"""Fine-tuning with transformers' Trainer: our batches, loss, sampling and parameter groups; everything else is the Trainer's."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainerCallback

from hf_bones.config.recipe import AugmentConfig, Recipe, RecipeError, TrainConfig
from hf_bones.config.rules import check_rules
from hf_bones.labels import LabelScheme, load_scheme
from hf_bones.logits import softmax
from hf_bones.metrics import classification_metrics
from hf_bones.metrics.modules import trainer_metrics
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import (
    NAME,
    PATCH_LOGITS,
    UNKNOWN,
    attach_auxiliary,
    box_cover,
    box_loss,
    head_figures,
    label_loss,
)
from hf_bones.training.backbone.check import check_network
from hf_bones.training.backbone.loading import compile_blocks, head_parameters, load_model, parameter_groups
from hf_bones.training.backbone.lora import add_lora, lora_layers, merge_lora, plain_state, save_matrices
from hf_bones.training.cached_views.fill import keep_frozen_output
from hf_bones.training.data.batches import UNLABELLED, RunSampler, SquareCollator, TrainingRows, batch_matrices, batch_to_input
from hf_bones.training.data.rows import Rows, arrays_line, describe_rows, training_rows
from hf_bones.training.data.streaming import run_shards, stream_line, stream_sampler
from hf_bones.training.loss import class_weights, learnt_log_prior, logit_offsets, training_loss
from hf_bones.training.probe import fit_head, head_features, start_head
from hf_bones.training.processes import first_process_says, join_processes, require_shared
from hf_bones.training.run.arguments import training_arguments
from hf_bones.training.run.checkpoints import (
    RUN_FILE,
    START,
    delete_folders,
    earlier_checkpoints,
    has_fitted_start,
    load_weights,
    prepare_output,
    round_weights,
    shift_biases,
)
from hf_bones.training.run.ema import AveragingTrainer
from hf_bones.training.run.sharding import prepare_sharding, whole_model
from hf_bones.training.run.tracking import trackers
from hf_bones.training.run.watch import WatchedTrainer, says_what_to_change


@dataclass
class TrainedModel:
    """What a finished run hands on: the best model, its input, and its validation logits (N, C) with labels and groups."""

    model: PreTrainedModel
    spec: InputSpec
    scheme: LabelScheme
    logits: np.ndarray
    labels: np.ndarray
    groups: list[str]
    metrics: dict[str, Any]
    data: dict[str, Any]
    history: list[dict[str, Any]]
    seconds: float
    is_main_process: bool
    distillation: dict[str, Any] | None = None  # who taught it, where somebody did
    verdict_shift: dict[str, float] | None = None  # what balanced_verdicts added to the logits, by class


EXTRA_COLUMNS = {"subtype": "subtypes", "region": "regions"}  # extra head → column of `Rows`


class BoneTrainer(WatchedTrainer, AveragingTrainer):
    """A Trainer whose batches stay 8-bit grey until they are on the device, where they are augmented and normalised."""

    def __init__(
        self,
        *,
        spec: InputSpec,
        policy: AugmentConfig,
        sampler: RunSampler,
        optimiser_groups: list[dict[str, Any]],
        config: TrainConfig | None = None,
        **arguments: Any,
    ):
        self.config = config or TrainConfig()
        self.spec = spec
        self.policy = policy
        self.sampler = sampler
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

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if lora_layers(self.model):
            if self.args.should_save:
                save_matrices(self.model, Path(output_dir or self.args.output_dir))
            state_dict = plain_state(self.model)
        super()._save(output_dir, state_dict)

    def _load_best_model(self) -> None:
        load_weights(self.model, Path(self.state.best_model_checkpoint))

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        batch = super()._prepare_inputs(inputs)
        if "grey" not in batch and "kept" not in batch:
            return batch
        policy = self.policy if self.model.training else None
        matrices = batch_matrices(batch, policy) if "draws" in batch else None
        network = self.accelerator.unwrap_model(self.model)
        inputs = {"labels": batch["labels"]}
        if "kept" in batch:  # what the frozen part gave for the images
            inputs["kept"] = batch["kept"]
        else:
            inputs["pixel_values"] = batch_to_input(batch, self.spec, policy, matrices, getattr(network.config, "num_channels", 3))
        if self.model.training and hasattr(network, NAME):
            inputs |= {key: value for key, value in batch.items() if key.endswith("_label")}
            if getattr(network, NAME).patch is not None:
                inputs |= {"matrices": matrices} | {key: batch[key] for key in ("boxes", "boxes_known", "heights", "widths")}
        return inputs

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | int | None = None
    ) -> Any:
        """The recipe's loss, and the losses of the further heads, each summed over images and divided as it is."""
        targets = {key: inputs.pop(key) for key in list(inputs) if key not in ("pixel_values", "kept", "labels")}
        count = len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        further = self.further_losses(outputs, targets)
        if further:
            # As the Trainer scales the main one: gradients are averaged over processes, sums are not.
            processes = self.accelerator.num_processes if num_items_in_batch is not None else 1
            loss = loss + torch.stack(list(further.values())).sum() / count * processes
        return (loss, outputs) if return_outputs else loss

    def further_losses(self, outputs: Any, targets: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses beside the recipe's own, weighted, each summed over the images of the batch."""
        losses: dict[str, torch.Tensor] = {}
        if "boxes" in targets and PATCH_LOGITS in outputs:
            logits = outputs[PATCH_LOGITS]
            place = (targets["boxes"], targets["matrices"], targets["heights"], targets["widths"])
            cover = box_cover(*place, grid=logits.shape[-1], size=self.spec.size)
            losses["box"] = self.config.box_loss * box_loss(logits, cover, targets["boxes_known"])
        for key, labels in targets.items():
            if key.endswith("_label"):
                name = key.removesuffix("_label")
                losses[name] = self.config.extra_head_loss * label_loss(outputs[f"{name}_logits"], labels)
        return losses

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


MakeTrainer = Callable[[Recipe, PreTrainedModel, InputSpec, LabelScheme, Rows, Rows], BoneTrainer]


@says_what_to_change
def train(
    recipe: Recipe, make: MakeTrainer | None = None, rows: tuple[Rows, Rows] | None = None, callbacks: Sequence[TrainerCallback] = ()
) -> TrainedModel:
    """Runs a recipe to its best checkpoint; call it in each process that accelerate or torchrun started.

    Goes on from the last complete checkpoint in `output_dir` when that is of the same recipe. Raises `RecipeError` for keys that do not
    go together, and when the number of processes is not the one asked for. `make` builds another Trainer than `make_trainer` does;
    `rows` are training and validation rows to take instead of those that the recipe names; `callbacks` go to the Trainer. Raises
    `RunEndedError` for a run that cannot go on (`training/run/watch.py`).
    """
    check_rules(recipe)
    config = recipe.training
    join_processes(recipe)
    scheme = load_scheme(recipe.data.label_scheme)
    output = Path(config.output_dir)
    earlier = [] if config.resume else earlier_checkpoints(output)
    has_start, resume_from = first_process_says(lambda: (has_fitted_start(recipe, output), prepare_output(recipe, output)))
    require_shared(output / RUN_FILE, "output_dir")
    callbacks = [*trackers(recipe, resumed=resume_from is not None), *callbacks]
    train_rows, validation_rows = rows or training_rows(
        recipe.data,
        scheme,
        config.seed,
        recipe.model.image_size,
        run_shards(recipe, output, resumed=resume_from is not None) if recipe.data.streaming else None,
    )
    counts = label_counts(train_rows, scheme)
    shift = -learnt_log_prior(config, counts) if config.balanced_verdicts else np.zeros(len(counts))
    torch.manual_seed(config.seed)  # before the new head is drawn
    model, spec = load_model(recipe.model, scheme)
    check_network(recipe, model)
    heads = extra_heads(recipe.model.extra_heads, train_rows)
    if config.box_loss or heads:
        attach_auxiliary(model, spec.size, {name: len(labels) for name, labels in heads.items()}, config.box_loss > 0)
    if recipe.model.lora_rank:
        add_lora(model, recipe.model, head_parameters(model))
    trainer = (make or make_trainer)(recipe, model, spec, scheme, train_rows, validation_rows)
    for callback in callbacks:
        trainer.add_callback(callback)
    if trainer.is_world_process_zero():
        delete_folders(earlier)  # not before rows and network are known to be there
    prepare_sharding(trainer, recipe, resume_from)
    trainer.args.eval_on_start &= resume_from is None  # a resumed run has that evaluation in its history
    if trainer.is_world_process_zero():
        _announce(trainer, recipe, scheme, train_rows, validation_rows, resume_from)
    started = time.monotonic()
    if config.cached_views:
        keep_frozen_output(trainer, recipe, {"train": train_rows.hashes, "validation": validation_rows.hashes})
    if has_start and resume_from is None:
        load_weights(model, output / START)
    elif config.head_start == "probe" and resume_from is None:
        fit_probe(trainer, config, len(scheme.names))
        save_start(trainer, output / START)
    if config.epochs > 0:
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
        merge_lora(trainer.accelerator.unwrap_model(trainer.model))
        keep_better_start(trainer, output / START)
    model = trainer.accelerator.unwrap_model(trainer.model)
    round_weights(model, config.save_dtype)
    prediction = trainer.predict(trainer.eval_dataset, metric_key_prefix="validation")
    whole = whole_model(model, lambda: load_model(recipe.model, scheme)[0])
    logits = np.asarray(prediction.predictions, dtype=np.float64)
    labels = np.asarray(prediction.label_ids)
    if config.balanced_verdicts and trainer.is_world_process_zero():
        shift = shift_biases(whole, shift, config.save_dtype)
        logits += shift
    metrics: dict[str, Any] = {**classification_metrics(labels, softmax(logits), scheme.names, scheme.normal_id)}
    if heads:
        features = head_features(model, spec, trainer.eval_dataset, config.eval_batch_size, trainer.args.device)
        metrics["heads"] = head_figures(model, features, extra_labels(heads, validation_rows), heads)
    return TrainedModel(
        model=whole,
        spec=spec,
        scheme=scheme,
        logits=logits,
        labels=labels,
        groups=validation_rows.groups,
        metrics=metrics,
        data=describe_rows(train_rows, validation_rows, recipe.data, scheme),
        history=trainer.state.log_history,
        seconds=time.monotonic() - started,
        is_main_process=trainer.is_world_process_zero(),
        verdict_shift=dict(zip(scheme.names, shift.tolist(), strict=True)) if config.balanced_verdicts else None,
    )


def extra_heads(wanted: list[str], rows: Rows) -> dict[str, list[str]]:
    """The classes of each extra head: the words that its column holds in the training rows.

    Raises `RecipeError` for a column with fewer than two words.
    """
    heads: dict[str, list[str]] = {}
    for name in wanted:
        heads[name] = sorted(set(getattr(rows, EXTRA_COLUMNS[name])) - {""})
        if len(heads[name]) < 2:
            raise RecipeError(f"extra_heads: the training rows of `dataset` hold {len(heads[name])} kinds of {name}; take it out")
    return heads


def extra_labels(heads: dict[str, list[str]], rows: Rows) -> dict[str, np.ndarray]:
    """Class ids (N,) of the rows for each extra head; `UNKNOWN` for a row without a word, or with one that no training row has."""
    return {
        name: np.array([words.index(word) if word in words else UNKNOWN for word in getattr(rows, EXTRA_COLUMNS[name])], dtype=np.int64)
        for name, words in heads.items()
    }


def label_counts(rows: Rows, scheme: LabelScheme) -> np.ndarray:
    """How many rows each class has, (C,)."""
    labels = np.asarray(rows.labels)
    return np.bincount(labels[labels != UNLABELLED], minlength=len(scheme.names))


def make_trainer(
    recipe: Recipe,
    model: PreTrainedModel,
    spec: InputSpec,
    scheme: LabelScheme,
    train_rows: Rows,
    validation_rows: Rows,
    kind: Callable[..., BoneTrainer] = BoneTrainer,
) -> BoneTrainer:
    """The Trainer of a recipe, ready to run; `kind` is given a `BoneTrainer`'s arguments."""
    config = recipe.training
    labels = np.asarray(train_rows.labels)
    head_rate = config.head_learning_rate or 10 * config.learning_rate
    sampler = (
        stream_sampler(train_rows, recipe)
        if train_rows.stream is not None
        else RunSampler(labels, config.sampling, config.seed, config.batch_size, config.samples_per_epoch)
    )

    if config.torch_compile == "blocks":
        compile_blocks(model)
    callbacks = [EarlyStoppingCallback(config.early_stopping_patience)] if config.early_stopping_patience else []
    return kind(
        spec=spec,
        policy=recipe.augment,
        sampler=sampler,
        optimiser_groups=parameter_groups(model, config.learning_rate, head_rate, config.weight_decay, config.layer_decay),
        model=model,
        args=training_arguments(recipe, len(sampler)),
        config=config,
        train_dataset=TrainingRows(
            train_rows.sources,
            labels,
            spec.size,
            config.seed,
            with_boxes=config.box_loss > 0 or (recipe.augment.augment and (recipe.augment.zoom > 1 or recipe.augment.keep_in_view)),
            extra_labels=extra_labels(extra_heads(recipe.model.extra_heads, train_rows), train_rows),
        ),
        eval_dataset=TrainingRows(validation_rows.sources, np.asarray(validation_rows.labels), spec.size, config.seed),
        data_collator=SquareCollator(spec.size),
        compute_loss_func=training_loss(config, label_counts(train_rows, scheme)),
        compute_metrics=trainer_metrics(scheme),
        callbacks=callbacks,
    )


def fit_probe(trainer: BoneTrainer, config: TrainConfig, classes: int) -> None:
    """Starts the trainer's model from a head fitted to its training rows."""
    rows = trainer.labelled_rows()
    views = [
        head_features(
            trainer.model, trainer.spec, rows, config.eval_batch_size, trainer.args.device, trainer.policy if view else None, view
        )
        for view in range(config.probe_views)
    ]
    counts = np.bincount(rows.labels, minlength=classes)
    labels, c = np.tile(rows.labels, config.probe_views), config.probe_c / config.probe_views
    weights, biases = fit_head(np.concatenate(views), labels, classes, c, class_weights(counts, config.class_weights))
    start_head(trainer.model, weights, biases - logit_offsets(config, counts))


def save_start(trainer: BoneTrainer, folder: Path) -> None:
    """Writes the weights with the fitted head, once for all processes; a killed run leaves no half of it under the final name."""
    if trainer.is_world_process_zero():
        partial = folder.with_name(f"{folder.name}.partial")
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.save_pretrained(partial, state_dict=plain_state(model))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    trainer.accelerator.wait_for_everyone()


def keep_better_start(trainer: BoneTrainer, start: Path) -> None:
    """Goes back to the fitted head on the untouched backbone where no later checkpoint scored higher on validation.

    The Trainer evaluates the start but compares only what it saved on the way.
    """
    scores = [entry["eval_selection"] for entry in trainer.state.log_history if entry.get("step") == 0 and "eval_selection" in entry]
    if scores and start.is_dir() and scores[0] >= (trainer.state.best_metric or 0):
        load_weights(trainer.accelerator.unwrap_model(trainer.model), start)


def _announce(
    trainer: BoneTrainer, recipe: Recipe, scheme: LabelScheme, train_rows: Rows, validation_rows: Rows, resume_from: Path | None
) -> None:
    arguments = trainer.args
    learning = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in trainer.model.parameters())
    precision = "bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "fp32"
    print(f"recipe      {recipe.name}: {recipe.model.model} at {trainer.spec.size} px")
    print(f"processes   {arguments.world_size} on {arguments.device.type}, {precision}")
    lora = f", LoRA of rank {recipe.model.lora_rank}" if recipe.model.lora_rank else ""
    print(f"weights     {learning:,} of {total:,} learn ({recipe.model.trainable}{lora})")
    for name, rows in (("train", train_rows), ("validation", validation_rows)):
        counts = ", ".join(f"{label} {count}" for label, count in rows.counts(scheme).items())
        print(f"{name:<11} {len(rows)} images: {counts}; {sum(rows.synthetic)} of them drawn")
    if train_rows.stream is not None:
        print(f"stream      {stream_line(train_rows.stream, recipe.data)}")
    elif recipe.data.dataset:
        print(f"arrays      {arrays_line(train_rows, validation_rows, recipe.data, trainer.spec.size)}")
    if resume_from is not None:
        print(f"resuming    from {resume_from}")
