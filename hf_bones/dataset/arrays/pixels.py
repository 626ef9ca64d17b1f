"""The pixels of an array cache, memory-mapped: each image is copied out and the copy checked (XXH3), at each read.

What was checked is thus what is given away, and a byte that changes while training runs is noticed too. The checksums are against damage,
not against malice. The file is never read past the end that it has now: a page that a file no longer backs would kill the process. Not
here: which image belongs to which row (`reading.py`).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.arrays.index import Index, Pixels, pixel_checksum

# Pages that were read stay mapped, and count as this process's memory, until they are given back; the page cache keeps them all the same.
_GIVE_BACK_AFTER = 4 * 2**20


class ArrayCache:
    """The pixels that an index points at. Cheap to pickle; each process maps the file when it first reads."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.file = folder / index.header.pixels
        self.offsets, self.heights, self.widths, self.checksums = (
            np.ascontiguousarray(index.records[name]) for name in ("offset", "height", "width", "pixels")
        )
        self._map: mmap.mmap | None = None
        self._descriptor = -1
        self._mapped_bytes = 0
        self.damage = ""  # in words, the first one met

    def __len__(self) -> int:
        return len(self.offsets)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None, "_descriptor": -1, "_mapped_bytes": 0}

    def close(self) -> None:
        """Lets go of the file; a later read maps it again."""
        if self._map is not None:
            self._map.close()
            os.close(self._descriptor)
        self._map, self._descriptor, self._mapped_bytes = None, -1, 0

    def read(self, entries: Sequence[int] | npt.NDArray[np.int64]) -> list[Pixels | None]:
        """Images (h, w) by their place in the index, copied and checked; None for one that is damaged."""
        chosen = np.asarray(entries, dtype=np.int64)
        columns = (column[chosen].tolist() for column in (self.offsets, self.heights, self.widths, self.checksums))
        wanted = list(zip(*columns, strict=True))
        try:
            pixels, length = self._open()
        except (OSError, ValueError) as error:
            self.damage = self.damage or f"{self.file.name} cannot be mapped ({error})"
            return [None] * len(wanted)
        _fetch(pixels, [(offset, height * width) for offset, height, width, _ in wanted if offset + height * width <= length])
        images: list[Pixels | None] = []
        for offset, height, width, checksum in wanted:
            size = height * width
            # A page past the end of a file that was cut short must not be touched: that would kill the process.
            image = np.frombuffer(pixels[offset : offset + size], np.uint8) if offset + size <= length else None
            if image is None or not self._intact(image, checksum):
                self.damage = self.damage or f"the image at byte {offset:,} of {self.file.name} is damaged"
                images.append(None)
            else:
                images.append(image.reshape(height, width))
            self._mapped_bytes += size
        if self._mapped_bytes > _GIVE_BACK_AFTER:
            self._mapped_bytes = 0
            _give_back(pixels)
        return images

    def _intact(self, image: Pixels, checksum: int) -> bool:
        return pixel_checksum(image) == checksum

    def _open(self) -> tuple[mmap.mmap, int]:
        """The map, and how much of it the file still backs."""
        if self._map is None:
            descriptor = os.open(self.file, os.O_RDONLY)
            try:
                self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._map, min(len(self._map), os.fstat(self._descriptor).st_size)


def _fetch(pixels: mmap.mmap, ranges: Sequence[tuple[int, int]]) -> None:
    """Asks the system for all ranges (offset, bytes) of a batch at once, so that a cold disk has a queue to work on."""
    if hasattr(mmap, "MADV_WILLNEED"):
        for offset, size in ranges:
            start = offset - offset % mmap.PAGESIZE
            pixels.madvise(mmap.MADV_WILLNEED, start, offset + size - start)


def _give_back(pixels: mmap.mmap) -> None:
    if hasattr(mmap, "MADV_DONTNEED"):
        pixels.madvise(mmap.MADV_DONTNEED)
