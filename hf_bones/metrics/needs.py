"""Which rows each figure rests on: why one is undefined, and when it rests on too few rows for an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Under ten rows of a class a percentile interval mostly shows which rows happened to be there; counts say more.
MIN_ROWS = 10


def figure_parts(key: str, names: Sequence[str], normal: str) -> dict[str, tuple[str, ...]]:
    """The groups of rows that the figure `key` needs, each as words and as the classes whose rows belong to it.

    `auroc_abnormal` needs {"healthy": ("healthy",), "any abnormal class": ("fractured", "beyond_repair")}.
    """
    abnormal = {"any abnormal class": tuple(name for name in names if name != normal)}
    own: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    rest = {name: {f"any class but {name}": tuple(other for other in names if other != name)} for name in names}
    base, _, at = key.partition("_at_specificity_")
    if at:
        name = base.removeprefix("sensitivity_")
        healthy: dict[str, tuple[str, ...]] = {normal: (normal,)}
        if base == "threshold":
            return healthy
        return {name: (name,), **healthy} if name in own else {**abnormal, **healthy}
    if key.startswith("achieved_specificity_"):
        return {normal: (normal,)}
    if key == "auroc_abnormal":
        return {normal: (normal,), **abnormal}
    if key in {"balanced_accuracy", "macro_f1", "auroc_ovr_macro"}:
        return own
    for prefix in ("auroc_ovr_", "sensitivity_", "specificity_"):
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and name in own:
            return ({} if prefix == "specificity_" else {name: (name,)}) | ({} if prefix == "sensitivity_" else rest[name])
    return {"any class": tuple(names)}


def figure_support(key: str, supports: Mapping[str, int], normal: str) -> tuple[int, str]:
    """How many rows the figure `key` rests on, and which: the scarcest group of rows that it needs, such as (22, "beyond_repair").

    `supports` maps each class to its number of rows; `normal` is the class that means "nothing found".
    """
    parts = _counted(key, supports, normal)
    scarcest = min(parts, key=lambda part: parts[part])
    return parts[scarcest], scarcest


def undefined_reason(key: str, supports: Mapping[str, int], normal: str) -> str:
    """Why `key` is NaN on rows with these counts, in words for the report."""
    missing = [part for part, count in _counted(key, supports, normal).items() if count == 0]
    if missing:
        return f"no row of {' and '.join(missing)}"
    if key == "cohen_kappa":
        return "truth and prediction are one and the same single class"
    return "not defined on these rows"


def _counted(key: str, supports: Mapping[str, int], normal: str) -> dict[str, int]:
    parts = figure_parts(key, tuple(supports), normal)
    return {part: sum(supports[name] for name in members) for part, members in parts.items()}
