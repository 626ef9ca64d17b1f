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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PEER = "img2dataset==1.47.0"
_SAMPLE_SECONDS = 0.05
_LONGEST = 1800.0  # s; a run that takes longer hangs
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """A finished process and its children: `wall` and `cpu` in seconds, `main_rss` and `tree_rss` the peaks in bytes. `started` is the
    wall clock's time; `killed` tells that it was ended by us."""

    pid: int
    code: int
    started: float
    wall: float
    cpu: float
    main_rss: int
    tree_rss: int
    killed: bool = False


@dataclass(frozen=True)
class Asked:
    """A line of the server's log."""

    at: float
    host: str
    target: str
    times: int
    answer: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Server:
    """A server that runs. `requests` reads its log so far."""

    port: int
    log: Path

    def requests(self, after: int = 0) -> list[Asked]:
        """The requests so far, behind the first `after`."""
        lines = self.log.read_text().splitlines()[after:]
        cells = (line.split("\t") for line in lines)
        return [Asked(float(at), host, target, int(times), answer) for at, host, target, times, answer in cells]


@contextmanager
def serving(folder: Path, count: int, log: Path, faulty: float = 0.0, seed: int = 0) -> Iterator[Server]:
    """The server process, from when it listens to the end of the block."""
    log.write_text("")
    script = Path(__file__).with_name("loopback_server.py")
    numbers = ["--count", str(count), "--faulty", str(faulty), "--seed", str(seed)]
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), *numbers, "--log", str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
    main_rss = tree_rss = tree = 0
    with output.open("a") as stream:
        stream.write(f"$ {' '.join(map(str, command))}\n")
        stream.flush()
        started, clock = time.time(), time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        killed = False
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            main_rss = max(main_rss, _peak(process.pid))
            # Two samples in a row, the lower of them: between fork and exec a child shows its parent's memory as its own.
            before, tree = tree, sum(map(_resident, _tree(process.pid)))
            tree_rss = max(tree_rss, min(before, tree))
            late = time.perf_counter() - clock > _LONGEST
            if late or (not killed and kill_when is not None and kill_when()):
                if kill_group or late:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
                killed = True
            time.sleep(every or _SAMPLE_SECONDS)
        wall = time.perf_counter() - clock
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(process.pid, process.returncode, started, wall, usage.ru_utime + usage.ru_stime, main_rss, tree_rss, killed)


def living(group: int) -> list[int]:
    """Processes of a process group that have not ended."""
    return [pid for pid in _processes() if _stat(pid)[2:3] == [str(group)] and _stat(pid)[0] != "Z"]


def peer_command(venv: Path, table: Path, out: Path, processes: int, threads: int, rows: int) -> list[str | Path]:
    """img2dataset at its nearest to what the collector does: the image is decoded, the bytes are kept as they came, SHA-256 and size are
    noted. The other settings are its own; a shard for each process, so that all of them work."""
    return [
        venv / "bin" / "img2dataset", f"--url_list={table}", "--input_format=csv", "--save_additional_columns=['label']",
        f"--output_folder={out}", "--output_format=files", "--resize_mode=no", "--skip_reencode=True", f"--processes_count={processes}",
        f"--thread_count={threads}", f"--number_sample_per_shard={-(-rows // processes)}", "--retries=3", "--enable_wandb=False",
    ]  # fmt: skip


def make_peer_venv(venv: Path) -> str:
    """Makes the venv where there is none; returns the peer's name and version."""
    if not (venv / "bin" / "img2dataset").is_file():
        print(f"installing {PEER} into {venv}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-qq", PEER, "setuptools<81"], check=True)
    show = "from importlib.metadata import version; print('img2dataset', version('img2dataset'))"
    return subprocess.run([venv / "bin" / "python", "-c", show], check=True, capture_output=True, text=True).stdout.strip()


def _tree(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it ended meanwhile
    return found


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """State, parent, process group and so on, from behind the name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _peak(pid: int) -> int:
    """The highest resident set so far, which no sampling misses."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
