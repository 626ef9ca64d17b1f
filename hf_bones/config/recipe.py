"""Recipes: one YAML file is one whole run, read into a dataclass per stage (`stages.py`, `augment.py`).

An unknown key is an error that names the nearest known one. Values given on the command line win over the recipe's, the recipe's over
the defaults of the stages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_bones.config.augment import AugmentConfig
from hf_bones.config.fields import Reader, RecipeError, checked_mapping, dataclass_from_dict, nearest, option, text_of
from hf_bones.config.loading import launch_config, read_recipe, recipe_names
from hf_bones.config.search_space import SearchConfig, search_from_dict
from hf_bones.config.stages import DataConfig, DistillConfig, ModelConfig, TrainConfig

__all__ = [
    "STAGES", "AugmentConfig", "DataConfig", "DistillConfig", "ModelConfig", "Recipe", "RecipeError", "SearchConfig", "TrainConfig",
    "dataclass_from_dict", "launch_config", "load_recipe", "nearest", "option", "override", "read_recipe", "recipe_from_dict",
    "recipe_names",
]  # fmt: skip

STAGES: dict[str, type] = {
    "data": DataConfig, "model": ModelConfig, "augment": AugmentConfig, "training": TrainConfig, "distill": DistillConfig,
}  # fmt: skip


@dataclass
class Recipe:
    """One whole run. `trainer` holds further `transformers.TrainingArguments` fields by name, `search` what `--search` may change."""

    name: str = "custom"
    description: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    trainer: dict[str, Any] = field(default_factory=dict)
    search: SearchConfig | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without distillation and search where there are none."""
        data = dataclasses.asdict(self)
        if not self.distill.is_on:
            del data["distill"]
        if self.search is None:
            del data["search"]
        return data


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, _ = read_recipe(name_or_path)
    return recipe_from_dict(data, source)


def recipe_from_dict(data: object, source: str = "recipe") -> Recipe:
    """A `Recipe` from plain data, each value checked against its field's type, range and choices."""
    read: dict[str, Reader] = {
        "name": text_of,
        "description": text_of,
        "trainer": lambda value, where: dict(checked_mapping(value, where, "TrainingArguments fields")),
        "search": lambda value, where: search_from_dict(value, STAGES.values(), where),
    }
    return dataclass_from_dict(Recipe, data, source, ": ", read)


def override(recipe: Recipe, changes: Mapping[str, Any], source: str = "command line") -> Recipe:
    """A copy of `recipe` with flat `key: value` changes, each put into the stage that has the key."""
    data = recipe.as_dict()
    owner = {f.name: stage for stage, kind in STAGES.items() for f in dataclasses.fields(kind)}
    for key, value in changes.items():
        if key not in owner:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(key, owner)}")
        data.setdefault(owner[key], {})[key] = value
    return recipe_from_dict(data, source)
