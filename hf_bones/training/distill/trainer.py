"""The Trainer of distillation: the loss of the labels beside the distance from what teachers say of the same view.

Not here: who teaches, and on which images (`run.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hf_bones.config.recipe import DistillConfig
from hf_bones.training.bone_trainer import TILES, BoneTrainer
from hf_bones.training.data.batches import UNLABELLED, TrainingRows
from hf_bones.training.distill.features import feature_distance, match_grid, mean_over_image, projected_key
from hf_bones.training.distill.probabilities import ProbabilityFile
from hf_bones.training.distill.teacher import Lesson, Teacher, ask, describe_teachers, mean_probabilities, teacher_view
from hf_bones.training.distill.unlabelled import Unlabelled
from hf_bones.training.loss import LossFunction

TARGETS = "teacher_targets"  # in a batch: probabilities (B, C) that a file holds, NaN where none does
VIEW = "student_view"  # the student's own input, for the teachers


def tempered_kl(logits: torch.Tensor, probabilities: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² × KL(teacher ‖ student) in nats of each image, (B,), at temperature T: of student `logits` (B, C), teacher `probabilities` (B, C).

    The teacher's probabilities are softened as its logits would be, p^(1/T) normalised. T² keeps the gradient's size as T grows.
    """
    tiny = torch.finfo(torch.float32).tiny
    teacher = (probabilities.float().clamp(min=tiny).log() / temperature).log_softmax(dim=1)
    student = (logits.float() / temperature).log_softmax(dim=1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(dim=1)


class TaughtRows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """`rows` whose items also say what a file of probabilities holds for them: targets (N, C), NaN where it holds nothing."""

    def __init__(self, rows: TrainingRows, targets: npt.NDArray[np.float32]) -> None:
        self.rows, self.targets = rows, targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[dict[str, Any]]:
        numbers = [key[0] if isinstance(key, tuple) else key for key in keys]
        return [item | {TARGETS: self.targets[row]} for item, row in zip(self.rows.__getitems__(keys), numbers, strict=True)]


@dataclass(frozen=True)
class TaughtCollator:
    """A collator that also stacks the targets, where items have them."""

    collate: Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = self.collate(rows)
        if TARGETS in rows[0]:
            batch[TARGETS] = torch.from_numpy(np.stack([row[TARGETS] for row in rows]))
        return batch


@dataclass(frozen=True, eq=False)
class Lessons:
    """Who teaches what: checkpoints, files, what the files hold of each training row (N, C), and the images without labels."""

    teachers: list[Teacher]
    files: list[ProbabilityFile]
    targets: npt.NDArray[np.float32]
    unlabelled: Unlabelled


class DistillTrainer(BoneTrainer):
    """A `BoneTrainer` whose loss also draws the student to its teachers. In validation it is a plain `BoneTrainer`."""

    def __init__(self, *, distill: DistillConfig, lessons: Lessons, **arguments: Any) -> None:
        self.distill, self.lessons = distill, lessons
        self.plain_rows: TrainingRows = arguments["train_dataset"]
        self.label_loss: LossFunction = arguments["compute_loss_func"]
        lacking = bool(np.isnan(lessons.targets).any()) and (not lessons.files or distill.missing_probabilities == "teacher")
        self.asks_for_probabilities = lacking and distill.label_weight < 1
        self.sums: dict[str, torch.Tensor] = {}
        self.images = 0
        arguments["train_dataset"] = TaughtRows(self.plain_rows, lessons.targets)
        arguments["data_collator"] = TaughtCollator(arguments["data_collator"])
        arguments["compute_loss_func"] = self.loss_of_labels
        super().__init__(**arguments)
        for teacher in lessons.teachers:
            teacher.model.to(self.args.device)

    def labelled_rows(self) -> TrainingRows:
        """The training rows that have a label; those without come last, each folder a source of its own."""
        count = int((self.plain_rows.labels != UNLABELLED).sum())
        sources = self.plain_rows.sources[: int(np.searchsorted(self.plain_rows.starts, count))]
        rows = self.plain_rows
        return TrainingRows(sources, rows.labels[:count], rows.size, rows.seed, rows.with_boxes)

    def network_inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        inputs = super().network_inputs(batch)
        if self.model.training and TARGETS in batch:
            inputs |= {key: batch[key] for key in (TARGETS, "heights", "widths")} | {VIEW: inputs["pixel_values"]}
        return inputs

    def loss_of_labels(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        """The recipe's own loss of the images that have a label, divided by the number of all; its share of the whole in training."""
        if not self.model.training:
            return self.label_loss(outputs, labels, num_items_in_batch)
        if not len(self.lessons.unlabelled):
            return self.distill.label_weight * self.label_loss(outputs, labels, num_items_in_batch)
        count = len(labels) if num_items_in_batch is None else num_items_in_batch
        known = labels != UNLABELLED
        return self.distill.label_weight * self.label_loss({"logits": outputs["logits"][known]}, labels[known], count)

    def further_losses(self, outputs: Any, targets: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The distances from the teachers beside the other losses, weighted, each summed over the images of the batch."""
        losses = super().further_losses(outputs, targets)
        if TARGETS not in targets:
            return losses
        place = (targets["heights"], targets["widths"])
        heard = self.hear(targets[VIEW], *place)
        mine: dict[str, torch.Tensor] = {}
        if self.distill.label_weight < 1:
            wanted = self.wanted_probabilities(targets[TARGETS], heard)
            known = ~wanted.isnan().any(dim=1)
            if TILES in targets:  # what was said of the film does not hold for a part of it
                known &= ~targets[TILES]
            apart = tempered_kl(outputs["logits"], wanted.masked_fill(~known[:, None], 1.0), self.distill.temperature)
            mine["teacher"] = (apart * known).sum()
        if self.distill.feature_weight:
            each = [self.feature_loss(outputs[projected_key(number)], lesson, *place) for number, lesson in enumerate(heard)]
            mine["feature"] = torch.stack(each).mean(dim=0).sum()
        for name, loss in mine.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(loss)) + loss.detach()
        self.images += len(targets[TARGETS])
        weights = {"teacher": 1 - self.distill.label_weight, "feature": self.distill.feature_weight}
        return losses | {name: weights[name] * loss for name, loss in mine.items()}

    def hear(self, view: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor) -> list[Lesson]:
        """What each teacher says of the student's view (B, C, S, S); nothing where nobody needs to be asked."""
        if not self.asks_for_probabilities and not self.distill.feature_weight:
            return []
        features = self.distill.features if self.distill.feature_weight else None
        with self.accelerator.autocast():
            return [ask(each, teacher_view(view, heights, widths, self.spec, each.spec), features) for each in self.lessons.teachers]

    def wanted_probabilities(self, targets: torch.Tensor, heard: Sequence[Lesson]) -> torch.Tensor:
        """The teacher's probabilities (B, C): those of files, else, where it is asked for them, the teachers' mean; NaN where unknown."""
        said = mean_probabilities(heard) if self.asks_for_probabilities else None
        return targets if said is None else torch.where(targets.isnan(), said, targets)

    def feature_loss(self, projected: torch.Tensor, lesson: Lesson, heights: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
        """Distance of the student's projected features from a teacher's, (B,)."""
        assert lesson.features is not None
        distance = feature_distance(projected, match_grid(lesson.features, projected), self.distill.feature_loss)
        return mean_over_image(distance, heights, widths, self.spec.size)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds to the training loss its parts: mean distance an image from the teachers since the last log, on this process."""
        if "loss" in logs and self.images:
            logs |= {f"{name}_loss": total.item() / self.images for name, total in self.sums.items()}
            self.sums, self.images = {}, 0
        super().log(logs, start_time)

    def describe(self) -> dict[str, Any]:
        """What the record says of who taught, and on what."""
        config, lessons = self.distill, self.lessons
        held = int((~np.isnan(lessons.targets).any(axis=1)).sum())
        return {
            "teachers": describe_teachers(lessons.teachers),
            "probability_files": [{"name": file.path.name, "sha256": file.sha256, "images": len(file.rows)} for file in lessons.files],
            "images_with_probabilities_of_a_file": held,
            "temperature": config.temperature,
            "label_weight": config.label_weight,
            "feature_weight": config.feature_weight,
            "features": f"{config.features}, {config.feature_loss}" if config.feature_weight else None,
            "steps": self.state.max_steps,
            "steps_an_epoch": round(self.state.max_steps / max(1, self.state.num_train_epochs)),
            "labelled_images": len(lessons.targets) - len(lessons.unlabelled),
            "unlabelled_images": len(lessons.unlabelled),
            "unlabelled": lessons.unlabelled.report,
        }
