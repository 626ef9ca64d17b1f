"""The figures that a checkpoint ships (metrics.json), as rows for a page: with intervals, and for whom they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_bones.app.demo.about.shipped import Shipped
from hf_bones.evaluation.report.figures import CHECKPOINT, ROUGH, Figure, SliceFigures, table_from
from hf_bones.hub.card import METRICS_FILE
from hf_bones.metrics.headlines import CARD, IN_CELL

CALIBRATION = ("ece", "brier", "log_loss")
DECIDED = ("covered", "decided", "referred", "wrong", "missed")
_LEAST = 10  # films of a source that is shown apart


@dataclass(frozen=True)
class Cell:
    """A figure as text: `value`, "–" where there is none; `interval`, "0.86–0.94" or ""; whether that is `rough`, coming from few
    groups; and `counts`, "48 / 114", of a share."""

    value: str
    interval: str = ""
    rough: bool = False
    counts: str = ""


@dataclass(frozen=True)
class Measured:
    """What was measured. `classes`: in order. figures: (key, cell). own: cells of `headlines`. sources: (name, films, cells of
    `headlines`), those with few films left out. baselines: (model, cells of `headlines`). confusion: counts, a row for each true class.
    decisions: (true class, cells in the order of `DECIDED`). n, split: of the films that it was measured on. looks: how often these were
    looked at; None where nobody counted."""

    classes: tuple[str, ...]
    n: int
    split: str
    looks: int | None
    figures: tuple[tuple[str, Cell], ...]
    headlines: tuple[str, ...]
    own: tuple[Cell, ...]
    sources: tuple[tuple[str, int, tuple[Cell, ...]], ...]
    baselines: tuple[tuple[str, tuple[Cell, ...]], ...]
    confusion: tuple[tuple[int, ...], ...]
    decisions: tuple[tuple[str, tuple[Cell, ...]], ...]
    warnings: tuple[str, ...]


def read_measured(shipped: Shipped) -> Measured | None:
    """The figures of metrics.json; None where there is none. Raises ValueError for one that is damaged or of another layout."""
    found = shipped.data(METRICS_FILE)
    if found is None:
        return None
    try:
        return _measured(found)
    except (KeyError, TypeError, AttributeError, IndexError, StopIteration) as error:
        raise ValueError(f"{METRICS_FILE}: it is not what `hf-bones evaluate` writes ({type(error).__name__}: {error})") from error


def _measured(found: Mapping[str, Any]) -> Measured:
    classes = tuple(map(str, found["classes"]))
    tables = [table_from(part) for part in found["slices"]]
    whole = next(table for table in tables if (table.kind, table.model) == ("all", CHECKPOINT))
    sources = [table for table in tables if (table.kind, table.model) == ("source", CHECKPOINT)]
    shown = [*CARD, *(f"{kind}_{name}" for name in classes for kind in ("sensitivity", "specificity")), *CALIBRATION]
    return Measured(
        classes,
        whole.n,
        str((found.get("dataset") or {}).get("split") or ""),
        (found.get("looks") or {}).get("count"),
        tuple((key, _cell(whole.figures[key])) for key in shown if key in whole.figures),
        CARD,
        _cells(whole),
        tuple((each.name, each.n, _cells(each)) for each in sources if each.n >= _LEAST),
        tuple((each.model, _cells(each)) for each in tables if each.kind == "all" and each.model != CHECKPOINT),
        tuple(tuple(map(int, row)) for row in (found.get("confusion_rows_true") or {}).get("all:all", [])),
        tuple((str(each["name"]), tuple(_share(each[key]) for key in DECIDED)) for each in found.get("decisions") or []),
        tuple(map(str, found.get("warnings") or [])),
    )


def _cells(table: SliceFigures) -> tuple[Cell, ...]:
    return tuple(_cell(table.figures[key]) if key in table.figures else Cell("–") for key in CARD)


def _cell(figure: Figure) -> Cell:
    if figure.value is None:
        return Cell("–")
    return Cell(f"{figure.value:{IN_CELL}}", _interval(figure.interval), bool(figure.interval) and (figure.reason or "").startswith(ROUGH))


def _share(found: Mapping[str, Any]) -> Cell:
    if found["value"] is None:
        return Cell("–")
    return Cell(f"{found['value']:{IN_CELL}}", _interval(found.get("interval")), counts=f"{int(found['count'])} / {int(found['of'])}")


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:{IN_CELL}}–{interval[1]:{IN_CELL}}"
