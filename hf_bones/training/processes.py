"""The processes of one run, started by accelerate or torchrun: joined before anything is read, and of one mind about what was found.

Not here: which rows each of them sees (`training/data/batches.py`, accelerate), splitting the network itself over them
(`training/run/sharding.py`).
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.state import AcceleratorState, PartialState
from torch import distributed

from hf_bones.config.recipe import RecipeError, TrainConfig

T = TypeVar("T")


def process_count() -> int:
    """How many processes the launcher says that there are; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def on_cpu(config: TrainConfig) -> bool:
    """Whether a run stays on the CPU: told to, or for want of anything else.

    accelerate joins processes on a CPU only when told that they are there; otherwise each of them trains by itself.
    """
    return config.cpu or not torch.accelerator.is_available()


def check_processes(config: TrainConfig) -> None:
    """Stops a run that is not on as many processes as it was asked to be.

    `accelerate launch --cpu --num_processes 2` starts one process and says nothing.
    """
    found = process_count()
    if config.processes is not None and found != config.processes:
        raise RecipeError(
            f"processes: {config.processes} requested, {found} running. For several processes on a CPU start with "
            f"`torchrun --nproc_per_node {config.processes} scripts/train.py …`; for GPUs with "
            f"`accelerate launch --multi_gpu --num_processes {config.processes} scripts/train.py …`"
        )


def join_processes(config: TrainConfig, entries: Mapping[str, Any]) -> None:
    """Brings the processes together, if there are several and they are not; the Trainer finds them joined.

    `entries` are those of the recipe's `trainer:`, of which `ddp_timeout` (s) and `ddp_backend` are heeded.

    Raises `RecipeError` as `check_processes`.
    """
    check_processes(config)
    if process_count() == 1:
        return
    atexit.unregister(_leave)
    AcceleratorState._reset_state(reset_partial_state=True)  # what an earlier run of this process left
    options: dict[str, Any] = {"timeout": timedelta(seconds=entries.get("ddp_timeout", 1800))}
    PartialState(cpu=on_cpu(config), backend=entries.get("ddp_backend"), **options)


def finish_processes() -> None:
    """Says that a run is over and needs no other process any more, once all have come this far; another run may follow.

    The group is closed when the program ends. Left to the end of the interpreter, the closing of its threads and sockets would race with
    that of the other processes, and can abort this one. A program that fails has to end at once instead, so that the launcher sees it:
    closing would wait for what the others have not answered.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def first_process_says(question: Callable[[], T]) -> T:
    """What `question()` gives in the first process, in all of them; what it raises there, if `ValueError` or `OSError`, in all of them.

    For what would come out differently a moment later, when the first process has gone on writing.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return question()
    said: list[Any] = [None, None]
    if distributed.get_rank() == 0:
        try:
            said[0] = question()
        except (ValueError, OSError) as error:
            said[1] = error
    distributed.broadcast_object_list(said, src=0)
    if said[1] is not None:
        raise said[1]
    return said[0]


def require_shared(file: Path, key: str, seconds: float = 60) -> None:
    """Makes sure that each machine of a run sees a file that the first process wrote; network folders may show it late.

    Raises `RecipeError` naming the recipe key whose folder is not shared.
    """
    if process_count() == int(os.environ.get("LOCAL_WORLD_SIZE", process_count())):
        return
    patience = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > patience:
            raise RecipeError(
                f"{key}: {file} of the first machine is not there on this one; with several machines it must lie in a folder of all"
            )
        time.sleep(1)
