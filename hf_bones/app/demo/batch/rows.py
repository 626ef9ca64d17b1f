"""A batch classified film by film: rows in the order of the films, a few of them on their way at once. No gradio here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from hf_bones.app.demo.batch.archive import ArchiveError
from hf_bones.app.demo.batch.films import Film
from hf_bones.images.opening import Radiograph
from hf_bones.inference.finding import Finding
from hf_bones.pages.pictures import data_url, thumbnail

AT_ONCE = 8  # films of one batch that are on their way to the model: half of what it takes together, so that others get through
THUMBNAIL_SIDE = 72  # px
KEEP_EVERY = 60  # films after which those that wait are made young again


class Judged(Protocol):
    """What a model gives of one film."""

    @property
    def finding(self) -> Finding: ...
    @property
    def radiograph(self) -> Radiograph | None: ...


Predict = Callable[[Path | bytes, str], Judged]


@dataclass(frozen=True, eq=False)
class Row:
    """One film of a batch, counted from 1. finding: None where the film could not even be handed to the model, and `problem` says why, as a
    key of the words (`batch.refused.…`). thumbnail: an address that a page can hold, or ""."""

    number: int
    film: Film
    finding: Finding | None
    thumbnail: str = ""
    problem: str = ""

    @property
    def verdict(self) -> str:
        """The finding's, `unreadable` without one."""
        return "unreadable" if self.finding is None else self.finding.verdict


def classify(films: Sequence[Film], predict: Predict, stop: threading.Event) -> Iterator[Row]:
    """A row for each film, in their order, as they come. Once `stop` is set no other film is begun, and the iteration ends.

    A film that cannot be read is a row with its reason, and nothing changes for the others.
    """
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="batch") as pool:
        waiting: deque[Future[Row]] = deque()
        try:
            for place, film in enumerate(films):
                if stop.is_set():
                    break
                if place % KEEP_EVERY == 0:
                    _keep(films[place:])
                waiting.append(pool.submit(_row, place + 1, film, predict))
                if len(waiting) == AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also where whoever reads has gone
            for future in waiting:
                future.cancel()


def _row(number: int, film: Film, predict: Predict) -> Row:
    try:
        source = film.read()
    except ArchiveError as error:
        return Row(number, film, None, problem=error.reason)
    except FileNotFoundError:
        return Row(number, film, None, problem="gone")
    judged = predict(source, film.name)
    small = "" if judged.radiograph is None else data_url(thumbnail(Image.fromarray(judged.radiograph.pixels), THUMBNAIL_SIDE))
    return Row(number, film, judged.finding, small)


def _keep(films: Sequence[Film]) -> None:
    for path in {film.path: film for film in films}.values():
        if path.path.exists():
            path.keep()
