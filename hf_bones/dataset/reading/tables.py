"""Tables of images: text files as spreadsheets write them and Parquet files, the columns they may have, and how cells are read.

Encoding and delimiter are found out: UTF-8 or UTF-16 with or without a mark at the start, else Windows-1252; comma, semicolon, tab or bar.

Not here: what a row means (`table_rows.py`), which file a cell names (`file_names.py`).
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_bones.config.fields import nearest
from hf_bones.config.loading import parse_json
from hf_bones.pages.tables import stated

Box = tuple[float, float, float, float]

# The names under which each column of a manifest is recognised (case, spaces and hyphens do not matter); the first that is there wins.
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "file": (
        "file", "path", "image_path", "file_path", "filepath", "filename", "file_name", "image", "image_name", "image_file", "imagepath",
        "img", "img_path", "image_index",
    ),
    "label": ("label", "labels", "class", "class_name", "category", "diagnosis", "target", "finding", "ground_truth"),
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
}  # fmt: skip
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".parquet")
_SPREADSHEETS = {".xlsx", ".xls", ".xlsm", ".ods", ".numbers"}
# Words by which people say that they do not know; no subtype is better than one of these.
UNKNOWN_WORDS = {"", "unclear", "unknown", "none", "nan", "n/a"}
# What programs write into a cell that is empty. "none" is not among them: as a label it can mean "no finding".
EMPTY_WORDS = {"", "nan", "na", "n/a", "#n/a", "null", "<na>", "\\n", "#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!"}
YES, NO = {"1", "true", "yes", "y", "x"}, {"0", "false", "no", "n"}

_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_LOOKED_AT = 50  # rows by which a delimiter is judged


class SourceError(ValueError):
    """A source cannot be read as what it should be: a missing file, column, folder or value."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a file holds: columns as it names them; rows that are not empty, each with the line it stands in (of a Parquet file: its
    number); notes on how it was read."""

    columns: list[str]
    records: list[dict[str, Any]]
    lines: list[int]
    notes: tuple[str, ...] = ()


def find_columns(columns: Iterable[str], chosen: Mapping[str, str] | None = None, where: str = "the table") -> dict[str, str]:
    """Our name → the table's column, for each of `COLUMN_NAMES` that `columns` has. `chosen` are columns that the caller names.

    Raises `SourceError` for a chosen column that is not there.
    """
    by_key = {_key(column): column for column in columns}
    found = {
        name: next(by_key[alias] for alias in aliases if alias in by_key)
        for name, aliases in COLUMN_NAMES.items()
        if by_key.keys() & set(aliases)
    }
    for name, column in (chosen or {}).items():
        if _key(column) not in by_key:
            there = ", ".join(by_key.values()) or "none"
            raise SourceError(f"{where}: no column {column!r} (--{name}-column). Columns found: {there}{nearest(column, by_key.values())}")
        found[name] = by_key[_key(column)]
    return found


def _key(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().casefold())


def read_table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a table. Raises `SourceError` naming a file that is none."""
    table = read_lines(path)
    return table.columns, table.records


def read_lines(path: Path) -> Table:
    """A table with the lines that its rows stand in. Rows whose cells are all empty are passed over.

    Raises `SourceError` naming a file that is no table, two columns of one name, or a line with more cells than there are columns.
    """
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            return Table(table.column_names, table.to_pylist(), list(range(1, len(table) + 1)))
        text, notes = _decoded(path.read_bytes())
        if path.suffix.lower() == ".jsonl":
            return _json_lines(text, notes)
        return _separated(text, notes)
    except (ValueError, csv.Error) as error:  # pyarrow's errors and UnicodeDecodeError are ValueErrors
        raise SourceError(f"{path} cannot be read as a table: {error}") from error


def _decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if not encoding and b"\0" in data[:2000]:  # UTF-16 without its mark: every second byte of plain letters is 0
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
        notes: tuple[str, ...] = ()
    except UnicodeDecodeError:
        if encoding:
            raise
        try:
            text, notes = data.decode("cp1252"), ("it is not UTF-8, and was read as Windows-1252",)
        except UnicodeDecodeError as error:
            raise ValueError("it is neither UTF-8, UTF-16 nor Windows-1252; save it as CSV in UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds zero bytes, so it is no text; save it as CSV in UTF-8")
    return text, notes


def _json_lines(text: str, notes: tuple[str, ...]) -> Table:
    records, lines = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            record = parse_json(line)
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is no JSON object")
            records.append(record)
            lines.append(number)
    return Table(list(dict.fromkeys(key for record in records for key in record)), records, lines, notes)


def _separated(text: str, notes: tuple[str, ...]) -> Table:
    skipped = 0
    if text[:4].casefold() == "sep=":  # Excel's own line, which names the delimiter
        first, _, text = text.partition("\n")
        skipped, delimiter = 1, first[4:].strip("\r") or ","
    else:
        delimiter = max(_DELIMITERS, key=lambda each: _fits(text, each))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    columns: list[str] = []
    head = 0
    records, lines = [], []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        line = reader.line_num + skipped
        if not columns:
            columns, head = [stated(cell.strip()) for cell in cells], line
            twice = [name for name, count in Counter(columns).items() if name and count > 1]
            if twice:
                raise ValueError(f"line {line}: two columns are called {twice[0]!r}; rename one of them")
            continue
        if any(cell.strip() for cell in cells[len(columns) :]):
            if len(columns) == 1:
                raise ValueError(
                    f"line {head} ({columns[0][:40]!r}) names one column, and line {line} has {len(cells)} cells: delete what stands above "
                    "the names of columns"
                )
            raise ValueError(
                f"line {line} has {len(cells)} cells, and line {head} names {len(columns)} columns; a cell that holds {delimiter!r} has to "
                'stand in quotes: "…"'
            )
        records.append({name: stated(cell) for name, cell in zip(columns, cells, strict=False) if name})
        lines.append(line)
    return Table([name for name in columns if name], records, lines, notes)


def _fits(text: str, delimiter: str) -> tuple[int, int, int]:
    """How well a delimiter fits: columns of the head that are known names, rows of as many cells as the head has, and cells of the head."""
    rows = [
        row for _, row in zip(range(_LOOKED_AT), csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=delimiter), strict=False)
    ]
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return (0, 0, 0)
    width = len(rows[0])
    return (len(find_columns(rows[0])), sum(len(row) == width for row in rows) if width > 1 else 0, width)


def is_spreadsheet(path: Path) -> bool:
    return path.suffix.lower() in _SPREADSHEETS


def not_a_table(spec: str, path: Path) -> SourceError:
    """What to say of a file that is given as a source and is no table, by its suffix."""
    if is_spreadsheet(path):
        return SourceError(f"{spec}: spreadsheets are not read; save the sheet as CSV, beside its images, and give that file")
    if path.suffix.lower() in (".rar", ".7z"):
        return SourceError(f"{spec}: of archives, ZIP and TAR are read: unpack this one, and give the folder")
    return SourceError(f"{spec}: a file must be a table ({', '.join(TABLE_SUFFIXES)}), or a ZIP or TAR archive")


def cell_text(value: object) -> str:
    """A cell as stripped text; empty for None and NaN. Whole numbers that came as 3.0, as in a column with gaps, are "3"."""
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return "" if value is None else str(value).strip()


def yes_or_no(value: object) -> bool | None:
    """What a cell says; None where it is empty or says neither. Tables with gaps hold their numbers as 0.0 and 1.0, or as 1,00."""
    word = re.sub(r"[.,]0*$", "", cell_text(value).casefold())
    return None if word not in YES | NO else word in YES


def number(text: str) -> float:
    """A number, with a decimal comma too. Raises ValueError for what is none."""
    return float(text.replace(",", ".") if "." not in text and text.count(",") == 1 else text)


def parse_boxes(value: object) -> tuple[Box, ...]:
    """Boxes from "cx cy w h;cx cy w h", the same as JSON, or a list of lists. Raises ValueError for values outside [0, 1]."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        text = value.strip()
        rows = parse_json(text) if text.startswith("[") else [part.split() for part in text.split(";") if part.strip()]
    elif isinstance(value, Sequence):
        rows = list(value)
    else:
        raise ValueError(f"boxes {value!r} are neither text nor a list")
    boxes = []
    for row in rows:
        numbers = tuple(number(each) if isinstance(each, str) else float(each) for each in row)
        if len(numbers) != 4 or not all(0 <= each <= 1 for each in numbers):
            raise ValueError(f"box {row!r} is not 'cx cy w h' with each in [0, 1]")
        boxes.append((numbers[0], numbers[1], numbers[2], numbers[3]))
    return tuple(boxes)
