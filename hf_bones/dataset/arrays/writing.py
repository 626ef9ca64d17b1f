"""Writing an array cache, resuming one that was interrupted, and repairing one that is damaged or stale: all the same run.

Each run checks every image that is there, keeps those that the dataset still has, and decodes the others. Pixels are appended and flushed
before the records that point at them, a chunk at a time, so that a run killed at any moment loses one chunk at most. Pixels that no row
needs any more are taken out at the end, by a copy that is put in place in one step.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from hf_bones.dataset.arrays.index import (
    INDEX_NAME,
    RECORD,
    ArrayCacheError,
    Header,
    Index,
    Pixels,
    Records,
    SplitState,
    pixel_checksum,
    preprocessing_key,
    read_index,
    sealed,
    sources_of,
    usable_index,
    write_index,
)
from hf_bones.dataset.arrays.pixels import ArrayCache
from hf_bones.dataset.arrays.reading import ends_of, folder_states, source_digests, stored_images
from hf_bones.dataset.schema import load_bones
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.preprocess import fit_to

_CHUNK = 128  # images between two records of progress: half a second to two seconds of work
_READ_AT_ONCE = 256
_MOST_SLACK = 1.01  # a file that is larger than its pixels in use by this factor is copied without the others


@dataclass
class CacheReport:
    """What a run did: rows of the dataset, images decoded now, rows kept, damaged ones found; `refused` rows cannot be opened.

    `pixel_bytes` and `index_bytes` are the sizes of the files, `used_bytes` of the pixels in use.
    """

    folder: Path
    images: int = 0
    decoded: int = 0
    kept: int = 0
    damaged: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pixel_bytes: int = 0
    used_bytes: int = 0
    index_bytes: int = 0
    decode_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Place:
    """Where an image's pixels lie in the file, and their checksum."""

    offset: int
    shape: tuple[int, ...]
    pixels: int


def write_arrays(
    dataset: str | Path | Mapping[str, Any], size: int, folder: Path, *, workers: int | None = None, progress: bool = True
) -> CacheReport:
    """Brings the cache in `folder` up to a dataset with a long side of `size` px, making it where there is none.

    `dataset` is a folder, a Hub id, or splits in memory. Images are decoded on `workers` threads, by default one a CPU core. Images that
    `open_image` refuses are named in the report and left out. One run at a time writes to a folder; another waits. Raises OSError where
    the folder cannot be written, and what `load_bones` raises.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        report = CacheReport(folder)
        place = "" if isinstance(dataset, Mapping) else dataset
        known = folder_states(place) if place else {}
        parts = dataset if isinstance(dataset, Mapping) else load_bones(dataset)
        sources = _hash_all(parts, progress)
        if known and folder_states(place) != known:
            known = {}  # a dataset that was replaced meanwhile must not pass for the one that was read
        states = {split: SplitState(len(part), "" if _names_files(part) else known.get(split, "")) for split, part in parts.items()}
        index = _resumable_index(folder, size, report)
        places = _intact_places(folder, index, report) if index else {}
        header = Header(preprocessing_key(size), states, index.header.pixels if index else _next_name(folder))
        rows = [(number, row, source) for number, split in enumerate(sources) for row, source in enumerate(sources[split])]
        records = _records([(*entry, places[entry[2]]) for entry in rows if entry[2] in places])
        (folder / header.pixels).touch()
        # The index first: only then are pixels that it does not name no longer anyone's.
        write_index(folder, header, records)
        os.truncate(folder / header.pixels, int(ends_of(records).max(initial=0)))
        _remove_others(folder, header.pixels)
        missing = [entry for entry in rows if entry[2] not in places]
        report.images, report.kept = len(rows), len(rows) - len(missing)
        begun = time.monotonic()
        _append(parts, missing, size, folder, header, workers or os.cpu_count() or 1, progress, report)
        report.decode_seconds = time.monotonic() - begun
        report.used_bytes = _compact(folder)
        report.index_bytes = (folder / INDEX_NAME).stat().st_size
        report.pixel_bytes = sum(file.stat().st_size for file in folder.glob("pixels-*.u8"))
    report.seconds = time.monotonic() - started
    return report


def _resumable_index(folder: Path, size: int, report: CacheReport) -> Index | None:
    """The index of a cache that can be resumed; otherwise None, and a note says why."""
    try:
        index = usable_index(folder, size)
        if not (folder / index.header.pixels).is_file():
            raise ArrayCacheError(f"{index.header.pixels} is gone")
    except FileNotFoundError:
        return None
    except ArrayCacheError as error:
        report.notes.append(f"rewritten: {error}")
        return None
    return index


def _intact_places(folder: Path, index: Index, report: CacheReport) -> dict[bytes, _Place]:
    """Where the intact images lie, by the SHA-256 of their source."""
    cache = ArrayCache(folder, index)
    sources = sources_of(index.records)
    places: dict[bytes, _Place] = {}
    report.damaged = index.damaged
    for start in range(0, len(cache), _READ_AT_ONCE):
        entries = range(start, min(start + _READ_AT_ONCE, len(cache)))
        for entry, image in zip(entries, cache.read(entries), strict=True):
            if image is None:
                report.damaged += 1
            else:
                record = index.records[entry]
                places[sources[entry]] = _Place(int(record["offset"]), image.shape, int(record["pixels"]))
    cache.close()
    return places


def _records(rows: list[tuple[int, int, bytes, _Place]]) -> Records:
    records = np.zeros(len(rows), RECORD)
    if rows:
        splits, numbers, sources, places = zip(*rows, strict=True)
        records["split"], records["row"] = splits, numbers
        records["source"] = np.frombuffer(b"".join(sources), np.uint8).reshape(-1, 32)
        records["offset"] = [place.offset for place in places]
        records["height"], records["width"] = zip(*(place.shape for place in places), strict=True)
        records["pixels"] = [place.pixels for place in places]
    return sealed(records)


def _append(
    parts: Mapping[str, Any],
    missing: list[tuple[int, int, bytes]],
    size: int,
    folder: Path,
    header: Header,
    workers: int,
    progress: bool,
    report: CacheReport,
) -> None:
    """Decodes the missing rows and appends them, a chunk at a time; of identical images the pixels are written once."""
    splits = list(parts)
    places: dict[bytes, _Place] = {}
    with (
        (folder / header.pixels).open("ab") as pixels,
        (folder / INDEX_NAME).open("ab") as index,
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(missing), desc=f"arrays at {size} px", unit="img", disable=not progress) as shown,
    ):
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            fresh: dict[bytes, tuple[int, int]] = {}
            for split, row, source in chunk:
                if source not in places:
                    fresh.setdefault(source, (split, row))
            decoded = pool.map(lambda data: _decode(data, size), _bytes_of(parts, splits, list(fresh.values())))
            for (source, (split, row)), image in zip(fresh.items(), decoded, strict=True):
                if isinstance(image, ImageRefusedError):
                    report.refused.append(f"{splits[split]}/{row}: {image.reason} ({image.detail})")
                    continue
                places[source] = _Place(pixels.tell(), image.shape, pixel_checksum(image))
                pixels.write(image.data)
                report.decoded += 1
            _flush(pixels)
            index.write(_records([(*entry, places[entry[2]]) for entry in chunk if entry[2] in places]).tobytes())
            _flush(index)
            shown.update(len(chunk))


def _bytes_of(parts: Mapping[str, Any], splits: list[str], rows: list[tuple[int, int]]) -> Iterator[bytes]:
    """The stored images of rows (split, row), in their order; neighbours of one split are read together."""
    start = 0
    for split, count in Counter(split for split, _ in rows).items():
        for images in stored_images(parts[splits[split]], [row for _, row in rows[start : start + count]]):
            yield from images
        start += count


def _decode(data: bytes, size: int) -> Pixels | ImageRefusedError:
    try:
        return np.ascontiguousarray(fit_to(open_image(data).pixels, size))
    except ImageRefusedError as error:
        return error


def _flush(stream: Any) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _compact(folder: Path) -> int:
    """Copies the pixels that are in use to a new file, where the old one holds too many others. Returns how many bytes are in use."""
    index = read_index(folder)
    records = index.records.copy()
    kept, first = np.unique(records["offset"], return_index=True)
    sizes = (ends_of(records) - records["offset"])[first]
    old = folder / index.header.pixels
    used = int(sizes.sum())
    if old.stat().st_size <= used * _MOST_SLACK:
        return used
    name = _next_name(folder)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.uint64) if len(sizes) else np.zeros(0, np.uint64)
    with old.open("rb") as source, (folder / name).open("wb") as sink:
        for offset, size in zip(kept.tolist(), sizes.tolist(), strict=True):
            source.seek(offset)
            sink.write(source.read(size))
        _flush(sink)
    records["offset"] = starts[np.searchsorted(kept, records["offset"])]
    write_index(folder, Header(index.header.preprocessing, index.header.splits, name), records)
    _remove_others(folder, name)
    return used


def _next_name(folder: Path) -> str:
    """A name that no file of pixels there has: whoever still reads the old one must not find new content under its name."""
    numbers = [int(file.stem.rpartition("-")[2]) for file in folder.glob("pixels-*.u8")]
    return f"pixels-{max(numbers, default=0) + 1}.u8"


def _remove_others(folder: Path, name: str) -> None:
    """Removes what earlier runs left behind: pixels that the index does not name, and indexes that were never put in place."""
    for file in (*folder.glob("pixels-*.u8"), *folder.glob(f".{INDEX_NAME}.*")):
        if file.name != name:
            file.unlink()


def _hash_all(parts: Mapping[str, Any], progress: bool) -> dict[str, list[bytes]]:
    sources: dict[str, list[bytes]] = {}
    with tqdm(total=sum(map(len, parts.values())), desc="hashing", unit="img", disable=not progress) as shown:
        for split, part in parts.items():
            sources[split] = []
            for digest in source_digests(part):
                sources[split].append(digest)
                shown.update()
    return sources


def _names_files(part: Any) -> bool:
    """Whether the split only names some of its images' files, which can change while its own files do not."""
    return any(chunk.field("bytes").null_count for chunk in part.data["image"].chunks)
