"""What distillation is worth: the same network trained from the labels alone, for as many steps, and the difference on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_bones.config.recipe import DistillConfig, TrainConfig
from hf_bones.logits import softmax
from hf_bones.metrics.headlines import ALONE, DISTILLATION, TITLES
from hf_bones.metrics.intervals import paired_differences
from hf_bones.training.run.result import TrainedModel

FOLDER = "labels-alone"  # in the distilled run's


def labels_alone(name: str, training: TrainConfig, entries: Mapping[str, Any], steps: int, steps_an_epoch: int) -> dict[str, Any]:
    """What `replace` puts into a recipe to train it without its teachers, in a folder within its own: as many optimiser steps, validated
    as often. `entries` are those of its `trainer:`.

    Without the images that have no label an epoch is shorter; counted in epochs, the run would be too, and validated more often.
    """
    every = max(1, steps_an_epoch // training.evaluations_per_epoch)
    rhythm = {"eval_strategy": "steps", "eval_steps": every, "save_strategy": "steps", "save_steps": every}
    return {
        "name": f"{name} (labels alone)",
        "training": replace(training, output_dir=str(Path(training.output_dir) / FOLDER), max_steps=steps, push_to_hub=None),
        "distill": DistillConfig(),
        "trainer": {**rhythm, **entries},
    }


def compare_with_labels_alone(distilled: TrainedModel, alone: TrainedModel) -> dict[str, Any]:
    """Validation figures of the network that had labels alone, and what the distilled one has over them.

    `difference` has for each figure [difference, low, high]: 95 % by a paired bootstrap over groups. Probabilities are the softmax's own.
    """
    scheme = distilled.scheme
    scores = (softmax(distilled.logits), softmax(alone.logits))
    found = paired_differences(distilled.labels, *scores, distilled.groups, scheme.names, scheme.normal_id)
    return {"validation": alone.metrics, "seconds": alone.seconds, "difference": {key: list(value) for key, value in found.items()}}


def comparison_lines(compared: dict[str, Any]) -> list[str]:
    """The comparison for the terminal, a figure a line."""
    lines = []
    for key in DISTILLATION:
        value, low, high = compared["difference"][key]
        interval = f"{low:+{ALONE}} to {high:+{ALONE}}" if low == low else "no interval"
        lines.append(
            f"{TITLES[key]:<30} {compared['validation'][key]:{ALONE}} from labels alone, {value:+{ALONE}} ({interval}) by distillation"
        )
    return lines
