"""Figures and counts as cells of a table, and what the words in them mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hf_bones.evaluation.report.figures import ENOUGH_GROUPS, MIN_GROUPS, ROUGH, Figure, SliceFigures
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.headlines import IN_CELL
from hf_bones.pages.text import plain

_NAMED = 12  # regions or sources of few rows that are named in their one line

# What stands in place of an interval: how it reads in a table, its words for the list of meanings, and what it means.
_MEANINGS = (
    (r"\bno row of ", "no row of …", "the figure compares classes, and these rows have none of that class."),
    (
        r"only \d+ rows? ",
        "only … rows of …",
        f"the figure needs films of that class, and there are that many. An interval is given from {MIN_ROWS} on; with "
        "fewer it is a matter of which films happen to be there: read the counts.",
    ),
    (
        r"only \d+ groups?\b",
        "only … groups",
        "the films come from that many groups (a group is one patient, page or publication, or near-duplicates). An interval is made by "
        f"drawing whole groups anew, and is given from {MIN_GROUPS} on.",
    ),
    (rf"\b{ROUGH}\b", ROUGH, f"the films come from {MIN_GROUPS} to {ENOUGH_GROUPS - 1} groups, so that the interval is itself uncertain."),
    ("undefined in over 5 %", "undefined in over 5 % of the resamples", "too many resamples lack a class that the figure needs."),
    (
        "the same in every resample",
        "the same in every resample",
        "no resample changes the figure, because there is no error among these films, say. That does not make it certain.",
    ),
)


def figure_cell(figure: Figure) -> str:
    """`0.82 (0.78–0.86)`, `0.71 (only 6 rows of beyond_repair)` or `– (no row of healthy)`."""
    if figure.value is None:
        return f"– ({plain(figure.reason)})"
    if figure.interval is None:
        return f"{figure.value:{IN_CELL}} ({plain(figure.reason)})"
    return f"{figure.value:{IN_CELL}} ({_interval(figure)})"


def count_cell(hits: float | None, figure: Figure, support: int, *, with_reason: bool = False) -> str:
    """`72 of 93: 0.77 (0.68–0.85)`; only `5 of 7` where the rows are too few for more.

    Hits that are a mean have a decimal where it is no whole number; `with_reason` says why there is no interval.
    """
    if hits is None or support == 0:
        return f"– ({plain(figure.reason)})" if support else "–"
    counts = f"{hits:.0f} of {support}" if hits == int(hits) else f"{hits:.1f} of {support}"
    if figure.value is None or support < MIN_ROWS:
        return counts
    return f"{counts}: {figure_cell(figure) if figure.interval or with_reason else format(figure.value, IN_CELL)}"


def meanings(text: str) -> list[str]:
    """What each kind of remark in the tables of `text` (Markdown) means, in Markdown."""
    return [f"**{words}**: {said}" for form, words, said in _MEANINGS if re.search(form, text)]


def few_rows(tables: Iterable[SliceFigures], least: int, word: str, file: str = "metrics.json") -> tuple[list[SliceFigures], str]:
    """The tables of `least` rows or more, and `few_rows_line` of the others. Several models on the same rows count once."""
    shown, few = [], dict[str, int]()
    for table in tables:
        if table.n >= least:
            shown.append(table)
        else:
            few[table.name] = table.n
    return shown, few_rows_line(few, least, word, file)


def few_rows_line(few: Mapping[str, int], least: int, word: str, file: str = "metrics.json") -> str:
    """One line of Markdown on the `word`s ("region") that have fewer than `least` rows, given with their rows; "" for none. `file` has
    their figures."""
    if not few:
        return ""
    named = [f"{plain(name)} {count}" for name, count in list(few.items())[:_NAMED]]
    more = ", …" if len(few) > _NAMED else ""
    head, each = (f"{len(few)} {word}s", " each") if len(few) > 1 else (f"1 {word}", "")
    total = sum(few.values())
    return (
        f"{head} with fewer than {least} films{each}: {total} film{'s' * (total != 1)} ({', '.join(named)}{more}); not shown apart. "
        f"{file} has their figures."
    )


def _interval(figure: Figure) -> str:
    assert figure.interval is not None, "callers have looked"
    return f"{figure.interval[0]:{IN_CELL}}–{figure.interval[1]:{IN_CELL}}{', rough' if (figure.reason or '').startswith(ROUGH) else ''}"
