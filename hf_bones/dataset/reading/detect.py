"""Which reader fits a source, and several readings as one."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hf_bones.collect.download.state import DownloadState
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.reading import importers, sources
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.reading.curated import is_curated, with_decisions
from hf_bones.dataset.reading.dataset_rows import dataset_rows, holds_images
from hf_bones.dataset.reading.downloaded import find_download, with_terms
from hf_bones.dataset.reading.listed.table_rows import manifest_rows, word_map
from hf_bones.dataset.reading.printable import printable
from hf_bones.dataset.reading.sources import Reading
from hf_bones.dataset.reading.tables import TABLE_SUFFIXES, SourceError, not_a_table
from hf_bones.dataset.scheme import chosen_scheme
from hf_bones.manifest.store import MANIFEST_NAME

KINDS = ("folder", "manifest", "dataset", "collection", "fracatlas", "grazpedwri", "mura", "drawn")
_DOWNLOADED = ("folder", "manifest", "fracatlas", "grazpedwri", "mura")  # what a registry may hold as it is


def read_source(
    spec: str,
    choices: ReadingChoices = ReadingChoices(),  # noqa: B008 - frozen
) -> Reading:
    """The rows of one source that is not `drawn`. Raises `SourceError` where it cannot be read as its kind."""
    path = Path(spec).expanduser()
    chosen = choices.kind or detect_kind(spec)
    downloaded = find_download(path) if chosen in _DOWNLOADED else None
    reading = printable(_read(spec, path, chosen, choices, downloaded))
    return reading if downloaded is None else with_terms(reading, downloaded, replaces=chosen in ("fracatlas", "grazpedwri"))


def _read(spec: str, path: Path, chosen: str, choices: ReadingChoices, downloaded: DownloadState | None) -> Reading:
    source, licence = choices.source_name, choices.licence
    if downloaded is not None:  # it knows both; what the command line says wins
        source, licence = source or downloaded.name, licence or downloaded.licence
    if chosen in ("folder", "collection", "fracatlas", "grazpedwri", "mura") and not path.is_dir():
        raise SourceError(f"{spec}: no such folder")
    if chosen == "manifest" and not path.is_file():
        raise SourceError(f"{spec}: no such file")
    readers = {"folder": sources.folder_rows, "collection": collection_rows}
    if chosen in readers:
        return readers[chosen](path, source=source, licence=licence)
    stated = replace(choices, source_name=source, licence=licence)
    if chosen == "dataset" or (chosen == "manifest" and holds_images(path)):
        reading = dataset_rows(spec, stated)
        return with_decisions(reading, path) if is_curated(path) else reading
    if chosen == "manifest":
        return manifest_rows(path, stated, scheme=chosen_scheme(choices.labels), label_map=word_map(choices.label_map))
    if chosen == "fracatlas":
        return importers.fracatlas_rows(path, rows=choices.fracatlas_rows)
    if chosen == "grazpedwri":
        return importers.grazpedwri_rows(path, keep_uncertain=choices.keep_uncertain)
    if chosen == "mura":
        return importers.mura_rows(path)
    raise SourceError(f"kind {chosen!r} is not one of {', '.join(KINDS)}")


def detect_kind(spec: str) -> str:
    """The kind of a source, by what lies at the path: one of `KINDS`. Raises `SourceError` saying what was looked for."""
    path = Path(spec).expanduser()
    if spec == "drawn" and not path.exists():
        return "drawn"
    if path.is_file():
        if path.suffix.lower() in TABLE_SUFFIXES:
            return "manifest"
        raise not_a_table(spec, path)
    if path.is_dir():
        return _detect_folder(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", spec) and not spec.startswith("."):
        return "dataset"
    raise SourceError(f"{spec}: no such file or folder, and not a Hub id (owner/name) or 'drawn'")


def _detect_folder(path: Path) -> str:
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return "dataset"
    if (path / MANIFEST_NAME).is_file():
        return "collection"
    if (path / "MURA-v1.1").is_dir() or any(path.glob("train/XR_*")):
        return "mura"
    table = importers.published_table(path)
    columns = _header(table)
    if "filestem" in columns:
        return "grazpedwri"
    if "image_id" in columns and (table.parent / "images").is_dir():
        return "fracatlas"
    if any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
        return "dataset"
    if any(child.is_dir() and not child.name.startswith(".") for child in path.iterdir()):
        return "folder"
    raise SourceError(f"{path}: holds neither folders of images nor a dataset; name the manifest file itself if there is one")


def _header(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return [column.strip() for column in next(csv.reader(stream), [])]


def merge_readings(readings: Sequence[Reading]) -> Reading:
    """Several sources as one. Image ids that two sources share get the source's name in front."""
    if len(readings) == 1:
        return readings[0]
    seen: set[str] = set()
    rows = []
    for reading in readings:
        fresh = {row.image_id for row in reading.rows}
        rows += [replace(row, image_id=f"{row.source}/{row.image_id}") if row.image_id in seen else row for row in reading.rows]
        seen |= fresh
    return Reading(
        rows,
        [row for r in readings for row in r.left_out],
        [note for r in readings for note in r.notes],
        [each for r in readings for each in r.contradictions],
    )
