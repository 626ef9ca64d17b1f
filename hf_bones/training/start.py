"""Where a run starts when its head is fitted first (`head_start: probe`): fitting it, keeping these weights, going back to them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.backbone.lora import plain_state
from hf_bones.training.bone_trainer import BoneTrainer
from hf_bones.training.cached_views.rows import CachedViewRows, collate_views_described
from hf_bones.training.data.batches import TrainingRows, batch_matrices, labels_in_view
from hf_bones.training.loss import class_weights, logit_offsets
from hf_bones.training.probe import fit_head, head_features, start_head
from hf_bones.training.run.checkpoints import Earlier, load_weights
from hf_bones.training.run.hashes import write_hashes


def start_weights(trainer: BoneTrainer, classes: int, earlier: Earlier) -> None:
    """Starts the trainer's model from a head fitted to its training rows, or from what an earlier try at the run had fitted."""
    if earlier.has_start:
        load_weights(trainer.accelerator.unwrap_model(trainer.model), earlier.start)
    else:
        fit_probe(trainer, classes)
        save_start(trainer, earlier.start)


def fit_probe(trainer: BoneTrainer, classes: int) -> None:
    """Starts the trainer's model from a head fitted to its training rows."""
    config, rows = trainer.config, trainer.labelled_rows()
    policy = replace(trainer.policy, tile_probability=0.0)  # of cached views it has no say
    views = [
        head_features(trainer.model, trainer.spec, rows, config.eval_batch_size, trainer.args.device, policy if view else None, view)
        for view in range(config.probe_views)
    ]
    counts = np.bincount(rows.labels, minlength=classes)
    labels = np.concatenate([view_labels(rows, view, trainer.policy, trainer.normal_label) for view in range(config.probe_views)])
    c = config.probe_c / config.probe_views
    weights, biases = fit_head(np.concatenate(views), labels, classes, c, class_weights(counts, config.class_weights))
    start_head(trainer.model, weights, biases - logit_offsets(config, counts))


def view_labels(rows: TrainingRows | CachedViewRows, view: int, policy: AugmentConfig, normal: int) -> np.ndarray:
    """The labels (N,) of rows in one of their views: those of the rows, but for cached views that show a tile."""
    if not isinstance(rows, CachedViewRows) or rows.bright is None or not view:
        return np.asarray(rows.labels)
    batch = collate_views_described([rows.described(row, view) for row in range(len(rows))])
    return labels_in_view(batch, batch_matrices(batch, policy), policy, normal).numpy()


def save_start(trainer: BoneTrainer, folder: Path) -> None:
    """Writes the weights with the fitted head, once for all processes; a killed run leaves no half of it under the final name."""
    if trainer.is_world_process_zero():
        partial = folder.with_name(f"{folder.name}.partial")
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.save_pretrained(partial, state_dict=plain_state(model))
        write_hashes(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    trainer.accelerator.wait_for_everyone()


def keep_better_start(trainer: BoneTrainer, start: Path) -> bool:
    """Goes back to the fitted head on the untouched backbone where no later checkpoint scored higher on validation, and says
    whether it did.

    The Trainer evaluates the start but compares only what it saved on the way.
    """
    scores = [entry["eval_selection"] for entry in trainer.state.log_history if entry.get("step") == 0 and "eval_selection" in entry]
    better = bool(scores) and start.is_dir() and scores[0] >= (trainer.state.best_metric or 0)
    if better:
        if trainer.is_world_process_zero():
            print("kept        the start: no validation after it scored higher")
        load_weights(trainer.accelerator.unwrap_model(trainer.model), start)
    return better
