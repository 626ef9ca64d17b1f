"""The rows of a split as a table of columns, and what streamed ones are fetched from. Not here: filling it (`rows.py`, `streaming.py`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hf_bones.dataset.arrays.reading import DatasetArrays
from hf_bones.dataset.streamed.row_groups import RowGroupFiles
from hf_bones.dataset.streamed.shards import ShardIndex, commit_of
from hf_bones.labels import LabelScheme
from hf_bones.training.data.batches import Boxes, PixelSource


@dataclass(eq=False)
class Stream:
    """What the rows of a split are streamed from: `units` (N,) is the number in `index` of the row group that each row lies in."""

    index: ShardIndex
    files: RowGroupFiles
    units: np.ndarray

    def fetch(self, unit: int) -> None:
        """Makes sure that the images of a row group are on the disk."""
        self.files.fetch(self.index.files[self.index.shards[unit]], int(self.index.row_groups[unit]))

    def described(self) -> dict[str, Any]:
        """What the record says of it: the Hub commit, and how many shards and row groups."""
        index = self.index
        return {"streamed": {"commit": commit_of(index.files[0]), "shards": len(index.files), "row_groups": len(index.sizes)}}


@dataclass
class Rows:
    """Images with labels (ids in the scheme), their groups, and what the record says of them."""

    sources: list[PixelSource] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    licences: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    synthetic: list[bool] = field(default_factory=list)
    subtypes: list[str] = field(default_factory=list)  # "" where unknown, as in the dataset
    regions: list[str] = field(default_factory=list)
    copies_of: dict[int, int] = field(default_factory=dict)  # row of each broken copy, and that of the film it is of
    stream: Stream | None = None  # where streamed images, the first of all rows, come from
    arrays: DatasetArrays | None = None  # the cache that some of the images are read from
    from_arrays: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, scheme: LabelScheme) -> dict[str, int]:
        """Labelled rows of each class, in the scheme's order."""
        found = Counter(self.labels)
        return {name: found[index] for index, name in enumerate(scheme.names)}

    def label_counts(self, scheme: LabelScheme) -> np.ndarray:
        """`counts` as an array (C,)."""
        return np.array([*self.counts(scheme).values()])


def boxes_of(boxes: Boxes, whole: bool) -> Boxes | None:
    """The boxes of an image: none in a whole bone; a broken one without any has them nowhere drawn, which is None."""
    return boxes if boxes or whole else None
