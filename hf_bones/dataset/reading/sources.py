"""Where the rows of a dataset come from: folder per label, CSV or Parquet manifest, saved or Hub dataset, drawn radiographs.

Every reader gives `Reading`: rows as the source states them. Labels are still the source's words, splits are names of ours, and no
image has been opened. The layouts of public sets are read by `importers.py`; `detect.py` chooses the reader.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import Any

from hf_bones.curation.splits.names import TRAIN, split_name
from hf_bones.dataset.reading.tables import COLUMN_NAMES, UNKNOWN_WORDS, Box, SourceError, cell_text, find_columns, parse_boxes, read_table
from hf_bones.dataset.salvaged import read_salvaged
from hf_bones.dataset.schema import image_bytes, load_any
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.pages.pictures import png

_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}


@dataclass(frozen=True, eq=False)
class SourceRow:
    """One image as its source states it. `file`, or `content`: encoded bytes, or a function that reads them when they are needed.

    `label` is the source's word. Rows that share `group` (a patient, say) or `copy_group` (copies of one picture) stay in one split.
    `boxes` are (cx, cy, w, h) in [0, 1] of the width and height. `severity` is in [0, 1], NaN where unknown. `split` is train,
    validation, test, unused (left out) or "" (to be made). `sha256` is that of the original file where `content` is no longer it.
    `hardware` and `cast` say whether metal or a cast is seen, None where unknown. `label_basis` says whose word the label is; it goes into
    a collection only, and `cast` into a dataset only.
    `salvaged` is the share of its rows that an image has which was salvaged before (its file may still be cut off), None for all others.
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
    label_basis: str = ""
    hardware: bool | None = None
    cast: bool | None = None
    salvaged: float | None = None

    @property
    def name(self) -> str:
        """What refusals call this row: they go into the dataset folder, where the paths of whoever built it have no place."""
        return self.image_id or str(self.file)

    def read(self) -> bytes:
        """The encoded image, whichever way the row has it. Raises OSError, saying nothing of where it lies, for what is no regular file."""
        if self.file is None:
            return self.content() if callable(self.content) else self.content or b""
        if not self.file.is_file():  # a pipe must not be waited for
            raise FileNotFoundError(ENOENT, "no such file" if not self.file.exists() else "not a regular file")
        with self.file.open("rb") as stream:
            return stream.read(DEFAULT_LIMITS.max_bytes + 1)  # a larger file is refused, and need not fill the memory for that

    def read_hash(self) -> str:
        """The SHA-256 of what it reads now, which for a dataset's rows is not that of the source; "" where it cannot be read."""
        try:
            return hashlib.sha256(self.read()).hexdigest()
        except OSError:
            return ""


@dataclass(frozen=True)
class LeftOut:
    """A row that a reader did not pass on, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader found: rows, rows it left out, and notes for the person who runs the build and for the card.

    `layout` says in a few words how the source lies and was read, "" where its kind says all.
    """

    rows: list[SourceRow]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    layout: str = ""


def manifest_rows(path: Path, *, source: str = "", licence: str = "") -> Reading:
    """Rows from a CSV, TSV or Parquet table with columns as in `tables.COLUMN_NAMES`; `file` and `label` are needed.

    File names are relative to the table's folder. `boxes` is "cx cy w h;cx cy w h" or a list of lists.
    Raises `SourceError` naming the file, the columns found and those wanted, or the line and value that cannot be read.
    """
    columns, records = read_table(path)
    found = find_columns(columns)
    missing = [name for name in ("file", "label") if name not in found]
    if missing:
        wanted = "; ".join(f"{name} (also called {', '.join(COLUMN_NAMES[name][1:])})" for name in missing)
        raise SourceError(f"{path}: no column for {wanted}. Columns found: {', '.join(columns) or 'none'}")
    rows = []
    for line, record in enumerate(records, start=2):
        cells = {name: record.get(column) for name, column in found.items()}
        try:
            name = cell_text(cells["file"])
            if not name:
                raise SourceError("the file name is empty")
            rows.append(_row_from_cells(cells, file=path.parent / name, image_id=name, source=source or path.stem, licence=licence))
        except (ValueError, TypeError) as error:
            raise SourceError(f"{path}, line {line}: {error}") from error
    if not rows:
        raise SourceError(f"{path}: the table has no rows")
    return Reading(rows)


def _row_from_cells(
    cells: Mapping[str, Any],
    *,
    image_id: str,
    source: str,
    licence: str,
    file: Path | None = None,
    content: Callable[[], bytes] | None = None,
) -> SourceRow:
    """A row from a table's cells under our names. Raises ValueError for a cell that cannot be read."""
    subtype = cell_text(cells.get("subtype"))
    if subtype.casefold() in UNKNOWN_WORDS:
        subtype = cell_text(cells.get("original_label"))
    severity = cell_text(cells.get("severity"))
    return SourceRow(
        label=cell_text(cells.get("label")),
        file=file,
        content=content,
        subtype="" if subtype.casefold() in UNKNOWN_WORDS else subtype,
        group=cell_text(cells.get("group")),
        copy_group=cell_text(cells.get("copy_group")),
        source=cell_text(cells.get("source")) or source,
        region=cell_text(cells.get("region")),
        view=cell_text(cells.get("view")),
        licence=cell_text(cells.get("licence")) or licence or "unknown",
        boxes=parse_boxes(cells.get("boxes")),
        severity=float(severity) if severity else math.nan,
        split=split_name(cell_text(cells.get("split"))),
        image_id=cell_text(cells.get("image_id")) or image_id,
        synthetic=cell_text(cells.get("synthetic")).casefold() in _YES,
        sha256=cell_text(cells.get("sha256")),
        label_basis=cell_text(cells.get("label_basis")),
        hardware=yes_or_no(cells.get("hardware")),
        cast=yes_or_no(cells.get("cast")),
    )


def yes_or_no(value: object) -> bool | None:
    """What a cell says; None where it is empty or says neither. Tables with gaps hold their numbers as 0.0 and 1.0."""
    word = cell_text(value).casefold().removesuffix(".0")
    return None if word not in _YES | _NO else word in _YES


def dataset_rows(path_or_id: str, *, source: str = "", licence: str = "") -> Reading:
    """Rows from a saved dataset (`save_to_disk`) or one that `load_dataset` reads: a Hub id, or a folder of Parquet files.

    Takes the first image column; the other columns as in `tables.COLUMN_NAMES`. A lone "train" split counts as no split. Images are read
    one at a time, when they are needed. Raises `SourceError` naming the columns found where image or label is missing.
    """
    import datasets

    loaded = load_any(path_or_id)
    salvaged = read_salvaged(Path(path_or_id))
    rows = []
    for split, part in loaded.items():
        images = [name for name, feature in part.features.items() if isinstance(feature, datasets.Image)]
        found = find_columns(name for name in part.features if name not in images)
        if not images or "label" not in found:
            raise SourceError(
                f"{path_or_id} ({split}): needs an image column and a label column; columns found: {', '.join(part.features)}"
            )
        part = part.cast_column(images[0], datasets.Image(decode=False))
        names = getattr(part.features[found["label"]], "names", None)
        for index, record in enumerate(part.select_columns(list(found.values()))):
            cells = {name: record[column] for name, column in found.items() if name != "split"}
            if names is not None:
                cells["label"] = names[cells["label"]] if cells["label"] is not None and cells["label"] >= 0 else ""
            row = _row_from_cells(
                {**cells, "split": "" if len(loaded) == 1 and split == TRAIN else split},
                content=partial(_stored_image, part, index, images[0]),
                image_id=f"{split}/{index}",
                source=source or Path(path_or_id).name,
                licence=licence,
            )
            rows.append(replace(row, salvaged=salvaged[row.sha256]) if row.sha256 in salvaged else row)
    return Reading(rows)


def _stored_image(part: Any, index: int, column: str) -> bytes:
    return image_bytes(part[index][column])


def drawn_rows(count: int, *, seed: int = 0, size: int = 320, mode: str = "hard", split: str = "", progress: bool = False) -> Reading:
    """`count` radiographs drawn by the project itself (`draw_set`), PNG-encoded; licence CC0-1.0, one group per drawing.

    `size` is the long side in pixels, `mode` how they are drawn (`radiograph.MODES`); `split` puts all of them into one split, "" leaves
    that to the build.
    """
    from PIL import Image
    from tqdm import tqdm

    from hf_bones.dataset.drawn.radiograph import draw_set

    kind = "drawn" if mode == "hard" else f"drawn-{mode}"
    rows = []
    for drawn in tqdm(draw_set(count, seed, size=size, mode=mode), total=count, desc="drawn", unit="img", disable=not progress):
        rows.append(
            SourceRow(
                label=drawn.label,
                content=png(Image.fromarray(drawn.pixels)),
                subtype=drawn.subtype,
                group=f"{kind}-{drawn.seed}",
                source="drawn",
                region=drawn.region,
                view=drawn.view,
                licence="CC0-1.0",
                boxes=drawn.boxes,
                severity=drawn.severity,
                split=split,
                image_id=f"{kind}-{drawn.seed}",
                synthetic=True,
                cast=drawn.cast,
            )
        )
    return Reading(rows)
