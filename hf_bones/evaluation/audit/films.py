"""The films that an audit looks at: labelled rows with the hash of each image's bytes, by which all that is computed of it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.dataset.schema import image_bytes
from hf_bones.evaluation.compare.scores import SplitRows, split_rows
from hf_bones.evaluation.opinions.image_rows import ImageRow, spread_sample
from hf_bones.images.opening import open_image
from hf_bones.labels import LabelScheme

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, eq=False)
class Films:
    """N labelled films (`rows`), each with the SHA-256 of its bytes."""

    rows: SplitRows
    images: Dataset
    hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def supports(self) -> dict[str, int]:
        """Films of each class."""
        return {name: int((self.rows.labels == index).sum()) for index, name in enumerate(self.rows.scheme.names)}

    def read(self, row: int) -> bytes:
        """The encoded image of a row; raises OSError where its file is not there."""
        return image_bytes(self.images[row]["image"])

    @property
    def readers(self) -> list[Callable[[], bytes]]:
        return [partial(self.read, row) for row in range(len(self))]

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """The opened film, uint8 (H, W). Raises `ImageRefusedError` or OSError."""
        return open_image(self.read(row)).pixels


def films_of(splits: Mapping[str, Any], split: str, scheme: LabelScheme, limit: int | None, seed: int) -> Films:
    """The labelled films of a split, about `limit` of them (classes in their shares, from as many groups as there are).

    Raises ValueError for a split that is not there, has no labelled row, or has rows of a class that the scheme lacks.
    """
    rows = split_rows(splits, split, scheme)
    if limit is not None and limit < len(rows.labels):
        named = [ImageRow(str(row), bytes, str(rows.labels[row]), rows.groups[row]) for row in range(len(rows.labels))]
        kept = [int(row.name) for row in spread_sample(named, limit, seed)]
        rows = split_rows({split: rows.part.select(kept)}, split, scheme)
    from datasets import Image

    images = rows.part.select_columns("image").cast_column("image", Image(decode=False))
    return Films(rows, images, tuple(_hash(images, row) for row in tqdm(range(len(images)), desc=f"reading {split}", disable=None)))


def _hash(images: Dataset, row: int) -> str:
    try:
        return hashlib.sha256(image_bytes(images[row]["image"])).hexdigest()
    except OSError:
        return f"not there: row {row}"
