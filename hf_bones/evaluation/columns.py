"""Columns of a dataset as an evaluation reads them; datasets from elsewhere need not have all of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_bones.evaluation.report.rows import Box

if TYPE_CHECKING:
    from datasets import Dataset


def text_column(part: Dataset, column: str) -> list[str]:
    """A text column, "" for missing values or a missing column."""
    if column not in part.column_names:
        return [""] * len(part)
    return [str(value) if value is not None else "" for value in part[column][:]]


def rows_of(part: Dataset, licences: Sequence[str] = (), sources: Sequence[str] = ()) -> list[int]:
    """The rows with one of these licences (SPDX ids) and of one of these sources; where none is named, with any."""
    kept = set(range(len(part)))
    for column, wanted in (("licence", licences), ("source", sources)):
        if wanted:
            kept &= {row for row, value in enumerate(text_column(part, column)) if value in wanted}
    return sorted(kept)


def box_column(part: Dataset) -> list[tuple[Box, ...]]:
    """The fracture boxes of each row, as (cx, cy, w, h) shares of its image; none where the column is missing."""
    if "boxes" not in part.column_names:
        return [()] * len(part)
    return [tuple((box[0], box[1], box[2], box[3]) for box in boxes or ()) for boxes in part["boxes"][:]]


def image_names(part: Dataset) -> list[str]:
    """The image id of each row, or its number."""
    return [text or f"row {index}" for index, text in enumerate(text_column(part, "image_id"))]


def row_columns(part: Dataset, kept: Sequence[int]) -> dict[str, Any]:
    """What `ScoredRows` has to say of the rows `kept` of `part`, beside their labels and scores."""

    def text(name: str) -> list[str]:
        values = text_column(part, name)
        return [values[index] for index in kept]

    def cells(name: str) -> list[Any] | None:
        """The cells of a column that datasets need not have."""
        if name not in part.column_names:
            return None
        values = part[name][:]
        return [values[index] for index in kept]

    ids, boxes, grades = image_names(part), box_column(part), cells("severity")
    return {
        # A row without a group is a group of its own.
        "groups": [group or f"row {index}" for group, index in zip(text("group"), kept, strict=True)],
        "sources": text("source"),
        "regions": text("region"),
        "image_ids": [ids[index] for index in kept],
        "subtypes": text("subtype"),
        "boxes": [boxes[index] for index in kept],
        "hardware": cells("hardware"),
        "casts": cells("cast"),
        "severities": None if grades is None else [float("nan") if one is None else float(one) for one in grades],
    }
