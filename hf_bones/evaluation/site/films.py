"""A site's own table of films: which file each row means, its label in the site's words, and the columns that make subgroups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.reading.listed.table_rows import chosen_columns, manifest_rows, word_map
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.dataset.reading.tables import cell_text, find_columns, read_lines
from hf_bones.evaluation.site.choices import SiteChoices
from hf_bones.labels import LabelScheme

# Columns of ours that say which film it is or what is known of it, and no group of films.
_NOT_GROUPS = ("file", "label", "group", "boxes", "image_id", "sha256", "copy_group", "original_label", "subtype")


@dataclass(frozen=True, eq=False)
class SiteFilms:
    """N films as a table has them, in its order.

    rows: each with file, label in the site's word ("" without one), boxes. columns: column of the table → its N cells as text, those that
    say which film it is left out. grouped: whether the table says which films belong together. left_out: film → why it is not scored.
    labelled_by: the column that the labels stand in, "" where they stand in several or nowhere.
    """

    table: str
    rows: Sequence[SourceRow]
    columns: Mapping[str, Sequence[str]]
    grouped: bool
    labelled_by: str
    left_out: Mapping[str, str]
    notes: Sequence[str]

    @property
    def names(self) -> list[str]:
        """What reports call each film: as the table names it."""
        return [row.name for row in self.rows]

    @property
    def groups(self) -> list[str]:
        """The group of each film; one without is a group of its own."""
        return [row.group or f"film {index}" for index, row in enumerate(self.rows)]


def read_films(table: Path, choices: SiteChoices, scheme: LabelScheme) -> SiteFilms:
    """The films of a CSV, TSV, JSON lines or Parquet file. A table without labels is read as well.

    Raises `SourceError` (a ValueError) naming what cannot be read: no column of files, none of the files found, a cell of the wrong kind.
    """
    reading = ReadingChoices(
        root=choices.root, file_column=choices.file_column, label_column=choices.label_column, group_column=choices.group_column
    )
    said = word_map(choices.label_map)
    found = manifest_rows(table, reading, scheme=scheme, label_map=said, needed=("file",))
    lines = read_lines(table)
    ours = find_columns(lines.columns, chosen_columns(reading), str(table))
    by_line = dict(zip(lines.lines, lines.records, strict=True))
    records = [by_line[_line(row.place)] for row in found.rows]
    hidden = {ours[name] for name in _NOT_GROUPS if name in ours}
    columns = {name: [cell_text(record.get(name)) for record in records] for name in lines.columns if name not in hidden}
    return SiteFilms(
        table=table.name,
        rows=found.rows,
        columns=columns,
        grouped=any(row.group for row in found.rows),
        labelled_by=ours.get("label", ""),
        left_out={each.name or "a row without a file": each.reason for each in found.left_out},
        notes=found.notes,
    )


def _line(place: str) -> int:
    """The line of a row from where its table states it: `films.csv, line 5`."""
    return int(re.findall(r"line (\d+)$", place)[0])
