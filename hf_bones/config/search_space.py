"""The `search:` of a recipe: the keys that a search may change and within what, how many trials it makes, when it gives one up.

Checked when the recipe is read, so that a slip shows before hours are spent. Not here: the search itself (`training/search/run.py`).
"""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hf_bones.config.fields import (
    Checked,
    RecipeError,
    check_value,
    checked_value,
    dataclass_from_dict,
    is_removed,
    nearest,
    option,
    plain_type,
)

_SAME_ROWS = "every trial must be scored on the same validation rows"
_OF_THE_SEARCH = "it belongs to the search as a whole"
NOT_SEARCHED = {
    **dict.fromkeys(("dataset", "label_scheme", "train_licences", "without_sources"), _SAME_ROWS),
    **dict.fromkeys(("drawn_validation_images", "drawn_size", "drawn_mode"), _SAME_ROWS),
    **dict.fromkeys(("output_dir", "resume", "processes", "cpu", "report_to", "push_to_hub", "with_baseline"), _OF_THE_SEARCH),
    "choose_by": "every trial must be scored alike",
    "seed": "the best of several seeds is luck and no better recipe",
}


@dataclass(frozen=True)
class Range:
    """What a key may be: `low` … `high`, evenly in the logarithm with `log`, in steps with `step`; or one of `choices`."""

    low: Any = None
    high: Any = None
    log: bool = False
    step: Any = None
    choices: tuple[Any, ...] | None = None

    def holds(self, value: Any) -> bool:
        """Whether `value` is within."""
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        on_grid = self.step is None or math.isclose((value - self.low) / self.step, round((value - self.low) / self.step), abs_tol=1e-9)
        return bool(self.low <= value <= self.high) and on_grid


@dataclass
class SearchConfig(Checked):
    """How long a search runs, and over what."""

    trials: int = option(20, "Trials in total, pruned and failed ones included.", within="[1, ∞)")
    startup_trials: int = option(
        5, "The first trials are drawn at random; nothing is pruned before this many have finished.", within="[1, ∞)"
    )
    prune_after: int | None = option(
        2,
        "Evaluations that every trial gets; after them, one whose best is under the median is stopped. Empty: none is.",
        within="[1, ∞)",
    )
    space: dict[str, Range] = field(default_factory=dict, metadata={"help": "Recipe key → {low, high, log, step} or {choices}."})


def search_from_dict(data: Any, stages: Iterable[type], source: str) -> SearchConfig:
    """A `SearchConfig` from plain data; keys of its space are fields of the `stages` (dataclasses), its values of their types.

    Raises `RecipeError` naming the key, the nearest known one, and the form or type wanted.
    """
    return dataclass_from_dict(SearchConfig, data, source, read={"space": lambda value, where: _space(value, stages, where)})


def _space(data: Any, stages: Iterable[type], source: str) -> dict[str, Range]:
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source} must be a mapping, as in: learning_rate: {{low: 1.0e-5, high: 1.0e-3, log: true}}")
    keys = {key.name: (hints[key.name], key) for stage in stages for hints in [typing.get_type_hints(stage)] for key in fields(stage)}
    space: dict[str, Range] = {}
    for key, value in data.items():
        if is_removed(key, f"{source}.{key}"):
            continue
        if key not in keys:
            raise RecipeError(f"{source}: {key!r} is not a key of a recipe{nearest(str(key), keys)}")
        if key in NOT_SEARCHED:
            raise RecipeError(f"{source}: {key} cannot be searched over: {NOT_SEARCHED[key]}")
        hint, described = keys[key]
        space[key] = found = _range(value, hint, f"{source}.{key}")
        for end in found.choices or (found.low, found.high):
            check_value(end, described.metadata, f"{source}.{key}")
    return space


def _range(data: Any, hint: Any, source: str) -> Range:
    kind, _ = plain_type(hint)
    known = [f.name for f in fields(Range)]
    if kind not in (int, float, str, bool):
        raise RecipeError(f"{source}: a list cannot be searched over")
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: expected {{low: …, high: …}} or {{choices: […]}}, got {data!r}")
    given = {key: value for key, value in data.items() if value is not None}
    for key in given:
        if key not in known:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), known)}; known: {', '.join(known)}")
    if "choices" in given:
        return _choices(given, hint, source)
    if kind not in (int, float):
        raise RecipeError(f"{source}: a {kind.__name__} is searched over by {{choices: […]}}")
    if missing := [end for end in ("low", "high") if end not in given]:
        raise RecipeError(f"{source}: {' and '.join(missing)} missing; give low and high, or choices")
    low, high = (checked_value(given[end], kind, f"{source}.{end}") for end in ("low", "high"))
    log = checked_value(given.get("log", False), bool, f"{source}.log")
    step = checked_value(given["step"], kind, f"{source}.step") if "step" in given else None
    if not low < high:
        raise RecipeError(f"{source}: low ({low}) must be under high ({high})")
    if log and low <= 0:
        raise RecipeError(f"{source}: log needs a low over 0, got {low}")
    if step is not None and (log or step <= 0):
        raise RecipeError(f"{source}: step must be over 0 and goes without log")
    return Range(low, high, log, step)


def _choices(given: Mapping[str, Any], hint: Any, source: str) -> Range:
    if others := [key for key in given if key != "choices" and given[key] is not False]:
        raise RecipeError(f"{source}: choices go without {', '.join(others)}")
    listed = given["choices"]
    if not isinstance(listed, (list, tuple)) or len(listed) < 2:
        raise RecipeError(f"{source}.choices: expected a list of two values or more, got {listed!r}")
    values = tuple(checked_value(value, hint, f"{source}.choices[{place}]") for place, value in enumerate(listed))
    if len(set(values)) < len(values):
        raise RecipeError(f"{source}.choices: a value is given twice: {list(values)}")
    return Range(choices=values)
