"""The readers that `cache.py` compares. Run by it, each in a process of its own:

    python scripts/bench/cache_readers.py READER DATA PLACE SIZE

DATA is the dataset's folder, PLACE what the reader reads (for `jpeg` and `stock` the dataset itself). Prints one line of JSON: when the
first batch was in hand, images/s of each epoch, memory. An epoch reads every row once, in random order, 32 at a time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from memory import peak_memory

BATCH = 32
Read = Callable[[Sequence[int]], Any]


def jpeg(data: Path, _place: Path, size: int) -> tuple[Read, int]:
    """Stored bytes by the project's opener, long side at `size`, padded: grey uint8 (B, S, S)."""
    from hf_bones.dataset.schema import image_bytes
    from hf_bones.images.opening import open_image
    from hf_bones.preprocess import fit_to

    images = _rows_of(data, decode=False)
    return lambda rows: padded([fit_to(open_image(image_bytes(cell)).pixels, size) for cell in images[rows]["image"]], size), len(images)


def stock(data: Path, _place: Path, size: int) -> tuple[Read, int]:
    """As the examples of image classification do it: Pillow, RGB, squashed to the square, float32 (B, S, S, 3) in [0, 1]."""
    from PIL import Image

    images = _rows_of(data, decode=True)

    def read(rows: Sequence[int]) -> Any:
        pictures = [picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR) for picture in images[rows]["image"]]
        return np.stack([np.asarray(picture, dtype=np.float32) / 255 for picture in pictures])

    return read, len(images)


def npz(_data: Path, place: Path, _size: int) -> tuple[Read, int]:
    """One compressed .npz, loaded whole: float32 (B, S, S, 3) in [0, 1]."""
    images = np.load(place)["images"]
    return lambda rows: images[rows], len(images)


def arrow(_data: Path, place: Path, _size: int) -> tuple[Read, int]:
    """Decoded arrays in Arrow, an Array2D feature read in numpy's format: grey uint8 (B, S, S)."""
    from datasets import load_from_disk

    images = load_from_disk(str(place)).with_format("numpy")
    return lambda rows: images[rows]["pixels"], len(images)


def arrays(data: Path, place: Path, size: int) -> tuple[Read, int]:
    """The array cache, every image checked: grey uint8 (B, S, S)."""
    from hf_bones.dataset.arrays.reading import SplitArrays, open_arrays

    found = open_arrays(place, size, data)
    if found is None or found.problems:
        raise SystemExit(f"{place}: {found.problems if found else 'no cache'}")
    splits = list(found.splits.values())
    rows_there = SplitArrays(size, found.repair, splits[0].cache, np.concatenate([part.entries for part in splits]))
    return lambda rows: padded(rows_there.read(rows), size), len(rows_there)


def unchecked(data: Path, place: Path, size: int) -> tuple[Read, int]:
    """The array cache with its checksums left out, to tell what they cost."""
    from hf_bones.dataset.arrays import pixels as cache_pixels

    def believed(_cache: Any, _image: Any, _checksum: int) -> bool:
        return True

    setattr(cache_pixels.ArrayCache, "_intact", believed)  # noqa: B010 - a method cannot be assigned to
    return arrays(data, place, size)


READERS: dict[str, Callable[[Path, Path, int], tuple[Read, int]]] = {
    "jpeg": jpeg, "stock": stock, "npz": npz, "arrow": arrow, "arrays": arrays, "unchecked": unchecked,
}  # fmt: skip


def _rows_of(data: Path, decode: bool) -> Any:
    from datasets import Image, concatenate_datasets

    from hf_bones.dataset.schema import load_bones

    parts = [part.select_columns(["image"]) for part in load_bones(data).values()]
    return concatenate_datasets(parts).cast_column("image", Image(decode=decode))


def padded(images: Sequence[Any], size: int) -> Any:
    """Grey images (h, w) as (B, S, S), padded right and below, as the trainer's collator does it."""
    batch = np.zeros((len(images), size, size), dtype=np.uint8)
    for place, image in enumerate(images):
        batch[place, : image.shape[0], : image.shape[1]] = image
    return batch


def load_libraries(reader: str) -> None:
    """Imports what a reader needs, so that its first batch can also be timed without."""
    if reader in ("jpeg", "stock", "arrow"):
        import datasets  # noqa: F401
    if reader != "npz":
        import hf_bones.dataset.arrays.reading
        import hf_bones.images.opening
        import hf_bones.preprocess  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("data", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("size", type=int)
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs")
    parser.add_argument("--memory", action="store_true", help="one epoch more, first, in which memory is watched")
    options = parser.parse_args()
    load_libraries(options.reader)
    opened = time.perf_counter()
    read, count = READERS[options.reader](options.data, options.place, options.size)
    order = np.random.default_rng(0).permutation(count)
    batches = [order[start : start + BATCH].tolist() for start in range(0, count, BATCH)]
    if len(read(batches[0])) != len(batches[0]):
        raise SystemExit(f"{options.reader}: the first batch is not whole")
    found: dict[str, Any] = {"first_at": time.time(), "first": time.perf_counter() - opened, "count": count, "rates": [], "uss": []}
    if options.memory:
        found["uss"] = watch_memory(read, batches)
    for _ in range(options.epochs):
        started = time.perf_counter()
        for rows in batches:
            read(rows)
        found["rates"].append(count / (time.perf_counter() - started))
    found["peak_rss"] = peak_memory()
    print(json.dumps(found))


def watch_memory(read: Read, batches: Sequence[Sequence[int]]) -> list[int]:
    """Private memory (USS, bytes) after some fifty batches spread over an epoch."""
    import psutil

    process = psutil.Process()
    step = max(1, len(batches) // 50)
    seen = []
    for number, rows in enumerate(batches):
        read(rows)
        if number % step == 0:
            seen.append(process.memory_full_info().uss)
    return seen


if __name__ == "__main__":
    main()
