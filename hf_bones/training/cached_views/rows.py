"""Cached views, the output of a network's frozen part, as rows of a training set: files on disk, views of an image, batches.

Not here: computing it (`fill.py`), and what the network does with it (`cut.py`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_bones.training.data.augment import augmentation_draw, neutral_draw
from hf_bones.training.data.batches import TrainingRows, collate_described

CHUNK = 32  # rows that are computed and marked as done together


class CachedViewFile:
    """An array (rows, *shape) on disk, filled in chunks of `CHUNK` rows; beside it one byte a chunk says whether it is there."""

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.rows, self.shape, self.dtype = path, rows, shape, np.dtype(dtype)
        self._array: np.memmap[Any, Any] | None = None

    @property
    def bytes(self) -> int:
        return self.rows * math.prod(self.shape) * self.dtype.itemsize

    @property
    def _marks(self) -> Path:
        return self.path.with_suffix(".done")

    def bytes_to_come(self) -> int:
        """Disk that filling it will still take."""
        return self.bytes - (self.path.stat().st_blocks * 512 if self.path.is_file() else 0)

    def missing(self) -> list[int]:
        """Numbers of the chunks that are not there yet."""
        marks = self._marks.read_bytes() if self._marks.is_file() and self.path.is_file() else b""
        chunks = -(-self.rows // CHUNK)
        return [chunk for chunk in range(chunks) if marks[chunk : chunk + 1] != b"\1"]

    def write(self, chunk: int, values: np.ndarray) -> None:
        """Puts a chunk in its place and marks it as done once it is on the disk. Several processes may write other chunks meanwhile."""
        start = chunk * CHUNK * math.prod(self.shape) * self.dtype.itemsize
        _write_at(self.path, start, np.ascontiguousarray(values, dtype=self.dtype).tobytes())
        _write_at(self._marks, chunk, b"\1")

    def __getitem__(self, row: int) -> np.ndarray:
        """The row's values, (*shape), read-only."""
        if self._array is None:
            self._array = np.memmap(self.path, dtype=self.dtype, mode="r", shape=(self.rows, *self.shape))
        return self._array[row]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}  # each loader worker maps the file itself


def _write_at(path: Path, offset: int, content: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        done = 0
        while done < len(content):
            done += os.pwrite(handle, content[done:], offset + done)
        os.fsync(handle)
    finally:
        os.close(handle)


class CachedViewRows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Cached views with labels, requested as `TrainingRows` are: by row, or by (row, position in the run), which decides the view.

    With `epoch_length`, the positions of an epoch in which no row comes twice, a row's views take turns from epoch to epoch, and rows
    start at different ones, so that each batch mixes them. Without it (rows are drawn with replacement) the views take turns by position.
    With `sides`, those of the unpadded images, rows that have boxes also say how their view was augmented: `{draw, height, width}`; with
    `bright`, their maps of brightness, also `{bright}`, by which tiles are placed.
    """

    def __init__(
        self,
        rows: TrainingRows,
        views: Sequence[CachedViewFile],
        epoch_length: int | None = None,
        sides: CachedViewFile | None = None,
        bright: CachedViewFile | None = None,
    ) -> None:
        self.rows, self.views, self.epoch_length, self.sides, self.bright = rows, list(views), epoch_length, sides, bright
        self.labels = rows.labels

    def view_at(self, row: int, position: int) -> int:
        """The view in which a row is given at a position of the run."""
        turn = position if self.epoch_length is None else position // self.epoch_length + row
        return turn % len(self.views)

    def __len__(self) -> int:
        return len(self.rows)

    def of_view(self, view: int) -> CachedViewRows:
        """The same rows, always in one view."""
        return CachedViewRows(self.rows, self.views[view : view + 1], self.epoch_length, self.sides, self.bright)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        row, position = key if isinstance(key, tuple) else (key, 0)
        view = self.view_at(row, position)
        return {"kept": self.views[view][row]} | self.described(row, view)

    def described(self, row: int, view: int) -> dict[str, Any]:
        """What a row holds beside its view's values: label, boxes, and how the view was augmented."""
        known = self.rows.described(row)
        if self.sides is not None and self.rows.with_boxes:
            height, width = self.sides[row].tolist()
            known |= {"draw": view_draw(self.rows, row, view), "height": height, "width": width}
            if self.bright is not None:
                known["bright"] = self.bright[row]
        return known

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[dict[str, Any]]:
        return [self[key] for key in keys]


def view_draw(rows: TrainingRows, row: int, view: int) -> np.ndarray:
    """The augmentation of a row in one of its views; none in view 0."""
    return augmentation_draw(rows.seed, view_position(rows, row, view)) if view else neutral_draw()


def view_position(rows: TrainingRows, row: int, view: int) -> int:
    """The position whose augmentation a view has: that of the features of `head_start: probe`, so that views are the same there."""
    return view * len(rows) + row


def collate_cached_views(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Cached views (B, …), what else `collate` gives for such rows, and of the pixels only the sides and the maps of brightness."""
    return {"kept": torch.from_numpy(np.stack([row["kept"] for row in rows]))} | collate_views_described(rows)


def collate_views_described(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """`collate_cached_views` without the views."""
    batch = collate_described(rows)
    if "draw" in rows[0]:
        batch["draws"] = torch.from_numpy(np.stack([row["draw"] for row in rows]))
        batch |= {f"{side}s": torch.tensor([row[side] for row in rows]) for side in ("height", "width")}
    if "bright" in rows[0]:
        batch["bright"] = torch.from_numpy(np.stack([row["bright"] for row in rows])).float()
    return batch
