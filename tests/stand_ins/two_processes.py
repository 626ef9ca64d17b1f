"""Processes of a run on this machine, one or two as torchrun starts them, from a server that has the imports behind it already."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

MODULES = [
    "hf_bones.finetune",
    "hf_bones.training.trainer",
    "hf_bones.hub.card",
    "hf_bones.inference.decision",
    "hf_bones.training.run.curves",
]


def launch_environment(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells process `rank` of two."""
    known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {key: str(value) for key, value in known.items()} | {"OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run_two(
    target: Callable[..., int], arguments: tuple, folder: Path, environment: Mapping[str, str] | None = None
) -> list[tuple[int, str]]:
    """Calls `target(*arguments)` in two processes at once. Returns what each returned and what it printed; `folder` holds that.

    `target` is a function at the top of a module. Fails when they do not end.
    """
    context = _server()
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    printed = [folder / f"printed-{rank}.txt" for rank in (0, 1)]
    both = [
        context.Process(target=_run, args=(target, arguments, printed[rank], dict(environment or {}) | launch_environment(rank, port)))
        for rank in (0, 1)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=400)
    for process in both:
        if process.is_alive():
            process.kill()
            raise AssertionError(f"a process did not end:\n{printed[0].read_text()[-2000:]}\n{printed[1].read_text()[-2000:]}")
    return [(process.exitcode or 0, path.read_text()) for process, path in zip(both, printed, strict=True)]


def start_one(target: Callable[..., int], arguments: tuple, printed: Path) -> ForkServerProcess:
    """Calls `target(*arguments)` in a process of its own, to be killed; what it prints goes to `printed`."""
    process = _server().Process(target=_run, args=(target, arguments, printed, {"OMP_NUM_THREADS": "1"}))
    process.start()
    return process


def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    return context


def _run(target: Callable[..., int], arguments: tuple, printed: Path, environment: dict[str, str]) -> None:
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)
    with printed.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - the descriptor itself
        sys.exit(target(*arguments))
