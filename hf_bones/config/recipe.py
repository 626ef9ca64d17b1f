"""Recipes: one YAML file is one whole run, read into a dataclass per stage.

Every field has a line of help, which becomes the `--help` of `scripts/train.py` and `hf-bones train`. An unknown key is an error that
names the nearest known one. Values given on the command line win over the recipe's, the recipe's over the defaults here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from hf_bones.config.fields import RecipeError, dataclass_from_dict, nearest, option
from hf_bones.config.search_space import SearchConfig, search_from_dict
from hf_bones.config.stages import AugmentConfig, DataConfig, DistillConfig, ModelConfig, TrainConfig

__all__ = [
    "STAGES",
    "AugmentConfig",
    "DataConfig",
    "DistillConfig",
    "ModelConfig",
    "Recipe",
    "RecipeError",
    "SearchConfig",
    "TrainConfig",
    "dataclass_from_dict",
    "launch_config",
    "load_recipe",
    "nearest",
    "option",
    "override",
    "read_recipe",
    "recipe_from_dict",
    "recipe_names",
]


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


STAGES: dict[str, type] = {
    "data": DataConfig, "model": ModelConfig, "augment": AugmentConfig, "training": TrainConfig, "distill": DistillConfig,
}  # fmt: skip
KEYS = ("name", "description", *STAGES, "trainer", "search")


def recipe_names(kind: str = "") -> list[str]:
    """Names of the recipes that ship with the package: those of training, or of a `kind` that has a folder of its own."""
    folder = _shipped(kind)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _shipped(kind: str) -> Traversable:
    folder = resources.files("hf_bones") / "recipes"
    return folder / kind if kind else folder


def launch_config(name: str) -> tuple[Path, str]:
    """The file of a launch configuration for `accelerate launch --config_file`, and for which machine it is (its first comment).

    Raises `RecipeError` naming those that there are.
    """
    known = recipe_names("accelerate")
    if name not in known:
        raise RecipeError(f"launch configuration {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    path = Path(str(_shipped("accelerate") / f"{name}.yaml"))
    with path.open(encoding="utf-8") as stream:
        return path, stream.readline().lstrip("# ").rstrip()


def read_recipe(name_or_path: str | Path, kind: str = "") -> tuple[Any, str, Path | None]:
    """What the YAML of a recipe holds, how to call it in messages, and the folder of a file (None for a shipped one).

    Raises `RecipeError` naming the file, or the nearest shipped name.
    """
    text, path, folder = str(name_or_path), Path(name_or_path), None
    if path.is_file():
        source, folder = text, path.parent
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{source}: cannot be read ({error})") from error
    elif text in (known := recipe_names(kind)):
        source, content = f"recipe {text!r}", (_shipped(kind) / f"{text}.yaml").read_text(encoding="utf-8")
    else:
        raise RecipeError(f"recipe {text!r} is neither a file nor one of: {', '.join(known)}{nearest(text, known)}")
    try:
        return yaml.safe_load(content), source, folder
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from error


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, _ = read_recipe(name_or_path)
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: a recipe is a mapping with some of: {', '.join(KEYS)}")
    return recipe_from_dict(data, source)


def recipe_from_dict(data: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """A `Recipe` from plain data, each value checked against its field's type."""
    recipe = Recipe()
    for key, value in data.items():
        if key not in KEYS:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), KEYS)}; known: {', '.join(KEYS)}")
        if key in STAGES:
            if not isinstance(value, Mapping):
                raise RecipeError(f"{source}: {key!r} must be a mapping of {STAGES[key].__name__} fields")
            setattr(recipe, key, dataclass_from_dict(STAGES[key], value, f"{source}: {key}"))
        elif key == "trainer":
            if not isinstance(value, Mapping):
                raise RecipeError(f"{source}: 'trainer' must be a mapping of TrainingArguments fields")
            recipe.trainer = dict(value)
        elif key == "search":
            recipe.search = search_from_dict(value, STAGES.values(), f"{source}: search")
        else:
            setattr(recipe, key, str(value).strip())
    return recipe


def override(recipe: Recipe, changes: Mapping[str, Any], source: str = "command line") -> Recipe:
    """A copy of `recipe` with flat `key: value` changes, each put into the stage that has the key."""
    data = recipe.as_dict()
    owner = {f.name: stage for stage, kind in STAGES.items() for f in dataclasses.fields(kind)}
    for key, value in changes.items():
        if key not in owner:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(key, owner)}")
        data.setdefault(owner[key], {})[key] = value
    return recipe_from_dict(data, source)
