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
from contextlib import ExitStack
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


class StepClock(TrainerCallback):
    """Times `timed` steps after `warm` others, or fewer where each part has taken `most_seconds`, and then stops the training."""

    def __init__(self, loader: TimedLoader, warm: int, timed: int, most_seconds: float, watch_stops: bool) -> None:
        self.loader, self.warm, self.timed, self.most_seconds, self.watch_stops = loader, warm, timed, most_seconds, watch_stops
        self.found = StepTimes()
        self.first = self.begun = self.started = 0.0
        self.first_timed = 0
        self.waited_before = 0.0
        self.watch = ExitStack()
        self.warned: list[warnings.WarningMessage] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.begun = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        step = state.global_step
        if self.warned is not None:
            self.read_stops()
            control.should_training_stop = True
        elif step == 1:
            self.first, self.begun = now() - self.begun, now()
        elif not self.first_timed:
            if step >= self.warm or time.perf_counter() - self.begun > self.most_seconds:
                if torch.cuda.is_available():
                    torch.cuda.reset_peak_memory_stats()
                self.first_timed, self.started, self.waited_before = step, now(), self.loader.waited
        elif step - self.first_timed >= self.timed or time.perf_counter() - self.started > self.most_seconds:
            ended = now()
            peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
            waited = self.loader.waited - self.waited_before
            self.found = StepTimes(self.first, step - self.first_timed, ended - self.started, waited, peak)
            if self.watch_stops and torch.cuda.is_available():
                self.warned = self.watch.enter_context(warnings.catch_warnings(record=True))
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
            else:
                control.should_training_stop = True
        return control

    def read_stops(self) -> None:
        torch.cuda.set_sync_debug_mode("default")
        self.watch.close()
        places = Counter(
            f"{Path(item.filename).name}:{item.lineno}" for item in self.warned or () if "called a synchroniz" in str(item.message)
        )
        self.found.stops = dict(places.most_common())


@dataclass
class Step:
    """Seconds of one step, those of them in which it waited for its batch, and those that the threads of the process ran."""

    seconds: float
    waited: float
    cpu: float


class TurnTaker(TrainerCallback):
    """Calls `turn` before each step but the first, which warms up, and times each from there to its end."""

    def __init__(self, loader: TimedLoader, timed: int, turn: Callable[[], None]) -> None:
        self.loader, self.timed, self.turn = loader, timed, turn
        self.steps: list[Step] = []
        self.started: Step | None = None

    def so_far(self) -> Step:
        return Step(time.perf_counter(), self.loader.waited, time.process_time())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if self.started is not None:
            ended, started = self.so_far(), self.started
            self.steps.append(Step(ended.seconds - started.seconds, ended.waited - started.waited, ended.cpu - started.cpu))
        if len(self.steps) >= self.timed:
            control.should_training_stop = True
        else:
            self.turn()
            self.started = self.so_far()
        return control


def now() -> float:
    """Seconds, read when the GPU has finished what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def time_steps(trainer: Trainer, warm: int, timed: int, most_seconds: float = float("inf"), watch_stops: bool = False) -> StepTimes:
    """Trains for `warm + timed` steps (two at least to warm up). The trainer must be allowed two steps more than that."""
    clock = StepClock(_timed_loader(trainer), warm, timed, most_seconds, watch_stops)
    _train_with(trainer, clock)
    if not clock.found.steps:
        raise RuntimeError("training ended before a step was timed")
    return clock.found


def steps_in_turns(trainer: Trainer, timed: int, turn: Callable[[], None]) -> list[Step]:
    """Trains for one step and `timed` more, before each of which `turn` is called: it returns when it is this process's turn."""
    taker = TurnTaker(_timed_loader(trainer), timed, turn)
    _train_with(trainer, taker)
    return taker.steps


def _timed_loader(trainer: Trainer) -> TimedLoader:
    loader = TimedLoader(trainer.get_train_dataloader())
    setattr(trainer, "get_train_dataloader", lambda: loader)  # noqa: B010 - a method cannot be assigned to
    return loader


def _train_with(trainer: Trainer, callback: TrainerCallback) -> None:
    trainer.add_callback(callback)
    trainer.pop_callback(PrinterCallback)
    trainer.train()
