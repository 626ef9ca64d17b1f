"""The collector's bars: speed beside img2dataset, memory, a run with faults and kills, and the resume of a finished collection.

    python scripts/bench/collect.py DATA

DATA is a folder of JPEGs; left out, radiographs are drawn. They are served from memory by a process of its own on 64 loopback addresses
(`loopback_server.py`); nothing leaves the machine, but for the first run, which installs img2dataset into a venv of its own. Both
collectors run as commands, in turns, with the same number of downloads at a time, no delay, and three retries; ours with its address guard,
robots.txt and everything else on. "Whole process" is from the command's start to its end; "transfer" from the first to the last request
that the server saw, which leaves out start-up and what is still to be written then. Linux only.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml
from collect_faults import run_with_kills
from collect_plan import ALLOWED, Bodies, Served, draw_jpegs, make_plan
from collect_processes import Run, Server, make_peer_venv, peer_command, run, serving
from result_file import bar, write_result

from hf_bones.record import sha256_rows

MB = 1e6
PEER_VENV = Path("~/.cache/hf-bones-bench/img2dataset")
FAULTY = 0.3
PEER_PROCESSES = (1, 2)
MOST_GROWTH = 10.0, 0.05  # MB, or that share of the memory at the smaller number of images: whichever is more


@dataclass(frozen=True)
class Sizes:
    """How much is measured: images of the speed runs, of the memory runs, of the fault run and of the resume; `runs` of each kind."""

    speed: int
    memory: tuple[int, int, int]
    faults: int
    resume: int
    runs: int


FULL = Sizes(2000, (500, 2000, 8000), 2000, 10_000, 3)
QUICK = Sizes(400, (100, 200, 400), 300, 500, 1)


@dataclass(frozen=True)
class Bench:
    """What all parts need."""

    data: Path
    work: Path
    sizes: Sizes
    concurrency: int
    peer_venv: Path

    @property
    def output(self) -> Path:
        return self.work / "output.log"

    def command(self, out: Path, table: Path, **fetch: float) -> list[str | Path]:
        """The collector's command, for the links in `table`; `fetch` are settings of its recipe."""
        settings: dict[str, Any] = {"delay": 0, "concurrency": self.concurrency} | fetch
        recipe = {"name": "bench", "fetch": settings, "licences": {"unknown": "fetch"}, "providers": {"urls": {"path": str(table)}}}
        place = table.with_suffix(".yaml")
        place.write_text(yaml.safe_dump(recipe))
        program = Path(sys.executable).with_name("hf-bones")
        return [program, "collect", "--recipe", place, "--out", out, "--allow-private", ALLOWED, "--contact", "bench@example.org"]


@dataclass(frozen=True)
class Timed:
    """A run of a collector that got all its images: images a second by process and by transfer, and what it cost."""

    whole: float
    transfer: float
    cost: Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="folder of JPEGs; left out: radiographs are drawn")
    parser.add_argument("--quick", action="store_true", help="few images, under a minute once the peer is installed")
    parser.add_argument("--only", choices=("speed", "memory", "faults"), action="append", help="these parts; nothing is written then")
    parser.add_argument("--concurrency", type=int, default=64, help="downloads at a time, of both collectors")
    parser.add_argument("--seed", type=int, default=0, help="seed of faults and kills")
    parser.add_argument("--peer-venv", type=Path, default=PEER_VENV, help="where img2dataset is, or is to be installed")
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept; left out: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hf-bones-bench-") as temporary:
        work: Path = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        data: Path = options.data or draw_jpegs(work / "drawn")
        bench = Bench(data, work, QUICK if options.quick else FULL, options.concurrency, options.peer_venv.expanduser())
        parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "speed": lambda: speed_bars(bench),
            "memory": lambda: memory_and_resume_bars(bench),
            "faults": lambda: fault_bars(bench, options.seed),
        }
        bars = [line for name in options.only or parts for line in parts[name]()]
        if options.only:
            for line in bars:
                print(f"{line['bar']}: {line['value']:.3f}, target {line['target']}, holds {line['holds']}")
            return
        digest = sha256_rows((index, sha256) for index, sha256 in enumerate(_served(bench, bench.sizes.speed).hashes))
    command = "python scripts/bench/collect.py" + (" DATA" if options.data else "")
    write_result("collect", command, digest, options.quick, bars)


def _served(bench: Bench, count: int, faulty: float = 0.0, seed: int = 0) -> Served:
    return Served(Bodies(bench.data), make_plan(count, faulty, seed))


def speed_bars(bench: Bench) -> list[dict[str, Any]]:
    """Ours and the peer in turns, on the same server."""
    peer = make_peer_venv(bench.peer_venv)
    count = bench.sizes.speed
    ours: list[Timed] = []
    theirs: dict[int, list[Timed]] = {processes: [] for processes in PEER_PROCESSES}
    with serving(bench.data, count, bench.work / "requests.log") as server:
        table, few = bench.work / "links.csv", bench.work / "few.csv"
        served = _served(bench, count)
        served.write_table(table, server.port)
        Served(served.bodies, served.plan[:20]).write_table(few, server.port)
        # First a few, so that both programs have been read from the disk once.
        for links, rows, times in ((few, 20, 1), (table, count, bench.sizes.runs)):
            for _ in range(times):
                out = bench.work / "ours"
                timed = _timed(bench, server, bench.command(out, links), out, rows)
                ours += [timed] if rows == count else []
                for processes in PEER_PROCESSES:
                    out = bench.work / "theirs"
                    command = peer_command(bench.peer_venv, links, out, processes, bench.concurrency // processes, rows)
                    timed = _timed(bench, server, command, out, rows)
                    theirs[processes] += [timed] if rows == count else []
    _print_runs({"hf-bones": ours} | {f"{peer}, {n} × {bench.concurrency // n}": runs for n, runs in theirs.items()})
    bars = []
    for name, target in (("whole", 1.0), ("transfer", None)):
        rate = attrgetter(name)
        best = max(theirs, key=lambda n: statistics.median(map(rate, theirs[n])))  # its better setting, for each figure by itself
        label = f"{peer}, {best} process{'es' if best > 1 else ''} × {bench.concurrency // best} threads"
        what = "whole process" if name == "whole" else "transfer alone"
        mine, other = [rate(timed) for timed in ours], [rate(timed) for timed in theirs[best]]
        rounds = [a / b for a, b in zip(mine, other, strict=True)]
        ratio = statistics.median(mine) / statistics.median(other)
        bars.append(bar(f"images/s ÷ img2dataset's, {what}", ratio, n=count, interval=_range(rounds), target=target, peer=label))
        bars.append(_spread(f"hf-bones: images/s, {what}", mine, count))
        bars.append(_spread(f"img2dataset: images/s, {what}", other, count, label))
    best = max(theirs, key=lambda n: statistics.median(timed.whole for timed in theirs[n]))
    for who, several in (("hf-bones", ours), ("img2dataset", theirs[best])):
        costs = [timed.cost for timed in several]
        bars.append(_spread(f"{who}: CPU seconds", [cost.cpu for cost in costs], count))
        bars.append(_spread(f"{who}: peak memory of the first process, MB", [cost.main_rss / MB for cost in costs], count))
        bars.append(_spread(f"{who}: peak memory of all processes, MB", [cost.tree_rss / MB for cost in costs], count))
    return bars


def memory_and_resume_bars(bench: Bench) -> list[dict[str, Any]]:
    """Collections of three sizes; the last is then filled up to the rows of the resume, and the command given once more."""
    sizes = bench.sizes
    peaks: dict[int, list[Run]] = {}
    with serving(bench.data, sizes.resume, bench.work / "requests.log") as server:
        served = _served(bench, sizes.resume)
        table, out = bench.work / "links.csv", bench.work / "ours"
        for count in sizes.memory:
            Served(served.bodies, served.plan[:count]).write_table(table, server.port)
            peaks[count] = [_timed(bench, server, bench.command(out, table), out, count).cost for _ in range(sizes.runs)]
        served.write_table(table, server.port)
        _timed(bench, server, bench.command(out, table), out, sizes.resume, fresh=False)
        before = len(server.requests())
        again = [_checked(run(bench.command(out, table), bench.output), bench) for _ in range(sizes.runs)]
        asked = len(server.requests()) - before
    bars = []
    _, small, large = sizes.memory
    for who, kind in (("the first process", "main_rss"), ("all processes", "tree_rss")):
        peak = {count: [getattr(cost, kind) / MB for cost in costs] for count, costs in peaks.items()}
        bars += [_spread(f"peak memory of {who} at {count} images, MB", values, count) for count, values in peak.items()]
        base = statistics.median(peak[small])
        growth = statistics.median(peak[large]) - base
        most = max(MOST_GROWTH[0], MOST_GROWTH[1] * base)
        name = f"growth of the memory of {who} from {small} to {large} images, MB"
        bars.append(bar(name, growth, n=large, target=round(most, 1), at_most=True))
    seconds = [r.wall for r in again]
    median = statistics.median(seconds)
    bars.append(bar("resume of a finished collection, s", median, n=sizes.resume, interval=_range(seconds), target=2.0, at_most=True))
    bars.append(bar("requests of the resume", asked, n=sizes.resume, target=0, at_most=True))
    return bars


def fault_bars(bench: Bench, seed: int) -> list[dict[str, Any]]:
    """Faulty answers and kills, judged by the server's plan."""
    count = bench.sizes.faults
    table, out = bench.work / "faulty.csv", bench.work / "faults"
    shutil.rmtree(out, ignore_errors=True)
    with serving(bench.data, count, bench.work / "faulty.log", FAULTY, seed) as server:
        served = _served(bench, count, FAULTY, seed)
        served.write_table(table, server.port)
        command = bench.command(out, table, per_host=4, connect_timeout=4, file_timeout=4, attempts=4, first_wait=0.05)
        verdict = run_with_kills(served, server, out, command, bench.output, seed)
    verdict.print()
    found = {
        "images lost": verdict.lost,
        "duplicated or stray": verdict.duplicated,
        "wrong bytes or provenance": verdict.wrong_bytes,
        "faults without their row": verdict.unaccounted,
        "recorded URLs asked again after a kill": verdict.asked_twice,
        "requests past the address guard": verdict.past_the_guard,
        "processes left running": verdict.left_running,
    }
    bars = [bar(f"fault run: {name}", len(what), n=count, target=0, at_most=True) for name, what in found.items()]
    return [*bars, bar("fault run: share of faulty responses", verdict.faulty_responses, n=count)]


def _timed(bench: Bench, server: Server, command: Sequence[str | Path], out: Path, rows: int, *, fresh: bool = True) -> Timed:
    """Runs a collector into an empty folder (unless not `fresh`) and checks that it got everything."""
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    before = len(server.requests())
    cost = _checked(run(command, bench.output), bench)
    files = sum(1 for _ in out.rglob("*.jpg"))
    if files != rows:
        raise RuntimeError(f"{' '.join(map(str, command))}: {files} images of {rows} are there; see {bench.output} (keep it with --work)")
    asked = server.requests(before)
    return Timed(rows / cost.wall, rows / max(asked[-1].at - asked[0].at, 1e-3), cost)


def _checked(cost: Run, bench: Bench) -> Run:
    if cost.code or cost.killed:
        raise RuntimeError(f"a collector ended with {cost.code}; its last words: {bench.output.read_text()[-2000:]}")
    return cost


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _spread(name: str, values: Sequence[float], count: int, peer: str | None = None) -> dict[str, Any]:
    return bar(name, statistics.median(values), n=count, interval=_range(values), peer=peer)


def _print_runs(runs: dict[str, list[Timed]]) -> None:
    print(f"{'':<30}{'images/s':>10}{'transfer':>10}{'wall s':>9}{'CPU s':>8}{'first MB':>10}{'all MB':>8}")
    for name, several in runs.items():
        for timed in several:
            cost = timed.cost
            print(
                f"{name:<30}{timed.whole:>10.1f}{timed.transfer:>10.1f}{cost.wall:>9.2f}{cost.cpu:>8.2f}"
                f"{cost.main_rss / MB:>10.1f}{cost.tree_rss / MB:>8.1f}"
            )


if __name__ == "__main__":
    main()
