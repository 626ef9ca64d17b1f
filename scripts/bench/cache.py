"""The array cache's bars: reading speed, first batch, memory and disk, beside JPEG decoding, a float32 .npz and Arrow.

    python scripts/bench/cache.py DATA

DATA is a folder that `hf-bones build` wrote. Each reader (`cache_readers.py`) runs in a process of its own, on one core, and reads all
rows in random order, 32 at a time. "Warm": the files are in the page cache. "Cold": they were dropped from it by posix_fadvise(DONTNEED)
before the process began, and opening counts. Each store is built by one thread, so that builds and epochs can be compared: an epoch pays
back what decoding would have taken less what reading takes. Linux only; psutil comes with accelerate.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cache_readers import padded
from result_file import bar, write_result

from hf_bones.dataset.arrays.export import export_npz
from hf_bones.dataset.arrays.reading import arrays_folder, open_arrays, stored_images
from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.images.opening import open_image
from hf_bones.preprocess import InputSpec, fit_to
from hf_bones.record import sha256_rows

READERS_FILE = Path(__file__).with_name("cache_readers.py")
QUICK_ROWS = 250
MB = 1e6
TITLES = {
    "jpeg": "JPEG, open_image + fit_to",
    "stock": "JPEG, Pillow to RGB float32",
    "npz": "float32 .npz",
    "arrow": "Arrow, Array2D",
    "arrays": "array cache",
    "unchecked": "array cache, unchecked",
}


@dataclass(frozen=True)
class Store:
    """What a reader reads: its files, and the seconds that one thread took to build it."""

    place: Path
    files: list[Path]
    seconds: float

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


@dataclass
class Measured:
    """A reader's figures, one a round: images/s, seconds to the first batch (with and without imports), memory in MB."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    first_without_imports: list[float] = field(default_factory=list)
    growth: list[float] = field(default_factory=list)
    uss: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5, help="how often each reader runs, in turns")
    parser.add_argument("--work", type=Path, help="folder for the stores; left out: a temporary one")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS} rows, fewer repeats: under a minute, to see that it runs")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    with tempfile.TemporaryDirectory(prefix="hf-bones-bench-") as temporary:
        work: Path = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        data = first_rows(options.data, work / "few") if options.quick else options.data.resolve()
        stores = build_stores(data, options.size, work)
        pixels = kept_pixels(data, options.size, stores["arrays"].place)
        measured = measure(data, stores, options.size, rounds)
        normalised = normalised_rates(data, options.size, stores["arrays"].place, rounds)
        digest = sha256_rows((split, sha) for split, part in load_bones(data).items() for sha in part["sha256"])
        count = sum(len(part) for part in load_bones(data).values())
        bars = [*speed_bars(measured, count), *first_batch_bars(measured), *memory_bars(measured, count)]
        bars += [*disk_bars(stores, pixels, count), *pay_bars(measured, stores, count), *normalised]
    write_result("cache", f"python scripts/bench/cache.py DATA --size {options.size}", digest, options.quick, bars)


def first_rows(data: Path, folder: Path) -> Path:
    """A dataset of a few rows of each split."""
    parts = load_bones(data)
    for split, part in parts.items():
        parts[split] = part.select(np.linspace(0, len(part) - 1, min(len(part), QUICK_ROWS // len(parts)), dtype=int))
    parts.save_to_disk(str(folder))
    return folder


def build_stores(data: Path, size: int, work: Path) -> dict[str, Store]:
    """What each reader reads, built anew."""
    parts = load_bones(data)
    table = [Path(file["filename"]) for part in parts.values() for file in part.cache_files]
    folder = arrays_folder(data, size, work / "arrays")
    shutil.rmtree(folder, ignore_errors=True)
    report = write_arrays(data, size, folder, workers=1)
    cached = open_arrays(folder, size, data)
    if cached is None or cached.problems or report.refused:
        raise SystemExit(f"{folder}: {cached.problems if cached else 'no cache'} {report.refused}")
    ours = Store(folder, [file for file in folder.iterdir() if file.name != ".lock"], report.seconds)
    started = time.monotonic()
    export_npz(parts, cached, size, work / "images.npz", fit="squash")
    seed = Store(work / "images.npz", [work / "images.npz"], time.monotonic() - started)
    started = time.monotonic()
    write_arrow(parts, size, work / "arrow")
    theirs = Store(work / "arrow", sorted((work / "arrow").glob("*.arrow")), time.monotonic() - started)
    stored = Store(data, table, 0.0)
    return {"jpeg": stored, "stock": stored, "npz": seed, "arrow": theirs, "arrays": ours, "unchecked": ours}


def write_arrow(parts: Mapping[str, Any], size: int, folder: Path) -> None:
    from datasets import Array2D, Dataset, Features

    def rows() -> Iterator[dict[str, Any]]:
        for part in parts.values():
            for images in stored_images(part):
                for data in images:
                    yield {"pixels": padded([fit_to(open_image(data).pixels, size)], size)[0]}

    features = Features({"pixels": Array2D((size, size), "uint8")})
    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        Dataset.from_generator(rows, features=features, cache_dir=cache).save_to_disk(str(folder))


def kept_pixels(data: Path, size: int, folder: Path) -> int:
    """Pixels of the dataset's distinct images at the training size: what a store cannot do without."""
    arrays = open_arrays(folder, size, data)
    if arrays is None:
        raise SystemExit(f"{folder}: no cache")
    found = {
        int(part.cache.offsets[entry]): int(part.cache.heights[entry]) * int(part.cache.widths[entry])
        for part in arrays.splits.values()
        for entry in part.entries
    }
    return sum(found.values())


def measure(data: Path, stores: Mapping[str, Store], size: int, rounds: int) -> dict[str, Measured]:
    """Each reader `rounds` times, in turns, so that whatever else the machine does falls on all: cold, then warm."""
    measured = {name: Measured() for name in stores}
    for number in range(rounds):
        for name, store in stores.items():
            mine = measured[name]
            drop(store.files)
            found, _ = run_reader(name, data, store, size, "--epochs", "1")
            # The first batch was read before the epoch that was timed: opening and it belong to a cold epoch.
            mine.cold.append(found["count"] / (found["count"] / found["rates"][0] + found["first"]))
            found, seconds = run_reader(name, data, store, size, "--epochs", "2", "--memory")
            mine.first.append(seconds)
            mine.first_without_imports.append(found["first"])
            mine.warm.append(max(found["rates"]))
            mine.growth.append((max(found["uss"]) - found["uss"][0]) / MB)
            mine.uss.append(max(found["uss"]) / MB)
            mine.rss.append(found["peak_rss"] / MB)
            print(f"round {number + 1}, {TITLES[name]}: {mine.warm[-1]:,.0f} images/s warm, {mine.cold[-1]:,.0f} cold", flush=True)
    return measured


def run_reader(name: str, data: Path, store: Store, size: int, *more: str) -> tuple[dict[str, Any], float]:
    """What the reader's process prints, and the seconds from its start to its first batch."""
    command = [sys.executable, str(READERS_FILE), name, str(data), str(store.place), str(size), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    started = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found, found["first_at"] - started


def drop(files: Sequence[Path]) -> None:
    """Drops files from the page cache; what is not yet on the disk would stay, so it is written first."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def median_bar(name: str, values: Sequence[float], n: int, **more: Any) -> dict[str, Any]:
    """The median of the rounds, with the least and the greatest."""
    return bar(name, statistics.median(values), n=n, interval=(min(values), max(values)), **more)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def speed_bars(measured: Mapping[str, Measured], count: int) -> list[dict[str, Any]]:
    ours, theirs, bare = measured["arrays"], measured["jpeg"], measured["unchecked"]
    bars = [
        median_bar("images/s ÷ JPEG decode's, warm", ratios(ours.warm, theirs.warm), count, target=20, peer=TITLES["jpeg"]),
        median_bar("images/s ÷ JPEG decode's, cold", ratios(ours.cold, theirs.cold), count, peer=TITLES["jpeg"]),
        median_bar("images/s without checksums ÷ with them, warm", ratios(bare.warm, ours.warm), count),
    ]
    for name, found in measured.items():
        bars.append(median_bar(f"{TITLES[name]}: images/s, warm", found.warm, count))
        bars.append(median_bar(f"{TITLES[name]}: images/s, cold", found.cold, count))
    return bars


def first_batch_bars(measured: Mapping[str, Measured]) -> list[dict[str, Any]]:
    ours, npz = measured["arrays"], measured["npz"]
    rounds, peer = len(ours.first), TITLES["npz"]
    sooner = ratios(npz.first, ours.first)
    bare = ratios(npz.first_without_imports, ours.first_without_imports)
    bars = [
        median_bar("first batch, .npz's seconds ÷ ours, from the process's start", sooner, rounds, target=10, peer=peer),
        median_bar("first batch, .npz's seconds ÷ ours, imports left out", bare, rounds, target=10, peer=peer),
    ]
    for name, found in measured.items():
        bars.append(median_bar(f"{TITLES[name]}: first batch, s", found.first, rounds))
        bars.append(median_bar(f"{TITLES[name]}: first batch without imports, s", found.first_without_imports, rounds))
    return bars


def memory_bars(measured: Mapping[str, Measured], count: int) -> list[dict[str, Any]]:
    """Private memory moves by what is mapped at a time (4 MiB) and a batch; flat means that it grows by no more over an epoch."""
    growth = measured["arrays"].growth
    bars = [median_bar("array cache: growth of private memory (USS) over an epoch, MB", growth, count, target=8, at_most=True)]
    for name, found in measured.items():
        bars.append(median_bar(f"{TITLES[name]}: peak memory (RSS), MB", found.rss, count))
        bars.append(median_bar(f"{TITLES[name]}: private memory (USS), MB", found.uss, count))
    return bars


def disk_bars(stores: Mapping[str, Store], pixels: int, count: int) -> list[dict[str, Any]]:
    bars = [bar("array cache: bytes on disk ÷ pixels kept", stores["arrays"].bytes / pixels, n=count, target=1.02, at_most=True)]
    bars += [bar(f"{TITLES[name]}: MB on disk", stores[name].bytes / MB, n=count) for name in ("jpeg", "npz", "arrow", "arrays")]
    return bars


def pay_bars(measured: Mapping[str, Measured], stores: Mapping[str, Store], count: int) -> list[dict[str, Any]]:
    """How long one thread took to build each store; after how many epochs building and reading took less time than decoding in each."""
    decode = count / statistics.median(measured["jpeg"].warm)
    bars = []
    for name in ("arrays", "arrow", "npz"):
        saved = decode - count / statistics.median(measured[name].warm)
        bars.append(bar(f"{TITLES[name]}: built in, s", stores[name].seconds, n=count))
        if saved > 0:
            bars.append(bar(f"{TITLES[name]}: epochs until its images/s have paid for building it", stores[name].seconds / saved, n=count))
    return bars


def normalised_rates(data: Path, size: int, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Images/s of the trainer's own rows as normalised float32 batches, with all cores, from the cache and from the stored images."""
    from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_to_input
    from hf_bones.training.data.rows import StoredImages

    part = load_bones(data)["train"]
    cached = open_arrays(folder, size, data)
    collate, spec, bars = SquareCollator(size), InputSpec(size), []
    order = np.random.default_rng(0).permutation(len(part)).tolist()
    for title, arrays in ((TITLES["arrays"], cached["train"] if cached else None), (TITLES["jpeg"], None)):
        rows = TrainingRows([StoredImages(part, arrays)], np.zeros(len(part), dtype=np.int64), size, seed=0)
        rates = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            for start in range(0, len(order), 32):
                batch_to_input(collate(rows.__getitems__(order[start : start + 32])), spec)
            rates.append(len(order) / (time.perf_counter() - started))
        target = 1500 if arrays is not None and size == 224 else None
        # The first one warms up.
        bars.append(median_bar(f"{title}: images/s as normalised batches, all cores", rates[1:], len(order), target=target))
    return bars


if __name__ == "__main__":
    main()
