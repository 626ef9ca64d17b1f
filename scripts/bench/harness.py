"""What the benchmarks share: arguments, processes of their own, peers' venvs, memory, and bars, printed and written as one results file.

Each bar is a mapping with `bar`, `value`, `interval` (or null), `n`, `target`, `holds` and `peer`; the file is results/<name>.json, or
results/<name>-quick.json. Nothing here imports torch or `datasets`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hf_bones.labels import THREE_CLASS
from hf_bones.metrics.figures import classification_metrics
from hf_bones.metrics.intervals import bootstrap_intervals, percentile_interval
from hf_bones.record import now, write_json

RESULTS = Path(__file__).parent / "results"
VENVS = Path("~/.cache/hf-bones-bench").expanduser()
MB = 1e6
Bar = dict[str, Any]


def arguments(
    description: str | None, *, needs_data: bool = True, data: str = "a folder that `hf-bones build` wrote"
) -> argparse.ArgumentParser:
    """A parser with the data's place and --quick."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs=None if needs_data else "?", help=data)
    parser.add_argument("--quick", action="store_true", help="few images, fewer repeats: under a minute, to see that it runs")
    return parser


@contextmanager
def work_folder(kept: Path | None = None) -> Iterator[Path]:
    """The folder to work in, which is made and stays; without one a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="hf-bones-bench-") as temporary:
        work = (kept or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        yield work


def bar(
    name: str,
    value: float,
    *,
    n: int,
    interval: Sequence[float | None] | None = None,
    target: float | None = None,
    at_most: bool = False,
    peer: str | None = None,
) -> Bar:
    """One measured line. `holds` is None without a target; `at_most` says that lower is better."""
    holds = None if target is None else bool(value <= target if at_most else value >= target)
    return {"bar": name, "value": value, "interval": interval, "n": n, "target": target, "holds": holds, "peer": peer}


def median_bar(name: str, values: Sequence[float], n: int, **more: Any) -> Bar:
    """The median of a few rounds, with the least and the greatest."""
    return bar(name, median(values), n=n, interval=(min(values), max(values)), **more)


def sampled_bar(name: str, values: Sequence[float], **more: Any) -> Bar:
    """The median of many values with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(np.array(values), size=(2000, len(values)))
    return bar(name, median(values), n=len(values), interval=percentile_interval(np.median(drawn, axis=1)), **more)


def figure_bars(
    names: Mapping[str, str],
    truth: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str],
    targets: Mapping[str, float | None] | None = None,
    peer: str | None = None,
) -> list[Bar]:
    """Figures of a classifier (key → name of the bar) with intervals over groups."""
    figures = classification_metrics(truth, probabilities, THREE_CLASS.names)
    spans = bootstrap_intervals(truth, probabilities, groups, THREE_CLASS.names)
    wanted = targets or {}
    return [
        bar(name, figures[key], n=len(truth), interval=spans.get(key), target=wanted.get(key), peer=peer) for key, name in names.items()
    ]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def few_of_each(rows: Any, count: int, allowed: Any = True) -> Any:
    """The first `count` rows of each class of a `datasets.Dataset`, of those that are `allowed` (a mask)."""
    labels = np.where(allowed, np.array(rows["label"]), -1)
    return rows.select(np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(3)])).tolist())


def run_worker(script: str, *words: object, python: str | Path = sys.executable, **environment: str) -> dict[str, Any]:
    """What a script beside this one prints as its last line, JSON. It is a process of its own; what it says of errors ends this one."""
    command = [python, Path(__file__).with_name(script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        raise SystemExit(f"{script} {words[0]}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def draw_jpegs(folder: Path, count: int) -> list[Path]:
    """Draws radiographs into a folder, for want of real ones: as large as most films of a public set are stored."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(_draw_jpeg, folder), range(count)))


def _draw_jpeg(folder: Path, seed: int) -> Path:
    from PIL import Image

    from hf_bones.dataset.drawn.radiograph import draw_radiograph

    path = folder / f"{seed:04}.jpg"
    Image.fromarray(draw_radiograph(seed, size=448).pixels).save(path, quality=90)
    return path


def peer_venv(folder: Path, *packages: str) -> Path:
    """The `bin` of a venv with these packages, made and filled where there is none."""
    programs = folder.expanduser() / "bin"
    if not (programs / "installed").is_file():
        print(f"installing {', '.join(packages)} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", programs.parent], check=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "-qq", *packages], check=True)
        (programs / "installed").touch()
    return programs


def print_bars(bars: Sequence[Mapping[str, Any]]) -> None:
    for line in bars:
        interval = line["interval"]
        span = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval and interval[0] is not None else ""
        target = "" if line["target"] is None else f"  target {line['target']} {'holds' if line['holds'] else 'MISSED'}"
        print(f"{line['bar']:<72} {line['value']:.3f}{span}  n={line['n']}{target}")


def write_result(
    name: str, command: str, data_sha256: str, bars: Sequence[Mapping[str, Any]], *, quick: bool = False, machine: str | None = None
) -> None:
    """Writes and prints the result. `command` names the data by the word DATA, not by a path of this machine.

    `machine` says what measured, where that was another than this one.
    """
    path = RESULTS / f"{name}{'-quick' if quick else ''}.json"
    found = {
        "command": f"python scripts/bench/{command}",
        "revision": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "data_sha256": data_sha256,
        "machine": machine or f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "date": now(),
        "quick": quick,
        "bars": list(bars),
    }
    write_json(path, found)
    print_bars(bars)
    print(f"written: {path}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()
