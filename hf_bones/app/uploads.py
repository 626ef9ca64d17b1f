"""Where a server keeps what is uploaded to it: a folder of its own that goes with it, however it ends.

A server that is killed cannot clear up, so the next one does: it removes folders of this name that belong to this user and whose lock
nobody holds. gradio's own folder, which other programs share, is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

PREFIX = "hf-bones-uploads-"
_LOCK = "hf_bones.lock"
_VARIABLE = "GRADIO_TEMP_DIR"


@contextmanager
def uploads_folder() -> Iterator[Path]:
    """A new folder in which gradio keeps uploads while this lasts, for pages that are made and served within. Leftovers of servers that
    were killed are removed first. It lies where GRADIO_TEMP_DIR says, else where the system has temporary files."""
    before = os.environ.get(_VARIABLE)
    place = Path(before or tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    remove_leftovers(place)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    lock = FileLock(folder / _LOCK)
    lock.acquire(timeout=0)
    os.environ[_VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def remove_leftovers(place: Path) -> list[Path]:
    """Removes the folders of killed servers in `place`, and returns them. Nothing that is no folder of ours, or whose server still runs."""
    removed = []
    for folder in sorted(place.glob(f"{PREFIX}*")):
        if not _is_ours(folder):
            continue
        lock = FileLock(folder / _LOCK)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            removed.append(folder)
    return removed


def _is_ours(folder: Path) -> bool:
    """A folder, not a link to one, of this user, with a lock such as `uploads_folder` makes."""
    try:
        about, lock = folder.lstat(), (folder / _LOCK).lstat()
    except OSError:
        return False
    user = os.getuid() if hasattr(os, "getuid") else about.st_uid
    return stat.S_ISDIR(about.st_mode) and stat.S_ISREG(lock.st_mode) and about.st_uid == lock.st_uid == user


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """SIGTERM ends what runs within as Ctrl-C does: the server closes, and clears up. In the main thread; elsewhere it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
