"""The one writer of tables: for Markdown, as CSV, and for a terminal as plain lines or, where it may fold, as rich's table."""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hf_bones.pages.text import printable_text

if TYPE_CHECKING:
    from rich.table import Table

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right_from: int | None = None) -> str:
    """A table whose cells are Markdown already; columns from `right_from` on stand at the right, as numbers do."""
    rule = ["---" if right_from is None or place < right_from else "---:" for place in range(len(head))]
    first, *body = ("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in [head, *rows])
    return "\n".join([first, f"|{'|'.join(rule)}|", *body])


class CsvWriter:
    """csv.writer for tables that people open: no cell is a formula to a spreadsheet (`defused`), and names that
    are no UTF-8 are written as `printable_text`. `line_end` ends each line."""

    def __init__(self, stream: IO[str], line_end: str = "\r\n") -> None:
        self._table = csv.writer(stream, lineterminator=line_end)

    def writerow(self, row: Iterable[object]) -> None:
        self._table.writerow([defused(printable_text(cell) if isinstance(cell, str) else cell) for cell in row])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        for row in rows:
            self.writerow(row)


def defused(cell: object) -> object:
    """A cell that a spreadsheet shows and does not compute: text that begins as a formula gets an apostrophe in front, as whoever types
    it into a cell would give it. Numbers stay as they are. `stated` takes it away again."""
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def stated(cell: str) -> str:
    """What a cell of a CSV of ours said before it was `defused`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_csv(path: Path, head: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Writes a table as a CSV file in UTF-8, with every cell `defused`."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = CsvWriter(stream)
        table.writerow(head)
        table.writerows(rows)


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: Container[int] = (0,)) -> list[str]:
    """Lines for a terminal, two spaces between columns: columns whose number is in `left` stand at the left, the others at the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width) for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def rich_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: Container[int] = (0,), total: Sequence[str] = ()) -> Table:
    """The same for rich's console, which folds cells at the left where the terminal is narrow; `total` stands below a line."""
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold")
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place in left else "right", no_wrap=place not in left)
    for row in rows:
        table.add_row(*row)
    if total:
        table.add_section()
        table.add_row(*total)
    return table
