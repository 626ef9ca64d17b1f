"""Distillation: a small student learns what larger teachers say of each image, beside its label.

From Python: `trained = distill(override(load_recipe(RECIPE), {"teacher": ["runs/big"], "teacher_probabilities": ["big.npz"]}))`, with
`override` and `load_recipe` of `hf_bones.config.recipe`; `finetune.run` of such a recipe also writes the checkpoint, its record and card.

The student's loss is `label_weight` × the loss of the labels + (1 - `label_weight`) × T² × KL(teacher ‖ student), both softened by the
temperature T (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531), + `feature_weight` × the distance
of its projected features from the teacher's (Romero et al., "FitNets", ICLR 2015, arXiv 1412.6550). Projections train beside the network
and are left out of the checkpoint. Everything else (batches, augmentation, resuming, saving) is the fine-tuning's own.

Not here: the loss (`trainer.py`), teachers (`teacher.py`), probabilities from files (`probabilities.py`), images without
labels (`unlabelled.py`), the comparison with labels alone (`labels_alone.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, TrainerCallback

from hf_bones.config.recipe import DataConfig, DistillConfig, Recipe, RecipeError
from hf_bones.config.rules import check_rules
from hf_bones.labels import LabelScheme
from hf_bones.logits import softmax
from hf_bones.metrics import classification_metrics
from hf_bones.preprocess import InputSpec
from hf_bones.training.build import MakeTrainer
from hf_bones.training.data.batches import UNLABELLED, SquareCollator, TrainingRows, batch_to_input
from hf_bones.training.data.row_table import Rows
from hf_bones.training.distill.features import attach_projections
from hf_bones.training.distill.probabilities import read_probabilities, targets_of
from hf_bones.training.distill.teacher import Teacher, ask, load_teacher, mean_probabilities, teacher_view
from hf_bones.training.distill.trainer import DistillTrainer, Lessons
from hf_bones.training.distill.unlabelled import Unlabelled, unlabelled_rows
from hf_bones.training.processes import first_process_says
from hf_bones.training.run.result import TrainedModel
from hf_bones.training.trainer import train

log = logging.getLogger(__name__)


def distill(recipe: Recipe, rows: tuple[Rows, Rows] | None = None, callbacks: Sequence[TrainerCallback] = ()) -> TrainedModel:
    """Trains the recipe's network under its teachers to the best checkpoint, as `trainer.train` does from labels alone.

    `rows` are training and validation rows to take instead of those that the recipe names; `callbacks` go to the Trainer.
    Raises `RecipeError` for keys that do not go together, files and teachers that cannot be used, and images without probabilities.
    """
    check_rules(recipe, "distill")
    made: list[DistillTrainer] = []

    def taught(model: PreTrainedModel, spec: InputSpec, scheme: LabelScheme, train_rows: Rows) -> tuple[Rows, MakeTrainer]:
        train_rows, lessons = prepare_lessons(
            recipe.distill, recipe.data, Path(recipe.training.output_dir), model, spec, scheme, train_rows
        )

        def make(**arguments: Any) -> DistillTrainer:
            made.append(DistillTrainer(distill=recipe.distill, lessons=lessons, **arguments))
            announce(made[0])
            return made[0]

        return train_rows, make

    trained = train(recipe, rows, callbacks, taught)
    trained.distillation = made[0].describe()
    if trained.is_main_process:
        trained.distillation |= compare_with_teacher(made[0], trained)
    return trained


def prepare_lessons(
    config: DistillConfig, data: DataConfig, output: Path, model: PreTrainedModel, spec: InputSpec, scheme: LabelScheme, train_rows: Rows
) -> tuple[Rows, Lessons]:
    """Loads teachers, reads files, finds images without labels and gives the network its projections, in place.

    Returns the rows to train on and who teaches what of them.
    """
    look = partial(unlabelled_rows, config, data, train_rows.hashes, output)
    first_process_says(lambda: len(look()))  # the others read the list that it writes
    unlabelled = look()
    rows = with_unlabelled(train_rows, unlabelled)
    files = [read_probabilities(path, scheme) for path in config.teacher_probabilities]
    targets = targets_of(rows.hashes, rows.origins, files, len(scheme.names), config.missing_probabilities != "error")
    teachers = [load_teacher(name, scheme) for name in config.teacher]
    if not files and not any(teacher.order for teacher in teachers) and config.label_weight < 1:
        raise RecipeError("teacher: none has a head with class names to give probabilities; set label_weight to 1 for features alone")
    silent = np.isnan(targets).any(axis=1) & (np.asarray(rows.labels) == UNLABELLED)
    if files and config.missing_probabilities == "labels" and silent.any():
        raise RecipeError(
            f"missing_probabilities: labels, but {silent.sum():,} images of `unlabelled` have neither label nor probabilities, first "
            f"{rows.hashes[int(silent.argmax())]} ({rows.origins[int(silent.argmax())]})"
        )
    if config.feature_weight:
        attach_projections(model, spec.size, teachers, config.features)
    foreign = {name for teacher in teachers for name in teacher.licences} - set(data.train_licences)
    if data.train_licences and foreign:
        log.warning(
            "teacher: it learnt from rows under %s, which train_licences leaves out; what it hands on may be bound by them",
            ", ".join(sorted(foreign)),
        )
    return rows, Lessons(teachers, files, targets, unlabelled)


def with_unlabelled(rows: Rows, unlabelled: Unlabelled) -> Rows:
    """Training rows followed by images without labels; the rows themselves stay as they are."""
    count = len(unlabelled)
    return replace(
        rows,
        sources=rows.sources + unlabelled.sources,
        labels=rows.labels + [UNLABELLED] * count,
        groups=rows.groups + [f"unlabelled-{digest}" for digest in unlabelled.hashes],
        licences=rows.licences + unlabelled.licences,
        origins=rows.origins + unlabelled.origins,
        hashes=rows.hashes + unlabelled.hashes,
        synthetic=rows.synthetic + [False] * count,
        subtypes=rows.subtypes + [""] * count,
        regions=rows.regions + [""] * count,
    )


def announce(trainer: DistillTrainer) -> None:
    """Prints who teaches what, in the first process."""
    if not trainer.is_world_process_zero():
        return
    lessons, config = trainer.lessons, trainer.distill
    for teacher in lessons.teachers:
        said = [*["probabilities"] * trainer.asks_for_probabilities, *[f"{config.features} features"] * bool(config.feature_weight)]
        print(f"teacher     {teacher.name} at {teacher.spec.size} px: {' and '.join(said) or 'not asked, files hold every image'}")
    for file in lessons.files:
        print(f"teacher     {file.path}: probabilities of {len(file.rows):,} images")
    for folder in lessons.unlabelled.report:
        left_out = {key: folder[key] for key in ("refused", "copies_of_held_out", "repeated", "labelled_already", "other_licence")}
        words = ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in left_out.items() if count)
        print(
            f"unlabelled  {folder['name']}: {folder['images']:,} images" + (f"; left out: {words} (see unlabelled.json)" if words else "")
        )


def compare_with_teacher(trainer: DistillTrainer, trained: TrainedModel) -> dict[str, Any]:
    """The teachers' own validation figures, and how far the student agrees with them there; nothing where they cannot be asked.

    Checkpoints are asked about the images as they are; without any, files must hold every validation image.
    """
    rows: TrainingRows = trainer.eval_dataset
    probabilities = teacher_probabilities(trainer.lessons.teachers, rows, trainer.spec, trainer.config.eval_batch_size, trainer.args.device)
    if probabilities is None:
        return {}
    added = trained.verdict_shift or {}  # the teachers are asked without theirs, too
    student = softmax(trained.logits - np.array([added.get(name, 0.0) for name in trained.scheme.names]))
    gap = np.log(np.clip(probabilities, 1e-12, 1)) - np.log(np.clip(student, 1e-12, 1))
    return {
        "teacher_validation": classification_metrics(trained.labels, probabilities, trained.scheme.names, trained.scheme.normal_id),
        "agreement": float((probabilities.argmax(axis=1) == student.argmax(axis=1)).mean()),
        "kl": float((probabilities * gap).sum(axis=1).mean()),
    }


def teacher_probabilities(
    teachers: Sequence[Teacher], rows: TrainingRows, spec: InputSpec, batch_size: int, device: torch.device, progress: bool = True
) -> npt.NDArray[np.float64] | None:
    """What the teachers on average say of rows, (N, C), seen as the student sees them in validation; None where none knows the classes."""
    knowing = [teacher for teacher in teachers if teacher.order is not None]
    if not knowing:
        return None
    collate, said = SquareCollator(spec.size), []
    for start in tqdm(range(0, len(rows), batch_size), desc="teachers on validation", unit="batch", disable=None if progress else True):
        batch = collate(rows.__getitems__(range(start, min(start + batch_size, len(rows)))))
        batch = {key: value.to(device) for key, value in batch.items()}
        view = batch_to_input(batch, spec)
        place = (batch["heights"], batch["widths"])
        mean = mean_probabilities([ask(teacher, teacher_view(view, *place, spec, teacher.spec)) for teacher in knowing])
        assert mean is not None
        said.append(mean.double().cpu().numpy())
    return np.concatenate(said)
