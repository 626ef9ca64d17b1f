"""Rows from a table of images: which column says what, which file a row means, labels in one column or in one for each class.

Not here: reading the file (`tables.py`), finding the images (`file_names.py`), rows of datasets (`dataset_rows.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_bones.curation.splits.names import split_name
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.reading.contradiction import Contradiction
from hf_bones.dataset.reading.listed.file_names import NamedFiles
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.reading.tables import (
    COLUMN_NAMES,
    EMPTY_WORDS,
    UNKNOWN_WORDS,
    YES,
    SourceError,
    Table,
    cell_text,
    find_columns,
    number,
    parse_boxes,
    read_lines,
    yes_or_no,
)
from hf_bones.labels import THREE_CLASS, LabelScheme, UnknownLabelError, normalise_name
from hf_bones.record import typed_command

TWO_LABELS = "two labels in one row"
_FIGURE = re.compile(r"-?\d*[.,]?\d+")
_FOLD = re.compile(r"(?:(?:cv|k|split|part)?[ _-]*(?:fold)?[ _-]*)?(-?\d+)(?:[.,]0*)?")  # "3", "3.0", "-1", "fold_3", "cv-fold 3"


def manifest_rows(
    path: Path,
    choices: ReadingChoices = ReadingChoices(),  # noqa: B008 - frozen
    *,
    scheme: LabelScheme = THREE_CLASS,
    label_map: Mapping[str, str] | None = None,
    needed: Collection[str] = ("file", "label"),
) -> Reading:
    """Rows from a table with columns as in `tables.COLUMN_NAMES`, or as `choices` name them; a file and a label are `needed`.

    File names are relative to `choices.root`, else to the table's folder. The label stands in one column, or in one for each class of
    `scheme` (or word of `label_map`) that holds 0 and 1. Raises `SourceError` naming the file, the columns found and those wanted, the line
    and value that cannot be read, or the folder in which none of the files is.
    """
    table = read_lines(path)
    if not table.records:
        raise SourceError(f"{path}: the table has no rows. Columns found: {', '.join(table.columns) or 'none'}")
    found = find_columns(table.columns, chosen_columns(choices), str(path))
    if "file" not in found and "image_id" in found:
        found["file"] = found["image_id"]  # an id, to be found with its suffix
    notes = [f"{path.name}: {note}" for note in table.notes]
    words, contradictions, said = label_words(table, found, scheme, label_map or {}, path.name)
    _require_columns(path, table, found, words, needed)
    notes += said
    if ignored := numbered_folds(table, found):
        notes.append(f"{path.name}: {ignored}")
    names = [cell_text(record.get(found["file"])) for record in table.records]
    files = NamedFiles(choices.root or path.parent, [name for name in names if name])
    rows, left_out = [], []
    missing: list[int] = []
    for index, (line, record, name) in enumerate(zip(table.lines, table.records, names, strict=True)):
        cells = {ours: record.get(column) for ours, column in found.items()}
        if words is not None:
            cells["label"] = words[index]
        if index in contradictions:
            left_out.append(LeftOut(name, TWO_LABELS))
            continue
        try:
            if not name:
                raise SourceError("the file name is empty")
            file = files.find(name)
            missing += [index] if file is None else []
            row = row_from_cells(
                {ours: cell for ours, cell in cells.items() if ours != "image_id" or found["image_id"] != found["file"]},
                file=file or files.place(name),
                image_id=name.replace("\\", "/"),
                source=choices.source_name or path.stem,
                licence=choices.licence,
                place=f"{path.name}, line {line}",
            )
        except (ValueError, TypeError) as error:
            raise SourceError(f"{path}, line {line}: {error}") from error
        rows.append(row)
    if missing and len(missing) == len(rows):
        raise _not_found(path, table.lines[missing[0]], names[missing[0]], files, len(rows))
    if missing:
        first = missing[0]
        notes.append(
            f"{path.name}: {len(missing):,} of {len(rows):,} files are not in {files.root.name or files.root}; the first: line "
            f"{table.lines[first]}, {names[first]}"
        )
    if files.dropped:
        notes.append(f"{path.name}: files were found without the first {files.dropped} folder(s) of their names")
    return Reading(rows, left_out, notes, [contradictions[index] for index in sorted(contradictions)])


def word_map(pairs: Sequence[str]) -> dict[str, str]:
    """The words of `their word=our class` pairs that are to be looked for among columns; what is no such pair is told of by the build."""
    return {word.strip(): name.strip() for word, _, name in (pair.rpartition("=") for pair in pairs)}


def chosen_columns(choices: ReadingChoices) -> dict[str, str]:
    """Our name → the column that the caller names for it."""
    given = {"file": choices.file_column, "label": choices.label_column, "split": choices.split_column, "group": choices.group_column}
    return {name: column for name, column in given.items() if column}


def require_table(choices: ReadingChoices, kinds: Collection[str]) -> None:
    """Raises `SourceError` for options of tables where no source of `kinds` is one."""
    given = [f"--{name}-column" for name in chosen_columns(choices)] if not {"manifest", "dataset", "imagefolder"} & set(kinds) else []
    given += ["--root"] if choices.root is not None and "manifest" not in kinds else []
    if given:
        raise SourceError(f"{', '.join(given)}: said of tables, and the sources are of kind {', '.join(sorted(set(kinds))) or 'none'}")


def numbered_folds(table: Table, found: dict[str, str]) -> str:
    """Takes a split column that holds nothing but numbers of folds out of `found`, and says so; "" where it names splits."""
    if "split" not in found:
        return ""
    values = {cell_text(record.get(found["split"])) for record in table.records}
    values = {value for value in values if value.casefold() not in EMPTY_WORDS}
    numbers = {value: int(fold[1]) for value in values if (fold := _FOLD.fullmatch(value.casefold()))}
    if not values or len(numbers) < len(values):
        return ""
    column = found.pop("split")
    shown = ", ".join(sorted(values, key=lambda value: (numbers[value], value))[:8]) + (", …" if len(values) > 8 else "")
    return f"column {column!r} holds numbers ({shown}), not splits, so splits are made anew; to keep them write train, validation, test"


def label_words(
    table: Table, found: Mapping[str, str], scheme: LabelScheme, label_map: Mapping[str, str], name: str
) -> tuple[list[str] | None, dict[int, Contradiction], list[str]]:
    """Each row's label where it is marked with 0 and 1 in columns that are called after classes: words, rows marked with two classes,
    notes. None in place of words where the table has a column of labels."""
    if "label" in found:
        marks = [found["label"]] if _names_class(found["label"], scheme, label_map) else []
    else:
        marks = [column for column in table.columns if column not in found.values() and _names_class(column, scheme, label_map)]
    if "label" not in found:
        _require_marks(table, marks, name)
    marks = [column for column in marks if _is_marked(table, column)]
    if not marks:
        return None, {}, []
    if len(marks) == 1:
        no = _negated(marks[0], scheme, label_map)
        words = [{True: marks[0], False: no, None: ""}[yes_or_no(record.get(marks[0]))] for record in table.records]
        return words, {}, [f"{name}: column {marks[0]!r}: 1 was read as {marks[0]!r}, 0 as {no!r}"]
    chosen = [[column for column in marks if yes_or_no(record.get(column))] for record in table.records]
    torn = {
        index: Contradiction(
            TWO_LABELS, f"{name}, line {table.lines[index]}", _file(table, found, index), " and ".join(columns), "left out"
        )
        for index, columns in enumerate(chosen)
        if len({_class(column, scheme, label_map) for column in columns}) > 1
    }
    notes = [f"{name}: labels were read from the columns {', '.join(marks)}"]
    if torn:
        notes.append(f"{name}: {len(torn)} rows are marked with two classes, and left out")
    return [columns[0] if columns else "" for columns in chosen], torn, notes


def _names_class(column: str, scheme: LabelScheme, label_map: Mapping[str, str]) -> bool:
    # Subtypes do not count: "oblique" is a break, and in other people's tables a view.
    mapped = normalise_name(column) in {normalise_name(word) for word in label_map}
    known = bool(_class(column, scheme, label_map)) or normalise_name(column) in scheme.refused
    return mapped or (scheme.subtype(column) is None and known)


def _class(word: str, scheme: LabelScheme, label_map: Mapping[str, str]) -> str:
    try:
        return scheme.resolve(word, label_map)
    except UnknownLabelError:
        return ""


def _is_marked(table: Table, column: str) -> bool:
    cells = {cell_text(record.get(column)).casefold() for record in table.records} - EMPTY_WORDS
    return bool(cells) and all(yes_or_no(cell) is not None for cell in cells)


def _require_marks(table: Table, columns: Sequence[str], name: str) -> None:
    """Raises `SourceError` for the first cell that is neither 0 nor 1 (a share, a -1 for "uncertain") in columns that are meant to hold
    these: mostly do, or are called after classes where no other column is."""
    for column in columns:
        cells = [(line, cell_text(record.get(column))) for line, record in zip(table.lines, table.records, strict=True)]
        strange = [(line, cell) for line, cell in cells if cell.casefold() not in EMPTY_WORDS and yes_or_no(cell) is None]
        if not any(yes_or_no(cell) is not None or _FIGURE.fullmatch(cell) for _, cell in cells):
            continue  # words
        if strange and (2 * len(strange) <= len(cells) or not any(_is_marked(table, other) for other in columns)):
            line, cell = strange[0]
            raise SourceError(
                f"{name}, line {line}: column {column!r} is called after a class, and {cell[:40]!r} there is neither 0 nor 1: write one of "
                "these, leave the cell empty (then add --skip-unlabelled), or name a column of labels with --label-column NAME"
            )


def _negated(column: str, scheme: LabelScheme, label_map: Mapping[str, str]) -> str:
    """What 0 says in a column of one class: the way of saying no that the scheme knows, such as "not fractured"."""
    ways = [f"{no} {column}" for no in ("not", "no", "non")]
    return next((word for word in ways if _class(word, scheme, label_map)), ways[0])


def _file(table: Table, found: Mapping[str, str], index: int) -> str:
    return cell_text(table.records[index].get(found.get("file", "")))


def _require_columns(path: Path, table: Table, found: Mapping[str, str], words: Sequence[str] | None, needed: Collection[str]) -> None:
    missing = [name for name in needed if name not in found and not (name == "label" and words is not None)]
    if not missing:
        return
    wanted = "; ".join(f"{name} (also called {', '.join(COLUMN_NAMES[name][1:])})" for name in missing)
    there = ", ".join(table.columns) or "none"
    first = next((column for column in table.columns if Path(column.replace("\\", "/")).suffix.lower() in _PICTURES), None)
    if first is not None:
        raise SourceError(f"{path}: the first line holds no names of columns but {first!r}; write a line such as file,label before it")
    options = " ".join(f"--{name}-column NAME" for name in missing)
    raise SourceError(f"{path}: no column for {wanted}. Columns found: {there}. Name yours with {options}")


_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".bmp", ".webp"}


def _not_found(path: Path, line: int, name: str, files: NamedFiles, count: int) -> SourceError:
    if "://" in name:
        return SourceError(
            f"{path}, line {line}: {name} is an address, and a build fetches nothing: collect the images first, with the provider `urls` "
            "(hf-bones collect)"
        )
    root = files.root.absolute()
    said = f"{path}, line {line}: no file {name!r} in {root}, where none of the {count} files of the table was found."
    there = files.elsewhere(name)
    if there is None:
        return SourceError(f"{said} Give the folder that the names are relative to: --root FOLDER")
    return SourceError(f"{said} It lies in {there}: {typed_command('--root', str(there)) or f'--root {there}'}")


def row_from_cells(
    cells: Mapping[str, Any],
    *,
    image_id: str,
    source: str,
    licence: str,
    file: Path | None = None,
    content: Callable[[], bytes] | None = None,
    place: str = "",
) -> SourceRow:
    """A row from a table's cells under our names. Raises ValueError for a cell that cannot be read."""
    subtype = cell_text(cells.get("subtype"))
    if subtype.casefold() in UNKNOWN_WORDS:
        subtype = cell_text(cells.get("original_label"))
    severity, label, group, split = (cell_text(cells.get(name)) for name in ("severity", "label", "group", "split"))
    return SourceRow(
        label="" if label.casefold() in EMPTY_WORDS else label,
        file=file,
        content=content,
        subtype="" if subtype.casefold() in UNKNOWN_WORDS else subtype,
        group="" if group.casefold() in UNKNOWN_WORDS else group,
        copy_group=cell_text(cells.get("copy_group")),
        source=cell_text(cells.get("source")) or source,
        region=cell_text(cells.get("region")),
        view=cell_text(cells.get("view")),
        licence=cell_text(cells.get("licence")) or licence or "unknown",
        boxes=parse_boxes(cells.get("boxes")),
        severity=number(severity) if severity else math.nan,
        split="" if split.casefold() in EMPTY_WORDS else split_name(split),
        image_id=cell_text(cells.get("image_id")) or image_id,
        synthetic=cell_text(cells.get("synthetic")).casefold() in YES,
        sha256=cell_text(cells.get("sha256")),
        label_basis=cell_text(cells.get("label_basis")),
        hardware=yes_or_no(cells.get("hardware")),
        cast=yes_or_no(cells.get("cast")),
        place=place,
    )
