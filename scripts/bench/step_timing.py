"""Timing the steps of a Trainer while it trains: images/s, the share of the time that it waited for data, memory on the device.

The Trainer's loop itself is timed, ours and the stock one alike. Its data loader is wrapped, so that each wait for a batch is noted
(copying it to the device counts as waiting); a callback starts the clock after some steps and stops it after some more. On a GPU the clock
is read when the device has finished what it was given. On a CPU, several processes can take turns, a step each (`steps_in_turns`), so that
whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback


@dataclass
class StepTimes:
    """Timed steps: how many, their seconds, the seconds of these in which the loop waited for a batch, bytes on the GPU at most.

    `first` is the first step's seconds, with whatever is compiled or started in it. `stops` counts the places in the code where one further
    step waited for the GPU, which keeps the CPU from running ahead.
    """

    first: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    peak_bytes: int = 0
    stops: dict[str, int] = field(default_factory=dict)

    @property
    def step(self) -> float:
        return self.seconds / self.steps

    @property
    def loader_share(self) -> float:
        return self.waited / self.seconds


@dataclass
class Step:
    """Seconds of one step, those of them in which it waited for its batch, and those that the threads of the process ran."""

    seconds: float
    waited: float
    cpu: float


class TimedLoader:
    """A Trainer's data loader that adds up the seconds for which each batch was waited for."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.waited = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            started = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited += time.perf_counter() - started
            yield batch


class Beside(TrainerCallback):
    """Runs a generator beside the training, from its begin and on at the end of each step; where it ends, training does."""

    def __init__(self, watch: Iterator[None]) -> None:
        self.watch = watch

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        next(self.watch)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_training_stop = next(self.watch, self) is self
        return control


def now() -> float:
    """Seconds, read when the GPU has finished what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def time_steps(trainer: Trainer, warm: int, timed: int, most_seconds: float = float("inf"), watch_stops: bool = False) -> StepTimes:
    """Times `timed` steps after `warm` others (two at least), or fewer where each part has taken `most_seconds`; then training stops.

    The trainer must be allowed two steps more than that.
    """
    found = StepTimes()

    def watch(loader: TimedLoader) -> Iterator[None]:
        cuda = torch.cuda.is_available()
        begun = now()
        yield
        found.first, begun, step = now() - begun, now(), 1
        while step < max(2, warm) and (step < 2 or time.perf_counter() - begun <= most_seconds):
            yield
            step += 1
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        started, waited = now(), loader.waited
        while not found.steps or (found.steps < timed and time.perf_counter() - started <= most_seconds):
            yield
            found.steps += 1
        found.seconds, found.waited = now() - started, loader.waited - waited
        found.peak_bytes = torch.cuda.max_memory_allocated() if cuda else 0
        if watch_stops and cuda:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
                yield
                torch.cuda.set_sync_debug_mode("default")
            stops = [item for item in warned if "called a synchroniz" in str(item.message)]
            found.stops = dict(Counter(f"{Path(item.filename).name}:{item.lineno}" for item in stops).most_common())

    _train_beside(trainer, watch)
    if not found.steps:
        raise RuntimeError("training ended before a step was timed")
    return found


def steps_in_turns(trainer: Trainer, timed: int, turn: Callable[[], None]) -> list[Step]:
    """Trains for one step and `timed` more, before each of which `turn` is called: it returns when it is this process's turn."""
    steps: list[Step] = []

    def watch(loader: TimedLoader) -> Iterator[None]:
        yield
        for _ in range(timed):
            turn()
            seconds, waited, cpu = time.perf_counter(), loader.waited, time.process_time()
            yield
            steps.append(Step(time.perf_counter() - seconds, loader.waited - waited, time.process_time() - cpu))

    _train_beside(trainer, watch)
    return steps


def _train_beside(trainer: Trainer, watch: Callable[[TimedLoader], Iterator[None]]) -> None:
    loader = TimedLoader(trainer.get_train_dataloader())
    setattr(trainer, "get_train_dataloader", lambda: loader)  # noqa: B010 - a method cannot be assigned to
    trainer.add_callback(Beside(watch(loader)))
    trainer.pop_callback(PrinterCallback)
    trainer.train()
