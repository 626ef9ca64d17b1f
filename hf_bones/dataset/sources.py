"""Where the rows of a dataset come from: folder per label, CSV or Parquet manifest, saved or Hub dataset, drawn radiographs.

Every reader gives `Reading`: rows as the source states them. Labels are still the source's words, splits are names of ours, and no
image has been opened. The layouts of public sets are read by `importers.py`; `detect.py` chooses the reader.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hf_bones.curate.splits import TRAIN, split_name

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
}
# Words by which people say that they do not know; no subtype is better than one of these.
_UNKNOWN_WORDS = {"", "unclear", "unknown", "none", "nan", "n/a"}
# Files that lie beside images in downloaded sets; whatever else lies there is opened, and refused by name where it is no image.
SIDECARS = {".txt", ".csv", ".json", ".xml", ".md", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini", ".zip", ".npz"}


class SourceError(ValueError):
    """A source cannot be read as what it should be: a missing file, column, folder or value."""


@dataclass(frozen=True, eq=False)
class SourceRow:
    """One image as its source states it. `file`, or `content`: encoded bytes, or a function that reads them when they are needed.

    `label` is the source's word. Rows that share `group` (a patient, say) or `copy_group` (copies of one picture) stay in one split.
    `boxes` are (cx, cy, w, h) in [0, 1] of the width and height. `severity` is in [0, 1], NaN where unknown. `split` is train,
    validation, test, unused (left out) or "" (to be made). `sha256` is that of the original file where `content` is no longer it.
    """

    label: str
    file: Path | None = None
    content: bytes | Callable[[], bytes] | None = None
    subtype: str = ""
    group: str = ""
    copy_group: str = ""
    source: str = ""
    region: str = ""
    view: str = ""
    licence: str = ""
    boxes: tuple[Box, ...] = ()
    severity: float = math.nan
    split: str = ""
    image_id: str = ""
    synthetic: bool = False
    sha256: str = ""

    @property
    def name(self) -> str:
        """What errors and refusals call this row."""
        return str(self.file) if self.file is not None else self.image_id


@dataclass(frozen=True)
class LeftOut:
    """A row that a reader did not pass on, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader found: rows, rows it left out, and notes for the person who runs the build and for the card."""

    rows: list[SourceRow]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def image_files(folder: Path) -> list[Path]:
    """All files under `folder` that may be images, sorted: no hidden files (macOS's `._x.png` too), no sidecars."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() not in SIDECARS
        and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
        and path.name != "Thumbs.db"
        and path.is_file()
    )


def folder_rows(root: Path, *, source: str = "", licence: str = "") -> Reading:
    """Rows from `root/LABEL/…/image`, or `root/SPLIT/LABEL/…/image` where every folder in `root` is named after a split.

    Raises `SourceError` where `root` has no folders or they hold no files.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    if not folders:
        raise SourceError(f"{root}: expected a folder per label (healthy/, fractured/, …), found no folders")
    by_split = all(_is_split(path.name) for path in folders)
    rows = []
    for outer in folders:
        split = split_name(outer.name) if by_split else ""
        for labelled in sorted(path for path in outer.iterdir() if path.is_dir()) if by_split else [outer]:
            for path in image_files(labelled):
                rows.append(
                    SourceRow(
                        label=labelled.name,
                        file=path,
                        source=source or root.name,
                        licence=licence or "unknown",
                        split=split,
                        image_id=path.relative_to(root).as_posix(),
                    )
                )
    if not rows:
        raise SourceError(f"{root}: the folders {', '.join(path.name for path in folders)} hold no image files")
    return Reading(rows)


def _is_split(word: str) -> bool:
    try:
        return bool(split_name(word))
    except ValueError:
        return False


def manifest_rows(path: Path, *, root: Path | None = None, source: str = "", licence: str = "") -> Reading:
    """Rows from a CSV, TSV or Parquet table with columns as in `COLUMN_NAMES`; `file` and `label` are needed.

    File names are relative to `root`, by default the table's folder. `boxes` is "cx cy w h;cx cy w h" or a list of lists.
    Raises `SourceError` naming the file, the columns found and those wanted, or the line and value that cannot be read.
    """
    columns, records = _read_table(path)
    found = find_columns(columns)
    missing = [name for name in ("file", "label") if name not in found]
    if missing:
        wanted = "; ".join(f"{name} (also called {', '.join(COLUMN_NAMES[name][1:])})" for name in missing)
        raise SourceError(f"{path}: no column for {wanted}. Columns found: {', '.join(columns) or 'none'}")
    base = root or path.parent
    rows = []
    for line, record in enumerate(records, start=2):
        cells = {name: record.get(column) for name, column in found.items()}
        try:
            name = _text(cells["file"])
            if not name:
                raise SourceError("the file name is empty")
            rows.append(_row_from_cells(cells, file=base / name, image_id=name, source=source or path.stem, licence=licence))
        except (ValueError, TypeError) as error:
            raise SourceError(f"{path}, line {line}: {error}") from error
    if not rows:
        raise SourceError(f"{path}: the table has no rows")
    return Reading(rows)


def find_columns(columns: Iterable[str]) -> dict[str, str]:
    """Our name → the table's column, for each of `COLUMN_NAMES` that `columns` has."""
    by_key = {column.strip().casefold(): column for column in columns}
    return {name: next(by_key[alias] for alias in aliases if alias in by_key) for name, aliases in COLUMN_NAMES.items() if by_key.keys() & set(aliases)}


def _read_table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a CSV, TSV or Parquet file. Raises `SourceError` naming a file that is none of these."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            return table.column_names, table.to_pylist()
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        return list(reader.fieldnames or ()), list(reader)
    except (ValueError, csv.Error) as error:  # pyarrow's errors and UnicodeDecodeError are ValueErrors
        raise SourceError(f"{path} cannot be read as a table: {error}") from error


def _row_from_cells(
    cells: Mapping[str, Any], *, image_id: str, source: str, licence: str, file: Path | None = None, content: Callable[[], bytes] | None = None
) -> SourceRow:
    """A row from a table's cells under our names. Raises ValueError for a cell that cannot be read."""
    subtype = _text(cells.get("subtype"))
    if subtype.casefold() in _UNKNOWN_WORDS:
        subtype = _text(cells.get("original_label"))
    severity = _text(cells.get("severity"))
    return SourceRow(
        label=_text(cells.get("label")),
        file=file,
        content=content,
        subtype="" if subtype.casefold() in _UNKNOWN_WORDS else subtype,
        group=_text(cells.get("group")),
        copy_group=_text(cells.get("copy_group")),
        source=_text(cells.get("source")) or source,
        region=_text(cells.get("region")),
        view=_text(cells.get("view")),
        licence=_text(cells.get("licence")) or licence or "unknown",
        boxes=parse_boxes(cells.get("boxes")),
        severity=float(severity) if severity else math.nan,
        split=split_name(_text(cells.get("split"))),
        image_id=_text(cells.get("image_id")) or image_id,
        synthetic=_text(cells.get("synthetic")).casefold() in {"1", "true", "yes"},
        sha256=_text(cells.get("sha256")),
    )


def _text(value: object) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()


def parse_boxes(value: object) -> tuple[Box, ...]:
    """Boxes from "cx cy w h;cx cy w h", the same as JSON, or a sequence of four numbers each. Raises ValueError unless all are in [0, 1]."""
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


def dataset_rows(path_or_id: str, *, source: str = "", licence: str = "") -> Reading:
    """Rows from a saved dataset (`save_to_disk`) or one that `load_dataset` reads: a Hub id, or a folder of Parquet files.

    Takes the first image column; the other columns as in `COLUMN_NAMES`. A lone "train" split counts as no split. Images are read from
    the dataset one at a time, when they are needed. Raises `SourceError` naming the columns found where image or label is missing.
    """
    import datasets

    from hf_bones.dataset.schema import load_any

    loaded = load_any(path_or_id)
    rows = []
    for split, part in loaded.items():
        images = [name for name, feature in part.features.items() if isinstance(feature, datasets.Image)]
        found = find_columns(name for name in part.features if name not in images)
        if not images or "label" not in found:
            raise SourceError(f"{path_or_id} ({split}): needs an image column and a label column; columns found: {', '.join(part.features)}")
        part = part.cast_column(images[0], datasets.Image(decode=False))
        names = getattr(part.features[found["label"]], "names", None)
        for index, record in enumerate(part.select_columns(list(found.values()))):
            cells = {name: record[column] for name, column in found.items() if name != "split"}
            if names is not None:
                cells["label"] = names[cells["label"]] if cells["label"] is not None and cells["label"] >= 0 else ""
            row = _row_from_cells(
                {**cells, "split": "" if len(loaded) == 1 and split == TRAIN else split},
                content=partial(_image_bytes, part, index, images[0]),
                image_id=f"{split}/{index}",
                source=source or Path(path_or_id).name,
                licence=licence,
            )
            rows.append(row)
    return Reading(rows)


def _image_bytes(part: Any, index: int, column: str) -> bytes:
    cell = part[index][column]
    data: bytes = cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
    return data


def drawn_rows(count: int, *, seed: int = 0, size: int = 320, split: str = "") -> Reading:
    """`count` radiographs drawn by the project itself (`synthetic.draw_set`), PNG-encoded; licence CC0-1.0, one group per drawing.

    `size` is the long side in pixels; `split` puts all of them into one split, "" leaves that to the build.
    """
    from PIL import Image

    from hf_bones.dataset.synthetic import draw_set

    rows = []
    for drawn in draw_set(count, seed, size=size):
        stream = io.BytesIO()
        Image.fromarray(drawn.pixels).save(stream, "PNG")
        rows.append(
            SourceRow(
                label=drawn.label,
                content=stream.getvalue(),
                subtype=drawn.subtype,
                group=f"drawn-{drawn.seed}",
                source="drawn",
                region=drawn.region,
                view=drawn.view,
                licence="CC0-1.0",
                boxes=drawn.boxes,
                severity=drawn.severity,
                split=split,
                image_id=f"drawn-{drawn.seed}",
                synthetic=True,
            )
        )
    return Reading(rows)
