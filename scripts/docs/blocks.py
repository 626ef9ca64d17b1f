"""The fenced blocks of README.md and docs/, and what is done with each of them.

A block of sh or python without a comment before its fence is run by `make test`. `<!-- heavy -->` leaves it to `commands.py --heavy`;
`<!-- heavy: leaves runs/mine -->` also says which places it makes, so that the blocks after it can be run without it.
`<!-- not run: REASON -->` gives one of REASONS. Blocks of diff are patches of this tree, in the order of the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ("sh", "python")
LANGUAGES = (*RUN, "text", "yaml", "diff", "csv", "json")
REASONS = (
    "needs the Hub", "needs a GPU", "needs the network", "needs another machine", "needs a download", "opens a server",
    "installs packages", "changes this machine", "is what CI runs",
)  # fmt: skip
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (heavy|not run)(?:: (?:leaves )?([^>]*?))? -->\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block. `leaves` are the places that a heavy one makes; `reason` is why one is never run."""

    page: Path
    line: int
    language: str
    text: str
    is_heavy: bool = False
    leaves: tuple[str, ...] = ()
    reason: str = ""

    @property
    def place(self) -> str:
        """Where it stands: docs/hub.md:12."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether anything runs it."""
        return self.language in RUN and not self.reason


def pages() -> list[Path]:
    """README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in their order. Raises ValueError for a language or a reason that is not known, naming the place."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        before, indent = text[: fence.start()], len(fence["indent"])
        lines = "".join(line[indent:] if line.strip() else line for line in fence["text"].splitlines(keepends=True))
        kind, said = (mark[1], mark[2] or "") if (mark := MARK.search(before)) else ("", "")
        leaves = tuple(place.strip() for place in said.split(",")) if kind == "heavy" and said else ()
        reason = said if kind == "not run" else ""
        block = Block(page, before.count("\n") + 1, fence["language"], lines, kind == "heavy", leaves, reason)
        if block.language not in LANGUAGES:
            raise ValueError(f"{block.place}: a block of {block.language or 'no language'}; known: {', '.join(LANGUAGES)}")
        if kind == "not run" and reason not in REASONS:
            raise ValueError(f"{block.place}: not run: {reason!r}; known reasons: {', '.join(REASONS)}")
        found.append(block)
    return found


def patches_of(page: Path) -> list[Block]:
    """The patches of a page. A page that has some is about changing this tree: its commands run in a copy that is patched."""
    return [block for block in blocks_of(page) if block.language == "diff"]
