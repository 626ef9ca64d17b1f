"""The array cache's bars: reading speed, first batch, memory and disk, beside JPEG decoding, a float32 .npz and Arrow.

    python scripts/bench/cache.py DATA

DATA is a folder that `hf-bones build` wrote. Each reader (`cache_readers.py`) runs in a process of its own, on one core, and reads all
rows in random order, 32 at a time. "Warm": the files are in the page cache. "Cold": they were dropped from it by posix_fadvise(DONTNEED)
before the process began, and opening counts. Each store is built by one thread, so that builds and epochs can be compared: an epoch pays
back what decoding would have taken less what reading takes. Linux only; psutil comes with accelerate.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cache_readers import padded
from harness import MB, Bar, arguments, bar, few_of_each, median_bar, ratios, run_worker, work_folder, write_result

from hf_bones.dataset.arrays.export import NpzChoices, export_npz
from hf_bones.dataset.arrays.reading import DatasetArrays, arrays_folder, open_arrays, stored_images
from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.images.opening import open_image
from hf_bones.preprocess import InputSpec, fit_to
from hf_bones.record import sha256_rows

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


Measured = dict[str, dict[str, list[float]]]  # reader → figure → one a round


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5, help="how often each reader runs, in turns")
    parser.add_argument("--work", type=Path, help="folder for the stores; left out: a temporary one")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    with work_folder(options.work) as work:
        data: Path = options.data.resolve()
        if options.quick:
            few = load_bones(data)
            for split, part in few.items():
                few[split] = few_of_each(part, 28)
            data = work / "few"
            few.save_to_disk(str(data))
        parts = load_bones(data)
        stores, cached = build_stores(data, options.size, work)
        measured = measure(data, stores, options.size, rounds)
        count = sum(len(part) for part in parts.values())
        bars = [*speed_bars(measured, count), *first_batch_bars(measured), *memory_bars(measured, count)]
        bars += [*disk_bars(stores, kept_pixels(cached), count), *pay_bars(measured, stores, count)]
        bars += normalised_rates(parts["train"], options.size, cached, rounds)
        digest = sha256_rows((split, sha) for split, part in parts.items() for sha in part["sha256"])
    write_result("cache", f"cache.py DATA --size {options.size}", digest, bars, quick=options.quick)


def build_stores(data: Path, size: int, work: Path) -> tuple[dict[str, Store], DatasetArrays]:
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
    export_npz(parts, cached, size, NpzChoices(work / "images.npz", fit="squash"))
    seed = Store(work / "images.npz", [work / "images.npz"], time.monotonic() - started)
    started = time.monotonic()
    write_arrow(parts, size, work / "arrow")
    theirs = Store(work / "arrow", sorted((work / "arrow").glob("*.arrow")), time.monotonic() - started)
    stored = Store(data, table, 0.0)
    stores = {"jpeg": stored, "stock": stored, "npz": seed, "arrow": theirs, "arrays": ours, "unchecked": ours}
    return stores, cached


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


def kept_pixels(cached: DatasetArrays) -> int:
    """Pixels of the dataset's distinct images at the training size: what a store cannot do without."""
    found = {
        int(part.cache.offsets[entry]): int(part.cache.heights[entry]) * int(part.cache.widths[entry])
        for part in cached.splits.values()
        for entry in part.entries
    }
    return sum(found.values())


def measure(data: Path, stores: Mapping[str, Store], size: int, rounds: int) -> Measured:
    """Each reader `rounds` times, in turns, so that whatever else the machine does falls on all: cold, then warm.

    Images/s, seconds to the first batch (with and without imports), memory in MB.
    """
    measured: Measured = {name: defaultdict(list) for name in stores}
    for number in range(rounds):
        for name, store in stores.items():
            words = name, data, store.place, size
            drop(store.files)
            cold = run_worker("cache_readers.py", *words, "--epochs", 1, OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
            started = time.time()
            warm = run_worker("cache_readers.py", *words, "--epochs", 2, "--memory", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
            figures = {
                # The first batch was read before the epoch that was timed: opening and it belong to a cold epoch.
                "cold": cold["count"] / (cold["count"] / cold["rates"][0] + cold["first"]),
                "warm": max(warm["rates"]),
                "first": warm["first_at"] - started,
                "first without imports": warm["first"],
                "growth": (max(warm["uss"]) - warm["uss"][0]) / MB,
                "uss": max(warm["uss"]) / MB,
                "rss": warm["peak_rss"] / MB,
            }
            for figure, value in figures.items():
                measured[name][figure].append(value)
            print(f"round {number + 1}, {TITLES[name]}: {figures['warm']:,.0f} images/s warm, {figures['cold']:,.0f} cold", flush=True)
    return measured


def drop(files: Sequence[Path]) -> None:
    """Drops files from the page cache; what is not yet on the disk would stay, so it is written first."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def of_each(measured: Measured, titles: Mapping[str, str], n: int) -> list[Bar]:
    """These figures of every reader."""
    return [
        median_bar(f"{TITLES[name]}: {title}", found[figure], n) for name, found in measured.items() for figure, title in titles.items()
    ]


def speed_bars(measured: Measured, count: int) -> list[Bar]:
    ours, theirs, bare = measured["arrays"], measured["jpeg"], measured["unchecked"]
    return [
        median_bar("images/s ÷ JPEG decode's, warm", ratios(ours["warm"], theirs["warm"]), count, target=20, peer=TITLES["jpeg"]),
        median_bar("images/s ÷ JPEG decode's, cold", ratios(ours["cold"], theirs["cold"]), count, peer=TITLES["jpeg"]),
        median_bar("images/s without checksums ÷ with them, warm", ratios(bare["warm"], ours["warm"]), count),
        *of_each(measured, {"warm": "images/s, warm", "cold": "images/s, cold"}, count),
    ]


def first_batch_bars(measured: Measured) -> list[Bar]:
    ours, npz = measured["arrays"], measured["npz"]
    rounds = len(ours["first"])
    bars = []
    for figure, how in (("first", "from the process's start"), ("first without imports", "imports left out")):
        sooner = ratios(npz[figure], ours[figure])
        bars.append(median_bar(f"first batch, .npz's seconds ÷ ours, {how}", sooner, rounds, target=10, peer=TITLES["npz"]))
    return bars + of_each(measured, {"first": "first batch, s", "first without imports": "first batch without imports, s"}, rounds)


def memory_bars(measured: Measured, count: int) -> list[Bar]:
    """Private memory moves by what is mapped at a time (4 MiB) and a batch; flat means that it grows by no more over an epoch."""
    name = "array cache: growth of private memory (USS) over an epoch, MB"
    growth = median_bar(name, measured["arrays"]["growth"], count, target=8, at_most=True)
    return [growth, *of_each(measured, {"rss": "peak memory (RSS), MB", "uss": "private memory (USS), MB"}, count)]


def disk_bars(stores: Mapping[str, Store], pixels: int, count: int) -> list[Bar]:
    bars = [bar("array cache: bytes on disk ÷ pixels kept", stores["arrays"].bytes / pixels, n=count, target=1.02, at_most=True)]
    bars += [bar(f"{TITLES[name]}: MB on disk", stores[name].bytes / MB, n=count) for name in ("jpeg", "npz", "arrow", "arrays")]
    return bars


def pay_bars(measured: Measured, stores: Mapping[str, Store], count: int) -> list[Bar]:
    """How long one thread took to build each store; after how many epochs building and reading took less time than decoding in each."""
    decode = count / median(measured["jpeg"]["warm"])
    bars = []
    for name in ("arrays", "arrow", "npz"):
        saved = decode - count / median(measured[name]["warm"])
        bars.append(bar(f"{TITLES[name]}: built in, s", stores[name].seconds, n=count))
        if saved > 0:
            bars.append(bar(f"{TITLES[name]}: epochs until its images/s have paid for building it", stores[name].seconds / saved, n=count))
    return bars


def normalised_rates(part: Any, size: int, cached: DatasetArrays, rounds: int) -> list[Bar]:
    """Images/s of the trainer's own rows as normalised float32 batches, with all cores, from the cache and from the stored images."""
    from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_to_input
    from hf_bones.training.data.rows import StoredImages

    collate, spec, bars = SquareCollator(size), InputSpec(size), []
    order = np.random.default_rng(0).permutation(len(part)).tolist()
    for title, arrays in ((TITLES["arrays"], cached["train"]), (TITLES["jpeg"], None)):
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
