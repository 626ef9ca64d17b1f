"""Names that are no UTF-8, as file systems allow them: made printable, so that such a file is built under a name that can be written.

Paths stay as they are, since the file is opened by them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hf_bones.dataset.reading.sources import Reading, SourceRow
from hf_bones.pages.text import printable_text

_TEXTS = ("label", "subtype", "group", "copy_group", "source", "region", "view", "licence", "image_id")


def printable(reading: Reading) -> Reading:
    """The reading with all its texts printable, and a note on how many names of images were not."""
    rows = [_printable_row(row) for row in reading.rows]
    changed = sum(after is not before and after.image_id != before.image_id for after, before in zip(rows, reading.rows, strict=True))
    notes = [printable_text(note) for note in reading.notes]
    if changed:
        notes.append(f"{changed:,} file names are no UTF-8: their bytes are written as \\xNN")
    return replace(
        reading,
        rows=rows,
        left_out=[replace(row, name=printable_text(row.name), reason=printable_text(row.reason)) for row in reading.left_out],
        notes=notes,
        contradictions=[
            replace(each, case=printable_text(each.case), file=printable_text(each.file), stated=printable_text(each.stated))
            for each in reading.contradictions
        ],
    )


def _printable_row(row: SourceRow) -> SourceRow:
    changed: dict[str, Any] = {}
    for key in _TEXTS:
        given = getattr(row, key)
        if (text := printable_text(given)) != given:
            changed[key] = text
    return replace(row, **changed) if changed else row
