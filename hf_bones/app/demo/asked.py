"""Who may ask how much at once: nobody can fill the line for the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

A_PAGE, AN_ADDRESS, ALL = 24, 96, 512  # requests that may wait at once: of one open page, of one address, of all


class Asked:
    """The requests that are waited for, by who asked. Safe to call from threads."""

    def __init__(self, a_page: int = A_PAGE, an_address: int = AN_ADDRESS) -> None:
        self._most = (a_page, an_address)
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def admit(self, request: gr.Request | None) -> Iterator[None]:
        """Around the work for a request. Raises gr.Error with a friendly sentence where its page or address has too many at work already."""
        page, address = _who(request)
        with self._lock:
            if any(who and self._waiting[who] >= most for who, most in zip((page, address), self._most, strict=True)):
                raise gr.Error("You have many films waiting already. Please wait for their answers, then go on.", print_exception=False)
            self._waiting.update(who for who in (page, address) if who)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.subtract(who for who in (page, address) if who)
                self._waiting += Counter()  # forgets who has nothing waiting


def _who(request: Any) -> tuple[str, str]:
    """Page and address of a request, "" where it has none."""
    if request is None:
        return "", ""
    page, client = getattr(request, "session_hash", None), getattr(request, "client", None)
    return f"page {page}" if page else "", f"address {client.host}" if client and client.host else ""
