"""Politeness: how many requests a host gets at a time, and how far apart they start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hf_bones.collect.reasons import HostAsksToWaitError

LONGEST_CRAWL_DELAY = 60.0  # s: a robots.txt that asks for an hour between requests is kept to this


@dataclass
class _Host:
    slots: asyncio.Semaphore
    next_start: float = 0.0
    waiting: int = 0
    asked: float = field(default=0.0)


class Pace:
    """Turns at hosts. `per_host` requests at a time, `delay` seconds between their starts, `concurrency` at a time over all hosts.

    A request that waits for its host's turn takes no place of the others. `longest_wait` is the longest pause (s) a host may ask for;
    over that its turns raise `HostAsksToWaitError`.
    """

    def __init__(self, *, concurrency: int, per_host: int, delay: float, longest_wait: float) -> None:
        self._all = asyncio.Semaphore(concurrency)
        self._per_host, self._delay, self._longest_wait = per_host, delay, longest_wait
        self._hosts: dict[str, _Host] = {}

    def hold(self, host: str, seconds: float) -> None:
        """The host asked to be left alone for so long (Retry-After)."""
        state = self._state(host)
        state.next_start = max(state.next_start, time.monotonic() + seconds)
        state.asked = max(state.asked, time.monotonic() + seconds)

    @asynccontextmanager
    async def turn(self, host: str, crawl_delay: float = 0.0) -> AsyncIterator[None]:
        """A turn at `host`. Raises `HostAsksToWaitError` where it asked for a pause over the longest."""
        state = self._state(host)
        delay = max(self._delay, min(crawl_delay, LONGEST_CRAWL_DELAY))
        state.waiting += 1
        try:
            async with state.slots:
                while (left := state.next_start - time.monotonic()) > 0:
                    if state.asked - time.monotonic() > self._longest_wait:
                        raise HostAsksToWaitError(host, state.asked - time.monotonic())
                    await asyncio.sleep(left)
                state.next_start = max(state.next_start, time.monotonic() + delay)
                async with self._all:
                    yield
        finally:
            state.waiting -= 1
            # Thousands of hosts come by in a long run: one that nobody waits for and that owes no pause is forgotten.
            if not state.waiting and state.next_start <= time.monotonic():
                self._hosts.pop(host, None)

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = _Host(asyncio.Semaphore(self._per_host))
        return state
