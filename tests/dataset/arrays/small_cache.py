"""Small datasets with their array caches, for the tests of these."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
from small_films import build, rows_of

from hf_bones.dataset.arrays.reading import arrays_folder, open_arrays
from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.images.opening import open_image
from hf_bones.preprocess import fit_to

SIZE, FILMS = 32, 30


def write(folder, size=SIZE, out=None):
    return write_arrays(folder, size, arrays_folder(folder, size, out), progress=False)


def opened(folder, size=SIZE, out=None):
    arrays = open_arrays(arrays_folder(folder, size, out), size, folder)
    assert arrays is not None
    return arrays


def cached_films(folder):
    """A built dataset of 30 films with its cache."""
    build(rows_of(FILMS), folder)
    write(folder)
    return folder


def decoded(part, size=SIZE):
    """What training would make of each row."""
    cells = part.cast_column("image", datasets.Image(decode=False))["image"]
    return [fit_to(open_image(cell["bytes"]).pixels, size) for cell in cells]


def pixels_of(films: Path) -> Path:
    (file,) = arrays_folder(films, SIZE).glob("pixels-*.u8")
    return file


def served(films: Path, out: Path | None = None) -> tuple[int, int]:
    """How many rows are served and how many are not; each one that is served must be right."""
    there = missing = 0
    arrays = open_arrays(arrays_folder(films, SIZE, out), SIZE, films)
    for split, part in load_bones(films).items():
        rows = arrays[split]
        images = rows.read(range(len(part))) if rows is not None else [None] * len(part)
        for image, wanted in zip(images, decoded(part), strict=True):
            if image is None:
                missing += 1
            else:
                assert np.array_equal(image, wanted)
                there += 1
    return there, missing
