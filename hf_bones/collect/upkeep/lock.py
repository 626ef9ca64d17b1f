"""One program at a time changes a collection: a lock file in its folder, which goes with the process that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class CollectError(ValueError):
    """A run that cannot start, or had to stop: the message says what to do. What was recorded before stays."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the collection in `folder`. Raises `CollectError` where another program does."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CollectError(
            f"{folder}: another run is collecting into this folder; wait for it, or stop it (it can be resumed afterwards), and try again"
        ) from error
    try:
        yield
    finally:
        lock.release()
