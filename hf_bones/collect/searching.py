"""Asking a provider its questions, one after another, in a thread of its own; what it finds is handed over in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.queue import Search

log = logging.getLogger(__name__)

BATCH, BATCH_SECONDS = 200, 0.25  # candidates are handed over, and committed, so many at a time
ENOUGH_FAILURES = 3  # searches in a row: the provider is down, or has had enough of us


@dataclass(frozen=True, eq=False)
class SearchBatch:
    """What a search thread hands over: candidates, and at the end how the search ended."""

    search: Search
    candidates: list[Candidate]
    ended: bool = False
    error: str = ""


def search_one_after_another(searches: Iterable[Search], hand_over: Callable[[SearchBatch], None], stop: threading.Event) -> None:
    """A provider's searches, in its thread, with their errors. One that fails several times in a row is left alone for this run.

    An error that the provider has not foreseen fails its search, too: an answer of an odd shape is no reason to end a collection.
    """
    failures = 0
    for search in searches:
        if failures >= ENOUGH_FAILURES:
            hand_over(SearchBatch(search, [], ended=True, error=f"not asked: {search.provider.name} failed {failures} times in a row"))
            continue
        batch: list[Candidate] = []
        since = time.monotonic()
        error = ""
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
        except Exception as failure:  # noqa: BLE001 - recorded as how the search ended
            error = unforeseen(search.provider.name, failure)
        failures = failures + 1 if error else 0
        if stop.is_set():
            return
        hand_over(SearchBatch(search, batch, ended=True, error=error))


def unforeseen(provider: str, error: Exception) -> str:
    """An error that a provider has not foreseen, in words; its trace goes into the log (HF_BONES_DEBUG=1 shows it)."""
    log.debug("%s", provider, exc_info=error)
    return f"an answer that {provider} is not prepared for ({type(error).__name__}: {error})"
