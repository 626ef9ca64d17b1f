"""Recipes of curation: one YAML file holds the thresholds of the checks, of near-duplicates and of the splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_bones.config import RecipeError, dataclass_from_dict, nearest, option, read_recipe

DEFAULT_RECIPE = "radiographs"


@dataclass
class CheckSettings:
    """From which measured value on an image is suspect."""


@dataclass
class DedupSettings:
    """When two images are near-duplicates of each other."""


@dataclass
class SplitSettings:
    """How images are dealt out to train, validation and test."""

    train: float = option(0.7, "Share of the training split.")
    validation: float = option(0.15, "Share of the validation split.")
    test: float = option(0.15, "Share of the test split.")
    seed: int = option(0, "Seed of the deal.")
    region_weight: float = option(0.25, "What a region's share weighs beside that of its label and source; 0: not at all.")
    random_score_strength: float = option(1e-3, "Inverse regularisation of the logistic regression that scores a random split.")


@dataclass
class OpinionSettings:
    """How a linear head on frozen features gives an opinion of images that it did not learn from."""

    folds: int = option(5, "Whole groups are dealt out to this many folds; each is judged by a head fitted to the others.")
    inner_folds: int = option(3, "Folds within those others, by which the head's strength is chosen.")
    repeats: int = option(3, "Deals into folds; figures and probabilities are means over them.")
    strengths: list[float] = field(
        default_factory=lambda: [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
        metadata={"help": "Inverse regularisations (on standardised features) to choose from."},
    )
    class_weights: str = option("balanced", "Weights by class frequency: `none`, `sqrt` or `balanced`.")
    seed: int = option(0, "Seed of the deals.")


@dataclass
class CurateRecipe:
    """One way of curating, all of it."""

    name: str = "custom"
    description: str = ""
    checks: CheckSettings = field(default_factory=CheckSettings)
    dedup: DedupSettings = field(default_factory=DedupSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    opinions: OpinionSettings = field(default_factory=OpinionSettings)


_STAGES: Mapping[str, type] = {"checks": CheckSettings, "dedup": DedupSettings, "split": SplitSettings, "opinions": OpinionSettings}
_KEYS = [f.name for f in dataclasses.fields(CurateRecipe)]


def load_curate_recipe(name_or_path: str | Path = DEFAULT_RECIPE) -> CurateRecipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, _ = read_recipe(name_or_path, "curate")
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: a recipe of curation is a mapping with some of: {', '.join(_KEYS)}")
    recipe = CurateRecipe()
    for key, value in data.items():
        if key not in _KEYS:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), _KEYS)}; known: {', '.join(_KEYS)}")
        if key in _STAGES:
            if not isinstance(value, Mapping):
                raise RecipeError(f"{source}: {key!r} must be a mapping of {_STAGES[key].__name__} fields")
            setattr(recipe, key, dataclass_from_dict(_STAGES[key], value, f"{source}: {key}"))
        else:
            setattr(recipe, key, str(value).strip())
    return recipe
