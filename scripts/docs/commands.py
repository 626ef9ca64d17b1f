"""Runs the commands of README.md and docs/ as they stand there, page by page, in order, on drawn films.

    python scripts/docs/commands.py --heavy            # all of them that need no Hub, no GPU and no network; takes long
    python scripts/docs/commands.py                    # those that `make test` runs
    python scripts/docs/commands.py --page docs/own-images.md --heavy

Each page has a folder of its own under --work. A page that went through is not run again: delete its folder, or the line in done.txt.
`blocks.py` says how a page marks a block.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from blocks import ROOT, Block, blocks_of, pages, patches_of
from working_folder import apply_patch, copy_tree, leave, prepare

from hf_bones.cli.main import run as hf_bones_command

FOR_THE_SHELL = re.compile(r"[|&;<>$*?`]")


class BlockError(Exception):
    """A block that did not do what its page says; the message names its place."""


def lines_of(text: str) -> list[str]:
    """The commands of a block of sh: continued lines joined, comments and blank lines left out."""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def run_here(block: Block) -> None:
    """Runs a block in this process and folder where that is possible: imports are paid for once. Raises `BlockError`."""
    if block.language == "python":
        exec(compile(block.text, block.place, "exec"), {"__name__": "__page__"})
        return
    if "<<" in block.text:
        run_in_shell(block)  # a here-document is no line of its own
        return
    for line in lines_of(block.text):
        words = shlex.split(line, comments=True)
        bare = shlex.join(words) if words else ""
        if words[:1] == ["hf-bones"] and not FOR_THE_SHELL.search(line.split(" #")[0]):
            if code := hf_bones_command(*words[1:]):
                raise BlockError(f"{block.place}: `{bare}` ended with {code}")
        else:
            run_in_shell(block, line)


def run_in_shell(block: Block, text: str | None = None) -> None:
    """Runs a block, or `text` of it, as a user would: by bash, or by python. Raises `BlockError`."""
    environment = {"HF_HUB_OFFLINE": "1", **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = f"{Path.cwd() if Path('hf_bones').is_dir() else ROOT}"
    program = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
    done = subprocess.run([*program, text or block.text], env=environment, check=False)
    if done.returncode:
        raise BlockError(f"{block.place}: ended with {done.returncode}: {(text or block.text).strip()}")


def run_page(page: Path, folder: Path, *, heavy: bool) -> Iterator[tuple[Block, float]]:
    """Runs the blocks of a page in `folder` and gives each with its seconds. Without `heavy`, heavy ones leave stand-ins, and a page of
    patches is left out: its commands work only on the patched tree. Raises `BlockError`."""
    patched = bool(patches_of(page))
    if patched and not heavy:
        return
    if patched:
        copy_tree(folder)
    prepare(folder)
    with contextlib.chdir(folder):
        for block in blocks_of(page):
            started = time.monotonic()
            if block.language == "diff":
                if said := apply_patch(folder, block):
                    raise BlockError(f"{block.place}: the patch does not fit: {said}")
            elif not block.is_run:
                continue
            elif heavy:
                run_in_shell(block)
            elif block.is_heavy:
                leave(folder, block)
            else:
                run_here(block)
            yield block, time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heavy", action="store_true", help="run the heavy blocks too, and pages of patches")
    parser.add_argument("--page", action="append", type=Path, help="only this page; may be repeated")
    parser.add_argument("--work", type=Path, default=Path("docs-commands"), help="folder of the pages' folders")
    args = parser.parse_args()
    done, failed = args.work.resolve() / "done.txt", []
    args.work.mkdir(parents=True, exist_ok=True)
    through = done.read_text().split() if done.is_file() else []
    for page in [path.resolve() for path in args.page or pages()]:
        name = str(page.relative_to(ROOT))
        folder = args.work.resolve() / page.relative_to(ROOT).with_suffix("")
        if name in through:
            print(f"{name}: went through before")
            continue
        if folder.exists():
            print(f"{folder} is of a run that stopped: delete it, and run this again")
            failed.append(name)
            continue
        try:
            for block, seconds in run_page(page, folder, heavy=args.heavy):
                print(f"{block.place}: {seconds:.0f} s", flush=True)
        except (BlockError, ValueError, OSError) as error:
            print(f"FAILED {error}", flush=True)
            failed.append(name)
            continue
        with done.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
    print(f"{len(failed)} pages failed: {', '.join(failed)}" if failed else "every page went through")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
