"""A run from its recipe to its best checkpoint, step by step.

Not here: what it is made of (`build.py`), the Trainer (`bone_trainer.py`), the fitted head that it may start from (`start.py`),
checkpoints on disk (`run/checkpoints.py`), what ends it early (`run/watch.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, TrainerCallback

from hf_bones.config.recipe import DataConfig, Recipe, TrainConfig
from hf_bones.config.rules import check_rules
from hf_bones.labels import LabelScheme
from hf_bones.logits import softmax
from hf_bones.metrics import classification_metrics
from hf_bones.metrics.by_source import by_source_metrics
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import head_figures, trained_patch_head
from hf_bones.training.backbone.check import check_network
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.backbone.lora import merge_lora
from hf_bones.training.bone_trainer import BoneTrainer
from hf_bones.training.build import MakeTrainer, add_further_weights, extra_heads, extra_labels, make_trainer, run_log_prior, shares_of
from hf_bones.training.cached_views.fill import keep_frozen_output
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.row_table import Rows
from hf_bones.training.data.rows import describe_rows, training_rows
from hf_bones.training.data.streaming import run_shards
from hf_bones.training.patch_fit import fit_patch_head
from hf_bones.training.probe import head_features
from hf_bones.training.processes import first_process_says, join_processes
from hf_bones.training.run.announce import announce
from hf_bones.training.run.checkpoints import Earlier, comparable, earlier_work, round_weights, shift_biases
from hf_bones.training.run.learnt_rows import note_rows
from hf_bones.training.run.progress import print_plainly
from hf_bones.training.run.result import TrainedModel
from hf_bones.training.run.sharding import prepare_sharding, whole_model
from hf_bones.training.run.tracking import trackers
from hf_bones.training.run.watch import says_what_to_change
from hf_bones.training.run_scheme import run_scheme, with_scheme
from hf_bones.training.start import keep_better_start, start_weights
from hf_bones.training.verdicts import fitted_shift, logits_of_copies

Teach = Callable[[PreTrainedModel, InputSpec, LabelScheme, Rows], tuple[Rows, MakeTrainer]]
"""Prepares a network for its teachers, in place: gives the rows to train on in place of the labelled ones, and the kind of Trainer."""


@says_what_to_change
def train(
    recipe: Recipe, rows: tuple[Rows, Rows] | None = None, callbacks: Sequence[TrainerCallback] = (), teach: Teach | None = None
) -> TrainedModel:
    """Runs a recipe to its best checkpoint; call it in each process that accelerate or torchrun started.

    Resumes from the last complete checkpoint in `output_dir` when that is of the same recipe. Raises `RecipeError` for keys that do not
    go together, and when the number of processes is not the one asked for. `rows` are training and validation rows to take instead of
    those that the recipe names; `callbacks` go to the Trainer; `teach` is what distillation adds (`distill/run.py`). Raises
    `RunEndedError` for a run that cannot go on (`run/watch.py`).
    """
    check_rules(recipe)
    config = recipe.training
    join_processes(config, recipe.trainer)
    scheme = run_scheme(recipe.data)
    recipe = with_scheme(recipe, scheme)
    earlier = earlier_work(comparable(recipe.as_dict()), config)
    followed = trackers(config, recipe.trainer, recipe.name, resumed=earlier.checkpoint is not None)
    train_rows, validation_rows = rows or read_rows(recipe.data, config, scheme, recipe.model.image_size, earlier)
    both = (list(zip(part.hashes, part.labels, strict=True)) for part in (train_rows, validation_rows))
    resumed = earlier.checkpoint is not None or earlier.has_start
    first_process_says(lambda: note_rows(Path(config.output_dir), *both, resumed=resumed))
    shares = shares_of(config, train_rows, scheme)
    prior = run_log_prior(config, train_rows, scheme, shares)
    shift = -prior if config.balanced_verdicts else None

    torch.manual_seed(config.seed)  # before the new head is drawn
    model, spec = load_model(recipe.model, scheme)
    check_network(model, recipe.model, config)
    heads = extra_heads(recipe.model.extra_heads, train_rows)
    add_further_weights(model, recipe.model, spec.size, heads, boxes=config.box_loss > 0)
    taught_rows, make = teach(model, spec, scheme, train_rows) if teach else (train_rows, BoneTrainer)
    trainer = make_trainer(recipe, model, spec, scheme, taught_rows, validation_rows, make)
    print_plainly(trainer)
    for callback in (*followed, *callbacks):
        trainer.add_callback(callback)
    if prepare_sharding(trainer, earlier.checkpoint):
        check_rules(recipe, "fsdp")
    trainer.args.eval_on_start &= earlier.checkpoint is None  # a resumed run has that evaluation in its history
    if trainer.is_world_process_zero():
        earlier.delete_outdated()  # not before rows and network are known to be there
        announce(trainer, recipe.name, recipe.model, recipe.data, scheme, train_rows, validation_rows, earlier.checkpoint, shares)

    started = time.monotonic()
    validation_images = trainer.eval_dataset
    if config.cached_views:
        trainer.train_dataset, trainer.eval_dataset, trainer.data_collator = keep_frozen_output(
            trainer,
            config,
            recipe.model.trainable,
            recipe.augment,
            spec,
            {"train": train_rows.hashes, "validation": validation_rows.hashes},
            epoch_length=len(trainer.sampler) if config.sampling == "uniform" else None,
        )
    if config.head_start == "probe" and earlier.checkpoint is None:
        start_weights(trainer, len(scheme.names), earlier)
    stepped = config.epochs > 0
    if config.epochs > 0:
        trainer.train(resume_from_checkpoint=str(earlier.checkpoint) if earlier.checkpoint else None)
        merge_lora(trainer.accelerator.unwrap_model(trainer.model))
        stepped = not keep_better_start(trainer, earlier.start)

    model = trainer.accelerator.unwrap_model(trainer.model)
    round_weights(model, config.save_dtype)
    logits, labels = validation_logits(trainer)
    patch_head = trained_patch_head(model, stepped)
    whole = whole_model(model, lambda: load_model(recipe.model, scheme)[0])
    if config.patch_head == "fitted" and trainer.is_world_process_zero():
        boxed = TrainingRows(train_rows.sources, np.array(train_rows.labels), spec.size, config.seed, with_boxes=True)
        patch_head = fit_patch_head(whole, spec, boxed, config.eval_batch_size, trainer.args.device, config.seed, train_rows.copies_of)
    copies = None
    if shift is not None and trainer.is_world_process_zero():
        if config.verdict_copies:
            about = (config.verdict_copies, recipe.augment, config.eval_batch_size, trainer.args.device)
            copies = logits_of_copies(whole, spec, validation_images, *about)
            shift = fitted_shift(np.concatenate([logits, copies]), np.tile(labels, config.verdict_copies + 1), shift)
        shift = shift_biases(whole, shift, config.save_dtype)
        logits += shift
        copies = None if copies is None else copies + shift
    metrics: dict[str, Any] = {**classification_metrics(labels, softmax(logits), scheme.names, scheme.normal_id)}
    left = prior if shift is None else np.zeros_like(prior)
    metrics |= by_source_metrics(logits, labels, validation_rows.origins, left, scheme.normal_id)
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
        verdict_shift=dict(zip(scheme.names, shift.tolist(), strict=True)) if shift is not None else None,
        copies=copies,
        patch_head=patch_head,
        rows=(taught_rows, validation_rows),
    )


def read_rows(data: DataConfig, config: TrainConfig, scheme: LabelScheme, image_size: int, earlier: Earlier) -> tuple[Rows, Rows]:
    """The training and validation rows that a recipe names, streamed ones from the shards that an earlier try began with."""
    shards = run_shards(data, config, resumed=earlier.checkpoint is not None) if data.streaming else None
    return training_rows(data, scheme, config.seed, image_size, shards)


def validation_logits(trainer: BoneTrainer) -> tuple[np.ndarray, np.ndarray]:
    """What the network says of the validation rows, float64 (N, C), and their labels (N,)."""
    prediction = trainer.predict(trainer.eval_dataset, metric_key_prefix="validation")
    return np.asarray(prediction.predictions, dtype=np.float64), np.asarray(prediction.label_ids)
