"""Pages that a script writes: written where they are not up to date, or, with --check, named."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def write_or_check(pages: Mapping[Path, str], description: str | None) -> int:
    """Writes each page whose text is not what stands here; with --check on the command line writes none. Returns the exit code: 1 where
    a checked page is not up to date."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1, naming the pages, where one is not up to date")
    check = parser.parse_args().check
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check:
            path.write_text(pages[path], encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'not up to date' if check else 'written'}")
    if not stale:
        print(f"{len(pages)} pages are up to date")
    return int(check and bool(stale))
