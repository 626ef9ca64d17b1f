"""Roboflow's exports as CSV: `_annotations.csv`, a line a box, and `_classes.csv`, a line an image; each in every split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from hf_bones.collect.providers.folder import image_files
from hf_bones.dataset.reading.layouts.annotation_files import files_within
from hf_bones.dataset.reading.layouts.annotations import clipped
from hf_bones.dataset.reading.layouts.boxed import (
    BOXES_CSV,
    CLASSES_NAME,
    BoxedFilm,
    FilesWithin,
    Terms,
    boxed_reading,
    film_row,
    relative_name,
    split_of_path,
)
from hf_bones.dataset.reading.layouts.said import left_out_notes
from hf_bones.dataset.reading.sources import LeftOut, Reading
from hf_bones.dataset.reading.tables import Box, SourceError, cell_text, number, read_lines, yes_or_no

_PIXELS = ("width", "height", "xmin", "ymin", "xmax", "ymax")


def boxes_csv_rows(root: Path, terms: Terms) -> Reading:
    """Rows of `_annotations.csv` files, a line a box; an image in none of their lines has no box."""
    files = FilesWithin(root)
    boxes: dict[Path, list[tuple[str, Box]]] = defaultdict(list)
    for table in files_within(root, BOXES_CSV):
        for line, record in _records(table, ("filename", "class", *_PIXELS)):
            try:
                width, height, left, top, right, bottom = (number(record[key]) for key in _PIXELS)
                box = clipped(left / width, top / height, right / width, bottom / height)
            except (ValueError, ZeroDivisionError) as error:
                raise SourceError(f"{table}, line {line}: not a box in pixels: {error}") from error
            boxes[files.find(record["filename"], table.parent, split_of_path(table, root))].append((record["class"], box))
    # Those that are named and not there are refused by name when they are opened.
    every = dict.fromkeys([*image_files(root), *boxes])
    return boxed_reading(root, [BoxedFilm(path, boxes.get(path, []), split_of_path(path, root)) for path in every], terms, "CSV")


def classes_csv_rows(root: Path, terms: Terms) -> Reading:
    """Rows of `_classes.csv` files: a column of 0 and 1 for each class. An image with none or with two is left out."""
    rows, left_out = [], []
    class_of = cache(terms.class_of)
    files = FilesWithin(root)
    listed: set[Path] = set()
    for table in files_within(root, CLASSES_NAME):
        for line, record in _records(table, ("filename",)):
            path = files.find(record.pop("filename"), table.parent, split_of_path(table, root))
            listed.add(path)
            bad = next((cell for cell in record.values() if yes_or_no(cell) is None), None)
            if bad is not None:
                raise SourceError(f"{table}, line {line}: {bad!r} is neither 0 nor 1")
            words = [word for word, cell in record.items() if yes_or_no(cell)]
            classes = {class_of(word) or word for word in words}
            if len(classes) == 1:
                rows.append(film_row(path, root, words[0], (), split_of_path(path, root), terms))
            else:
                left_out.append(LeftOut(relative_name(path, root), f"marked as {' and '.join(words)}" if words else "marked as no class"))
    left_out += [LeftOut(relative_name(path, root), "in no annotation file") for path in image_files(root) if path not in listed]
    if not rows:
        raise SourceError(f"{root}: no image is marked with one class in {CLASSES_NAME}")
    return Reading(rows, left_out, left_out_notes(left_out), layout=f"a column for each class ({CLASSES_NAME})")


def _records(table: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines of a CSV with their numbers, names and cells stripped. Raises `SourceError` for missing columns and cells."""
    read = read_lines(table)
    if missing := [name for name in needed if name not in read.columns]:
        raise SourceError(f"{table}: no column {', '.join(missing)}; columns found: {', '.join(read.columns) or 'none'}")
    for line, record in zip(read.lines, read.records, strict=True):
        if len(record) != len(read.columns):
            raise SourceError(f"{table}, line {line}: {len(record)} cells for {len(read.columns)} columns")
        cells = {name: cell_text(cell) for name, cell in record.items()}
        if not cells["filename"]:
            raise SourceError(f"{table}, line {line}: the file name is empty")
        yield line, cells
