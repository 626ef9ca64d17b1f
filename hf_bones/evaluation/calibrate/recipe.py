"""Recipes of calibration: one YAML file holds how probabilities are scaled, the error levels, what errors
cost, and from which distance on an image is unfamiliar or refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_bones.config.fields import Checked, RecipeError, checked_mapping, checked_value, dataclass_from_dict, nearest, option, text_of
from hf_bones.config.loading import read_recipe
from hf_bones.evaluation.gate.settings import GateSettings
from hf_bones.inference.conformal import OUT_OF_FOLD, VALIDATION

DEFAULT_RECIPE = "standard"
AUTO, TEMPERATURE, VECTOR = "auto", "temperature", "vector"
METHODS = (AUTO, TEMPERATURE, VECTOR)
FIT_ON = (AUTO, VALIDATION, OUT_OF_FOLD)


@dataclass
class ScalingSettings(Checked):
    """How logits become probabilities that mean what they say, and how that is measured."""

    method: str = option(
        AUTO, "One factor for all classes, or a factor and an offset each; auto: the lower log loss out of fold.", "", METHODS
    )
    folds: int = option(
        10, "Whole groups are dealt out to this many folds; each is judged by numbers fitted to the others.", within="[2, ∞)"
    )
    bins: int = option(15, "Bins of equally many films, for calibration errors.", within="[2, ∞)")
    repeats: int = option(1000, "Bootstrap resamples of groups.", within="[1, ∞)")
    seed: int = option(0, "Seed of folds and resamples.")


@dataclass
class SetSettings(Checked):
    """How often a prediction set may lack the true class, and on which films that is fitted."""

    alpha: float = option(0.1, "Error level: the share of a class's films whose prediction set may lack it.", within="(0, 1)")
    class_alpha: dict[str, float] = field(default_factory=dict, metadata={"help": "Class → an error level of its own."})
    fit_on: str = option(
        AUTO, "Films that thresholds are fitted on; auto: validation, out of fold where a class has too few films there.", "", FIT_ON
    )
    abnormal_together: bool = option(
        False, "A film of which only abnormal classes are left open is answered by the likeliest of them, not referred."
    )
    before_scaling: bool = option(
        False,
        "Thresholds are for the probabilities before the scaling: these do not know how frequent each class is among validation films.",
    )
    head_folds: int = option(5, "Folds of the heads whose answers out of fold are fitted on.", within="[2, ∞)")
    head_strengths: list[float] = option(
        [3e-4, 1e-3, 3e-3, 1e-2], "Inverse regularisations of these heads to choose from.", within="(0, ∞)"
    )


@dataclass
class CostSettings(Checked):
    """What errors cost. With both, the threshold of the normal class becomes miss ÷ (miss + alarm)."""

    miss: float | None = option(None, "Cost of an abnormal film that is called normal.", within="(0, ∞)")
    alarm: float | None = option(None, "Cost of a normal film that is called abnormal.", within="(0, ∞)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.miss is None) != (self.alarm is None):
            raise RecipeError("miss and alarm: only their ratio counts, so give both costs or none")


@dataclass
class CalibrateRecipe:
    """One way of calibrating, all of it."""

    name: str = "custom"
    description: str = ""
    scaling: ScalingSettings = field(default_factory=ScalingSettings)
    sets: SetSettings = field(default_factory=SetSettings)
    costs: CostSettings = field(default_factory=CostSettings)
    gate: GateSettings = field(default_factory=GateSettings)


def load_calibrate_recipe(name_or_path: str | Path = DEFAULT_RECIPE) -> CalibrateRecipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, _ = read_recipe(name_or_path, "calibrate")
    readers = {"name": text_of, "description": text_of, "sets": _sets_of}
    return dataclass_from_dict(CalibrateRecipe, data, source, ": ", readers)


def changed(
    recipe: CalibrateRecipe,
    *,
    method: str | None = None,
    alpha: float | None = None,
    class_alpha: tuple[str, ...] = (),
    fit_on: str | None = None,
    cost_miss: float | None = None,
    cost_alarm: float | None = None,
) -> CalibrateRecipe:
    """A recipe with what was given on the command line in place of its own; class_alpha as CLASS=LEVEL. Raises `RecipeError`."""
    own: dict[str, float] = {}
    for pair in class_alpha:
        name, equals, level = pair.partition("=")
        if not equals:
            raise RecipeError(f"--class-alpha {pair!r}: expected CLASS=LEVEL, as in beyond_repair=0.2")
        own[name.strip()] = checked_value(level, float, f"--class-alpha {name}")
    scaling = recipe.scaling if method is None else replace(recipe.scaling, method=method)
    given: dict[str, Any] = {"alpha": alpha, "fit_on": fit_on, "class_alpha": {**recipe.sets.class_alpha, **own} if own else None}
    sets = replace(recipe.sets, **{key: value for key, value in given.items() if value is not None})
    costs = recipe.costs
    if cost_miss is not None or cost_alarm is not None:
        costs = CostSettings(
            cost_miss if cost_miss is not None else recipe.costs.miss, cost_alarm if cost_alarm is not None else recipe.costs.alarm
        )
    return replace(recipe, scaling=scaling, sets=sets, costs=costs)


def error_levels(settings: SetSettings, names: tuple[str, ...]) -> dict[str, float]:
    """The error level of each class. Raises `RecipeError` for one of a class that is none, or outside (0, 1)."""
    for name, level in settings.class_alpha.items():
        if name not in names:
            raise RecipeError(f"class_alpha: {name!r} is no class; the classes are {', '.join(names)}{nearest(name, names)}")
        if not 0 < level < 1:
            raise RecipeError(f"class_alpha: {name}: expected a number in (0, 1), got {level}")
    return {name: settings.class_alpha.get(name, settings.alpha) for name in names}


def _sets_of(value: Any, where: str) -> SetSettings:
    return dataclass_from_dict(SetSettings, value, where, ".", {"class_alpha": _levels_of})


def _levels_of(value: Any, where: str) -> dict[str, float]:
    levels = checked_mapping(value, where, "classes to error levels")
    return {str(name): checked_value(level, float, f"{where}.{name}") for name, level in levels.items()}
