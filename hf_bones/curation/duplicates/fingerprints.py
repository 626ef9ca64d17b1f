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

_COLUMNS = {
    "sha256": "TEXT PRIMARY KEY",
    "version": "INTEGER NOT NULL",
    "width": "INTEGER NOT NULL",
    "height": "INTEGER NOT NULL",
    "phash": "TEXT NOT NULL",
    "has_frame": "INTEGER NOT NULL",
    "aspects": "BLOB NOT NULL",  # of each form, and so on
    "descriptions": "BLOB NOT NULL",
    "sketches": "BLOB NOT NULL",
    "probes": "BLOB NOT NULL",
    "thumbs": "BLOB NOT NULL",
}
_BATCH = 64  # images between two commits: what a killed run loses at most
_Found = tuple[tuple[int, int], Fingerprint]
_SKETCH = (LEVELS[0], LEVELS[0])
_THUMB = (THUMB_SIDE, THUMB_SIDE)


@dataclass(frozen=True, eq=False)
class FingerprintTable:
    """What grouping keeps in memory of N images: about 4 kB each; probes and thumbs stay on disk.

    `hashes` (N) are their SHA-256, `sizes` (N, 2) width and height in pixels, `phashes` (N) ImageHash's, `framed` (N,) which have a frame.
    Their F forms stand one after another, those of an image from its `first_form` (N,) on: `owner` (F,) is the image of each,
    `descriptions` (F, 143) float16, `sketches` (F, 32, 32) int8 are locally normalised pictures, `aspects` (F,) width ÷ height.
    """

    hashes: list[str]
    sizes: npt.NDArray[np.int64]
    phashes: list[str]
    framed: npt.NDArray[np.bool_]
    first_form: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    descriptions: npt.NDArray[np.float16]
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
        there = [row[1] for row in self._connection.execute("PRAGMA table_info(fingerprints)")]
        if there and there != list(_COLUMNS):  # an older release's: they are made anew
            self._connection.execute("DROP TABLE fingerprints")
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS fingerprints ({columns})")

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
            places = ", ".join("?" * len(_COLUMNS))
            self._connection.executemany(f"INSERT OR REPLACE INTO fingerprints VALUES ({places})", map(_stored, rows))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def table(self, hashes: Sequence[str]) -> FingerprintTable:
        """The fingerprints of `hashes`, in the order of the hashes themselves. Raises KeyError naming one that has none."""
        names = sorted(hashes)
        sizes, phashes, framed = np.zeros((len(names), 2), np.int64), [""] * len(names), np.zeros(len(names), np.bool_)
        counts = np.zeros(len(names), np.int64)
        blobs: tuple[list[bytes], ...] = ([], [], [])
        sql = "SELECT width, height, phash, has_frame, aspects, descriptions, sketches FROM fingerprints WHERE sha256 = ? AND version = ?"
        for number, name in enumerate(names):
            row = self._connection.execute(sql, (name, VERSION)).fetchone()
            if row is None:
                raise KeyError(f"no fingerprint of image {name}")
            sizes[number], phashes[number], framed[number] = row[:2], row[2], row[3]
            for kept, blob in zip(blobs, row[4:], strict=True):
                kept.append(blob)
            counts[number] = len(row[4]) // 8
        aspects, descriptions, sketches = (b"".join(kept) for kept in blobs)
        return FingerprintTable(
            hashes=names,
            sizes=sizes,
            phashes=phashes,
            framed=framed,
            first_form=np.cumsum(counts) - counts,
            owner=np.repeat(np.arange(len(names)), counts),
            descriptions=np.frombuffer(descriptions, np.float16).reshape(-1, NUMBERS),
            sketches=np.frombuffer(sketches, np.int8).reshape(-1, *_SKETCH),
            aspects=np.frombuffer(aspects, np.float64),
        )

    def probes(self, names: Sequence[str], at_once: int = 1000) -> Iterator[tuple[int, npt.NDArray[np.float16]]]:
        """The probes of images, (K, 61, 143) at a time, each with the number of its first in `names`."""
        for start in range(0, len(names), at_once):
            part = names[start : start + at_once]
            blobs = [self._blob("probes", name) for name in part]
            yield start, np.frombuffer(b"".join(blobs), np.float16).reshape(len(part), PROBES, NUMBERS)

    def thumb(self, name: str, form: int) -> npt.NDArray[np.uint8]:
        """The (128, 128) thumb of one of an image's forms."""
        size = THUMB_SIDE**2
        return np.frombuffer(self._blob(f"substr(thumbs, {1 + form * size}, {size})", name), np.uint8).reshape(_THUMB)

    def _blob(self, column: str, name: str) -> bytes:
        row = self._connection.execute(f"SELECT {column} FROM fingerprints WHERE sha256 = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(f"no fingerprint of image {name}")
        return bytes(row[0])


def _stored(row: tuple[str, tuple[int, int], Fingerprint]) -> tuple[object, ...]:
    sha256, (width, height), found = row
    return (
        sha256,
        VERSION,
        width,
        height,
        found.phash,
        found.has_frame,
        np.array([form.aspect for form in found.forms], np.float64).tobytes(),
        b"".join(form.description.tobytes() for form in found.forms),
        b"".join(sketch(form.thumb).tobytes() for form in found.forms),
        found.probes.tobytes(),
        b"".join(form.thumb.tobytes() for form in found.forms),
    )


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
