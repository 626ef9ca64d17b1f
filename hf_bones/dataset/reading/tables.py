"""Tables of images: which columns they may have, under which names, and how cells are read.

Not here: what a row means (`sources.py`).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Box = tuple[float, float, float, float]

# The names under which each column of a manifest is recognised (case does not matter); the first that is there wins.
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "path", "image_path", "file_path", "filepath", "filename", "file_name", "image"),
    "label": ("label", "class", "class_name", "category", "diagnosis", "target"),
    "subtype": ("subtype", "break_type", "fracture_type"),
    "original_label": ("original_label", "source_label"),
    "group": ("group", "patient", "patient_id", "patientid", "block", "subject", "subject_id", "study", "study_id"),
    "copy_group": ("copy_group", "duplicate_group", "near_duplicate_group"),
    "source": ("source", "dataset", "origin"),
    "region": ("region", "body_part", "anatomy"),
    "view": ("view", "projection"),
    "licence": ("licence", "license"),
    "boxes": ("boxes", "boxes_xywh_norm"),
    "severity": ("severity",),
    "split": ("split", "partition", "fold", "subset"),
    "image_id": ("image_id", "id"),
    "synthetic": ("synthetic", "is_synthetic"),
    "sha256": ("sha256",),
    "label_basis": ("label_basis",),
    "hardware": ("hardware", "metal"),
    "cast": ("cast",),
}
# Words by which people say that they do not know; no subtype is better than one of these.
UNKNOWN_WORDS = {"", "unclear", "unknown", "none", "nan", "n/a"}


class SourceError(ValueError):
    """A source cannot be read as what it should be: a missing file, column, folder or value."""


def find_columns(columns: Iterable[str]) -> dict[str, str]:
    """Our name → the table's column, for each of `COLUMN_NAMES` that `columns` has."""
    by_key = {column.strip().casefold(): column for column in columns}
    return {
        name: next(by_key[alias] for alias in aliases if alias in by_key)
        for name, aliases in COLUMN_NAMES.items()
        if by_key.keys() & set(aliases)
    }


def read_table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a CSV, TSV or Parquet file. Raises `SourceError` naming a file that is none of these."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            return table.column_names, table.to_pylist()
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".jsonl":
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
            return list(dict.fromkeys(key for record in records for key in record)), records
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        return list(reader.fieldnames or ()), list(reader)
    except (ValueError, csv.Error) as error:  # pyarrow's errors and UnicodeDecodeError are ValueErrors
        raise SourceError(f"{path} cannot be read as a table: {error}") from error


def cell_text(value: object) -> str:
    """A cell as stripped text; empty for None and NaN."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()


def parse_boxes(value: object) -> tuple[Box, ...]:
    """Boxes from "cx cy w h;cx cy w h", the same as JSON, or a list of lists. Raises ValueError for values outside [0, 1]."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        text = value.strip()
        rows = json.loads(text) if text.startswith("[") else [part.split() for part in text.split(";") if part.strip()]
    elif isinstance(value, Sequence):
        rows = list(value)
    else:
        raise ValueError(f"boxes {value!r} are neither text nor a list")
    boxes = []
    for row in rows:
        numbers = tuple(float(number) for number in row)
        if len(numbers) != 4 or not all(0 <= number <= 1 for number in numbers):
            raise ValueError(f"box {row!r} is not 'cx cy w h' with each in [0, 1]")
        boxes.append((numbers[0], numbers[1], numbers[2], numbers[3]))
    return tuple(boxes)
