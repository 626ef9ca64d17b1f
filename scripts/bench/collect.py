"""The collector's bars: speed beside img2dataset, memory, a run with faults and kills, and the resume of a finished collection.

    python scripts/bench/collect.py DATA

DATA is a folder of JPEGs; left out, radiographs are drawn. They are served from memory by a process of its own on 64 loopback addresses
(`loopback_server.py`); nothing leaves the machine, but for the first run, which installs img2dataset into a venv of its own. Both
collectors run as commands, in turns, with the same number of downloads at a time, no delay, and three retries; ours with its address guard,
robots.txt and everything else on. "Whole process" is from the command's start to its end; "transfer" from the first to the last request
that the server saw, which leaves out start-up and what is still to be written then. Linux only.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from collect_faults import run_with_kills
from collect_plan import ALLOWED, Served
from collect_processes import Run, Server, run, serving
from harness import MB, VENVS, Bar, arguments, bar, draw_jpegs, median_bar, peer_venv, print_bars, ratios, work_folder, write_result

from hf_bones.record import sha256_rows

PEER = "img2dataset==1.47.0"
PEER_NAME = PEER.replace("==", " ")
PEER_PROCESSES = (1, 2)
DRAWN = 120  # radiographs drawn where no data is given
FAULTY = 0.3
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
class Timed:
    """A run of a collector that got all its images: images a second by process and by transfer, and what it cost."""

    whole: float
    transfer: float
    cost: Run


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

    def peer_command(self, out: Path, table: Path, rows: int, processes: int) -> list[str | Path]:
        """img2dataset at its nearest to what the collector does: the image is decoded, the bytes are kept as they came, SHA-256 and size
        are noted. The other settings are its own; a shard for each process, so that all of them work."""
        return [
            self.peer_venv / "bin" / "img2dataset", f"--url_list={table}", "--input_format=csv", "--save_additional_columns=['label']",
            f"--output_folder={out}", "--output_format=files", "--resize_mode=no", "--skip_reencode=True", f"--processes_count={processes}",
            f"--thread_count={self.concurrency // processes}", f"--number_sample_per_shard={-(-rows // processes)}", "--retries=3",
            "--enable_wandb=False",
        ]  # fmt: skip

    def checked(self, command: Sequence[str | Path]) -> Run:
        """A run that must end well."""
        cost = run(command, self.output)
        if cost.code or cost.killed:
            raise RuntimeError(f"a collector ended with {cost.code}; its last words: {self.output.read_text()[-2000:]}")
        return cost

    def timed(self, server: Server, command: Sequence[str | Path], out: Path, rows: int, *, fresh: bool = True) -> Timed:
        """Runs a collector into an empty folder (unless not `fresh`) and checks that it got everything."""
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
        before = len(server.requests())
        cost = self.checked(command)
        files = sum(1 for _ in out.rglob("*.jpg"))
        if files != rows:
            words = " ".join(map(str, command))
            raise RuntimeError(f"{words}: {files} images of {rows} are there; see {self.output} (keep it with --work)")
        asked = server.requests(before)
        return Timed(rows / cost.wall, rows / max(asked[-1].at - asked[0].at, 1e-3), cost)


def main() -> None:
    parser = arguments(__doc__, needs_data=False, data="folder of JPEGs; left out: radiographs are drawn")
    parser.add_argument("--only", choices=("speed", "memory", "faults"), action="append", help="these parts; nothing is written then")
    parser.add_argument("--concurrency", type=int, default=64, help="downloads at a time, of both collectors")
    parser.add_argument("--seed", type=int, default=0, help="seed of faults and kills")
    parser.add_argument("--peer-venv", type=Path, default=VENVS / "img2dataset", help="where img2dataset is, or is to be installed")
    parser.add_argument("--work", type=Path, help="folder to work in, which is kept; left out: a temporary one")
    options = parser.parse_args()
    with work_folder(options.work) as work:
        if not options.data:
            draw_jpegs(work / "drawn", DRAWN)
        sizes = QUICK if options.quick else FULL
        bench = Bench(options.data or work / "drawn", work, sizes, options.concurrency, options.peer_venv.expanduser())
        parts: dict[str, Callable[[Bench], list[Bar]]] = {"speed": speed_bars, "memory": memory_and_resume_bars}
        parts["faults"] = partial(fault_bars, seed=options.seed)
        bars = [line for name in options.only or parts for line in parts[name](bench)]
        digest = sha256_rows(enumerate(Served(bench.data, sizes.speed).hashes))
    if options.only:
        print_bars(bars)
    else:
        write_result("collect", "collect.py" + (" DATA" if options.data else ""), digest, bars, quick=options.quick)


def speed_bars(bench: Bench) -> list[Bar]:
    """Ours and the peer in turns, on the same server."""
    peer_venv(bench.peer_venv, PEER, "setuptools<81")
    count = bench.sizes.speed
    ours: list[Timed] = []
    theirs: dict[int, list[Timed]] = {processes: [] for processes in PEER_PROCESSES}
    table = bench.work / "links.csv"
    with serving(bench.data, count, bench.work / "requests.log") as server:
        # First a few, so that both programs have been read from the disk once.
        for rows, times in ((20, 1), (count, bench.sizes.runs)):
            Served(bench.data, count).write_table(table, server.port, rows)
            for _ in range(times):
                out = bench.work / "ours"
                timed = [bench.timed(server, bench.command(out, table), out, rows)]
                out = bench.work / "theirs"
                timed += [bench.timed(server, bench.peer_command(out, table, rows, n), out, rows) for n in PEER_PROCESSES]
                print(", ".join(f"{one.whole:.1f} images/s" for one in timed), flush=True)
                if rows == count:
                    for runs, one in zip((ours, *theirs.values()), timed, strict=True):
                        runs.append(one)
    bars = []
    rates: dict[str, Callable[[Timed], float]] = {"whole process": lambda run: run.whole, "transfer alone": lambda run: run.transfer}
    for what, rate in rates.items():
        best = max(theirs, key=lambda n: median(map(rate, theirs[n])))  # its better setting, for each figure by itself
        label = f"{PEER_NAME}, {best} process{'es' if best > 1 else ''} × {bench.concurrency // best} threads"
        mine, other = list(map(rate, ours)), list(map(rate, theirs[best]))
        rounds = ratios(mine, other)
        target = 1.0 if what == "whole process" else None
        span = min(rounds), max(rounds)
        bars.append(
            bar(f"images/s ÷ img2dataset's, {what}", median(mine) / median(other), n=count, interval=span, target=target, peer=label)
        )
        bars.append(median_bar(f"hf-bones: images/s, {what}", mine, count))
        bars.append(median_bar(f"img2dataset: images/s, {what}", other, count, peer=label))
    best = max(theirs, key=lambda n: median(timed.whole for timed in theirs[n]))
    for who, several in (("hf-bones", ours), ("img2dataset", theirs[best])):
        costs = [timed.cost for timed in several]
        bars.append(median_bar(f"{who}: CPU seconds", [cost.cpu for cost in costs], count))
        bars.append(median_bar(f"{who}: peak memory of the first process, MB", [cost.main_rss / MB for cost in costs], count))
        bars.append(median_bar(f"{who}: peak memory of all processes, MB", [cost.tree_rss / MB for cost in costs], count))
    return bars


def memory_and_resume_bars(bench: Bench) -> list[Bar]:
    """Collections of three sizes; the last is then filled up to the rows of the resume, and the command given once more."""
    sizes = bench.sizes
    peaks: dict[int, list[Run]] = {}
    table, out = bench.work / "links.csv", bench.work / "ours"
    command = bench.command(out, table)
    with serving(bench.data, sizes.resume, bench.work / "requests.log") as server:
        served = Served(bench.data, sizes.resume)
        for count in sizes.memory:
            served.write_table(table, server.port, count)
            peaks[count] = [bench.timed(server, command, out, count).cost for _ in range(sizes.runs)]
        served.write_table(table, server.port)
        bench.timed(server, command, out, sizes.resume, fresh=False)
        before = len(server.requests())
        seconds = [bench.checked(command).wall for _ in range(sizes.runs)]
        asked = len(server.requests(before))
    bars = []
    _, small, large = sizes.memory
    for who, kind in (("the first process", "main_rss"), ("all processes", "tree_rss")):
        peak = {count: [getattr(cost, kind) / MB for cost in costs] for count, costs in peaks.items()}
        bars += [median_bar(f"peak memory of {who} at {count} images, MB", values, count) for count, values in peak.items()]
        base = median(peak[small])
        most = round(max(MOST_GROWTH[0], MOST_GROWTH[1] * base), 1)
        name = f"growth of the memory of {who} from {small} to {large} images, MB"
        bars.append(bar(name, median(peak[large]) - base, n=large, target=most, at_most=True))
    bars.append(median_bar("resume of a finished collection, s", seconds, sizes.resume, target=2.0, at_most=True))
    bars.append(bar("requests of the resume", asked, n=sizes.resume, target=0, at_most=True))
    return bars


def fault_bars(bench: Bench, seed: int) -> list[Bar]:
    """Faulty answers and kills, judged by the server's plan."""
    count = bench.sizes.faults
    table, out = bench.work / "faulty.csv", bench.work / "faults"
    shutil.rmtree(out, ignore_errors=True)
    with serving(bench.data, count, bench.work / "faulty.log", FAULTY, seed) as server:
        served = Served(bench.data, count, FAULTY, seed)
        served.write_table(table, server.port)
        command = bench.command(out, table, per_host=4, connect_timeout=4, file_timeout=4, attempts=4, first_wait=0.05)
        wrong, faulty = run_with_kills(served, server, out, command, bench.output, seed)
    bars = [bar(f"fault run: {kind}", len(found), n=count, target=0, at_most=True) for kind, found in wrong.items()]
    return [*bars, bar("fault run: share of faulty responses", faulty, n=count)]


if __name__ == "__main__":
    main()
