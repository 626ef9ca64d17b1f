"""The layout of 🤗 datasets' imagefolder: `metadata.csv`, `.jsonl` or `.parquet` beside the images, one for all or one in each split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hf_bones.collect.providers.folder import image_files
from hf_bones.dataset.reading.layouts.folder_names import split_of_folder
from hf_bones.dataset.reading.sources import LeftOut, Reading
from hf_bones.dataset.reading.tables import SourceError, find_columns, read_table

_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def metadata_tables(root: Path) -> list[Path]:
    """The tables of an imagefolder: in `root`, in its folders or in theirs."""
    return [path for depth in ("", "*/", "*/*/") for name in _NAMES for path in sorted(root.glob(f"{depth}{name}"))]


def has_labels(root: Path) -> bool:
    """Whether `root` is an imagefolder whose tables state labels and files; where they do not, its folders may."""
    tables = metadata_tables(root)
    return bool(tables) and all({"file", "label"} <= find_columns(read_table(table)[0]).keys() for table in tables)


def image_folder_rows(root: Path, read_rows: Callable[[Path], Reading]) -> Reading:
    """Rows of all metadata tables below `root`; `read_rows` reads one. A split is that of its column, else of the folders' names.

    Images that no table names are left out. Raises `SourceError` where there is no table.
    """
    tables = metadata_tables(root)
    if not tables:
        raise SourceError(f"{root}: an imagefolder needs {', '.join(_NAMES)} beside its images")
    rows, left_out, notes, contradictions = [], [], [], []
    for table in tables:
        reading = read_rows(table)
        left_out += [replace(row, name=_within(root, table.parent / row.name)) for row in reading.left_out]
        notes += reading.notes
        contradictions += reading.contradictions
        for row in reading.rows:
            file = row.file or table
            within = _within(root, file)
            split = row.split or next((found for part in within.split("/")[:-1] if (found := split_of_folder(part))), "")
            rows.append(replace(row, split=split, image_id=within))
    named = {row.file for row in rows}
    names = {row.image_id for row in rows} | {row.name for row in left_out}
    strays = [path for path in image_files(root) if path not in named and path.relative_to(root).as_posix() not in names]
    strays = [path for path in strays if path.name not in _NAMES]
    left_out += [LeftOut(path.relative_to(root).as_posix(), "in no metadata file") for path in strays]
    if strays:
        notes.append(f"left out: {len(strays)} images that no metadata file names ({strays[0].relative_to(root).as_posix()} …)")
    shown = ", ".join(table.relative_to(root).as_posix() for table in tables[:3]) + (", …" if len(tables) > 3 else "")
    return Reading(rows, left_out, notes, contradictions, layout=f"labels from {shown}")


def _within(root: Path, file: Path) -> str:
    """An image's name from `root` on; its own name alone where it lies elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
