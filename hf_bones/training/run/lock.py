"""One run at a time writes into an output folder: a lock in it, which goes with the process that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hf_bones.config.recipe import RecipeError
from hf_bones.system import require_writable

LOCK = ".lock"


@contextmanager
def run_lock(folder: Path, key: str = "output_dir") -> Iterator[None]:
    """Holds a run's folder, named by `key`, which is made where it is not there; of several processes the first one does.

    Raises `RecipeError` where another run holds it, and `NotWritableError`.
    """
    if int(os.environ.get("RANK", "0")) != 0:
        yield
        return
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RecipeError(
            f"{key}: another run is writing here: {folder}. Wait for it, or stop it (the same command resumes it), or choose another {key}"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # while it is held: whoever opened it meanwhile sees that it is gone, and makes a new one
            (folder / LOCK).unlink()
        lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # of a run that was refused before it wrote anything
