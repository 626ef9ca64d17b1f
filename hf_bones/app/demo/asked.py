"""The line, and who may ask how much at once: everybody waits in one line that says the place in it, and nobody can fill it for others.

gradio tells each page its place; what it would do at a full line, refuse whoever comes next, is done here by who asks.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from hf_bones.app.demo.wording import Words

A_PAGE, AN_ADDRESS, ALL = 24, 96, 512  # requests that may wait or be worked on at once: of one open page, of one address, of all


class Asked:
    """The requests that are waited for, by who asked. Safe to call from threads."""

    def __init__(self, words: Words, a_page: int = A_PAGE, an_address: int = AN_ADDRESS, everybody: int = ALL) -> None:
        self._words = words
        self._a_page, self._an_address, self._everybody = a_page, an_address, everybody
        self._working: Counter[str] = Counter()
        self._lock = threading.Lock()

    def keep_line(self, demo: gr.Blocks) -> None:
        """Makes a page's queue turn away, with a sentence, whoever has too much in it already. Call once, after `demo.queue()`."""
        queue = demo._queue
        push = queue.push

        async def push_within_limits(body: Any, request: Any, username: str | None) -> Any:
            line = [event for waiting in queue.event_queue_per_concurrency_id.values() for event in waiting.queue]
            at_work = [event for job in queue.active_jobs if job for event in job]
            mine = [
                _who(request, body.session_hash, username),
                *(_who(one.request, one.session_hash, one.username) for one in line + at_work),
            ]
            if refusal := self._refusal(*mine):
                return False, refusal, "error"  # as gradio's "queue_full" its pages would show a sentence of gradio's instead
            return await push(body=body, request=request, username=username)

        queue.push = push_within_limits

    @contextmanager
    def admit(self, request: gr.Request | None) -> Iterator[None]:
        """Around the work for a request. Raises gr.Error with a sentence where its page or address has too much at work already."""
        who = _who(request, getattr(request, "session_hash", None), getattr(request, "username", None))
        with self._lock:
            if any(name and self._working[name] >= most for name, most in zip(who, (self._a_page, self._an_address), strict=True)):
                raise gr.Error(self._words("server.too_many"), print_exception=False)
            self._working.update(name for name in who if name)
        try:
            yield
        finally:
            with self._lock:
                self._working.subtract(name for name in who if name)
                self._working += Counter()  # forgets who has nothing at work

    def _refusal(self, who: tuple[str, str], *others: tuple[str, str]) -> str:
        """Why one more request of `who` is turned away beside those of others; "" if it is not."""
        page, address = who
        if page and sum(one[0] == page for one in others) >= self._a_page:
            return self._words("server.too_many")
        if address and sum(one[1] == address for one in others) >= self._an_address:
            return self._words("server.too_many")
        return self._words("server.full") if len(others) >= self._everybody else ""


def _who(request: Any, page: str | None, user: str | None) -> tuple[str, str]:
    """Page and address (or user, where there are any) of a request, "" where it has none."""
    client = getattr(request, "client", None)
    address = user or (client.host if client and client.host else "")
    if not user and os.environ.get("SPACE_HOST") and request is not None:  # all come through the platform's proxy, which says for whom
        address = request.headers.get("x-forwarded-for", address).split(",")[0].strip()
    return f"page {page}" if page else "", f"address {address}" if address else ""
