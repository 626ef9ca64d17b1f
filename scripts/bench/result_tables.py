"""The bars of a result file as the rows of a Markdown table: one below the other, by model, by transform, or beside those of peers."""

from __future__ import annotations

from typing import Any


def plain(bars: list[dict[str, Any]]) -> list[str]:
    """A row a bar."""
    return ["| figure | value | n |", "| --- | --- | --- |"] + [f"| {bar['bar']} | {cell(bar)} | {bar['n']} |" for bar in bars]


def beside(bars: list[dict[str, Any]]) -> list[str]:
    """A row for each figure that peers have too, with a column for each of us; bars are named "who: figure". The others as `plain`."""
    rows: dict[str, dict[str, str]] = {}
    others = []
    for bar in bars:
        who, colon, figure = bar["bar"].partition(": ")
        if colon:
            rows.setdefault(figure, {})[who] = cell(bar)
        else:
            others.append(bar)
    names = list(dict.fromkeys(who for cells in rows.values() for who in cells))
    lines = [f"| figure | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    lines += [f"| {figure} | {' | '.join(cells.get(who, '–') for who in names)} |" for figure, cells in rows.items()]
    return [*lines, "", *plain(others)]


HEADS = {
    "auroc_abnormal": "AUROC(abnormal)",
    "balanced_accuracy": "balanced accuracy",
    "auroc_ovr_beyond_repair": "AUROC(beyond repair)",
    "sensitivity_fractured_at_specificity_85": "fractured recall at specificity .85",
    "recall of healthy": "recall healthy",
    "recall of fractured": "recall fractured",
    "recall of beyond_repair": "recall beyond repair",
}


def pivot(bars: list[dict[str, Any]], left_out: tuple[str, ...] = ("auroc_ovr_beyond_repair",)) -> list[str]:
    """A row for each model on each source of rows; bars are named "model: figure, source test". Figures of other names are not shown."""
    heads = {key: head for key, head in HEADS.items() if key not in left_out}
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for bar in bars:
        model, _, rest = bar["bar"].partition(": ")
        figure, _, where = rest.rpartition(", ")
        if figure in heads:
            rows.setdefault((where.removesuffix(" test"), model), {})[figure] = cell(bar)
    heads = {key: head for key, head in heads.items() if any(key in cells for cells in rows.values())}
    lines = [f"| test rows | model | {' | '.join(heads.values())} |", "| --- " * (len(heads) + 2) + "|"]
    for (where, model), cells in sorted(rows.items(), key=lambda item: item[0][0]):
        lines.append(f"| {where} | {model} | {' | '.join(cells.get(key, '–') for key in heads)} |")
    return lines


def teacher(bars: list[dict[str, Any]]) -> list[str]:
    """`pivot` with a row for each of test and validation of each model."""
    lines = pivot([bar for bar in bars if bar["bar"].endswith((", test", ", validation"))], left_out=())
    return [lines[0].replace("test rows", "rows"), *lines[1:]]


def leaderboard(bars: list[dict[str, Any]]) -> list[str]:
    """A row for each model in the order of the bars, which are named "model: figure"; bars without a model below, as `plain`."""
    rows: dict[str, dict[str, str]] = {}
    others = []
    for bar in bars:
        model, colon, figure = bar["bar"].partition(": ")
        if colon:
            gap = figure == "gap"
            rows.setdefault(model, {})[figure] = f"{bar['value']:+.2f}" if gap else cell(bar)
        else:
            others.append(bar)
    figures = list(dict.fromkeys(figure for cells in rows.values() for figure in cells))
    lines = [f"| model | {' | '.join(figures)} |", "| --- " * (len(figures) + 1) + "|"]
    lines += [f"| {model} | {' | '.join(cells.get(figure, '–') for figure in figures)} |" for model, cells in rows.items()]
    return [*lines, "", *plain(others)] if others else lines


def cell(bar: dict[str, Any]) -> str:
    """A value with its interval, a recall as a count, a missed target said so."""
    interval = bar["interval"]
    if "recall of" in bar["bar"]:
        return f"{round(bar['value'] * bar['n'])} of {bar['n']}"
    span = f" ({number(interval[0])}–{number(interval[1])})" if interval and None not in interval else ""
    missed = "" if bar["holds"] in (None, True) else f", target {bar['target']:g} missed"
    return f"{number(bar['value'])}{span}{missed}"


def number(value: float) -> str:
    """Two decimals; none from a hundred on, and none of whole numbers that are no shares."""
    whole = abs(value) >= 100 or (float(value).is_integer() and value != 1)
    return f"{value:,.0f}" if whole else f"{value:.2f}"


def by_transform(bars: list[dict[str, Any]]) -> list[str]:
    """A row for each transform, its figures on each set of films beside each other; bars are named "transform: figure, set of films"."""
    heads = {"break in view": "in view", "most an angle changes, 99 % of draws, degrees": "angles, degrees"}
    heads["contrast of the break after / before, 5th percentile"] = "contrast, 5 %"
    rows: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    for bar in bars:
        transform, _, rest = bar["bar"].partition(": ")
        figure = next((name for name in heads if rest.startswith(f"{name}, ")), None)
        if figure is None:
            continue
        column = f"{heads[figure]}: {rest.removeprefix(f'{figure}, ')}"
        columns[column] = None
        rows.setdefault(transform, {})[column] = cell(bar) if figure != "break in view" else _share_cell(bar)
    lines = [f"| transform | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    return lines + [f"| {transform} | {' | '.join(cells.get(column, '–') for column in columns)} |" for transform, cells in rows.items()]


def _share_cell(bar: dict[str, Any]) -> str:
    """A share in per cent with one decimal, so that 99.6 % is not written as all; with its interval."""
    span = f" ({100 * bar['interval'][0]:.1f}–{100 * bar['interval'][1]:.1f})" if bar["interval"] else ""
    return f"{100 * bar['value']:.1f} %{span}"
