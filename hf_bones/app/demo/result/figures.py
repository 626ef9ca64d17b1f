"""The honest figures of a model for one line, from the files that came with it: metrics.json of a test, else record.json's validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hf_bones.inference.checkpoint import RECORD_FILE
from hf_bones.record import read_json

METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class ModelFigures:
    """What is known of how good a model is; what is not known is None.

    n: films measured on. is_test: whether they had no part in choosing it. balanced, auroc, referred: value and 95 % interval. missed: how
    many of how many films that are not normal it calls normal. licence: as its card has it, "" where it has none.
    """

    n: int | None = None
    is_test: bool = False
    balanced: tuple[float, Interval] | None = None
    auroc: tuple[float, Interval] | None = None
    referred: tuple[float, Interval] | None = None
    missed: tuple[int, int] | None = None
    licence: str = ""


def model_figures(folder: Path) -> ModelFigures:
    """The figures of the checkpoint in `folder`. Raises ValueError naming a file that is no JSON."""
    metrics, record = folder / METRICS_FILE, folder / RECORD_FILE
    licence = card_licence(folder / CARD_FILE)
    if metrics.is_file():
        return _of_test(read_json(metrics), licence)
    validation = _at(read_json(record), "metrics", "validation") if record.is_file() else None
    if isinstance(validation, Mapping) and isinstance(validation.get("n"), int):
        return ModelFigures(
            n=validation["n"],
            balanced=_value(validation.get("balanced_accuracy")),
            auroc=_value(validation.get("auroc_abnormal")),
            licence=licence,
        )
    return ModelFigures(licence=licence)


def card_licence(card: Path) -> str:
    """The licence in the front matter of a card, "" where there is none."""
    parts = card.read_text(encoding="utf-8").split("---\n") if card.is_file() else []
    try:
        matter = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0].strip() else None
    except yaml.YAMLError:  # somebody else's card; it names no licence that can be read
        return ""
    return str(matter.get("license") or "") if isinstance(matter, Mapping) else ""


def _of_test(metrics: Mapping[str, Any], licence: str) -> ModelFigures:
    slices = metrics.get("slices")
    whole = next((one for one in slices or [] if (one.get("model"), one.get("kind")) == ("checkpoint", "all")), None)
    if whole is None:
        return ModelFigures(licence=licence)
    decisions = {one.get("name"): one for one in metrics.get("decisions") or []}
    abnormal = [one for name, one in decisions.items() if name in metrics.get("classes", []) and name != metrics.get("normal")]
    missed = [one["missed"] for one in abnormal if _at(one, "missed", "of")]
    return ModelFigures(
        n=whole.get("n"),
        is_test=_at(metrics, "dataset", "split") == "test",
        balanced=_value(_at(whole, "figures", "balanced_accuracy")),
        auroc=_value(_at(whole, "figures", "auroc_abnormal")),
        referred=_value(_at(decisions.get("all classes"), "referred")),
        missed=(sum(one["count"] for one in missed), sum(one["of"] for one in missed)) if missed else None,
        licence=licence,
    )


def _value(figure: Any) -> tuple[float, Interval] | None:
    """A bare number, or a figure with its interval."""
    if isinstance(figure, int | float):
        return float(figure), None
    value = _at(figure, "value")
    if not isinstance(value, int | float):
        return None
    interval = figure.get("interval")
    return float(value), (float(interval[0]), float(interval[1])) if interval else None


def _at(data: Any, *keys: str) -> Any:
    """What lies at a path of keys, None where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data
