"""What becomes of bytes that have come: checked against the hash and the tombstones, examined, stored, and the outcome written down."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from hf_bones.collect import queue
from hf_bones.collect.examine import REFUSED, DecoderDiedError, Examiner, StorageError, store
from hf_bones.collect.progress import Progress
from hf_bones.collect.queue import Arrival, Waiting
from hf_bones.collect.reasons import FetchFailedError, FetchReason, Outcome
from hf_bones.collect.recipe import FetchSettings
from hf_bones.manifest.store import ImageRecord, Manifest

_DISK_CHECK_EVERY = 50  # images


@dataclass
class CollectResult:
    """What a run did. `states` counts all URLs of the collection by outcome; the others are this run's.

    `failed_searches` are (provider, query, error); `held_hosts` maps hosts that asked for a long pause to its seconds: their URLs wait for
    a later run.
    """

    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    failed: int = 0
    states: dict[str, int] = field(default_factory=dict)
    failed_searches: list[tuple[str, str, str]] = field(default_factory=list)
    held_hosts: dict[str, float] = field(default_factory=dict)


class Recorder:
    """Writes each URL's outcome into the manifest, and counts it in `result`. Refused files are kept while there is room for them."""

    def __init__(self, manifest: Manifest, settings: FetchSettings, examiner: Examiner, progress: Progress, result: CollectResult) -> None:
        self._manifest, self._settings, self._examiner, self._progress, self._result = manifest, settings, examiner, progress, result
        kept_bytes = manifest.connection.execute("SELECT coalesce(sum(bytes), 0) FROM fetches WHERE kept != ''").fetchone()[0]
        self._refused_room = settings.refused_total_bytes - int(kept_bytes)
        self._since_disk_check = 0

    async def keep(self, waiting: Waiting, body: bytes, arrival: Arrival) -> None:
        """Examines bytes that have come and records what they are. Raises `StorageError` where the disk does not take them."""
        url = waiting.url
        if len(body) > self._settings.max_bytes:
            self.refuse(url, FetchReason.FILE_TOO_LARGE, f"{len(body)} bytes, over the limit of {self._settings.max_bytes}", arrival)
            return
        sha256 = _sha256(body) if len(body) < 2**20 else await asyncio.to_thread(_sha256, body)
        if self._manifest.tombstones([sha256]):
            self.refuse(url, FetchReason.FORGOTTEN, sha256, arrival)
        elif waiting.sha256 and waiting.sha256 != sha256:
            kept = await self._keep_refused(body, sha256)
            detail = f"the bytes have the hash {sha256}, not {waiting.sha256}"
            self.refuse(url, FetchReason.HASH_MISMATCH, detail, arrival, sha256, len(body), kept)
        elif (there := self._manifest.image(sha256)) is not None and (self._manifest.folder / there.file).is_file():
            self._record_image(url, there, arrival)
        else:
            await self._examine(url, body, sha256, arrival)

    async def _examine(self, url: str, body: bytes, sha256: str, arrival: Arrival) -> None:
        keep_refused = self._take_room(len(body))
        try:
            found = await self._examiner.examine(body, sha256, keep_refused)
        except DecoderDiedError as error:
            self._give_back_room(keep_refused, len(body))
            kept = await self._keep_refused(body, sha256)
            self.refuse(url, FetchReason.DECODER_DIED, str(error), arrival, sha256, len(body), kept)
            return
        if found.reason:
            self.refuse(url, found.reason, found.detail, arrival, sha256, len(body), found.file)
            return
        self._give_back_room(keep_refused, len(body))
        self._since_disk_check += 1
        if self._since_disk_check >= _DISK_CHECK_EVERY:
            self._since_disk_check = 0
            check_disk(self._manifest.folder, self._settings.min_free_bytes)
        self._record_image(url, ImageRecord(sha256, found.file, len(body), found.width, found.height, found.format), arrival)

    def _record_image(self, url: str, image: ImageRecord, arrival: Arrival) -> None:
        if queue.record_stored(self._manifest, url, image, arrival):
            self._result.stored += 1
        else:
            self._result.duplicates += 1
        self._progress.done("stored")

    def refuse(
        self, url: str, reason: str, detail: str, arrival: Arrival, sha256: str = "", size: int | None = None, kept: str = ""
    ) -> None:
        """Records that a URL will not be collected; the bytes that came of it have this hash and size, and are kept in the file `kept`."""
        queue.record_outcome(self._manifest, url, Outcome.REFUSED, reason, detail, arrival, sha256=sha256, size=size, kept=kept)
        self._result.refused += 1
        self._progress.done("refused")

    async def fail(self, url: str, error: FetchFailedError) -> None:
        """Records what may pass. What had come of a file that broke off every time is kept: it may hold most of the picture."""
        sha256 = _sha256(error.body) if error.body else ""
        kept = await self._keep_refused(error.body, sha256) if error.body else ""
        attempts = 0 if error.reason == FetchReason.LOCAL_SOURCE else self._settings.attempts
        arrival, size = Arrival(error.status, attempts=attempts), len(error.body) or None
        queue.record_outcome(self._manifest, url, Outcome.FAILED, error.reason, error.detail, arrival, sha256=sha256, size=size, kept=kept)
        self._result.failed += 1
        self._progress.done("failed")

    def _take_room(self, size: int) -> bool:
        """Whether a refused file of this size is to be kept: its room is then taken."""
        kept = 0 < size <= min(self._settings.refused_file_bytes, self._refused_room)
        self._refused_room -= size if kept else 0
        return kept

    def _give_back_room(self, taken: bool, size: int) -> None:
        self._refused_room += size if taken else 0

    async def _keep_refused(self, body: bytes, sha256: str) -> str:
        if not self._take_room(len(body)):
            return ""
        return await asyncio.to_thread(store, body, sha256, str(self._manifest.folder), REFUSED, ".bin")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def check_disk(folder: Path, min_free_bytes: int) -> None:
    """Raises `StorageError` where fewer bytes are free than are to be left free."""
    free = shutil.disk_usage(folder).free
    if free < min_free_bytes:
        raise StorageError(f"{free / 2**20:.0f} MiB free, fewer than the {min_free_bytes / 2**20:.0f} MiB to be left free")
