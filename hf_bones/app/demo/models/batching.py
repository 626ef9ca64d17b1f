"""`Served`: one loaded model for many visitors at once. What several ask for in the same moment goes through the network together.

One thread has the network; it ends where nobody asks for a while, so that a model which is dropped needs no closing. No gradio here.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Radiograph
from hf_bones.inference.finding import Finding
from hf_bones.inference.predictor import BonePredictor, Opener
from hf_bones.record import public_name

Source = str | Path | bytes | npt.NDArray[np.uint8]

BATCH = 16  # films that go through the network together
WAIT = 0.008  # s that the first film of a batch waits for others
IDLE = 5.0  # s without work after which the thread ends; the next film starts another


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of one film. finding: its `source` is the name given and its `checkpoint` never a path, since visitors read both.
    radiograph: the opened image, None where it was refused."""

    finding: Finding
    radiograph: Radiograph | None = None


@dataclass(frozen=True, eq=False)
class _Film:
    source: Source
    radiograph: Radiograph
    name: str
    heatmap: bool


@dataclass(frozen=True, eq=False)
class _Heat:
    pixels: npt.NDArray[np.uint8]
    explained: str


class Served:
    """`predictor` behind a line of its own. `open` opens files, in processes that outlive any file. Safe to call from threads."""

    def __init__(self, predictor: BonePredictor, opener: Opener, *, name: str = "", batch: int = BATCH, wait: float = WAIT) -> None:
        self.predictor = predictor
        self.open = opener
        self.name = name or public_name(predictor.checkpoint)
        self._batch, self._wait = batch, wait
        self._asked: queue.SimpleQueue[tuple[_Film | _Heat, Future[Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._working = False

    def predict(self, source: Source, name: str, *, heatmap: bool = False) -> Judged:
        """What the model says of one image: a path, a file's bytes or opened pixels (H, W). `name` stands for it in the finding.

        A file that cannot be opened gets the verdict `unreadable` and the reasons. heatmap: the finding gets its `heatmap` too, where the
        network has one. Waits for its turn; raises what the network raised for this image.
        """
        try:
            radiograph = self.open(source, DEFAULT_LIMITS)
        except ImageRefusedError as refusal:
            return Judged(self.public(self.predictor.unreadable(name, refusal), name))
        finding: Finding = self._ask(_Film(source, radiograph, name, heatmap))
        return Judged(self.public(finding, name), radiograph)

    def heat(self, pixels: npt.NDArray[np.uint8], explained: str) -> npt.NDArray[np.float32]:
        """The heat map of opened pixels (H, W), float32 (H, W) in the unit of `predictor.heat_scale`, for the class `explained` where that
        is in log odds. Raises ValueError for a network whose answer does not pass through feature maps."""
        return self._ask(_Heat(pixels, explained))

    def public(self, finding: Finding, name: str) -> Finding:
        """A finding as visitors may read it."""
        return replace(finding, source=name, checkpoint=public_name(self.predictor.checkpoint))

    def _ask(self, wanted: _Film | _Heat) -> Any:
        answer: Future[Any] = Future()
        with self._lock:
            self._asked.put((wanted, answer))
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name=f"model {self.name}", daemon=True).start()
        return answer.result()

    def _work(self) -> None:
        while True:
            try:
                first = self._asked.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    if self._asked.empty():
                        self._working = False
                        return
                continue
            together = [first, *self._others()]
            films = [(wanted, answer) for wanted, answer in together if isinstance(wanted, _Film)]
            for heatmap in (False, True):
                self._answer([one for one in films if one[0].heatmap is heatmap], self._findings)
            self._answer([(wanted, answer) for wanted, answer in together if isinstance(wanted, _Heat)], self._heats)

    def _others(self) -> list[tuple[_Film | _Heat, Future[Any]]]:
        """What came meanwhile and comes in the next moment, up to a batch."""
        found: list[tuple[_Film | _Heat, Future[Any]]] = []
        while len(found) < self._batch - 1:
            try:
                found.append(self._asked.get(timeout=self._wait))
            except queue.Empty:
                break
        return found

    def _answer(self, asked: Sequence[tuple[Any, Future[Any]]], work: Callable[[list[Any]], list[Any]]) -> None:
        """Does the work for all together. Where that fails, for each alone, so that an error reaches only the one who caused it."""
        if not asked:
            return
        try:
            answers = work([wanted for wanted, _ in asked])
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            if len(asked) == 1:
                asked[0][1].set_exception(error)
                return
            for one in asked:
                self._answer([one], work)
            return
        for (_, answer), given in zip(asked, answers, strict=True):
            answer.set_result(given)

    def _findings(self, films: list[_Film]) -> list[Finding]:
        opened = iter(films)  # the predictor asks for each film once, in order; it looks at a file's colours by itself
        found = self.predictor.predict_iter(
            [film.source for film in films],
            batch_size=self._batch,
            heatmap=films[0].heatmap,
            opener=lambda source, limits: next(opened).radiograph,
        )
        return list(found)

    def _heats(self, asked: list[_Heat]) -> list[npt.NDArray[np.float32]]:
        return self.predictor.heat([one.pixels for one in asked], [one.explained for one in asked])
