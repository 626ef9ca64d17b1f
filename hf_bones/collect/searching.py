"""Asking a provider its questions, one after another, in a thread of its own; what it finds is handed over in batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.queue import Search

BATCH, BATCH_SECONDS = 200, 0.25  # candidates are handed over, and committed, so many at a time
ENOUGH_FAILURES = 3  # searches in a row: the provider is down, or has had enough of us


@dataclass(frozen=True, eq=False)
class SearchBatch:
    """What a search thread hands over: candidates, and at the end how the search ended. `bug` is an error that is nobody's answer."""

    search: Search
    candidates: list[Candidate]
    ended: bool = False
    error: str = ""
    bug: Exception | None = None


def search_one_after_another(searches: Iterable[Search], hand_over: Callable[[SearchBatch], None], stop: threading.Event) -> None:
    """A provider's searches, in its thread, with their errors. One that fails several times in a row is left alone for this run."""
    failures = 0
    for search in searches:
        if failures >= ENOUGH_FAILURES:
            hand_over(SearchBatch(search, [], ended=True, error=f"not asked: {search.provider.name} failed {failures} times in a row"))
            continue
        batch: list[Candidate] = []
        since = time.monotonic()
        error, bug = "", None
        try:
            for candidate in search.provider.search(search.query, search.limit):
                batch.append(candidate)
                if stop.is_set():
                    return
                if len(batch) >= BATCH or time.monotonic() - since > BATCH_SECONDS:
                    hand_over(SearchBatch(search, batch))
                    batch, since = [], time.monotonic()
        except ProviderError as failure:
            error = str(failure)
        except Exception as failure:  # noqa: BLE001 - handed to the loop, which raises it
            error, bug = f"{type(failure).__name__}: {failure}", failure
        failures = failures + 1 if error else 0
        if stop.is_set():
            return
        hand_over(SearchBatch(search, batch, ended=True, error=error, bug=bug))
