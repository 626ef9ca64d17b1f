"""An array cache of JPEG files in the form that training reads, for a machine without `datasets`.

It is written by the package's own functions and read by its own reader; only the dataset around it, which `datasets` would hold, is left
out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hf_bones.dataset.arrays.index import RECORD, Header, SplitState, pixel_checksum, preprocessing_key, read_index, sealed, write_index
from hf_bones.dataset.arrays.pixels import ArrayCache
from hf_bones.dataset.arrays.reading import SplitArrays
from hf_bones.images.opening import open_image
from hf_bones.preprocess import fit_to
from hf_bones.training.data.batches import PixelSource


def cached_films(files: Sequence[Path], size: int, folder: Path) -> SplitArrays:
    """An array cache of the files with a long side of `size` px."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda file: np.ascontiguousarray(fit_to(open_image(file).pixels, size)), files))
    header = Header(preprocessing_key(size), {"train": SplitState(len(files), "")}, "pixels-1.u8")
    records = np.zeros(len(files), RECORD)
    records["row"] = np.arange(len(files))
    records["source"] = np.frombuffer(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files), np.uint8).reshape(-1, 32)
    records["height"], records["width"] = zip(*(image.shape for image in images), strict=True)
    records["offset"] = np.cumsum([0, *(image.size for image in images[:-1])])
    records["pixels"] = [pixel_checksum(image) for image in images]
    (folder / header.pixels).write_bytes(b"".join(image.data for image in images))
    write_index(folder, header, sealed(records))
    return SplitArrays(size, "", ArrayCache(folder, read_index(folder)), np.arange(len(files), dtype=np.int64))


class CachedFilms(PixelSource):
    """`length` rows over the cached films in turn, read and checked as training reads them."""

    def __init__(self, arrays: SplitArrays, length: int) -> None:
        self.arrays, self.length = arrays, length

    def __len__(self) -> int:
        return self.length

    def pixels(self, row: int) -> np.ndarray:
        return self.fitted([row], self.arrays.size)[0]

    def fitted(self, rows: Sequence[int], size: int) -> list[np.ndarray]:
        images = self.arrays.read([row % len(self.arrays) for row in rows])
        if size != self.arrays.size or any(image is None for image in images):
            raise RuntimeError(f"{self.arrays.cache.folder}: {self.arrays.cache.damage or f'holds no images of {size} px'}")
        return [image for image in images if image is not None]
