"""Which reader fits a source, and several readings as one."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from hf_bones.collect.download.state import DownloadState
from hf_bones.config.fields import nearest
from hf_bones.curation.splits.names import UNUSED
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.reading import importers, mura
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.reading.curated import is_curated, with_decisions
from hf_bones.dataset.reading.dataset_rows import dataset_rows, holds_images
from hf_bones.dataset.reading.downloaded import find_download, with_terms
from hf_bones.dataset.reading.layouts import boxed, export_tables
from hf_bones.dataset.reading.layouts.archive import is_archive, lone_archive, unpacked
from hf_bones.dataset.reading.layouts.folder_names import ClassOf, descents, subfolders
from hf_bones.dataset.reading.layouts.folders import GROUP_BY_FOLDER, folder_rows, wanted_tree
from hf_bones.dataset.reading.layouts.image_folder import has_labels, image_folder_rows, metadata_tables
from hf_bones.dataset.reading.listed.table_rows import manifest_rows, word_map
from hf_bones.dataset.reading.printable import printable
from hf_bones.dataset.reading.sources import LeftOut, Reading
from hf_bones.dataset.reading.tables import TABLE_SUFFIXES, SourceError, is_spreadsheet, not_a_table
from hf_bones.dataset.scheme import chosen_scheme
from hf_bones.labels import LabelScheme, normalise_name
from hf_bones.manifest.store import MANIFEST_NAME
from hf_bones.reach import nearest_there, require_there

KINDS = (
    "folder", "manifest", "dataset", "collection", "imagefolder", "coco", "yolo", "voc", "boxes-csv", "classes-csv", "fracatlas",
    "grazpedwri", "mura", "drawn",
)  # fmt: skip
_BOXED = {"coco": boxed.coco_rows, "yolo": boxed.yolo_rows, "voc": boxed.voc_rows, "boxes-csv": export_tables.boxes_csv_rows,
          "classes-csv": export_tables.classes_csv_rows}  # fmt: skip
_FOLDERS = ("folder", "collection", "imagefolder", *_BOXED, "fracatlas", "grazpedwri")
_DOWNLOADED = ("folder", "manifest", "imagefolder", *_BOXED, "fracatlas", "grazpedwri", "mura")  # what a registry may hold as it is


def read_source(
    spec: str,
    choices: ReadingChoices = ReadingChoices(),  # noqa: B008 - frozen
    scheme: LabelScheme | None = None,
) -> Reading:
    """The rows of one source that is not `drawn`, less those whose word the label map says is unused.

    `scheme` instead of the one that `choices` name. Raises `SourceError` where it cannot be read as its kind.
    """
    path = Path(spec).expanduser()
    scheme = scheme or chosen_scheme(choices.labels)
    chosen, place = _settled(spec, choices, scheme)
    downloaded = find_download(path) if chosen in _DOWNLOADED else None
    reading = _without_unused(_read(spec, place, chosen, choices, scheme, downloaded), choices)
    given = (path.absolute().name, path.name.split(".")[0])
    if chosen in _FOLDERS and place.name not in given:  # the only folder in the one that was given
        reading = replace(reading, layout=": ".join(filter(None, (f"in {place.name}/", reading.layout))))
    reading = printable(reading)
    return reading if downloaded is None else with_terms(reading, downloaded, replaces=chosen in ("fracatlas", "grazpedwri"))


def _read(spec: str, path: Path, chosen: str, choices: ReadingChoices, scheme: LabelScheme, downloaded: DownloadState | None) -> Reading:
    source, licence = choices.source_name, choices.licence
    if downloaded is not None:  # it knows both; what the command line says wins
        source, licence = source or downloaded.name, licence or downloaded.licence
    if chosen in _FOLDERS and not path.is_dir():
        raise SourceError(f"{spec}: no such folder")
    if chosen == "mura" and not path.exists():
        raise SourceError(f"{spec}: no such file or folder")
    if chosen == "manifest" and not path.is_file():
        raise SourceError(
            f"{spec}: a folder, and of kind manifest are tables: give the table in it" if path.is_dir() else f"{spec}: no such file"
        )
    if choices.group_from not in ("", GROUP_BY_FOLDER):
        raise SourceError(f"--group-from {choices.group_from}: only {GROUP_BY_FOLDER!r} is known")
    words = word_map(choices.label_map)
    stated = replace(choices, source_name=source, licence=licence)
    if chosen == "folder":
        names, known = scheme.names, _class_of(choices, scheme)
        reading = folder_rows(path, source=source, licence=licence, class_of=known, group_from=choices.group_from, names=names)
        reading.notes.extend(f"{table.name} has no column of labels, and was not read" for table in metadata_tables(path)[:1])
        return reading
    if chosen == "collection":
        return collection_rows(path, source=source, licence=licence)
    if chosen == "imagefolder":
        own = replace(stated, source_name=source or path.name, root=None)
        return image_folder_rows(path, lambda table: manifest_rows(table, own, scheme=scheme, label_map=words))
    if chosen in _BOXED:
        return _BOXED[chosen](path, boxed.Terms(source, licence, scheme, words))
    if chosen == "dataset" or (chosen == "manifest" and holds_images(path)):
        if not path.exists():
            require_there(spec, "dataset")
        reading = dataset_rows(str(path) if path.is_dir() else spec, stated)
        return with_decisions(reading, path) if is_curated(path) else reading
    if chosen == "manifest":
        return manifest_rows(path, stated, scheme=scheme, label_map=words)
    if chosen == "fracatlas":
        return importers.fracatlas_rows(path, rows=choices.fracatlas_rows)
    if chosen == "grazpedwri":
        return importers.grazpedwri_rows(path, keep_uncertain=choices.keep_uncertain)
    if chosen == "mura":
        return mura.mura_table_rows(path) if path.is_file() else mura.mura_rows(path)
    raise SourceError(f"kind {chosen!r} is not one of {', '.join(KINDS)}{nearest(chosen, KINDS)}")


def detect_kind(
    spec: str,
    choices: ReadingChoices = ReadingChoices(),  # noqa: B008 - frozen
    scheme: LabelScheme | None = None,
) -> str:
    """The kind of a source, by what lies at the path: one of `KINDS`. Raises `SourceError` saying what was looked for.

    "drawn" is drawn radiographs, whatever lies there; a folder of that name is "./drawn".
    """
    return "drawn" if spec == "drawn" else _settled(spec, choices, scheme or chosen_scheme(choices.labels))[0]


def _settled(spec: str, choices: ReadingChoices, scheme: LabelScheme) -> tuple[str, Path]:
    """The kind of a source, and where it lies: in an archive that was unpacked, or in the only folder of a folder."""
    path = Path(spec).expanduser()
    if path.is_file() and choices.kind in (None, *_FOLDERS, "mura"):
        if path.suffix.lower() in TABLE_SUFFIXES:
            return choices.kind or ("mura" if mura.is_mura_table(path) else "manifest"), path
        if is_spreadsheet(path) or not is_archive(path):  # which is a ZIP, too
            raise not_a_table(spec, path)
        path = unpacked(path)
    if path.is_dir():
        return _detect_folder(path, choices, scheme)
    if choices.kind:
        return choices.kind, path
    if re.fullmatch(r"[\w.-]+/[\w.-]+", spec) and not spec.startswith("."):
        return "dataset", path
    raise SourceError(f"{spec}: no such file or folder, and not a Hub id (owner/name) or 'drawn'{nearest_there(path)}")


def _detect_folder(path: Path, choices: ReadingChoices, scheme: LabelScheme) -> tuple[str, Path]:
    last = path
    for last in descents(path, _class_of(choices, scheme)):
        kind = _recognised(last)
        if kind and choices.kind in (None, kind):
            return kind, last
    if choices.kind not in (None, "folder"):
        return choices.kind, path
    if not subfolders(last) and (archive := lone_archive(last)):
        return _detect_folder(unpacked(archive), choices, scheme)
    if choices.kind is None and not subfolders(last):
        raise SourceError(f"{path}: holds neither folders of images nor a dataset. {wanted_tree(last, scheme.names, path)}")
    return "folder", last


def _recognised(path: Path) -> str:
    """The kind of a folder that has the marks of one; "" for one that may be folders of labels."""
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return "dataset"
    if (path / MANIFEST_NAME).is_file():
        return "collection"
    if (path / "MURA-v1.1").is_dir() or any(path.glob("train/XR_*")) or any(path.glob("valid/XR_*")):
        return "mura"
    table = importers.published_table(path)
    columns = _header(table)
    if "filestem" in columns:
        return "grazpedwri"
    if "image_id" in columns and (table.parent / "images").is_dir():
        return "fracatlas"
    if kind := boxed.boxed_kind(path):
        return kind
    if has_labels(path):
        return "imagefolder"
    if any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
        return "dataset"
    return ""


def _class_of(choices: ReadingChoices, scheme: LabelScheme) -> ClassOf:
    """Says of a word which class it stands for, by the label map or the scheme; a word that is too vague to map stands for itself."""
    mapped = {normalise_name(word): name for word, name in word_map(choices.label_map).items()}
    return cache(lambda word: mapped.get(normalise_name(word)) or scheme.class_of(word) or (scheme.refusal(word) and word))


def _without_unused(reading: Reading, choices: ReadingChoices) -> Reading:
    unused = {normalise_name(word) for word, name in word_map(choices.label_map).items() if name == UNUSED}
    if not unused:
        return reading
    gone = [row for row in reading.rows if normalise_name(row.label) in unused]
    left_out = [LeftOut(row.name, f"label {row.label!r} is unused, as the label map says") for row in gone]
    rows = [row for row in reading.rows if normalise_name(row.label) not in unused]
    return replace(reading, rows=rows, left_out=[*reading.left_out, *left_out])


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
