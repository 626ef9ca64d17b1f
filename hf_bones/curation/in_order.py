"""Work on many items in a pool, in their order, few of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def in_order(pool: Executor, work: Callable[[Item], Done], items: Iterable[Item], ahead: int) -> Iterator[Done]:
    """`work` on each item, in order; no more than `ahead` items are taken before their turn, since they are held in memory."""
    waiting: deque[Future[Done]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
