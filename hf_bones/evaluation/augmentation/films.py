"""Films whose breaks are known, at the training size: those of a built dataset with fracture boxes, and drawn ones with masks.

A film is read when it is asked for, so that a large dataset takes no more memory than a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY
from hf_bones.preprocess import fit_to
from hf_bones.record import public_name, sha256_rows
from hf_bones.training.data.rows import StoredImages

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]

DRAWN = "drawn radiographs"
_SIDE_POINTS = 16  # a box is stood for by this many points each way, at the centres of as many equal cells
_MASK_POINTS = 512  # a mask by at most so many of its pixels, evenly taken
_FIRST_DRAWN_SEED = 5_000_000  # far from the seeds of drawn training and validation rows
_LEAST_BOX = 1e-4  # of the side: what is left of a box beyond the film's edge is none


@dataclass(frozen=True, eq=False)
class BrokenFilm:
    """One film, its long side at the training size.

    `pixels` (h, w) uint8. `boxes` (K, 4) float32, (cx, cy, w, h) in [0, 1], one a break. `points`: K arrays (P, 2) of (x, y) px inside
    each break, pixel centres at whole numbers. `regions` (K, h, w) bool: the pixels of each break, at least one. `whole` (h, w) uint8 is
    the same film without its breaks, where there is one.
    """

    name: str
    group: str
    label: str
    pixels: Pixels
    boxes: npt.NDArray[np.float32]
    points: tuple[Points, ...]
    regions: npt.NDArray[np.bool_]
    whole: Pixels | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def edge_distance(self) -> float:
        """How near a box comes to the film's edge, as a share of the side: 0 where one touches it."""
        low, high = self.boxes[:, :2] - self.boxes[:, 2:] / 2, self.boxes[:, :2] + self.boxes[:, 2:] / 2
        return float(min(low.min(), (1 - high).min()))


class StoredFilms:
    """The films of one split of a built dataset that have fracture boxes; with `limit`, so many of them by `seed`.

    Raises ValueError naming the split where it is not there, or where none of its films has a box.
    """

    def __init__(self, place: str | Path, size: int, *, split: str = "train", limit: int | None = None, seed: int = 0) -> None:
        from hf_bones.dataset.schema import load_bones, require_split

        splits = load_bones(place)
        require_split(splits, split, str(place))
        table = splits[split].select_columns(["label", "group", "boxes", "sha256", "image_id"]).to_pandas()
        boxes = [inside_boxes(each) for each in table["boxes"]]
        rows = np.flatnonzero([len(each) for each in boxes])
        if not len(rows):
            raise ValueError(
                f"{place}: none of the {len(table)} films of split {split!r} has a fracture box, so there is nothing to follow"
            )
        if limit is not None and limit < len(rows):
            rows = np.sort(np.random.default_rng(seed).permutation(rows)[:limit])
        self.size = size
        self.name = f"{public_name(place)}, {split}"
        self.boxes = [boxes[row] for row in rows]
        names = splits[split].features["label"].names
        chosen = table.iloc[rows]
        self.labels = [names[label] for label in chosen["label"]]
        self.groups, self.names = chosen["group"].tolist(), [public_name(each) for each in chosen["image_id"]]
        self.sha256 = sha256_rows(zip(chosen["sha256"], self.labels, strict=True))
        self.images = StoredImages(splits[split].select(rows.tolist()))

    def __len__(self) -> int:
        return len(self.names)

    def film(self, index: int) -> BrokenFilm:
        """The film at `index`; its boxes stand for its breaks."""
        pixels = self.images.fitted([index], self.size)[0]
        boxes = self.boxes[index]
        points = tuple(box_points(box, pixels.shape) for box in boxes)
        regions = np.stack([box_region(box, pixels.shape) for box in boxes])
        return BrokenFilm(self.names[index], self.groups[index], self.labels[index], pixels, boxes, points, regions)


class DrawnFilms:
    """Drawn radiographs, `fractured` and `beyond_repair` in turn, each with its mask and its twin: the same film without the break."""

    def __init__(self, count: int, size: int, *, drawn_size: int = 320, mode: str = "hard", seed: int = 0) -> None:
        self.name = DRAWN
        self.count, self.size, self.drawn_size, self.mode = count, size, drawn_size, mode
        self.first = _FIRST_DRAWN_SEED + 100_000 * seed
        self.sha256 = sha256_rows([("drawn", self.first, count, drawn_size, *([mode] if mode != "hard" else []))])

    def __len__(self) -> int:
        return self.count

    def film(self, index: int) -> BrokenFilm:
        """The film at `index`; what its mask covers inside a box is that box's break."""
        from hf_bones.dataset.drawn.radiograph import draw_radiograph

        seed, label = self.first + index, (FRACTURED, BEYOND_REPAIR)[index % 2]
        broken = draw_radiograph(seed, label, size=self.drawn_size, mode=self.mode)
        whole = draw_radiograph(seed, HEALTHY, size=self.drawn_size, mode=self.mode)
        boxes = np.array(broken.boxes, dtype=np.float32)
        masks = [broken.mask & box_region(box, broken.mask.shape) for box in boxes]
        pixels = fit_to(broken.pixels, self.size)
        return BrokenFilm(
            f"drawn-{seed} {broken.subtype}", f"drawn-{seed}", label, pixels, boxes,
            tuple(mask_points(mask, pixels.shape) for mask in masks),
            np.stack([fitted_mask(mask, pixels.shape) for mask in masks]),
            fit_to(whole.pixels, self.size),
        )  # fmt: skip


BrokenFilms = StoredFilms | DrawnFilms


def inside_boxes(boxes: Sequence[Sequence[float]]) -> npt.NDArray[np.float32]:
    """(K, 4) boxes cut off at the film's edges; those that are empty, or lie beyond them, are left out."""
    given = np.array([list(box) for box in boxes], dtype=np.float64).reshape(-1, 4)
    low, high = (given[:, :2] - given[:, 2:] / 2).clip(0, 1), (given[:, :2] + given[:, 2:] / 2).clip(0, 1)
    kept = (high - low > _LEAST_BOX).all(axis=1)
    return np.hstack([(low + high) / 2, high - low])[kept].astype(np.float32)


def box_points(box: npt.NDArray[np.float32], shape: tuple[int, ...]) -> Points:
    """(256, 2) points (x, y) px spread evenly over a box, on an image of `shape` (height, width)."""
    steps = (np.arange(_SIDE_POINTS) + 0.5) / _SIDE_POINTS - 0.5
    x, y = np.meshgrid((box[0] + steps * box[2]) * shape[1] - 0.5, (box[1] + steps * box[3]) * shape[0] - 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def box_region(box: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """(h, w): the pixels whose centre lies in a box; the nearest one where there is none."""
    height, width = shape
    x, y = (np.arange(width) + 0.5) / width - box[0], (np.arange(height) + 0.5) / height - box[1]
    columns, rows = np.abs(x) <= box[2] / 2, np.abs(y) <= box[3] / 2
    columns[np.abs(x).argmin()] = rows[np.abs(y).argmin()] = True
    return rows[:, None] & columns[None, :]


def mask_points(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> Points:
    """(P, 2) points (x, y) px of a mask's pixels, P at most 512, on the image scaled to `shape` (height, width)."""
    rows, columns = np.nonzero(mask)
    taken = np.linspace(0, len(rows) - 1, min(len(rows), _MASK_POINTS)).round().astype(np.int64)
    x, y = (columns[taken] + 0.5) * shape[1] / mask.shape[1] - 0.5, (rows[taken] + 0.5) * shape[0] / mask.shape[0] - 0.5
    return np.stack([x, y], axis=1).astype(np.float32)


def fitted_mask(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """A mask scaled to `shape` (height, width): pixels that it covers by half, or by most where it is too fine for that."""
    covered = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BOX))
    return covered >= min(0.5, float(covered.max()))
