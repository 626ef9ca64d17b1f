"""From bytes to an image on disk: decoded whole by `open_image`, stored by content hash. Runs in processes of its own.

Decoders are C code fed with whatever the web serves. Here a crash or an endless loop takes down one worker, is traced to the file that
caused it, and that file is refused. A file gets its final name only when it is complete and on the disk.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from hf_bones.images.opening import ImageRefusedError, Limits, open_image

IMAGES, REFUSED, PARTIAL = "images", "refused", "partial"
LONGEST_DECODE = 120.0  # s
_SUFFIXES = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "JPEG2000": ".jp2",
    "AVIF": ".avif", "DICOM": ".dcm",
}  # fmt: skip


class StorageError(OSError):
    """The collection's disk cannot take more: it is full, read-only or broken."""


@dataclass(frozen=True)
class Examined:
    """What the bytes turned out to be: an image in `file`, or refused for `reason`; `file` is relative to the collection, "" if not
    kept."""

    file: str
    reason: str = ""
    detail: str = ""
    width: int | None = None
    height: int | None = None
    format: str = ""


def examine(body: bytes, sha256: str, folder: str, limits: Limits, keep_refused: bool) -> Examined:
    """Decodes `body` whole and stores it under its hash, in images/ or, where it is no image and is to be kept, in refused/.

    Raises `StorageError` where the disk does not take it.
    """
    try:
        opened = open_image(body, limits)
    except ImageRefusedError as refusal:
        kept = store(body, sha256, folder, REFUSED, ".bin") if keep_refused else ""
        return Examined(kept, str(refusal.reason), refusal.detail)
    width, height = opened.original_size
    file = store(body, sha256, folder, IMAGES, _SUFFIXES.get(opened.source_format, ".img"))
    return Examined(file, width=width, height=height, format=opened.source_format)


def store(body: bytes, sha256: str, folder: str, part: str, suffix: str) -> str:
    """Writes bytes as PART/ab/abcd….suffix, complete or not at all; returns that name. Raises `StorageError`."""
    name = f"{part}/{sha256[:2]}/{sha256}{suffix}"
    final = Path(folder, name)
    partial = ""
    try:
        if final.is_file() and final.stat().st_size == len(body):
            return name
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=Path(folder, PARTIAL), delete=False) as stream:
            partial = stream.name
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        Path(partial).chmod(0o644)
        Path(partial).replace(final)
    except OSError as error:
        if partial:
            Path(partial).unlink(missing_ok=True)
        raise StorageError(error.errno, f"{final}: {error.strerror}") from error
    return name


class Examiner:
    """A pool of processes that examine. Use as an async context manager; `workers` processes start with the first file."""

    def __init__(self, folder: Path, workers: int, limits: Limits) -> None:
        self._folder, self._workers, self._limits = str(folder), workers, limits
        self._pool: ProcessPoolExecutor | None = None
        self._alone = asyncio.Lock()

    async def __aenter__(self) -> Examiner:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def examine(self, body: bytes, sha256: str, keep_refused: bool) -> Examined:
        """As the function `examine`. Raises `DecoderDiedError` for bytes that took down a process of their own, `StorageError`."""
        if self._pool is None:
            self._pool = worker_pool(self._workers)
        pool = self._pool
        try:
            return await self._run(pool, body, sha256, keep_refused)
        except BrokenProcessPool:
            # One of the files being examined did it, but not necessarily this one: each is tried again, alone.
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False)
        async with self._alone:
            lone = worker_pool(1)
            try:
                return await self._run(lone, body, sha256, keep_refused)
            except BrokenProcessPool as error:
                raise DecoderDiedError("the decoder crashed or hung on this file") from error
            finally:
                lone.shutdown(wait=False)

    async def _run(self, pool: ProcessPoolExecutor, body: bytes, sha256: str, keep_refused: bool) -> Examined:
        return await asyncio.wrap_future(pool.submit(_examine_in_time, body, sha256, self._folder, self._limits, keep_refused))


class DecoderDiedError(RuntimeError):
    """Bytes on which the decoder crashed or did not come to an end."""


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Processes for decoding: Ctrl-C leaves them to whoever started them, and they end when that process does, however it ends."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker)


def _prepare_worker() -> None:
    """Ctrl-C is the starter's business; and a worker whose starter was killed ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def end_with_parent() -> None:
            multiprocessing.connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()


def _examine_in_time(body: bytes, sha256: str, folder: str, limits: Limits, keep_refused: bool) -> Examined:
    if not hasattr(signal, "setitimer"):
        return examine(body, sha256, folder, limits, keep_refused)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_DECODE)  # its signal ends the process, also in the middle of C code
    try:
        return examine(body, sha256, folder, limits, keep_refused)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
