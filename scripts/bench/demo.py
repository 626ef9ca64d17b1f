"""The demo's bars: how it starts, how it answers one and many, what it costs in memory, and what hostile uploads do to its visitors.

    python scripts/bench/demo.py [--quick] [--model MODEL]

The real command, `hf-bones demo`, is started; its clients speak plain HTTP from a process on the same cores. Films are drawn, JPEGs of 448
px as most of a public set are stored. An answer is crossed where its probabilities are not those that the predictor gives to that film.
"Bare" is the predictor in a process of its own with nothing else at work. Linux only.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import numpy as np
from demo_clients import Asked, ask_all
from harness import MB, Bar, arguments, bar, draw_jpegs, print_bars, run_worker, work_folder, write_result
from hostile import hostile_files

CLIENTS, FILMS, BAD_SHARE, ROUNDS = 32, 500, 0.05, 2_000
HOSTILE, HOSTILE_SIZES = 40, (20_000, 400_000, 4_000_000)
WARM = 30  # films that one client asks for alone
_LONGEST_START = 180.0  # s


@dataclass(frozen=True)
class Server:
    """`hf-bones demo` at work: its process, its address, where it keeps uploads, and how long it took to show its page, in s."""

    process: subprocess.Popen[bytes]
    address: str
    uploads: Path
    page_seconds: float
    started: float

    def memory(self) -> float:
        """Bytes (RSS) of the server without the processes that open files, which are started anew where a file was too much."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("VmRSS:"))

    def files(self) -> list[Path]:
        return [path for path in self.uploads.rglob("*") if path.is_file() and path.name != "hf_bones.lock"]


@contextmanager
def serving(model: str) -> Iterator[Server]:
    """The demo, from the time its page is there; it is ended as by Ctrl-C."""
    port, uploads = _free_port(), Path(tempfile.mkdtemp(prefix="hf-bones-bench-demo-"))
    command = [sys.executable, "-m", "hf_bones", "demo", "--model", model, "--port", str(port), "--no-browser"]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(uploads), "HF_HUB_OFFLINE": "1"}
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        try:
            address = f"http://127.0.0.1:{port}/"
            while not _shows(address):
                if process.poll() is not None or time.monotonic() - started > _LONGEST_START:
                    raise SystemExit(f"{' '.join(command)} does not answer")
                time.sleep(0.05)
            yield Server(process, address, uploads, time.monotonic() - started, started)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
            shutil.rmtree(uploads, ignore_errors=True)


def main() -> None:
    if sys.argv[1:2] == ["bare"]:
        print_bare(*sys.argv[2:])
        return
    parser = arguments(__doc__, needs_data=False)
    parser.add_argument("--model", default="bundled")
    options = parser.parse_args()
    films, rounds, hostile, warm = (40, 60, 8, 5) if options.quick else (FILMS, ROUNDS, HOSTILE, WARM)
    with work_folder() as work:
        good = draw_jpegs(work / "films", films - round(BAD_SHARE * films))
        bad = bad_films(work / "bad", good, films - len(good))
        names = work / "names.txt"
        names.write_text("\n".join(map(str, [*good, *bad])))
        bare = run_worker("demo.py", "bare", options.model, names, str(warm))
        with serving(options.model) as server:
            bars: list[Bar] = []
            for measured in (
                lambda: start_bars(server, good[0]),
                lambda: warm_bars(server, good[:warm], bare["alone"]),
                lambda: load_bars(server, mixed(good, bad), bare),
                lambda: memory_bars(server, good, rounds),
                lambda: hostile_bars(server, hostile_paths(work / "hostile", hostile), good),
            ):
                found = measured()
                print_bars(found)
                bars += found
            uploads = server.uploads
            alive = server.process.poll() is None
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(60)
            left = [path for path in uploads.rglob("*") if path.is_file()]
        bars += [bar("hostile uploads at once: crashes of the server", float(not alive), n=hostile, target=0, at_most=True)]
        bars += [bar("files left after the server was ended", float(len(left)), n=rounds, target=0, at_most=True)]
    write_result("demo", "demo.py", "", bars, quick=options.quick)


def start_bars(server: Server, film: Path) -> list[Bar]:
    (first,) = ask_all(server.address, [film], 1)
    assert first.finding is not None, first.error
    until = time.monotonic() - server.started
    return [
        bar("from the command to the page, s", server.page_seconds, n=1, target=8, at_most=True),
        bar("from the command to the first prediction, s", until, n=1, target=12, at_most=True),
    ]


def warm_bars(server: Server, films: Sequence[Path], alone: Sequence[float]) -> list[Bar]:
    seconds = [one.seconds for one in ask_all(server.address, films, 1)]
    times = median(seconds) / median(alone)
    return [
        bar("one visitor, warm, without heat map: median s", median(seconds), n=len(seconds)),
        bar("the bare predictor, a film at a time: median s", median(alone), n=len(alone)),
        bar("one visitor's median by the bare predictor's", times, n=len(seconds), target=1.3, at_most=True),
    ]


def load_bars(server: Server, films: Sequence[Path], bare: dict[str, Any]) -> list[Bar]:
    begun = time.perf_counter()
    asked = ask_all(server.address, films, CLIENTS)
    seconds = time.perf_counter() - begun
    rate, own = len(asked) / seconds, bare["rate"]
    refused = [one for one in asked if one.error.startswith("refused")]
    lost = len(films) - sum(one.finding is not None for one in asked) - len(refused)
    for one in asked:
        if one.error:
            print(f"{one.film.name}: {one.error}", file=sys.stderr)
    worst = float(np.percentile([one.seconds for one in asked], 95))
    count = len(films)
    return [
        bar("32 clients: lost", float(lost), n=count, target=0, at_most=True),
        bar("32 clients: refused", float(len(refused)), n=count, target=0, at_most=True),
        bar("32 clients: crossed answers", float(crossed(asked, bare["findings"])), n=count, target=0, at_most=True),
        bar("32 clients: films a second", rate, n=count, target=0.6 * own),
        bar("the bare predictor in batches of 16, the same files: films a second", own, n=count),
        bar("32 clients: share of the bare predictor's rate", rate / own, n=count, target=0.6),
        bar("32 clients: p95, s", worst, n=count, target=1.5 * CLIENTS / rate, at_most=True),
    ]


def memory_bars(server: Server, films: Sequence[Path], rounds: int) -> list[Bar]:
    """Over `rounds` films after as many as make the caches of the server what they stay."""
    ask_all(server.address, _over(films, rounds // 5), CLIENTS)
    before = server.memory()
    asked = ask_all(server.address, _over(films, rounds), CLIENTS)
    grown = (server.memory() - before) / MB
    failed = sum(one.finding is None for one in asked)
    return [
        bar(f"memory after {rounds} films more, MB grown", grown, n=rounds, target=50, at_most=True),
        bar("memory before them, MB", before / MB, n=1),
        bar("of these films without an answer", float(failed), n=rounds, target=0, at_most=True),
    ]


def hostile_bars(server: Server, hostile: Sequence[Path], films: Sequence[Path]) -> list[Bar]:
    """A visitor asks for film after film, alone and then while the hostile files come from as many clients as there are."""
    usual = max(one.seconds for one in ask_all(server.address, films[:10], 1))
    answered: list[Asked] = []
    ended = threading.Event()

    def visit() -> None:
        while not ended.is_set():
            answered.extend(ask_all(server.address, films[:1], 1))

    visitor = threading.Thread(target=visit)
    visitor.start()
    begun = time.perf_counter()
    came = ask_all(server.address, hostile, len(hostile))
    seconds = time.perf_counter() - begun
    ended.set()
    visitor.join()
    longer = max(one.seconds for one in answered) - usual
    unanswered, lost = (float(sum(one.finding is None for one in some)) for some in (answered, came))
    name = "hostile uploads at once"
    return [
        bar(f"{name}: the longest that a visitor waits more, s", longer, n=len(answered), target=10, at_most=True),
        bar(f"{name}: a visitor's films without an answer", unanswered, n=len(answered), target=0, at_most=True),
        bar(f"{name}: without an answer", lost, n=len(came), target=0, at_most=True),
        bar(f"{name}: until the last answer, s", seconds, n=len(came)),
    ]


def crossed(asked: Sequence[Asked], findings: dict[str, Any]) -> int:
    """Answers that are not the predictor's to their own film."""
    wrong = 0
    for one in asked:
        if one.finding is None:
            continue
        expected = findings[one.film.name]
        same = one.finding["source"] == one.film.name and one.finding["verdict"] == expected["verdict"]
        given, wanted = one.finding["probabilities"], expected["probabilities"]
        same = same and given.keys() == wanted.keys() and all(abs(given[name] - wanted[name]) < 1e-4 for name in wanted)
        wrong += not same
    return wrong


def print_bare(model: str, names: str, alone: str) -> None:
    """In a process of its own: the predictor's findings, its rate in batches, and its seconds a film. Prints JSON."""
    import json

    from hf_bones.inference.predictor import BonePredictor

    paths = [Path(line) for line in Path(names).read_text().splitlines()]
    predictor = BonePredictor.from_pretrained(model)
    predictor.predict(paths[:16])
    begun = time.perf_counter()
    found = predictor.predict(list(paths))
    rate = len(paths) / (time.perf_counter() - begun)
    seconds = []
    for path in paths[: int(alone)]:
        begun = time.perf_counter()
        predictor.predict(path)
        seconds.append(time.perf_counter() - begun)
    findings = {path.name: {"verdict": one.verdict, "probabilities": one.probabilities} for path, one in zip(paths, found, strict=True)}
    print(json.dumps({"rate": rate, "alone": seconds, "findings": findings}))


def bad_films(folder: Path, good: Sequence[Path], count: int) -> list[Path]:
    """Files that cannot be read: text, nothing, and films that are cut off."""
    folder.mkdir()
    contents = (lambda film: b"<html>not found</html>", lambda film: b"", lambda film: film.read_bytes()[:400])
    paths = [folder / f"bad-{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(contents[number % len(contents)](good[number]))
    return paths


def hostile_paths(folder: Path, count: int) -> list[Path]:
    """So many hostile files, of every format."""
    folder.mkdir()
    built = [(size, one) for size in HOSTILE_SIZES for one in hostile_files((size,))]
    chosen = [built[place] for place in np.linspace(0, len(built) - 1, count).astype(int)]
    paths = []
    for number, (_, one) in enumerate(chosen):
        name = re.sub(r"[^a-z0-9]+", "-", f"{one.kind}-{one.name}".lower())[:60]
        paths.append(folder / f"{number:02}-{name}.bin")
        paths[-1].write_bytes(one.make())
    return paths


def mixed(good: Sequence[Path], bad: Sequence[Path]) -> list[Path]:
    """Both in one order that is the same every time."""
    films = [*good, *bad]
    return [films[place] for place in np.random.default_rng(0).permutation(len(films))]


def _over(films: Sequence[Path], count: int) -> list[Path]:
    return [films[place % len(films)] for place in range(count)]


def _shows(address: str) -> bool:
    with suppress(OSError), urlopen(address, timeout=5):
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


if __name__ == "__main__":
    main()
