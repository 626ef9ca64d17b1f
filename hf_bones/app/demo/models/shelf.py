"""The models that a page offers. The first is loaded when the page starts, any other when somebody asks for it; a few stay loaded.

A model that somebody uses is never taken away from under them: the shelf only forgets it, and it goes when the last one is done with it.
No gradio here.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hf_bones.app.demo.models.batching import Served
from hf_bones.app.demo.models.lent_gpu import LentGpuPredictor, Run
from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.inference.checkpoint import BUNDLED, HUB_ID, CheckpointError, find_checkpoint
from hf_bones.inference.predictor import BonePredictor
from hf_bones.record import public_name

_LOG = logging.getLogger(__name__)

KEEP = 2  # models that stay loaded
MOST_FAILED = 16  # models that are remembered as such
TRY_AGAIN = 10.0  # s after which a model that failed is tried again when somebody asks for it


@dataclass(frozen=True)
class ModelEntry:
    """A model as it is named to the command: `bundled`, a folder, or a Hub id with an optional revision. run: where a GPU is lent for
    moments, what takes work to it (`lent_gpu.py`)."""

    model: str | Path = BUNDLED
    revision: str | None = None
    run: Run | None = None

    def load(self) -> BonePredictor:
        """Its predictor. Raises CheckpointError."""
        if self.run is None:
            return BonePredictor.from_pretrained(self.model, revision=self.revision)
        return LentGpuPredictor.load(self.model, revision=self.revision, run=self.run)

    def check(self) -> None:
        """Raises CheckpointError for a folder that holds no checkpoint. Whether the Hub has a model is seen when it is loaded."""
        text = str(self.model)
        if text == BUNDLED or (self.revision is None and (Path(text).expanduser().exists() or not HUB_ID.fullmatch(text))):
            find_checkpoint(self.model)

    @property
    def name(self) -> str:
        """Its name for visitors, never a path."""
        return public_name(self.model) + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class State:
    """Where a model is, and a sentence that says so to a visitor. seconds: how long it has been loading."""

    kind: Literal["absent", "loading", "ready", "failed"]
    sentence: str
    seconds: float = 0.0


@dataclass(eq=False)
class _Loading:
    """A model that is loaded, or is being loaded."""

    begun: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    served: Future[Served] = field(default_factory=Future)

    def failed(self) -> BaseException | None:
        return self.served.exception() if self.served.done() else None


class Shelf:
    """The models of one page, by their public names. Safe to call from threads.

    entries: what may be chosen, the first one first. allow_any: any Hub id may be asked for too, `owner/name` or `owner/name@revision`.
    keep: how many stay loaded, those that were asked for last. Raises ValueError where there is no entry.
    """

    def __init__(self, entries: Sequence[ModelEntry], *, allow_any: bool = False, keep: int = KEEP) -> None:
        if not entries:
            raise ValueError("name at least one model")
        self._entries: dict[str, ModelEntry] = {}
        for entry in dict.fromkeys(entries):
            self._entries[_free_name(entry.name, self._entries)] = entry
        self.allow_any = allow_any
        self._keep = keep
        self._loaded: OrderedDict[str, _Loading] = OrderedDict()  # asked for last at the end
        self._lock = threading.Lock()
        self._processes = OpeningProcesses(count=max(2, os.cpu_count() or 1))

    @property
    def names(self) -> list[str]:
        """The models that may be chosen, in the order given."""
        return list(self._entries)

    @property
    def first(self) -> str:
        return next(iter(self._entries))

    def entry(self, name: str | None = None) -> ModelEntry:
        """What a name stands for; None is the first. Raises CheckpointError for one that may not be asked for."""
        name = (name or self.first).strip()
        if name in self._entries:
            return self._entries[name]
        model, _, revision = name.partition("@")
        # A folder would win over a Hub id of its name, and visitors may not reach into the server's folders.
        if self.allow_any and HUB_ID.fullmatch(model) and not Path(model).exists():
            return ModelEntry(model, revision or None)
        more = ", or a Hub id such as owner/name" if self.allow_any else ""
        raise CheckpointError(f"no model {name!r} here: choose one of {', '.join(self.names)}{more}")

    def start(self) -> None:
        """Begins to load the first model, and returns at once."""
        self._asked(self.first)

    def begin(self, name: str | None = None) -> State:
        """Begins to load a model if it is not there, and says where it is."""
        try:
            self._asked(name)
        except CheckpointError as error:
            return State("failed", str(error))
        return self.state(name)

    def get(self, name: str | None = None) -> Served:
        """The model, when it is loaded. Raises CheckpointError with a sentence for visitors where it may not be had or loaded."""
        return self._asked(name).served.result()

    def state(self, name: str | None = None) -> State:
        """Where a model is; nothing is loaded for the question."""
        name = (name or self.first).strip()
        with self._lock:
            loading = self._loaded.get(name)
        if loading is None:
            return State("absent", f"{name} is not loaded yet.")
        if not loading.served.done():
            seconds = time.monotonic() - loading.begun
            return State("loading", f"Loading {name} … {seconds:.0f} s", seconds)
        if (error := loading.failed()) is not None:
            return State("failed", str(error))
        return State("ready", f"{name} is ready.")

    def close(self) -> None:
        """Ends the processes that open files; the next file starts them again."""
        self._processes.close()

    def _asked(self, name: str | None) -> _Loading:
        entry, name = self.entry(name), (name or self.first).strip()
        with self._lock:
            loading = self._loaded.get(name)
            if loading is not None and loading.failed() is not None and time.monotonic() - loading.ended > TRY_AGAIN:
                loading = None
            if loading is None:
                loading = self._loaded[name] = _Loading()
                threading.Thread(target=self._load, args=(name, entry, loading), name=f"loading {name}", daemon=True).start()
            self._loaded.move_to_end(name)
            return loading

    def _load(self, name: str, entry: ModelEntry, loading: _Loading) -> None:
        try:
            served = Served(entry.load(), self._processes.open, name=name)
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the model
            loading.ended = time.monotonic()
            _LOG.warning("%s cannot be loaded: %s", name, error)
            loading.served.set_exception(_for_visitors(error, name, entry))
            self._forget_oldest(failed=True, most=MOST_FAILED)
        else:
            self._forget_oldest(failed=False, most=self._keep - 1)
            loading.ended = time.monotonic()
            loading.served.set_result(served)

    def _forget_oldest(self, *, failed: bool, most: int) -> None:
        """Forgets models over `most` that nobody has asked for the longest, of those that failed or of those that are ready."""
        with self._lock:
            done = [name for name, loading in self._loaded.items() if loading.served.done() and (loading.failed() is not None) is failed]
            for name in done[: max(0, len(done) - most)]:
                del self._loaded[name]


def _free_name(name: str, taken: dict[str, ModelEntry]) -> str:
    """`name`, with a number behind where another entry has it: two folders may be called alike."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _for_visitors(error: Exception, name: str, entry: ModelEntry) -> CheckpointError:
    """What went wrong with a model, without the folder in which it lies."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    path = str(entry.model)
    if public_name(path) != path:
        text = text.replace(str(Path(path).expanduser().resolve()), name).replace(path, name)
    made = CheckpointError(text if name in text else f"{name}: {text}")
    made.__cause__ = error
    return made
