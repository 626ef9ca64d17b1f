"""From dataset rows to batches: decoded, scaled to the training size, kept grey and 8-bit until they are on the device.

A row leaves the loader as uint8 grey pixels with their height and width, a twelfth of what three float channels take; `batch_to_input`
turns a batch into model input on the device, the same arithmetic as `preprocess.normalise`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.preprocess import InputSpec, fit_to
from hf_bones.training.data import tiles
from hf_bones.training.data.augment import BatchImages, affine_matrices, augment_batch, augmentation_draw, named_draws
from hf_bones.training.data.on_device import constant

SOURCE = "source"  # in a batch: the number of each image's source, where the loss asks for it
UNLABELLED = -1  # label of an image that only a teacher has an opinion of
Boxes = Sequence[Sequence[float]]  # (cx, cy, w, h) in [0, 1] of width and height


class PixelSource(Protocol):
    """Anything that gives grey uint8 (H, W) images by row number."""

    def __len__(self) -> int: ...

    def pixels(self, row: int) -> np.ndarray: ...


@runtime_checkable
class FittedSource(Protocol):
    """A source that may have its images at the training size already: uint8 (h, w) as `fit_to(pixels(row), size)` gives them."""

    def fitted(self, rows: Sequence[int], size: int) -> list[np.ndarray]: ...


@runtime_checkable
class BoxedSource(Protocol):
    """A source that knows where the breaks of an image are: none in a whole bone, None where nobody drew boxes."""

    def boxes(self, row: int) -> Boxes | None: ...


class TrainingRows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Rows of one or more sources as `{pixels, label, draw}`; asked for by row, or by (row, position in the run).

    With `with_boxes` also `{boxes}`: those of the breaks, none for a whole bone, None where they are not known. With `extra_labels`,
    (N,) by the name of an extra head, also `{NAME_label}`. With `source_ids`, (N,), also `{source}`.
    """

    def __init__(
        self,
        sources: Sequence[PixelSource],
        labels: np.ndarray,
        size: int,
        seed: int,
        with_boxes: bool = False,
        extra_labels: Mapping[str, np.ndarray] | None = None,
        source_ids: np.ndarray | None = None,
    ) -> None:
        self.sources = list(sources)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.starts = np.cumsum([0] + [len(source) for source in self.sources])
        if self.starts[-1] != len(self.labels):
            raise ValueError(f"{self.starts[-1]} images but {len(self.labels)} labels")
        self.size = size
        self.seed = seed
        self.with_boxes = with_boxes
        self.extra_labels = dict(extra_labels or {})
        self.source_ids = source_ids

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[dict[str, Any]]:
        """A whole batch at once, as torch's loader asks for it: a source with arrays reads them together."""
        rows, positions = zip(*(key if isinstance(key, tuple) else (key, 0) for key in keys), strict=True)
        which = np.searchsorted(self.starts, rows, side="right") - 1
        pixels: dict[int, np.ndarray] = {}
        for number in set(which.tolist()):
            places = np.flatnonzero(which == number).tolist()
            inside = [int(rows[place] - self.starts[number]) for place in places]
            pixels |= zip(places, _fitted(self.sources[number], inside, self.size), strict=True)
        return [
            {"pixels": pixels[place], "draw": augmentation_draw(self.seed, position)} | self.described(row)
            for place, (row, position) in enumerate(zip(rows, positions, strict=True))
        ]

    def described(self, row: int) -> dict[str, Any]:
        """A row without its pixels: `{label}`, and source, boxes and labels of extra heads where it has them."""
        return (
            {"label": int(self.labels[row])}
            | ({SOURCE: int(self.source_ids[row])} if self.source_ids is not None else {})
            | ({"boxes": self._boxes(row)} if self.with_boxes else {})
            | {f"{name}_label": int(values[row]) for name, values in self.extra_labels.items()}
        )

    def _boxes(self, row: int) -> Boxes | None:
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        source = self.sources[number]
        return source.boxes(int(row - self.starts[number])) if isinstance(source, BoxedSource) else None


def _fitted(source: PixelSource, rows: Sequence[int], size: int) -> list[np.ndarray]:
    if isinstance(source, FittedSource):
        return source.fitted(rows, size)
    return [fit_to(source.pixels(row), size) for row in rows]


class RunSampler(torch.utils.data.Sampler[tuple[int, int]]):
    """Yields (row, position in the run): a fresh order each epoch, the same in every process, in whole batches.

    `uniform` is a permutation. `balanced` and `sqrt` draw with replacement, classes equally often in expectation or by the square root
    of their frequency; `source` by the `shares` (N,) of the rows (`source_shares.py`). Positions number the images of the whole run, so
    that each image's augmentation can be seeded by its own. What is left over from the last whole batch waits for another epoch's order:
    a short batch would weigh its images more.
    """

    def __init__(
        self, labels: np.ndarray, mode: str, seed: int, batch_size: int, length: int | None = None, shares: np.ndarray | None = None
    ) -> None:
        if (mode == "source") != (shares is not None):
            raise ValueError(f"sampling {mode!r}: shares of the rows go with 'source' alone")
        self.labels = np.asarray(labels)
        self.shares = shares
        self.mode = mode
        self.seed = seed
        wanted = length or len(self.labels)
        self.length = wanted - wanted % batch_size if wanted >= batch_size else wanted
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        random = np.random.default_rng([self.seed, 1, epoch])
        if self.mode == "uniform":
            order = random.permutation(len(self.labels))[: self.length]
        elif self.shares is not None:
            order = random.choice(len(self.labels), size=self.length, p=self.shares)
        else:
            _, kind, count = np.unique(self.labels, return_inverse=True, return_counts=True)  # images without a label are a class here
            weights = count[kind] ** (-1.0 if self.mode == "balanced" else -0.5)
            order = random.choice(len(self.labels), size=self.length, p=weights / weights.sum())
        for offset, row in enumerate(order):
            yield int(row), epoch * self.length + offset


def collate(rows: Sequence[dict[str, Any]], size: int) -> dict[str, torch.Tensor]:
    """Pads uint8 images right and below to (B, 1, size, size); heights and widths say where the image ends. See `collate_described`."""
    grey = np.zeros((len(rows), 1, size, size), dtype=np.uint8)
    for index, row in enumerate(rows):
        height, width = row["pixels"].shape
        grey[index, 0, :height, :width] = row["pixels"]
    sides = {
        "heights": torch.tensor([row["pixels"].shape[0] for row in rows]),
        "widths": torch.tensor([row["pixels"].shape[1] for row in rows]),
        "draws": torch.from_numpy(np.stack([row["draw"] for row in rows])),
    }
    return {"grey": torch.from_numpy(grey)} | sides | collate_described(rows)


def collate_described(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """What rows hold beside their pixels: labels and sources (B,); `boxes` (B, K, 4), zeros after the last, and `boxes_known` (B,);
    `NAME_label`s."""
    batch = {"labels": torch.tensor([row["label"] for row in rows])}
    if SOURCE in rows[0]:
        batch[SOURCE] = torch.tensor([row[SOURCE] for row in rows])
    if "boxes" in rows[0]:
        known = [row["boxes"] for row in rows]
        boxes = np.zeros((len(rows), max(1, *(len(each or ()) for each in known)), 4), dtype=np.float32)
        for index, each in enumerate(known):
            if each:
                boxes[index, : len(each)] = each
        batch |= {"boxes": torch.from_numpy(boxes), "boxes_known": torch.tensor([each is not None for each in known])}
    return batch | {key: torch.tensor([row[key] for row in rows]) for key in rows[0] if key.endswith("_label")}


@dataclass(frozen=True)
class SquareCollator:
    """`collate` with its size bound; a class at module level so that loader workers can be spawned with it."""

    size: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return collate(rows, self.size)


def batch_matrices(batch: dict[str, torch.Tensor], policy: AugmentConfig | None) -> torch.Tensor:
    """Where augmentation takes the pixels of each image, float32 (B, 2, 3); the identity without a policy."""
    if policy is None or not policy.augment:
        return torch.eye(2, 3, device=batch["draws"].device).expand(len(batch["draws"]), 2, 3)
    heights, widths, bright = batch["heights"].float(), batch["widths"].float(), batch.get("bright")
    if bright is None and "grey" in batch and tiles.are_on(policy):
        bright = tiles.brightness(batch["grey"], heights, widths)
    return affine_matrices(named_draws(batch["draws"]), heights, widths, policy, batch.get("boxes"), batch.get("boxes_known"), bright)


def batch_tiles(batch: dict[str, torch.Tensor], policy: AugmentConfig | None) -> torch.Tensor | None:
    """Which images (B,) of a batch a policy replaces by tiles; None where it never does."""
    if policy is None or not tiles.are_on(policy) or not {"draws", "boxes_known"} <= set(batch):
        return None
    return tiles.are_tiles(named_draws(batch["draws"]), batch["boxes_known"], policy)


def labels_in_view(batch: dict[str, torch.Tensor], matrices: torch.Tensor, policy: AugmentConfig | None, normal: int) -> torch.Tensor:
    """The labels (B,) of a batch after augmentation by `matrices`: a tile without a box is of the `normal` class."""
    chosen = batch_tiles(batch, policy)
    if chosen is None:
        return batch["labels"]
    sides = torch.stack([batch["widths"], batch["heights"]], dim=1).float()
    whole = chosen & ~tiles.hold_a_box(matrices, sides, batch["boxes"])
    return batch["labels"].masked_fill(whole, normal)


def batch_images(batch: dict[str, torch.Tensor]) -> BatchImages:
    """What augmentation may know of a batch: the first class is that of whole bones, and without `boxes` no break's place is known."""
    images = BatchImages.without_boxes(batch["heights"], batch["widths"])
    known = {key: batch[key] for key in ("boxes", "boxes_known") if key in batch}
    return dataclasses.replace(images, healthy=batch["labels"] == 0, **known)


def batch_to_input(
    batch: dict[str, torch.Tensor],
    spec: InputSpec,
    policy: AugmentConfig | None = None,
    matrices: torch.Tensor | None = None,
    channels: int = 3,
) -> torch.Tensor:
    """Model input, float32 (B, `channels`, S, S), from a collated batch on any device; augmented where a policy is given.

    `matrices` are those of `batch_matrices`, where they are at hand. Without a policy this equals `preprocess.normalise` of each image:
    padding is exactly 0. One channel instead of three is for a network whose patch embedding was summed.
    """
    grey = batch["grey"].to(torch.float32).div_(255)
    heights, widths = batch["heights"], batch["widths"]
    if policy is not None and policy.augment:
        matrices = batch_matrices(batch, policy) if matrices is None else matrices
        grey = augment_batch(grey, heights, widths, named_draws(batch["draws"]), policy, matrices, batch_images(batch))
    side = torch.arange(spec.size, device=grey.device)
    outside = (side[None, :, None] >= heights[:, None, None]) | (side[None, None, :] >= widths[:, None, None])
    mean = constant(spec.mean[:channels], grey.device)[None, :, None, None]
    std = constant(spec.std[:channels], grey.device)[None, :, None, None]
    # In place, since on a CPU a new tensor of this size costs more than the arithmetic.
    return (grey - mean).div_(std).masked_fill_(outside[:, None], 0)
