"""The films that pages show, by tokens that nobody can guess: so that a page can ask for a heat map or a report of its film later, and
never names a file of the server. No gradio here.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from hf_bones.inference.finding import Finding

MOST = 4096  # films; each is a path or a small PNG, and a finding without its heat map
KEPT_FOR = 20 * 60.0  # s, as the page promises


class GoneError(LookupError):
    """A film that is no longer kept, or never was."""


@dataclass(frozen=True, eq=False)
class KeptFilm:
    """What answered a film: its path or bytes, its finding, and the name of the model."""

    source: str | bytes
    finding: Finding
    model: str


class KeptFilms:
    """Films by token, the newest `most`, each for at most `seconds`. Safe to call from threads."""

    def __init__(self, most: int = MOST, seconds: float = KEPT_FOR) -> None:
        self._most, self._seconds = most, seconds
        self._films: OrderedDict[str, tuple[float, KeptFilm]] = OrderedDict()  # the oldest first
        self._lock = threading.Lock()
        self._clearing = False

    def __len__(self) -> int:
        return len(self._films)

    def keep(self, film: KeptFilm) -> str:
        """Its token."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._films[token] = (time.monotonic() + self._seconds, film)
            while len(self._films) > self._most:
                self._films.popitem(last=False)
            self._clear_later()
        return token

    def get(self, token: object) -> KeptFilm:
        """Raises `GoneError` for a film that is not kept any more, or whose file was deleted."""
        with self._lock:
            until, film = self._films.get(str(token), (0.0, None))
        if film is None or until <= time.monotonic():
            raise GoneError(token)
        if isinstance(film.source, str) and not Path(film.source).is_file():
            raise GoneError(token)
        return film

    def _clear_later(self) -> None:
        """Lets go of each film in its time, whether or not anybody asks for one again. The lock is held."""
        if self._films and not self._clearing:
            self._clearing = True
            until, _ = next(iter(self._films.values()))
            timer = threading.Timer(max(0.0, until - time.monotonic()), self._clear)
            timer.daemon = True
            timer.start()

    def _clear(self) -> None:
        with self._lock:
            self._clearing = False
            while self._films and next(iter(self._films.values()))[0] <= time.monotonic():
                self._films.popitem(last=False)
            self._clear_later()
