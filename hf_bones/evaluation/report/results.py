"""What was evaluated and what an evaluation wrote, apart from who writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_bones.evaluation.report.figures import SliceFigures
from hf_bones.evaluation.seen import SeenRows
from hf_bones.metrics.decisions import ClassDecisions


@dataclass(frozen=True)
class EvaluationSetup:
    """What was evaluated, for the head of the report and for metrics.json.

    left_out: image id → why a row has no figures (unreadable, unlabelled). looks: how often this split was looked at, None where it
    is not counted; looks_in: the file that holds the count. mirror: whether the checkpoint's probabilities rest on the mean of the logits
    of each image and of its mirror image. zoom: how many films were looked at again, None where none was to be. notes: sentences for the
    report, such as why a baseline is missing. warnings: why its figures say little or too much; they stand at its top.
    """

    checkpoint: str
    dataset: str
    split: str
    dataset_sha256: str = ""
    revision: str | None = None
    calibrated: bool = False
    mirror: bool = False
    zoom: int | None = None
    command: str = ""
    looks: int | None = None
    looks_in: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation wrote and found. `tables[0]` is the checkpoint on all rows; mirror, zoom: as in `EvaluationSetup`.

    page: `report` as HTML. least_rows: sources and regions of fewer rows are not shown apart where people read. warnings: those of the
    setup, and what is to be said of `seen`, the rows that the checkpoint had before. break_tables: the checkpoint on the parts that tell
    whether it looks at the break. decisions: what a rule that may refer decided, over all rows and by class; nothing where it may not.
    """

    report: Path
    page: Path
    metrics: Path
    errors: Path | None
    tables: tuple[SliceFigures, ...]
    mirror: bool = False
    zoom: int | None = None
    least_rows: int = 1
    warnings: tuple[str, ...] = ()
    break_tables: tuple[SliceFigures, ...] = ()
    seen: SeenRows = SeenRows(None)  # noqa: RUF009 - frozen
    decisions: tuple[ClassDecisions, ...] = ()
