"""One run of the collector: searches and downloads side by side, resumable at any moment.

Providers are searched in threads, one each; what they find goes into the manifest's queue, from which URLs are fetched host by host in
turn (`turns.py`), and recorded (`recording.py`). Everything that must survive is in the manifest; in memory are the hosts and the files in
flight. Giving the same run again asks nothing whose outcome is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path

from hf_bones.collect import queue
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.examine import IMAGES, PARTIAL, REFUSED, Examiner, StorageError
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.fetch import Fetcher
from hf_bones.collect.http.hosts import SiteRules
from hf_bones.collect.http.pace import Pace
from hf_bones.collect.http.web import make_client
from hf_bones.collect.progress import Progress
from hf_bones.collect.queue import Arrival, Search, Waiting
from hf_bones.collect.reasons import FetchFailedError, FetchReason, FetchRefusedError, HostAsksToWaitError
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.recording import CollectResult, Recorder, check_disk
from hf_bones.collect.searching import SearchBatch, search_one_after_another
from hf_bones.collect.turns import Turns
from hf_bones.collect.upkeep.forget import finish_forgetting
from hf_bones.collect.upkeep.lock import CollectError, locked
from hf_bones.images.opening import Limits
from hf_bones.manifest.store import Manifest, open_manifest

_TASKS_PER_SLOT = 4  # URLs in flight for each download at a time: some wait for their host's turn, or back off


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
    """Runs the searches and fetches what they find into the collection `out`, resuming where an earlier run stopped.

    `permits` decides on a licence (SPDX id or "unknown"), with `reconsider` also on those refused before; `agent` is the User-Agent.
    With `local_only`, URLs that wait for the network keep waiting.
    Raises `CollectError` where another run is at work there, or cannot write to the disk; KeyboardInterrupt on Ctrl-C or SIGTERM, after
    everything has been put in order.
    """
    for part in (IMAGES, REFUSED, PARTIAL):
        (out / part).mkdir(parents=True, exist_ok=True)
    with locked(out), open_manifest(out, create=True) as manifest:
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
                f"{out}: cannot write to the disk ({first}). Nothing that was recorded is lost: make room and run the same command again"
            ) from first
        manifest.set_fact("interrupted", "no")
        run.result.states = queue.count_by_state(manifest)
        return run.result


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
    for half in (manifest.folder / PARTIAL).iterdir():
        half.unlink()
    finish_forgetting(manifest)
    if manifest.fact("interrupted") == "yes":
        for name in list(queue.stray_files(manifest, (IMAGES, REFUSED))):
            (manifest.folder / name).unlink()


class _Run:
    """One run: searches and downloads as tasks of one event loop, and what is shared between them."""

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
        self._manifest, self._settings, self._guard, self._agent, self._permits = manifest, settings, guard, agent, permits
        self._local_only = local_only
        self._workers = settings.workers or max(1, (os.cpu_count() or 2) - 1)
        self._turns = Turns(partial(queue.next_waiting, manifest), per_host=settings.per_host, most=settings.concurrency * _TASKS_PER_SLOT)
        self.result = CollectResult(held_hosts=self._turns.held)
        self._searching = True
        self._stop = threading.Event()
        self._progress = Progress(show_progress, queue.count_by_state(manifest))

    async def main(self, searches: Sequence[Search]) -> None:
        """Searches and downloads, until every search has ended and no URL waits."""
        loop = asyncio.get_running_loop()
        this = asyncio.current_task()
        assert this is not None
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            loop.add_signal_handler(signal.SIGTERM, this.cancel)
        settings, manifest = self._settings, self._manifest
        check_disk(manifest.folder, settings.min_free_bytes)
        self._wake = asyncio.Event()
        self._local_slots = asyncio.Semaphore(2 * self._workers)
        pace = Pace(concurrency=settings.concurrency, per_host=settings.per_host, delay=settings.delay, longest_wait=settings.longest_wait)
        limits = Limits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
        try:
            async with (
                make_client(self._guard, self._agent, settings.connect_timeout) as client,
                Examiner(manifest.folder, self._workers, limits) as examiner,
            ):
                self._recorder = Recorder(manifest, settings, examiner, self._progress, self.result)
                rules = SiteRules(client, manifest, settings.attempts, settings.first_wait)
                self._fetcher = Fetcher(client, pace, rules, settings, lambda url: bool(manifest.tombstones([url])))
                for host in [] if self._local_only else queue.waiting_hosts(manifest):
                    self._turns.add(host)
                async with asyncio.TaskGroup() as self._tasks:
                    self._tasks.create_task(self._search_all(searches))
                    await self._dispatch()
        finally:
            self._stop.set()
            self._progress.close()

    # Searching

    async def _search_all(self, searches: Sequence[Search]) -> None:
        """Searches every provider in a thread of its own, and takes in what they find."""
        by_provider: dict[int, list[Search]] = {}
        for search in searches:
            by_provider.setdefault(id(search.provider), []).append(search)
        self._progress.searches(0, len(searches))
        handover: asyncio.Queue[SearchBatch] = asyncio.Queue(maxsize=4)
        loop = asyncio.get_running_loop()

        def hand_over(found: SearchBatch) -> None:
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
            await self._take_in(found.search, search_id, found.candidates)
            if found.ended:
                await self._end_search(search_id, found)
                open_searches -= 1
                self._progress.searches(len(searches) - open_searches, len(searches))
        self._searching = False
        self._wake.set()

    async def _take_in(self, search: Search, search_id: int, candidates: Sequence[Candidate]) -> None:
        waiting: list[tuple[Candidate, Waiting]] = []
        with self._manifest.transaction():
            for candidate in candidates:
                try:
                    queued = queue.add_candidate(self._manifest, search_id, candidate, self._permits)
                except (TypeError, ValueError, OverflowError, sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
                    # A title that is a list, say: costs this candidate.
                    self.result.failed_searches.append((search.provider.name, search.query, f"left out {candidate.url!r}: {error}"))
                    continue
                if queued is not None:
                    waiting.append((candidate, queued))
        for candidate, queued in waiting:
            self._progress.queued()
            if candidate.content is None:
                self._turns.add(queue.host_of(candidate.url))
            else:
                await self._local_slots.acquire()
                self._tasks.create_task(self._keep_local(queued, candidate.content))
        self._wake.set()

    async def _end_search(self, search_id: int, found: SearchBatch) -> None:
        for _ in range(2 * self._workers):  # its local files are all recorded before it counts as done
            await self._local_slots.acquire()
        for _ in range(2 * self._workers):
            self._local_slots.release()
        queue.end_search(self._manifest, search_id, found.error)
        if found.error:
            self.result.failed_searches.append((found.search.provider.name, found.search.query, found.error))

    # Downloading

    async def _dispatch(self) -> None:
        """Starts downloads, host by host in turn, until nothing waits and no search is under way."""
        read_again = not self._local_only  # what waits for the network is not looked at
        while True:
            self._wake.clear()
            while (turn := self._turns.next()) is not None:
                self._tasks.create_task(self._download(*turn))
            if self._searching or not self._turns.idle:
                await self._wake.wait()
            elif read_again:  # once: URLs may have been let wait again behind the reader's back (a second search knew a better licence)
                read_again = False
                self._turns.read_again(queue.waiting_hosts(self._manifest))
            else:
                return

    async def _download(self, host: str, waiting: Waiting) -> None:
        try:
            download = await self._fetcher.fetch(waiting.url)
        except FetchRefusedError as error:
            self._recorder.refuse(waiting.url, error.reason, error.detail, Arrival(error.status))
        except FetchFailedError as error:
            await self._recorder.fail(waiting.url, error)
        except HostAsksToWaitError as error:
            self._turns.hold(error.host, error.seconds)
        else:
            arrival = Arrival(download.status, download.final_url, download.content_type, download.attempts)
            await self._keep(waiting, download.body, arrival)
        finally:
            self._turns.done(host)
            self._wake.set()

    async def _keep_local(self, waiting: Waiting, content: Callable[[], bytes]) -> None:
        try:
            try:
                body = await asyncio.to_thread(content)
            except Exception as error:  # noqa: BLE001 - of a damaged archive or table, too: the outcome of this one file
                detail = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
                await self._recorder.fail(waiting.url, FetchFailedError(FetchReason.LOCAL_SOURCE, detail))
            else:
                await self._keep(waiting, body, Arrival())
        finally:
            self._local_slots.release()

    async def _keep(self, waiting: Waiting, body: bytes, arrival: Arrival) -> None:
        """Records bytes that have come. What goes wrong with them is this URL's outcome, unless disk or manifest are at fault."""
        try:
            await self._recorder.keep(waiting, body, arrival)
        except (OSError, sqlite3.OperationalError, BrokenExecutor):
            raise
        except Exception as error:  # noqa: BLE001 - written down as the outcome of this URL
            detail = f"{type(error).__name__}: {error}"
            await self._recorder.fail(waiting.url, FetchFailedError(FetchReason.BAD_ANSWER, detail, status=arrival.status))
