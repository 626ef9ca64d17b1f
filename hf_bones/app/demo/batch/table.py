"""The rows of a batch as a table that the browser sorts and filters (`browser/table.js`), and as a CSV.

The table grows at its end alone, so that a page that is told of new rows is not sent the old ones again.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence

from hf_bones.app.demo.batch.rows import Row
from hf_bones.app.demo.in_short import in_short, remarks
from hf_bones.app.demo.wording import Words
from hf_bones.inference.finding import csv_columns, csv_row
from hf_bones.pages.tables import CsvWriter
from hf_bones.pages.templates import fragment

TEMPLATE = "app/demo/batch/table.html.j2"


def head_html(names: Sequence[str], words: Words) -> str:
    """The table's beginning, up to where its rows stand, for classes `names`."""
    return fragment(TEMPLATE, "head", names, words, in_short)


def row_html(row: Row, names: Sequence[str], words: Words) -> str:
    """One row of it."""
    return fragment(TEMPLATE, "row", row, _remarks(row, words), names, words, in_short)


def left_out_html(left_out: Sequence[tuple[str, str]], words: Words) -> str:
    """What was not read at all, with the reasons; "" where there is nothing."""
    told = [(name, words(f"batch.refused.{reason}")) for name, reason in left_out]
    return fragment(TEMPLATE, "left_out", told, words) if told else ""


def csv_text(rows: Iterable[Row], names: Sequence[str], revision: str) -> str:
    """The table that `hf-bones predict --csv` writes, of these rows: file, verdict, a probability for each class, and what they rest on."""
    stream = io.StringIO()
    table = CsvWriter(stream, line_end="\n")
    table.writerow(csv_columns(names))
    for row in rows:
        if row.finding is None:
            table.writerow([row.film.name, row.verdict, *([""] * len(names)), row.problem, "", revision, ""])
        else:
            table.writerow([*csv_row(row.finding, names), row.finding.checkpoint, revision, ""])
    return stream.getvalue()


def csv_link(text: str, name: str, label: str) -> str:
    """A link that holds the CSV itself, so that no file of it lies on the server."""
    return fragment(TEMPLATE, "download", f"data:text/csv;charset=utf-8;base64,{b64encode(text.encode()).decode()}", name, label)


def _remarks(row: Row, words: Words) -> str:
    return words(f"batch.refused.{row.problem}") if row.finding is None else remarks(row.finding, words)
