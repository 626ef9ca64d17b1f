"""Reading an array cache: the images of a dataset, decoded once, as unpadded grey uint8 pixels whose long side is the training size.

A cache is a folder, by default `DATASET/arrays/SIZE`, with one file of pixels and one index (`index.py`). Pixels are those of
`fit_to(open_image(…).pixels, size)`, bit for bit. Nothing wrong is ever served:

- What the pixels were made with (size, opening code, decoders) must be what would make them now, or the whole cache is passed over.
- Each row is matched by the SHA-256 of its image. Where the files of a split have the size, time and fingerprint that they had when the
  cache was written, its rows are taken to be the same without reading them, as git does; otherwise each image is hashed.
- Each image is checked at each read (`pixels.py`).

Whoever reads decodes the rest from the dataset. Not here: writing and repairing (`writing.py`). Imports no torch, and opens a cache
whose dataset is unchanged without `datasets`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.config.loading import parse_json
from hf_bones.dataset.arrays.index import ArrayCacheError, Index, Pixels, Records, sources_of, usable_index
from hf_bones.dataset.arrays.pixels import ArrayCache

log = logging.getLogger(__name__)

ARRAYS_FOLDER = "arrays"
_AT_ONCE = 256  # images that are held together while they are hashed or checked


def arrays_folder(dataset: str | Path, size: int, out: str | Path | None = None) -> Path:
    """Where the cache of a dataset lies: `out/SIZE`, or in the dataset's own folder, or for a Hub id in the user's cache folder."""
    if out:
        return Path(out).expanduser() / str(size)
    folder = Path(dataset).expanduser()
    if folder.is_dir():
        return folder / ARRAYS_FOLDER / str(size)
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return user_cache / "hf-bones" / ARRAYS_FOLDER / str(dataset).replace("/", "--") / str(size)


@dataclass(frozen=True, eq=False)
class SplitArrays:
    """The cached images of some rows of a split, long side `size` px: `entries` (N,) are places in the cache, -1 where a row has none."""

    size: int
    repair: str  # the command
    cache: ArrayCache
    entries: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def there(self) -> int:
        """How many of the rows the cache has."""
        return int((self.entries >= 0).sum())

    def select(self, rows: Sequence[int]) -> SplitArrays:
        return SplitArrays(self.size, self.repair, self.cache, self.entries[np.asarray(rows, dtype=np.int64)])

    def read(self, rows: Sequence[int]) -> list[Pixels | None]:
        """Images (h, w) by row, the long side being the cache's size; None for a row that is not cached, or damaged.

        The first damaged one that a process meets is logged.
        """
        entries = self.entries[np.asarray(rows, dtype=np.int64)]
        known = not self.cache.damage
        found = iter(self.cache.read(entries[entries >= 0]) if (entries >= 0).any() else ())
        if known and self.cache.damage:
            log.warning(
                "array cache %s: %s. What is damaged is decoded from the dataset instead; repair it with: %s",
                self.cache.folder,
                self.cache.damage,
                self.repair,
            )
        return [next(found) if entry >= 0 else None for entry in entries]


@dataclass(frozen=True, eq=False)
class DatasetArrays:
    """The cache of a dataset as it can be used now: `splits` by name, and in words whatever is wrong with it (`problems`).

    `repair` is the command that brings it up to the dataset. `hashed` says that images had to be hashed to be matched, since the dataset's
    files are not those that the cache was written from: built anew, copied, or not in a folder of `hf-bones build`.
    """

    folder: Path
    repair: str
    preprocessing: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, SplitArrays] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    hashed: bool = False

    def __getitem__(self, split: str) -> SplitArrays | None:
        return self.splits.get(split)


def open_arrays(
    folder: Path, size: int, dataset: str | Path, parts: Mapping[str, Any] | None = None, states: Mapping[str, str] | None = None
) -> DatasetArrays | None:
    """The cache in `folder` (of `arrays_folder`) as far as it holds for a dataset, None where there is no cache.

    `dataset` is a folder or Hub id. `parts` are those of its splits that are wanted, as `load_bones` gave them, and `states` what
    `folder_states` said before that; without `states` each of their images is hashed. Without `parts` the dataset is loaded where it must
    be. What is damaged or stale is left out and named in `problems`; nothing is raised for it.
    """
    repair = f"hf-bones cache {dataset} --size {size}"
    if folder != arrays_folder(dataset, size):
        repair += f" --out {folder.parent}"
    try:
        index = usable_index(folder, size)
    except FileNotFoundError:
        return None
    except ArrayCacheError as error:
        return DatasetArrays(folder, repair, problems=(str(error),))
    index, problems = _within_file(folder, index)
    same, parts = _unchanged(index, dataset, parts, states)
    arrays = ArrayCache(folder, index)
    hashed = False
    splits: dict[str, SplitArrays] = {}
    for split in same if parts is None else parts:
        if parts is None or split in same:
            entries = _by_row(index, split)
        else:
            hashed, entries = True, _by_source(index, parts[split])
            if (entries < 0).any():
                problems.append(f"{(entries < 0).sum():,} of {len(entries):,} images of {split} are new or changed since it was written")
        splits[split] = SplitArrays(size, repair, arrays, entries)
    unfinished = {split: int((rows.entries < 0).sum()) for split, rows in splits.items() if (rows.entries < 0).any()}
    if unfinished and not problems:
        problems.append(", ".join(f"{count:,} images of {split} are not in it yet" for split, count in unfinished.items()))
    return DatasetArrays(folder, repair, index.header.preprocessing, splits, tuple(problems), hashed)


def verify_arrays(dataset: str | Path, size: int, folder: Path, *, progress: bool = True) -> list[str]:
    """Reads every image of a cache and says what is damaged, stale or missing; nothing when all is well.

    Raises FileNotFoundError where there is no cache.
    """
    arrays = open_arrays(folder, size, dataset)
    if arrays is None:
        raise FileNotFoundError(f"{folder}: no array cache there")
    problems = list(arrays.problems)
    for split, rows in arrays.splits.items():
        entries = np.unique(rows.entries[rows.entries >= 0])
        damaged = 0
        with tqdm(total=len(entries), desc=f"{split}: checksums", unit="img", disable=not progress) as shown:
            for start in range(0, len(entries), _AT_ONCE):
                images = rows.cache.read(entries[start : start + _AT_ONCE])
                damaged += sum(image is None for image in images)
                shown.update(len(images))
        if damaged:
            problems.append(f"{damaged:,} of {len(entries):,} images of {split} are damaged")
    return problems


def _unchanged(
    index: Index, dataset: str | Path, parts: Mapping[str, Any] | None, states: Mapping[str, str] | None
) -> tuple[list[str], Mapping[str, Any] | None]:
    """The splits whose rows are those that the cache was written from, and the loaded splits where the others must be hashed."""
    known = {split: written.state for split, written in index.header.splits.items()}
    now = folder_states(dataset)
    if parts is None:
        if now and all(known.get(split) == state for split, state in now.items()):
            return list(now), None
        from hf_bones.dataset.schema import load_bones

        states, parts = now, load_bones(dataset)
        now = folder_states(dataset)
    # The same before and after it was loaded: a dataset that was replaced meanwhile is not the one whose rows are at hand.
    before = states or {}
    return [split for split in parts if known.get(split) and known[split] == before.get(split) == now.get(split)], parts


def _within_file(folder: Path, index: Index) -> tuple[Index, list[str]]:
    """The index without the records that point past the end of the pixels, and what is wrong with it."""
    problems = [f"{index.damaged} records of its index are damaged"] if index.damaged else []
    try:
        length = (folder / index.header.pixels).stat().st_size
    except OSError as error:
        return Index(index.header, index.records[:0], index.damaged), [*problems, f"{index.header.pixels}: {error.strerror}"]
    inside = ends_of(index.records) <= length
    if not inside.all():
        problems.append(f"{index.header.pixels} was cut short: {(~inside).sum():,} images are lost")
    return Index(index.header, index.records[inside], index.damaged), problems


def ends_of(records: Records) -> npt.NDArray[np.uint64]:
    """Where the pixels of each record end in the file, in bytes."""
    ends: npt.NDArray[np.uint64] = records["offset"] + records["height"].astype(np.uint64) * records["width"]
    return ends


def _by_row(index: Index, split: str) -> npt.NDArray[np.int64]:
    entries = np.full(index.header.splits[split].rows, -1, dtype=np.int64)
    mine = np.flatnonzero(index.records["split"] == list(index.header.splits).index(split))
    entries[index.records["row"][mine]] = mine
    return entries


def _by_source(index: Index, part: Any) -> npt.NDArray[np.int64]:
    places = {source: place for place, source in enumerate(sources_of(index.records))}
    return np.array([places.get(digest, -1) for digest in source_digests(part)], dtype=np.int64)


def source_digests(part: Any) -> Iterator[bytes]:
    """The SHA-256 of each image as a split stores it, in the order of its rows."""
    for images in stored_images(part):
        for data in images:
            yield hashlib.sha256(data).digest()


def stored_images(part: Any, rows: Sequence[int] | None = None) -> Iterator[list[bytes]]:
    """The images of a split, or of some of its rows, as they are stored (encoded), some hundred at a time."""
    from datasets import Image

    from hf_bones.dataset.schema import image_bytes

    chosen = part if rows is None else part.select(rows)
    cells = chosen.select_columns(["image"]).cast_column("image", Image(decode=False)).with_format("arrow")
    for table in cells.iter(_AT_ONCE):
        yield [image_bytes(cell) for cell in table["image"].to_pylist()]


def folder_states(dataset: str | Path) -> dict[str, str]:
    """The state of each split of a folder that `hf-bones build` wrote: a digest that changes when its files do. Loads nothing.

    Nothing is told of other datasets (from the Hub, of Parquet files): their images are hashed each time.
    """
    folder = Path(dataset).expanduser()
    if not (folder / "dataset_dict.json").is_file():
        return {}
    states = {}
    for split in parse_json((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]:
        stored = parse_json((folder / split / "state.json").read_text(encoding="utf-8"))
        files = [folder / split / file["filename"] for file in stored["_data_files"]]
        facts = [[file.name, (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]
        states[split] = hashlib.sha256(json.dumps([stored["_fingerprint"], facts]).encode()).hexdigest()
    return states
