"""Writes the tables of README.md and docs/ from scripts/bench/results/, between their `figures` markers.

python scripts/docs/figures.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from written_pages import ROOT, write_or_check

from hf_bones.record import read_json

sys.path.append(str(ROOT / "scripts" / "bench"))

from result_tables import accuracy, beside, by_transform, headline, leaderboard, plain, refusals, teacher

MARKED = re.compile(r"(<!-- figures:(\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL)
TABLES = {"accuracy": accuracy, "teacher": teacher, "augment": by_transform, "dedup": beside, "train": beside, "compare": leaderboard}
TABLES |= {"pooling": leaderboard, "augment_style": by_transform, "bundled": beside, "headline": headline, "refusals": refusals}
RECORDS = {"headline": "accuracy", "refusals": "decide"}  # of a table that is not named after its record


def table(name: str) -> str:
    """A Markdown table of a result file's bars, or a line saying that it is not measured."""
    record = RECORDS.get(name, name)
    path = ROOT / "scripts" / "bench" / "results" / f"{record}.json"
    if not path.is_file():
        return f"Not measured yet (`scripts/bench/{record}.py`).\n"
    result = read_json(path)
    bars = [bar for bar in result["bars"] if name not in ("collect", "cache") or bar["target"] is not None or "images/s" in bar["bar"]]
    lines = [*TABLES.get(name, plain)(bars), "", f"`{result['command']}`, {result['date'][:10]}, {result['machine']}."]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """README.md and the pages of docs/ with today's tables."""
    found = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        found[path] = MARKED.sub(lambda marked: marked.group(1) + table(marked.group(2)) + marked.group(3), text)
    return found


if __name__ == "__main__":
    sys.exit(write_or_check(pages(), __doc__))
