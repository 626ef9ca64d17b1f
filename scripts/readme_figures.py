"""Writes the README's tables from scripts/bench/results/, between its `figures` markers.

python scripts/readme_figures.py            # rewrite README.md
python scripts/readme_figures.py --check    # exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from hf_bones.record import read_json

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- figures:(\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def table(name: str) -> str:
    """A Markdown table of a result file's bars, or a line saying that it is not measured."""
    path = ROOT / "scripts" / "bench" / "results" / f"{name}.json"
    if not path.is_file():
        return f"Not measured yet (`scripts/bench/{name}.py`).\n"
    result = read_json(path)
    bars = [bar for bar in result["bars"] if name not in ("collect", "cache") or bar["target"] is not None or "images/s" in bar["bar"]]
    lines = pivot(bars) if name == "accuracy" else beside(bars) if name == "dedup" else plain(bars)
    lines += ["", f"`{result['command']}`, {result['date'][:10]}, {result['machine']}."]
    return "\n".join(lines) + "\n"


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


def pivot(bars: list[dict[str, Any]]) -> list[str]:
    """A row for each model on each source of rows; bars are named "model: figure, source test"."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for bar in bars:
        model, _, rest = bar["bar"].partition(": ")
        figure, _, where = rest.rpartition(", ")
        rows.setdefault((where.removesuffix(" test"), model), {})[figure] = cell(bar)
    heads = {
        "auroc_abnormal": "AUROC(abnormal)",
        "balanced_accuracy": "balanced accuracy",
        "recall of healthy": "recall healthy",
        "recall of fractured": "recall fractured",
        "recall of beyond_repair": "recall beyond repair",
    }
    lines = [f"| test rows | model | {' | '.join(heads.values())} |", "| --- " * (len(heads) + 2) + "|"]
    for (where, model), cells in sorted(rows.items(), key=lambda item: item[0][0]):
        lines.append(f"| {where} | {model} | {' | '.join(cells.get(key, '–') for key in heads)} |")
    return lines


def cell(bar: dict[str, Any]) -> str:
    """A value with its interval, a recall as a count, a missed target said so."""
    interval = bar["interval"]
    if "recall of" in bar["bar"]:
        return f"{round(bar['value'] * bar['n'])} of {bar['n']}"
    span = f" ({interval[0]:.2f}–{interval[1]:.2f})" if interval and None not in interval else ""
    missed = "" if bar["holds"] in (None, True) else f", target {bar['target']:g} missed"
    return f"{bar['value']:.2f}{span}{missed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options, readme = parser.parse_args(), ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    fresh = MARKED.sub(lambda found: found.group(1) + table(found.group(2)) + found.group(3), text)
    if not options.check:
        readme.write_text(fresh, encoding="utf-8")
    return int(options.check and fresh != text)


if __name__ == "__main__":
    sys.exit(main())
