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
sys.path.append(str(ROOT / "scripts" / "bench"))

from result_tables import beside, by_transform, leaderboard, pivot, plain, teacher  # noqa: E402 - lies beside the results that it is made for

MARKED = re.compile(r"(<!-- figures:(\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL)
TABLES = {"accuracy": pivot, "teacher": teacher, "augment": by_transform, "dedup": beside, "train": beside, "compare": leaderboard}
TABLES["pooling"] = leaderboard


def table(name: str) -> str:
    """A Markdown table of a result file's bars, or a line saying that it is not measured."""
    path = ROOT / "scripts" / "bench" / "results" / f"{name}.json"
    if not path.is_file():
        return f"Not measured yet (`scripts/bench/{name}.py`).\n"
    result = read_json(path)
    bars = [bar for bar in result["bars"] if name not in ("collect", "cache") or bar["target"] is not None or "images/s" in bar["bar"]]
    lines = [*TABLES.get(name, plain)(bars), "", f"`{result['command']}`, {result['date'][:10]}, {result['machine']}."]
    return "\n".join(lines) + "\n"


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
