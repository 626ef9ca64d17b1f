"""Films for a machine without `datasets`: JPEG files of a folder or drawn ones, and an array cache of them in the form that training reads.

The cache is written by the package's own functions and read by its own reader; only the dataset around it, which `datasets` would hold, is
left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from hf_bones.dataset.arrays.index import RECORD, Header, SplitState, pixel_checksum, preprocessing_key, read_index, sealed, write_index
from hf_bones.dataset.arrays.pixels import ArrayCache
from hf_bones.dataset.arrays.reading import SplitArrays
from hf_bones.images.opening import open_image
from hf_bones.preprocess import fit_to
from hf_bones.training.data.batches import PixelSource

DRAWN_SIDE = 448  # px, the long side of most films of a public set as they are stored
JPEG_QUALITY = 90


def film_files(folder: Path | None, work: Path, drawn: int) -> list[Path]:
    """The JPEG files of a folder, or `drawn` radiographs drawn into `work`. Raises SystemExit for a folder without any."""
    if folder is not None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        if not files:
            raise SystemExit(f"--images: no JPEG file in {folder}")
        return files
    work.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(draw_film, work), range(drawn)))


def draw_film(work: Path, seed: int) -> Path:
    from hf_bones.dataset.drawn.radiograph import draw_radiograph

    path = work / f"{seed:04}.jpg"
    Image.fromarray(draw_radiograph(seed, size=DRAWN_SIDE).pixels).save(path, quality=JPEG_QUALITY)
    return path


def cached_films(files: Sequence[Path], size: int, folder: Path) -> SplitArrays:
    """An array cache of the files with a long side of `size` px."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = list(pool.map(lambda file: np.ascontiguousarray(fit_to(open_image(file).pixels, size)), files))
    header = Header(preprocessing_key(size), {"train": SplitState(len(files), "")}, "pixels-1.u8")
    records = np.zeros(len(files), RECORD)
    records["row"] = np.arange(len(files))
    records["source"] = np.frombuffer(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files), np.uint8).reshape(-1, 32)
    records["height"], records["width"] = zip(*(image.shape for image in images), strict=True)
    records["offset"] = np.cumsum([0, *(image.size for image in images[:-1])])
    records["pixels"] = [pixel_checksum(image) for image in images]
    with (folder / header.pixels).open("wb") as stream:
        for image in images:
            stream.write(image.data)
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
