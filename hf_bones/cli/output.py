"""What a command prints: its answer, as lines or with --json as one document, on stdout, and everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hf_bones.record import json_text

_QUIET = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}


@dataclass(frozen=True)
class _Printing:
    stdout: TextIO | None = None  # None: whatever `sys.stdout` is
    as_json: bool = False
    quiet: bool = False


_PLAIN = _Printing()
_printing: ContextVar[_Printing] = ContextVar("printing", default=_PLAIN)


class _NoTerminal:
    """A stream on which no progress bar is drawn, since it says that nobody looks at it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return False


@contextmanager
def printing(as_json: bool, quiet: bool) -> Iterator[None]:
    """While it lasts, `answer` prints as asked. With `as_json`, whatever else is printed goes to stderr; with `quiet` nowhere, and no
    progress is shown."""
    before = _printing.set(_Printing(sys.stdout, as_json, quiet))
    try:
        if quiet:
            environment = {key: os.environ.get(key) for key in _QUIET}
            os.environ.update(_QUIET)
            try:
                with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(_NoTerminal(sys.stderr)):
                    yield
            finally:
                for key, value in environment.items():
                    os.environ.pop(key) if value is None else os.environ.update({key: value})
        elif as_json:
            with redirect_stdout(sys.stderr):
                yield
        else:
            yield
    finally:
        _printing.reset(before)


def answer(data: Any, lines: Iterable[str]) -> None:
    """Prints what a command found: `lines`, or with --json `data` as one document. Lines that need not be made are not."""
    mode = _printing.get()
    for line in [json_text(data)] if mode.as_json else lines:
        print(line, file=mode.stdout or sys.stdout, flush=True)


def note(line: str) -> None:
    """Prints what went wrong on the way, or what to do next, on stderr; nothing with --quiet."""
    if not _printing.get().quiet:
        print(line, file=sys.stderr, flush=True)


def wants_json() -> bool:
    """Whether the answer is to be one document, so that nothing can be printed as it comes."""
    return _printing.get().as_json
