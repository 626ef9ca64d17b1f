"""Which film a page was last asked about, so that an answer never stands beside another film. No gradio here.

The page numbers whatever its user does (choose, drop, click an example, remove): a turn. Films are classified one after the other, and an
answer whose page has gone on to a later turn is not shown.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hf_bones.app.demo.examples import Example

# One for all pages: it is held for no longer than a comparison, and gradio copies the turns of each page from a pattern, as no lock can be.
_LOCK = threading.Lock()


@dataclass(eq=False)
class Turns:
    """The turns of one open page. Safe to call from threads.

    newest: the number of the last turn. film: what that was about, a file's path or an example; None where the film was removed.
    answered: the last turn that an answer was begun for.
    """

    newest: int = 0
    film: str | Example | None = None
    answered: int = 0

    def begin(self, turn: int, film: str | Example | None) -> bool:
        """Notes a turn; False, and nothing changes, where a later one is there already."""
        with _LOCK:
            if turn <= self.newest:
                return False
            self.newest, self.film = turn, film
            return True

    def take(self) -> tuple[int, str | Example] | None:
        """The newest turn and its film, to be answered; None where there is no film. Each turn is taken once."""
        with _LOCK:
            if self.answered == self.newest or self.film is None:
                return None
            self.answered = self.newest
            return self.newest, self.film

    def stands(self, turn: int) -> bool:
        """Whether no later turn has come."""
        with _LOCK:
            return turn == self.newest
