"""Which films a page was last asked about, so that an answer never stands beside another film. No gradio here.

The page numbers whatever its user does (choose, drop, add a view, click an example, remove, choose another model): a turn. An answer whose
page has gone on to a later turn is not shown.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from hf_bones.app.demo.examples import Example

MOST_VIEWS = 8  # of one patient

Film = str | Example  # a file's path, or a drawn example
Films = tuple[Film, ...]

# One for all pages: it is held for no longer than a comparison, and gradio copies the turns of each page from a pattern, as no lock can be.
_LOCK = threading.Lock()


def film_name(film: Film) -> str:
    """A film's name for its reader, never a path."""
    return film.name if isinstance(film, Example) else Path(film).name


@dataclass(eq=False)
class Turns:
    """The turns of one open page. Safe to call from threads.

    newest: the number of the last turn. films: what that was about, the views of one patient; none where they were removed.
    answered: the last turn that an answer was begun for.
    """

    newest: int = 0
    films: Films = ()
    answered: int = 0

    def begin(self, turn: int, films: Films, *, adding: bool = False) -> bool:
        """Notes a turn, about `films` or with them as further views; False, and nothing changes, where a later one is there already."""
        with _LOCK:
            if turn <= self.newest:
                return False
            self.newest, self.films = turn, ((*self.films, *films) if adding else films)[:MOST_VIEWS]
            return True

    def begin_without(self, turn: int, place: int) -> bool:
        """Notes a turn that takes one view away. As `begin`; a place that there is not takes nothing away."""
        with _LOCK:
            if turn <= self.newest:
                return False
            self.newest, self.films = turn, tuple(film for at, film in enumerate(self.films) if at != place)
            return True

    def begin_again(self, turn: int) -> bool:
        """Notes a turn about the same films, to be answered by another model. As `begin`."""
        return self.begin_without(turn, -1)

    def take(self) -> tuple[int, Films] | None:
        """The newest turn and its films, to be answered; None where there is no film. Each turn is taken once."""
        with _LOCK:
            if self.answered == self.newest or not self.films:
                return None
            self.answered = self.newest
            return self.newest, self.films

    def stands(self, turn: int) -> bool:
        """Whether no later turn has come."""
        with _LOCK:
            return turn == self.newest
