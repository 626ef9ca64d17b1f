"""Fingerprints of a set of images, on disk: made once an image, kept in an SQLite file beside the manifest.

A run that is stopped resumes where it was; an image whose fingerprint is of an older version is done again. The file can be deleted at any
time: it holds nothing that cannot be made anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.collect.examine import worker_pool
from hf_bones.curation.duplicates.canonical import NUMBERS, PROBES, THUMB_SIDE, VERSION, Fingerprint, fingerprint
from hf_bones.curation.duplicates.registration import LEVELS, normalised
from hf_bones.curation.in_order import in_order
from hf_bones.curation.subject import Subject
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.manifest.store import ImageRecord

SKETCH_SCALE = 32  # a sketch's steps in a unit of local contrast

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fingerprints (
  sha256 TEXT PRIMARY KEY, version INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, aspect REAL NOT NULL,
  trimmed_aspect REAL NOT NULL, phash TEXT NOT NULL, sketch BLOB NOT NULL, trimmed_sketch BLOB, trimmed BLOB, probes BLOB NOT NULL,
  thumb BLOB NOT NULL, trimmed_thumb BLOB
)
"""
_BATCH = 64  # images between two commits: what a killed run loses at most
_Found = tuple[tuple[int, int], Fingerprint]
_SKETCH = (LEVELS[0], LEVELS[0])
_THUMB = (THUMB_SIDE, THUMB_SIDE)


@dataclass(frozen=True, eq=False)
class FingerprintTable:
    """What grouping keeps in memory of N images: about 3.5 kB each; probes and thumbs stay on disk.

    `hashes` (N) are their SHA-256, `sizes` (N, 2) width and height in pixels, `phashes` (N) ImageHash's. `wholes` (N, 143) float16 are
    their descriptions; of those with a frame, `framed` (M,) their numbers, `trimmed` (M, 143) the descriptions without it. `sketches`
    (N, 2, 32, 32) int8 are locally normalised pictures, whole and without frame (the same where there is none), `aspects` (N, 2) likewise.
    """

    hashes: list[str]
    sizes: npt.NDArray[np.int64]
    phashes: list[str]
    wholes: npt.NDArray[np.float16]
    framed: npt.NDArray[np.int64]
    trimmed: npt.NDArray[np.float16]
    sketches: npt.NDArray[np.int8]
    aspects: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.hashes)


class FingerprintStore:
    """The open file of fingerprints. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def known(self) -> set[str]:
        """The images that have a fingerprint of this version."""
        return {row[0] for row in self._connection.execute("SELECT sha256 FROM fingerprints WHERE version = ?", (VERSION,))}

    def add(self, rows: Iterable[tuple[str, tuple[int, int], Fingerprint]]) -> None:
        """Adds or replaces fingerprints, (SHA-256, (width, height), fingerprint), in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(f"INSERT OR REPLACE INTO fingerprints VALUES ({', '.join('?' * 13)})", map(_stored, rows))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def table(self, hashes: Sequence[str]) -> FingerprintTable:
        """The fingerprints of `hashes`, in the order of the hashes themselves. Raises KeyError naming one that has none."""
        names = sorted(hashes)
        count = len(names)
        wholes = np.zeros((count, NUMBERS), np.float16)
        sketches = np.zeros((count, 2, *_SKETCH), np.int8)
        aspects, sizes = np.zeros((count, 2)), np.zeros((count, 2), np.int64)
        phashes, framed, trimmed = [""] * count, [], []
        sql = "SELECT width, height, aspect, trimmed_aspect, phash, sketch, trimmed_sketch, trimmed, substr(probes, 1, ?) FROM fingerprints"
        for number, name in enumerate(names):
            row = self._connection.execute(f"{sql} WHERE sha256 = ? AND version = ?", (2 * NUMBERS, name, VERSION)).fetchone()
            if row is None:
                raise KeyError(f"no fingerprint of image {name}")
            sizes[number], aspects[number], phashes[number] = row[:2], row[2:4], row[4]
            sketches[number, 0] = np.frombuffer(row[5], np.int8).reshape(_SKETCH)
            sketches[number, 1] = np.frombuffer(row[6] or row[5], np.int8).reshape(_SKETCH)
            wholes[number] = np.frombuffer(row[8], np.float16)
            if row[7] is not None:
                framed.append(number)
                trimmed.append(np.frombuffer(row[7], np.float16))
        stacked = np.stack(trimmed) if trimmed else np.zeros((0, NUMBERS), np.float16)
        return FingerprintTable(names, sizes, phashes, wholes, np.array(framed, np.int64), stacked, sketches, aspects)

    def probes(self, names: Sequence[str], at_once: int = 1000) -> Iterator[tuple[int, npt.NDArray[np.float16]]]:
        """The probes of images, (K, 33, 143) at a time, each with the number of its first in `names`."""
        for start in range(0, len(names), at_once):
            part = names[start : start + at_once]
            blobs = [self._blob("probes", name) for name in part]
            yield start, np.frombuffer(b"".join(blobs), np.float16).reshape(len(part), PROBES, NUMBERS)

    def thumb(self, name: str, trimmed: bool) -> npt.NDArray[np.uint8]:
        """The (128, 128) thumb of an image, whole or without its frame."""
        return np.frombuffer(self._blob("coalesce(trimmed_thumb, thumb)" if trimmed else "thumb", name), np.uint8).reshape(_THUMB)

    def _blob(self, column: str, name: str) -> bytes:
        row = self._connection.execute(f"SELECT {column} FROM fingerprints WHERE sha256 = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(f"no fingerprint of image {name}")
        return bytes(row[0])


def _stored(row: tuple[str, tuple[int, int], Fingerprint]) -> tuple[object, ...]:
    sha256, (width, height), found = row
    framed: tuple[bytes | None, bytes | None, bytes | None] = (None, None, None)
    if found.trimmed is not None and found.trimmed_thumb is not None:
        framed = (sketch(found.trimmed_thumb).tobytes(), found.trimmed.tobytes(), found.trimmed_thumb.tobytes())
    return (
        sha256, VERSION, width, height, found.aspect, found.trimmed_aspect, found.phash, sketch(found.thumb).tobytes(), *framed[:2],
        found.probes.tobytes(), found.thumb.tobytes(), framed[2],
    )  # fmt: skip


def sketch(thumb: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """The coarsest level of registration in a kilobyte: (32, 32) int8."""
    return np.clip(np.rint(normalised(thumb, 0) * SKETCH_SCALE), -127, 127).astype(np.int8)


def _fingerprint_or_why(data: bytes | str) -> _Found | str:
    """Width and height in pixels and the fingerprint of an image's bytes; a refusal's words where it cannot be opened."""
    if isinstance(data, str):
        return data
    try:
        pixels = open_image(data).pixels
    except ImageRefusedError as refusal:
        return f"{refusal.reason}: {refusal.detail}"
    return (pixels.shape[1], pixels.shape[0]), fingerprint(pixels)


def make_fingerprints(
    subject: Subject, records: Sequence[ImageRecord], store: FingerprintStore, *, workers: int = 2, progress: bool = True
) -> dict[str, str]:
    """Makes the fingerprints that `store` lacks of `records`, in `workers` processes. Returns the hashes of those that cannot be opened,
    each with why."""
    known = store.known()
    missing = [record for record in records if record.sha256 not in known]
    unreadable: dict[str, str] = {}
    made: list[tuple[str, tuple[int, int], Fingerprint]] = []
    with tqdm(total=len(missing), desc="fingerprints", unit="img", disable=None if progress else True) as bar:
        try:
            for record, found in zip(missing, _each(subject, missing, workers), strict=True):
                bar.update()
                if isinstance(found, str):
                    unreadable[record.sha256] = found
                else:
                    made.append((record.sha256, *found))
                if len(made) >= _BATCH:
                    store.add(made)
                    made = []
        finally:
            store.add(made)  # on Ctrl-C too
    return unreadable


def _each(subject: Subject, records: Sequence[ImageRecord], workers: int) -> Iterator[_Found | str]:
    """The fingerprint of each image (or why there is none), in order."""

    def data_of(record: ImageRecord) -> bytes | str:
        try:
            return subject.read(record)
        except OSError as error:
            return f"unreadable_file: {error.strerror or error}"

    if workers <= 1 or len(records) < 2 * _BATCH:  # processes cost more than they save
        yield from map(_fingerprint_or_why, map(data_of, records))
        return
    with worker_pool(workers) as pool:
        yield from in_order(pool, _fingerprint_or_why, map(data_of, records), 8 * workers)
