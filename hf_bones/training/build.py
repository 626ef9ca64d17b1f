"""What a run is made of: the network with its further heads, and the Trainer with its rows, loss, sampling and parameter groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from transformers import EarlyStoppingCallback, PreTrainedModel

from hf_bones.config.recipe import ModelConfig, Recipe, RecipeError, TrainConfig, nearest
from hf_bones.labels import LabelScheme
from hf_bones.metrics.modules import trainer_metrics
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import UNKNOWN, attach_auxiliary, start_patch_head
from hf_bones.training.backbone.loading import compile_blocks, head_parameters, parameter_groups, resolve_model
from hf_bones.training.backbone.lora import add_lora
from hf_bones.training.backbone.patch_head import read_patch_head
from hf_bones.training.bone_trainer import BoneTrainer
from hf_bones.training.data.augment import needs_boxes
from hf_bones.training.data.batches import RunSampler, SquareCollator, TrainingRows
from hf_bones.training.data.row_table import Rows
from hf_bones.training.data.source_shares import SourceShares, require_shared_sources, source_shares
from hf_bones.training.data.streaming import stream_sampler
from hf_bones.training.loss import learnt_log_prior, training_loss
from hf_bones.training.run.arguments import training_arguments

EXTRA_COLUMNS = {"subtype": "subtypes", "region": "regions"}  # extra head → column of `Rows`

MakeTrainer = Callable[..., BoneTrainer]
"""A kind of `BoneTrainer`: given its arguments, it gives one."""


def add_further_weights(model: PreTrainedModel, config: ModelConfig, image_size: int, heads: Mapping[str, list[str]], boxes: bool) -> None:
    """Gives the network what learns beside its own weights, in place: extra `heads`, one for the `boxes` of breaks, LoRA's matrices."""
    if boxes or heads:
        attach_auxiliary(model, image_size, {name: len(labels) for name, labels in heads.items()}, boxes)
        if boxes and not config.from_scratch and not config.keep_blocks and (known := read_patch_head(Path(resolve_model(config.model)))):
            start_patch_head(model, known)
    if config.lora_rank:
        add_lora(model, config, head_parameters(model))


def extra_heads(wanted: list[str], rows: Rows) -> dict[str, list[str]]:
    """The classes of each extra head: the words that its column holds in the training rows.

    Raises `RecipeError` for an unknown head, or a column with fewer than two words.
    """
    heads: dict[str, list[str]] = {}
    for name in wanted:
        if name not in EXTRA_COLUMNS:
            raise RecipeError(f"extra_heads: {name!r} is none of {', '.join(EXTRA_COLUMNS)}{nearest(name, EXTRA_COLUMNS)}")
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


def make_trainer(
    recipe: Recipe,
    model: PreTrainedModel,
    spec: InputSpec,
    scheme: LabelScheme,
    train_rows: Rows,
    validation_rows: Rows,
    make: MakeTrainer = BoneTrainer,
) -> BoneTrainer:
    """The Trainer of a recipe, ready to run."""
    config, labels = recipe.training, np.asarray(train_rows.labels)
    shares = shares_of(config, train_rows, scheme)
    sampler = sampler_of(train_rows, config, recipe.data.stream_row_groups, shares)
    if config.torch_compile == "blocks":
        compile_blocks(model)
    head_rate = config.head_learning_rate or 10 * config.learning_rate
    return make(
        spec=spec,
        policy=recipe.augment,
        normal_label=scheme.normal_id,
        sampler=sampler,
        optimiser_groups=parameter_groups(model, config.learning_rate, head_rate, config.weight_decay, config.layer_decay),
        model=model,
        args=training_arguments(config, recipe.trainer, len(sampler)),
        config=config,
        train_dataset=TrainingRows(
            train_rows.sources,
            labels,
            spec.size,
            config.seed,
            with_boxes=config.box_loss > 0 or needs_boxes(recipe.augment),
            extra_labels=extra_labels(extra_heads(recipe.model.extra_heads, train_rows), train_rows),
            source_ids=shares.source_ids if shares is not None else None,
        ),
        eval_dataset=TrainingRows(validation_rows.sources, np.asarray(validation_rows.labels), spec.size, config.seed),
        data_collator=SquareCollator(spec.size),
        compute_loss_func=training_loss(config, train_rows.label_counts(scheme), shares),
        compute_metrics=trainer_metrics(
            scheme, validation_rows.origins, run_log_prior(config, train_rows, scheme, shares), config.choose_by
        ),
        callbacks=[EarlyStoppingCallback(config.early_stopping_patience)] if config.early_stopping_patience else [],
    )


def shares_of(config: TrainConfig, rows: Rows, scheme: LabelScheme) -> SourceShares | None:
    """How `sampling: source` draws the training rows; None where the recipe asks for another sampling.

    Raises `RecipeError` where the classes stand in different sources (`require_shared_sources`).
    """
    if config.sampling != "source":
        return None
    shares = source_shares(rows.labels, rows.origins, len(scheme.names))
    require_shared_sources(shares, scheme)
    return shares


def run_log_prior(config: TrainConfig, rows: Rows, scheme: LabelScheme, shares: SourceShares | None) -> np.ndarray:
    """`learnt_log_prior` of a run on these rows; zeros (C,) where a class has none, which leaves nothing to go by."""
    counts = rows.label_counts(scheme)
    if not config.balanced_verdicts and not counts.all():
        return np.zeros(len(counts))
    return learnt_log_prior(config, counts, shares)


def sampler_of(rows: Rows, config: TrainConfig, row_groups_at_a_time: int, shares: SourceShares | None = None) -> RunSampler:
    """The order of the training rows."""
    if rows.stream is not None:
        return stream_sampler(rows, row_groups_at_a_time, config.batch_size, config.seed)
    drawn_by = shares.rows if shares is not None else None
    return RunSampler(np.asarray(rows.labels), config.sampling, config.seed, config.batch_size, config.samples_per_epoch, drawn_by)
