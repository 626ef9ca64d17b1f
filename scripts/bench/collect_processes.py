"""Processes of the collector's bench: the server, img2dataset in a venv of its own, and what a run costs in time, CPU and memory.

Read from /proc, so Linux only. Memory is the resident set; a tree's is the sum over its processes, in which shared pages count in each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from memory import peak_memory

_SAMPLE_SECONDS = 0.05
_LONGEST = 1800.0  # s; a run that takes longer hangs
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """A finished process and its children: `wall` and `cpu` in seconds, `main_rss` and `tree_rss` the peaks in bytes. `killed` tells that
    it was ended by us."""

    pid: int
    code: int
    wall: float
    cpu: float
    main_rss: int
    tree_rss: int
    killed: bool


@dataclass(frozen=True)
class Asked:
    """A line of the server's log."""

    at: float
    host: str
    target: str
    answer: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Server:
    """A server that runs."""

    port: int
    log: Path

    def requests(self, after: int = 0) -> list[Asked]:
        """The requests so far, behind the first `after`."""
        cells = (line.split("\t") for line in self.log.read_text().splitlines()[after:])
        return [Asked(float(at), host, target, answer) for at, host, target, answer in cells]


@contextmanager
def serving(folder: Path, count: int, log: Path, faulty: float = 0.0, seed: int = 0) -> Iterator[Server]:
    """The server process, from when it listens to the end of the block."""
    log.write_text("")
    script = Path(__file__).with_name("loopback_server.py")
    numbers = ["--count", str(count), "--faulty", str(faulty), "--seed", str(seed), "--log", str(log)]
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), *numbers], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.strip():
            raise RuntimeError("the server did not start; what it said stands above")
        yield Server(int(line), log)
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


def run(
    command: Sequence[str | Path], output: Path, kill_when: Callable[[], bool] | None = None, *, kill_group: bool = True, every: float = 0.0
) -> Run:
    """Runs a command to its end, or until `kill_when()`, which is then SIGKILL to its process group (or to the first process alone).

    Standard output and error go to the end of the file `output`. Proxies are taken out of the environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    words = list(map(str, command))
    main_rss = tree_rss = tree = 0
    killed = False
    with output.open("a") as stream:
        stream.write(f"$ {' '.join(words)}\n")
        stream.flush()
        clock = time.perf_counter()
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            main_rss = max(main_rss, peak_memory(process.pid))
            # Two samples in a row, the lower of them: between fork and exec a child shows its parent's memory as its own.
            before, tree = tree, _resident_tree(process.pid)
            tree_rss = max(tree_rss, min(before, tree))
            late = time.perf_counter() - clock > _LONGEST
            if late or (not killed and kill_when is not None and kill_when()):
                (os.killpg if kill_group or late else os.kill)(process.pid, signal.SIGKILL)
                killed = True
            time.sleep(every or _SAMPLE_SECONDS)
        wall = time.perf_counter() - clock
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(process.pid, process.returncode, wall, usage.ru_utime + usage.ru_stime, main_rss, tree_rss, killed)


def living(group: int) -> list[int]:
    """Processes of a process group that have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):  # it ended meanwhile
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def _resident_tree(pid: int) -> int:
    """The memory (RSS, bytes) of a process and its descendants. Reading all of /proc for them, as psutil does, would cost the run time."""
    total = 0
    with suppress(OSError, IndexError):  # it ended meanwhile
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(map(_resident_tree, map(int, (task / "children").read_text().split())))
    return total
