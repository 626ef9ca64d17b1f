"""Takes outputs, execution counts and what an editor left out of notebooks; exit 1 where there was any, as a hook before a commit should.

python scripts/strip_notebooks.py [--check] [NOTEBOOK ...]     # by default all in examples/
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT_METADATA = ("kernelspec", "language_info")


def stripped(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook without outputs, counts and metadata that say nothing of how to run it."""
    cells = []
    for cell in notebook["cells"]:
        cell = {**cell, "metadata": {}}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        cells.append(cell)
    metadata = {key: value for key, value in notebook["metadata"].items() if key in KEPT_METADATA}
    return {**notebook, "cells": cells, "metadata": metadata}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    changed = []
    for path in options.notebooks or sorted((ROOT / "examples").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if (clean := stripped(notebook)) != notebook:
            changed.append(path)
            if not options.check:
                path.write_text(json.dumps(clean, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in changed:
        print(f"{path}: {'has outputs; run python scripts/strip_notebooks.py' if options.check else 'stripped'}", file=sys.stderr)
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
