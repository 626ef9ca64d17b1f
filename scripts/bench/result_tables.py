"""The bars of a result file as a Markdown table: one below the other, by model, by transform, or beside those of peers.

Most bars are named "who: figure", or "who: figure, where".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FEW = 10  # films of a source under which its rows are not shown
REFUSED = {
    "refused, all kinds": "photographs, drawings, documents, CT, MRI and other pictures that are no bone radiograph",
    "films refused, FracAtlas test": "FracAtlas test films",
    "films refused, elsewhere": "films of other hospitals",
}
Bars = list[dict[str, Any]]
Cells = dict[tuple[str, ...], dict[str, str]]  # row → column → what stands there

HEADS = {
    "auroc_abnormal": "AUROC(abnormal)",
    "balanced_accuracy": "balanced accuracy",
    "auroc_ovr_beyond_repair": "AUROC(beyond repair)",
    "sensitivity_fractured_at_specificity_85": "fractured recall at specificity .85",
    "recall of healthy": "recall healthy",
    "recall of fractured": "recall fractured",
    "recall of beyond_repair": "recall beyond repair",
}
ELSEWHERE_HEADS = {
    "auroc_abnormal": "AUROC(abnormal)",
    "recall of abnormal": "recall of abnormal",
    "mean over sources of the recall and specificity that each has": "mean of recalls and specificities",
}
TRANSFORM_HEADS = {
    "break in view": "in view",
    "most an angle changes, 99 % of draws, degrees": "angles, degrees",
    "contrast of the break after / before, 5th percentile": "contrast, 5 %",
    "ms an image": "ms an image",
}


def grid(heads: Sequence[str], cells: Mapping[tuple[str, ...], Mapping[str, str]], columns: Sequence[str] = ()) -> list[str]:
    """The cells under the `heads` of the rows' names and their own columns, in the order of the first row that has one if none is given."""
    columns = columns or list(dict.fromkeys(name for row in cells.values() for name in row))
    lines = [f"| {' | '.join([*heads, *columns])} |", "| --- " * (len(heads) + len(columns)) + "|"]
    return lines + [f"| {' | '.join([*key, *(row.get(name, '–') for name in columns)])} |" for key, row in cells.items()]


def plain(bars: Bars) -> list[str]:
    """A row a bar."""
    return grid(["figure"], {(bar["bar"],): {"value": cell(bar), "n": str(bar["n"])} for bar in bars})


def beside(bars: Bars) -> list[str]:
    """A row for each figure that peers have too, with a column for each of us; others below as `plain`."""
    return by_name(bars, "figure", of_rows=1)


def leaderboard(bars: Bars) -> list[str]:
    """A row for each model in the order of the bars; bars without a model below as `plain`."""
    return by_name(bars, "model", of_rows=0)


def by_name(bars: Bars, head: str, of_rows: int) -> list[str]:
    """Rows by the part `of_rows` of "who: figure", columns by the other one."""
    cells: Cells = {}
    for bar in bars:
        names = bar["bar"].split(": ", 1)
        if len(names) > 1:
            cells.setdefault((names[of_rows],), {})[names[1 - of_rows]] = f"{bar['value']:+.2f}" if names[1] == "gap" else cell(bar)
    others = [bar for bar in bars if ": " not in bar["bar"]]
    return grid([head], cells) + (["", *plain(others)] if others else [])


def pivot(bars: Bars, head: str = "test rows", left_out: str = "auroc_ovr_beyond_repair") -> list[str]:
    """A row for each model on each source of rows; figures of other names are not shown."""
    cells: Cells = {}
    for bar in bars:
        model, _, rest = bar["bar"].partition(": ")
        figure, _, where = rest.rpartition(", ")
        if figure in HEADS and figure != left_out:
            cells.setdefault((where.removesuffix(" test"), model), {})[HEADS[figure]] = cell(bar)
    columns = [name for name in HEADS.values() if any(name in row for row in cells.values())]
    return grid([head, "model"], dict(sorted(cells.items(), key=lambda item: item[0][0])), columns)


def headline(bars: Bars) -> list[str]:
    """`pivot` of the test rows by their sources, less those with a handful of films."""
    return pivot([bar for bar in bars if bar["bar"].endswith(" test") and bar["n"] >= FEW and not _is_slice(bar)])


def _is_slice(bar: Mapping[str, Any]) -> bool:
    """Whether a bar is of some of the films of all sources: bare ones, those of a region, those of a severity."""
    return str(bar["bar"]).endswith(" abnormal) test")


def accuracy(bars: Bars) -> list[str]:
    """The headline; below it slices of the test rows, then films of other origins, a row for each model and source."""
    elsewhere = [bar for bar in bars if not bar["bar"].endswith(" test")]
    slices = [{**bar, "bar": bar["bar"].replace(", bare", " and bare")} for bar in bars if _is_slice(bar)]
    cells: Cells = {}
    for bar in elsewhere:
        model, _, rest = bar["bar"].partition(": ")
        figure, _, where = rest.rpartition(", ")
        cells.setdefault((where, model), {})[ELSEWHERE_HEADS.get(figure, figure)] = cell(bar)
    below = grid(["films elsewhere", "model"], cells) if cells else []
    tables = [headline(bars), pivot(slices, "test films") if slices else [], below]
    return [line for table in tables if table for line in ("", *table)][1:]


def refusals(bars: Bars) -> list[str]:
    """What becomes of test films, by class; and what share of other images and of films the gate refuses."""
    cells: Cells = {}
    for bar in bars:
        where, _, rest = bar["bar"].partition(": ")
        name, _, figure = rest.partition(": ")
        if where == "test" and figure:
            cells.setdefault((name.replace("_", " "),), {})[figure] = cell(bar)
    gate: Cells = {
        (words,): {"share": cell(bar), "n": str(bar["n"])} for words, bar in ((REFUSED.get(bar["bar"]), bar) for bar in bars) if words
    }
    return [*grid(["fracatlas test films"], cells), "", *grid(["refused as no bone radiograph"], gate)]


def teacher(bars: Bars) -> list[str]:
    """`pivot` with a row for each of test and validation of each model."""
    return pivot([bar for bar in bars if bar["bar"].endswith((", test", ", validation"))], "rows", left_out="")


def by_transform(bars: Bars) -> list[str]:
    """A row for each transform, its figures on each set of films beside each other."""
    cells: Cells = {}
    for bar in bars:
        transform, _, rest = bar["bar"].partition(": ")
        for figure, head in TRANSFORM_HEADS.items():
            if rest.startswith(f"{figure}, "):
                column = f"{head}: {rest.removeprefix(f'{figure}, ')}"
                cells.setdefault((transform,), {})[column] = share_cell(bar) if head == "in view" else cell(bar)
    return grid(["transform"], cells)


def cell(bar: dict[str, Any]) -> str:
    """A value with its interval, a recall as a count, a missed target said so."""
    interval = bar["interval"]
    if "recall of" in bar["bar"]:
        return f"{round(bar['value'] * bar['n'])} of {bar['n']}"
    span = f" ({number(interval[0])}–{number(interval[1])})" if interval and None not in interval else ""
    missed = "" if bar["holds"] in (None, True) else f", target {bar['target']:g} missed"
    return f"{number(bar['value'])}{span}{missed}"


def share_cell(bar: dict[str, Any]) -> str:
    """A share in per cent with one decimal, so that 99.6 % is not written as all; with its interval."""
    span = f" ({100 * bar['interval'][0]:.1f}–{100 * bar['interval'][1]:.1f})" if bar["interval"] else ""
    return f"{100 * bar['value']:.1f} %{span}"


def number(value: float) -> str:
    """Two decimals; none from a hundred on, and none of whole numbers that are no shares."""
    whole = abs(value) >= 100 or (float(value).is_integer() and value != 1)
    return f"{value:,.0f}" if whole else f"{value:.2f}"
