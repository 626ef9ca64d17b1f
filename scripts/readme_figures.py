"""Writes the README's tables from scripts/bench/results/, between its `figures` markers.

python scripts/readme_figures.py            # rewrite README.md
python scripts/readme_figures.py --check    # exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from hf_bones.record import read_json

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- figures:(\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def table(name: str) -> str:
    """A Markdown table of a result file's bars, or a line saying that it is not measured."""
    path = ROOT / "scripts" / "bench" / "results" / f"{name}.json"
    if not path.is_file():
        return f"Not measured yet (`scripts/bench/{name}.py`).\n"
    result = read_json(path)
    lines = ["| figure | value | 95 % interval | n | target |", "| --- | --- | --- | --- | --- |"]
    for bar in result["bars"]:
        interval = bar["interval"]
        span = f"{interval[0]:.2f}–{interval[1]:.2f}" if interval and None not in interval else "–"
        target = "–" if bar["target"] is None else f"{bar['target']:g}{'' if bar['holds'] else ' (missed)'}"
        count = f" ({round(bar['value'] * bar['n'])} of {bar['n']})" if "recall of" in bar["bar"] else ""
        lines.append(f"| {bar['bar']} | {bar['value']:.3f}{count} | {span} | {bar['n']} | {target} |")
    lines.append("")
    lines.append(f"`{result['command']}`, {result['date'][:10]}, {result['machine']}.")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    fresh = MARKED.sub(lambda found: found.group(1) + table(found.group(2)) + found.group(3), text)
    if options.check:
        return int(fresh != text)
    readme.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
