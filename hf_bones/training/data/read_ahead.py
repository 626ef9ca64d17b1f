"""Fetching row groups before a run wants them, in threads of the process that hands out the rows."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

log = logging.getLogger(__name__)

THREADS = 4


class ReadAhead:
    """Fetches the row groups that the next `window` rows of an order lie in, nearest first.

    Only those of the rows that this process will see: one part of each batch, as accelerate deals them out. A fetch that fails here is
    made again, and fails with its own error, where the row group is wanted.
    """

    def __init__(self, fetch: Callable[[int], None], window: int) -> None:
        self.fetch = fetch
        self.window = window
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.running = 0
        self.position = 0
        self.taken = 0  # how many of `units` are fetched, or passed by
        self.units, self.first, self.last = (np.zeros(0, dtype=np.int64) for _ in range(3))  # of each: the row group, where it is wanted

    def plan(self, units: np.ndarray, batch_size: int) -> None:
        """Sets the order to follow: the row group of each of its rows (L,), in batches of `batch_size` over all processes."""
        processes, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        positions = np.arange(len(units))
        mine = positions[(positions % batch_size) * processes // batch_size == rank]
        found, first = np.unique(units[mine], return_index=True)
        _, from_end = np.unique(units[mine][::-1], return_index=True)
        order = np.argsort(first)
        with self.lock:
            self.units, self.first, self.last = found[order], mine[first[order]], mine[len(mine) - 1 - from_end[order]]
            self.taken = self.position = 0
            self.pool = self.pool or ThreadPoolExecutor(THREADS, thread_name_prefix="read-ahead")
        self._start()

    def at(self, position: int) -> None:
        """Says how far the order has been handed out."""
        with self.lock:
            self.position = position
        self._start()

    def stop(self) -> None:
        """Forgets the order; what is being fetched is fetched to its end."""
        with self.lock:
            self.taken = len(self.units)

    def _start(self) -> None:
        with self.lock:
            while self.pool is not None and self.running < THREADS and (unit := self._next()) is not None:
                try:
                    self.pool.submit(self._fetch, unit)
                except RuntimeError:  # the program is ending
                    return
                self.running += 1

    def _next(self) -> int | None:
        """The nearest row group that is wanted soon and not yet taken; those that the run has passed are left out."""
        while self.taken < len(self.units) and self.first[self.taken] <= self.position + self.window:
            self.taken += 1
            if self.last[self.taken - 1] >= self.position:
                return int(self.units[self.taken - 1])
        return None

    def _fetch(self, unit: int) -> None:
        try:
            self.fetch(unit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the row group is wanted
            log.warning("a row group could not be fetched ahead (%s); it is fetched again when it is wanted", error)
        with self.lock:
            self.running -= 1
        self._start()
