"""One run of the collector: searches and downloads side by side, resumable at any moment.

Providers are searched in threads, one each; what they find goes into the manifest's queue, from which URLs are fetched host by host in
turn, so that no slow host holds up the others. Everything that must survive is in the manifest; in memory are the hosts and the files in
flight. Giving the same run again asks nothing whose outcome is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from hf_bones.collect import queue
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.examine import IMAGES, PARTIAL, REFUSED, DecoderDiedError, Examiner, StorageError, store
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.fetch import Fetcher
from hf_bones.collect.http.hosts import SiteRules
from hf_bones.collect.http.pace import Pace
from hf_bones.collect.http.web import make_client
from hf_bones.collect.progress import Progress
from hf_bones.collect.queue import Arrival, Search, Waiting
from hf_bones.collect.reasons import FetchFailedError, FetchReason, FetchRefusedError, HostAsksToWaitError, Outcome
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.searching import Found, search_one_after_another
from hf_bones.collect.upkeep.forget import finish_forgetting
from hf_bones.images.opening import Limits
from hf_bones.manifest.store import ImageRecord, Manifest, open_manifest

_TASKS_PER_SLOT = 4  # URLs in flight for each download at a time: some wait for their host's turn, or back off
_LOOK_AHEAD = 16  # URLs of a host read from the manifest at once
_DISK_CHECK_EVERY = 50


class CollectError(ValueError):
    """A run that cannot start, or had to stop: the message says what to do. What was recorded before stays."""


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


def collect(
    out: Path,
    searches: Sequence[Search],
    settings: FetchSettings,
    *,
    guard: AddressGuard,
    agent: str,
    permits: Callable[[str], bool] = lambda licence: True,
    retry_failed: bool = False,
    reconsider: bool = True,
    local_only: bool = False,
    show_progress: bool = False,
) -> CollectResult:
    """Runs the searches and fetches what they find into the collection `out`, going on where an earlier run stopped.

    `permits` decides on a licence (SPDX id or "unknown"), with `reconsider` also on those refused before; `agent` is the User-Agent.
    With `local_only`, URLs that wait for the network go on waiting.
    Raises `CollectError` where another run is at work there, or the disk takes no more; KeyboardInterrupt on Ctrl-C or SIGTERM, after
    everything has been put in order.
    """
    for part in (IMAGES, REFUSED, PARTIAL):
        (out / part).mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CollectError(f"{out}: another run is collecting into this folder; wait for it or choose another --out") from error
    try:
        with open_manifest(out, create=True) as manifest:
            _put_in_order(manifest)
            if reconsider:
                queue.readmit(manifest, permits, retry_failed=retry_failed)
            manifest.set_fact("interrupted", "yes")
            run = _Run(manifest, settings, guard, agent, permits, local_only, show_progress)
            try:
                asyncio.run(run.main(searches))
            except asyncio.CancelledError as error:
                raise KeyboardInterrupt from error
            except (OSError, sqlite3.Error, BaseExceptionGroup) as error:
                first = _first(error)
                if not _is_disk_error(first):
                    raise first from error
                raise CollectError(
                    f"{out}: the disk takes no more ({first}). Nothing that was recorded is lost: make room and give the same command again"
                ) from first
            manifest.set_fact("interrupted", "no")
            run.result.states = queue.count_by_state(manifest)
            return run.result
    finally:
        lock.release()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_disk_error(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))
    return isinstance(error, StorageError)


def _put_in_order(manifest: Manifest) -> None:
    """After a run that was killed: no half file, no file without a row, no forgetting half done."""
    for partial in (manifest.folder / PARTIAL).iterdir():
        partial.unlink()
    finish_forgetting(manifest)
    if manifest.fact("interrupted") == "yes":
        for name in list(queue.stray_files(manifest, (IMAGES, REFUSED))):
            (manifest.folder / name).unlink()


class _Run:
    """The state of one run: which hosts have URLs waiting, and what is in flight."""

    def __init__(
        self,
        manifest: Manifest,
        settings: FetchSettings,
        guard: AddressGuard,
        agent: str,
        permits: Callable[[str], bool],
        local_only: bool,
        show_progress: bool,
    ) -> None:
        self.result = CollectResult()
        self._manifest, self._settings, self._guard, self._agent, self._permits = manifest, settings, guard, agent, permits
        self._limits = Limits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
        self._order: deque[str] = deque()  # hosts whose turn comes round
        self._listed: set[str] = set()  # the same, for looking up
        self._active: dict[str, int] = {}
        self._ahead: dict[str, deque[Waiting]] = {}
        self._read_to: dict[str, int] = {}
        self._refused_room = settings.refused_total_bytes - self._kept_bytes()
        self._since_disk_check = 0
        self._searching = True
        self._local_only = local_only
        self._second_round = local_only  # what waits for the network is not looked at
        self._stop = threading.Event()
        self._progress = Progress(show_progress, queue.count_by_state(manifest))

    def _kept_bytes(self) -> int:
        row = self._manifest.connection.execute("SELECT coalesce(sum(bytes), 0) FROM fetches WHERE kept != ''").fetchone()
        return int(row[0])

    async def main(self, searches: Sequence[Search]) -> None:
        loop = asyncio.get_running_loop()
        this = asyncio.current_task()
        assert this is not None
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            loop.add_signal_handler(signal.SIGTERM, this.cancel)
        self._check_disk()
        self._wake = asyncio.Event()
        self._local_slots = asyncio.Semaphore(2 * self._workers())
        settings = self._settings
        pace = Pace(concurrency=settings.concurrency, per_host=settings.per_host, delay=settings.delay, longest_wait=settings.longest_wait)
        try:
            async with (
                make_client(self._guard, self._agent, settings.connect_timeout) as client,
                Examiner(self._manifest.folder, self._workers(), self._limits) as self._examiner,
            ):
                self._fetcher = Fetcher(
                    client, pace, SiteRules(client, self._manifest, settings.attempts, settings.first_wait), settings, self._is_forgotten
                )
                for host in [] if self._local_only else queue.waiting_hosts(self._manifest):
                    self._list(host)
                async with asyncio.TaskGroup() as self._tasks:
                    self._tasks.create_task(self._search_all(searches))
                    await self._dispatch()
        finally:
            self._stop.set()
            self._progress.close()

    def _workers(self) -> int:
        return self._settings.workers or max(1, (os.cpu_count() or 2) - 1)

    # Searching

    async def _search_all(self, searches: Sequence[Search]) -> None:
        """Searches every provider in a thread of its own, and takes in what they find."""
        by_provider: dict[int, list[Search]] = {}
        for search in searches:
            by_provider.setdefault(id(search.provider), []).append(search)
        self._progress.searches(0, len(searches))
        handover: asyncio.Queue[Found] = asyncio.Queue(maxsize=4)
        loop = asyncio.get_running_loop()

        def hand_over(found: Found) -> None:
            asyncio.run_coroutine_threadsafe(handover.put(found), loop).result()

        done = {search.key for search in searches if search.provider.takes_queries and queue.start_search(self._manifest, search)[1]}
        todo = [[search for search in group if search.key not in done] for group in by_provider.values()]
        for group in todo:
            if group:
                threading.Thread(target=search_one_after_another, args=(group, hand_over, self._stop), daemon=True).start()
        open_searches = sum(map(len, todo))
        self._progress.searches(len(searches) - open_searches, len(searches))
        while open_searches:
            found = await handover.get()
            search_id, _ = queue.start_search(self._manifest, found.search)
            await self._take_in(search_id, found.candidates)
            if found.ended:
                for _ in range(2 * self._workers()):  # its local files are all recorded before it counts as done
                    await self._local_slots.acquire()
                for _ in range(2 * self._workers()):
                    self._local_slots.release()
                queue.end_search(self._manifest, search_id, found.error)
                if found.error:
                    self.result.failed_searches.append((found.search.provider.name, found.search.query, found.error))
                if found.bug is not None:
                    raise found.bug
                open_searches -= 1
                self._progress.searches(len(searches) - open_searches, len(searches))
        self._searching = False
        self._wake.set()

    async def _take_in(self, search_id: int, candidates: Sequence[Candidate]) -> None:
        waiting: list[tuple[Candidate, Waiting]] = []
        with self._manifest.transaction():
            for candidate in candidates:
                queued = queue.add_candidate(self._manifest, search_id, candidate, self._permits)
                if queued is not None:
                    waiting.append((candidate, queued))
        for candidate, queued in waiting:
            self._progress.queued()
            if candidate.content is None:
                self._list(queue.host_of(candidate.url))
            else:
                await self._local_slots.acquire()
                self._tasks.create_task(self._keep_local(queued, candidate.content))
        self._wake.set()

    # Downloading

    def _list(self, host: str) -> None:
        if host not in self._listed:
            self._listed.add(host)
            self._order.append(host)

    async def _dispatch(self) -> None:
        """Starts downloads, host by host in turn, until nothing waits and no search is under way."""
        most = self._settings.concurrency * _TASKS_PER_SLOT
        while True:
            self._wake.clear()
            while sum(self._active.values()) < most and (item := self._next()) is not None:
                host, waiting = item
                self._active[host] = self._active.get(host, 0) + 1
                self._tasks.create_task(self._download(host, waiting))
            if not self._searching and not self._active and not self._order and not self._list_left_over():
                return
            await self._wake.wait()

    def _list_left_over(self) -> bool:
        """Once, at the end: URLs that were let wait again behind the reader's back (a second search knew a better licence)."""
        if self._second_round:
            return False
        self._second_round = True
        self._read_to.clear()
        for host in queue.waiting_hosts(self._manifest):
            if host not in self.result.held_hosts:
                self._list(host)
        self._wake.set()
        return bool(self._order)

    def _next(self) -> tuple[str, Waiting] | None:
        """The next URL of the next host that has a place free; None where there is none now."""
        for _ in range(len(self._order)):
            host = self._order.popleft()
            if self._active.get(host, 0) >= self._settings.per_host:
                self._order.append(host)
                continue
            ahead = self._ahead.setdefault(host, deque())
            if not ahead and host not in self.result.held_hosts:
                ahead.extend(queue.next_waiting(self._manifest, host, self._read_to.get(host, 0), _LOOK_AHEAD))
                if ahead:
                    self._read_to[host] = ahead[-1].rowid
            if ahead:
                self._order.append(host)
                return host, ahead.popleft()
            self._listed.discard(host)
            del self._ahead[host]
        return None

    async def _download(self, host: str, waiting: Waiting) -> None:
        try:
            download = await self._fetcher.fetch(waiting.url)
        except FetchRefusedError as error:
            self._refuse(waiting.url, error.reason, error.detail, Arrival(error.status))
        except FetchFailedError as error:
            await self._fail(waiting.url, error)
        except HostAsksToWaitError as error:
            self.result.held_hosts[error.host] = error.seconds
            self._ahead.get(error.host, deque()).clear()
        else:
            await self._keep(waiting, download.body, Arrival(download.status, download.final_url, download.content_type, download.attempts))
        finally:
            self._active[host] -= 1
            if not self._active[host]:
                del self._active[host]
            self._wake.set()

    async def _keep_local(self, waiting: Waiting, content: Callable[[], bytes]) -> None:
        try:
            try:
                body = await asyncio.to_thread(content)
            except OSError as error:
                self._record_failure(waiting.url, FetchReason.LOCAL_SOURCE, f"{type(error).__name__}: {error.strerror or error}", Arrival())
            else:
                await self._keep(waiting, body, Arrival())
        finally:
            self._local_slots.release()

    # Recording

    async def _keep(self, waiting: Waiting, body: bytes, arrival: Arrival) -> None:
        """Examines bytes that have come and records what they are."""
        url = waiting.url
        if len(body) > self._settings.max_bytes:
            self._refuse(url, FetchReason.FILE_TOO_LARGE, f"{len(body)} bytes, over the limit of {self._settings.max_bytes}", arrival)
            return
        sha256 = (
            hashlib.sha256(body).hexdigest() if len(body) < 2**20 else await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())
        )
        if self._is_forgotten(sha256):
            self._refuse(url, FetchReason.FORGOTTEN, sha256, arrival)
        elif waiting.sha256 and waiting.sha256 != sha256:
            kept = await self._keep_refused(body, sha256)
            detail = f"the bytes have the hash {sha256}, not {waiting.sha256}"
            self._refuse(url, FetchReason.HASH_MISMATCH, detail, arrival, sha256, len(body), kept)
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
            self._refuse(url, FetchReason.DECODER_DIED, str(error), arrival, sha256, len(body), kept)
            return
        if found.reason:
            self._refuse(url, found.reason, found.detail, arrival, sha256, len(body), found.file)
            return
        self._give_back_room(keep_refused, len(body))
        self._since_disk_check += 1
        if self._since_disk_check >= _DISK_CHECK_EVERY:
            self._check_disk()
        image = ImageRecord(sha256, found.file, len(body), found.width, found.height, found.format)
        self._record_image(url, image, arrival)

    def _record_image(self, url: str, image: ImageRecord, arrival: Arrival) -> None:
        if queue.record_stored(self._manifest, url, image, arrival):
            self.result.stored += 1
        else:
            self.result.duplicates += 1
        self._progress.done("stored")

    def _refuse(
        self, url: str, reason: str, detail: str, arrival: Arrival, sha256: str = "", size: int | None = None, kept: str = ""
    ) -> None:
        queue.record_outcome(self._manifest, url, Outcome.REFUSED, reason, detail, arrival, sha256=sha256, size=size, kept=kept)
        self.result.refused += 1
        self._progress.done("refused")

    async def _fail(self, url: str, error: FetchFailedError) -> None:
        """What had come of a file that broke off every time is kept: it may hold most of the picture."""
        sha256 = hashlib.sha256(error.body).hexdigest() if error.body else ""
        kept = await self._keep_refused(error.body, sha256) if error.body else ""
        arrival = Arrival(error.status, attempts=self._settings.attempts)
        self._record_failure(url, error.reason, error.detail, arrival, sha256, len(error.body) or None, kept)

    def _record_failure(
        self, url: str, reason: str, detail: str, arrival: Arrival, sha256: str = "", size: int | None = None, kept: str = ""
    ) -> None:
        queue.record_outcome(self._manifest, url, Outcome.FAILED, reason, detail, arrival, sha256=sha256, size=size, kept=kept)
        self.result.failed += 1
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

    def _is_forgotten(self, value: str) -> bool:
        return self._manifest.connection.execute("SELECT 1 FROM tombstones WHERE value = ?", (value,)).fetchone() is not None

    def _check_disk(self) -> None:
        self._since_disk_check = 0
        free = shutil.disk_usage(self._manifest.folder).free
        if free < self._settings.min_free_bytes:
            raise StorageError(
                f"{free / 2**20:.0f} MiB free, fewer than the {self._settings.min_free_bytes / 2**20:.0f} MiB to be left free"
            )
