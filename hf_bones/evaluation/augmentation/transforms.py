"""The transforms that the augmentation check looks at: each of a policy alone, the whole policy, and two that must fail.

Those of the policy are `AugmentConfig` values given to the functions that training itself uses. The counter-examples live here only: they
are what an image classification recipe usually has, and what a radiograph's label does not survive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kornia
import numpy as np
import numpy.typing as npt
import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.evaluation.augmentation.films import BrokenFilm
from hf_bones.training.data import tiles
from hf_bones.training.data.augment import (
    AUGMENTATIONS,
    BatchImages,
    affine_matrices,
    augment_batch,
    augmentation_draw,
    named_draws,
    needs_boxes,
    policy_without_any,
)

Flags = npt.NDArray[np.bool_]

ALONE, POLICY, BLIND, COUNTER_EXAMPLE = "alone", "policy", "boxes unknown", "counter-example"

STILL = policy_without_any()

SHEAR_DEGREES = 20.0
CROP_SCALE, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
_CROP_TRIES = 10


@dataclass(frozen=True, eq=False)
class Draws:
    """What the random draws for one film rest on: (M, D) uniform numbers of the policy, (M, 22) of the counter-examples."""

    policy: torch.Tensor
    other: npt.NDArray[np.float64]

    def first(self, count: int) -> Draws:
        return Draws(self.policy[:count], self.other[:count])


def film_draws(seed: int, index: int, count: int) -> Draws:
    """`count` draws for the film at `index`, as training would make them for as many images from position `index * count` on."""
    policy = np.stack([augmentation_draw(seed, index * count + each) for each in range(count)])
    return Draws(torch.from_numpy(policy), np.random.default_rng([seed, 1, index]).random((count, 2 * _CROP_TRIES + 2)))


@dataclass(frozen=True)
class PolicyTransform:
    """A policy, whole or with all but one of its transforms turned off, as training applies it where boxes are known, or unknown."""

    name: str
    setting: str
    kind: str
    policy: AugmentConfig
    boxes_known: bool = True

    def matrices(self, film: BrokenFilm, size: int, draws: Draws) -> torch.Tensor:
        """Float32 (M, 2, 3): where each pixel of the film goes, pixel centres at whole numbers."""
        count = len(draws.policy)
        heights, widths = (torch.full((count,), float(side)) for side in film.shape)
        if not self.boxes_known:
            return affine_matrices(named_draws(draws.policy), heights, widths, self.policy)
        boxes = torch.from_numpy(film.boxes).expand(count, -1, -1)
        bright = None
        if tiles.are_on(self.policy):
            grey = torch.zeros(1, 1, size, size)
            grey[0, 0, : film.shape[0], : film.shape[1]] = torch.from_numpy(film.pixels.astype(np.float32))
            bright = tiles.brightness(grey, heights[:1], widths[:1]).expand(count, -1, -1)
        return affine_matrices(named_draws(draws.policy), heights, widths, self.policy, boxes, torch.ones(count, dtype=torch.bool), bright)

    def tiles(self, film: BrokenFilm, draws: Draws, matrices: torch.Tensor) -> tuple[Flags, Flags]:
        """(M,) which of the changed films are tiles, and (M,) which of all keep the film's label, as training has it."""
        known = torch.full((len(matrices),), self.boxes_known)
        chosen = tiles.are_tiles(named_draws(draws.policy), known, self.policy)
        sides = torch.tensor([[film.shape[1], film.shape[0]]], dtype=torch.float32).expand(len(matrices), 2)
        held = tiles.hold_a_box(matrices, sides, torch.from_numpy(film.boxes).expand(len(matrices), -1, -1))
        return chosen.numpy(), (~chosen | held).numpy()

    def frame(self, film: BrokenFilm, size: int) -> tuple[int, int]:
        """Height and width, px, of what the network sees of it afterwards; the rest of the square is padding."""
        return film.shape

    def pictures(self, grey: torch.Tensor, film: BrokenFilm, draws: Draws, matrices: torch.Tensor) -> torch.Tensor:
        """The changed (M, 1, size, size) of `grey`, the padded film in [0, 1], of the same shape."""
        heights, widths = (torch.full((len(grey),), side) for side in film.shape)
        images = BatchImages.without_boxes(heights, widths)
        if self.boxes_known:
            known = torch.ones(len(grey), dtype=torch.bool)
            images = dataclasses.replace(images, boxes=torch.from_numpy(film.boxes).expand(len(grey), -1, -1), boxes_known=known)
        return augment_batch(grey, heights, widths, named_draws(draws.policy), self.policy, matrices, images)


@dataclass(frozen=True)
class CounterExample:
    """A transform that the policy leaves out on purpose, with the methods of `PolicyTransform`; `place` gives its matrices, and it fills
    the whole square if `fills`."""

    name: str
    setting: str
    place: Callable[[tuple[int, int], int, npt.NDArray[np.float64]], npt.NDArray[np.float64]]
    fills: bool
    kind: str = COUNTER_EXAMPLE

    def matrices(self, film: BrokenFilm, size: int, draws: Draws) -> torch.Tensor:
        return torch.from_numpy(self.place(film.shape, size, draws.other)).to(torch.float32)

    def tiles(self, film: BrokenFilm, draws: Draws, matrices: torch.Tensor) -> tuple[Flags, Flags]:
        return np.zeros(len(matrices), dtype=bool), np.ones(len(matrices), dtype=bool)

    def frame(self, film: BrokenFilm, size: int) -> tuple[int, int]:
        return (size, size) if self.fills else film.shape

    def pictures(self, grey: torch.Tensor, film: BrokenFilm, draws: Draws, matrices: torch.Tensor) -> torch.Tensor:
        side = (grey.shape[-2], grey.shape[-1])
        warped: torch.Tensor = kornia.geometry.transform.warp_affine(
            grey, matrices, dsize=side, mode="bilinear", padding_mode="zeros", align_corners=True
        )
        return warped.clamp(0, 1)


Transform = PolicyTransform | CounterExample


def shear(shape: tuple[int, int], size: int, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(M, 2, 3): a shear along x by ± `SHEAR_DEGREES`, about the centre of an image of `shape` (height, width)."""
    slope = np.tan(np.radians((numbers[:, 0] * 2 - 1) * SHEAR_DEGREES))
    found = np.zeros((len(numbers), 2, 3))
    found[:, 0, 0] = found[:, 1, 1] = 1
    found[:, 0, 1] = slope
    found[:, 0, 2] = -slope * (shape[0] - 1) / 2
    return found


def random_resized_crop(shape: tuple[int, int], size: int, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(M, 2, 3): a random window of an image of `shape` (height, width) enlarged to the `size` px square, whatever its proportions.

    Its area is `CROP_SCALE` of the image's, its width to height `CROP_RATIO`, evenly drawn on a log scale; ten tries to fit it into the
    image, then the largest window in its middle (Szegedy et al., "Going deeper with convolutions", 2015, with torchvision's defaults).
    """
    height, width = shape
    area = height * width * (CROP_SCALE[0] + numbers[:, :_CROP_TRIES] * (CROP_SCALE[1] - CROP_SCALE[0]))
    low, high = np.log(CROP_RATIO)
    aspect = np.exp(low + numbers[:, _CROP_TRIES : 2 * _CROP_TRIES] * (high - low))
    across, down = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (across >= 1) & (across <= width) & (down >= 1) & (down <= height)
    rows, first = np.arange(len(numbers)), fits.argmax(axis=1)
    found = fits.any(axis=1)
    middle = min(max(width / height, CROP_RATIO[0]), CROP_RATIO[1])
    window_w = np.where(found, across[rows, first], min(width, round(height * middle)))
    window_h = np.where(found, down[rows, first], min(height, round(width / middle)))
    # whole pixels, each place as likely as another; in the middle where no try fitted
    left = np.where(found, np.floor(numbers[:, -2] * (width - window_w + 1)), (width - window_w) // 2)
    top = np.where(found, np.floor(numbers[:, -1] * (height - window_h + 1)), (height - window_h) // 2)
    matrices = np.zeros((len(numbers), 2, 3))
    matrices[:, 0, 0], matrices[:, 1, 1] = size / window_w, size / window_h
    matrices[:, 0, 2] = (0.5 - left) * matrices[:, 0, 0] - 0.5
    matrices[:, 1, 2] = (0.5 - top) * matrices[:, 1, 1] - 0.5
    return matrices


COUNTER_EXAMPLES = (
    CounterExample("RandomResizedCrop", "area 0.08–1, aspect 3/4–4/3", random_resized_crop, fills=True),
    CounterExample("shear", f"± {SHEAR_DEGREES:g}° along x", shear, fills=False),
)


def transforms_of(policy: AugmentConfig) -> list[Transform]:
    """Each transform that a policy turns on, alone; the whole policy, also for films without boxes; the counter-examples."""
    found: list[Transform] = []
    for augmentation in AUGMENTATIONS:
        if augmentation.is_on(policy):
            # A change that is seldom made must keep the break as well.
            own: dict[str, Any] = {key: policy.strength(key) for key in augmentation.off} | {**augmentation.always}
            alone = dataclasses.replace(STILL, keep_in_view=policy.keep_in_view, **own)
            found.append(PolicyTransform(augmentation.name, augmentation.strength(policy), ALONE, alone))
    settings = f"{len(found)} transforms together" if len(found) != 1 else f"{found[0].name} only"
    found.append(PolicyTransform("whole policy", settings, POLICY, policy))
    if needs_boxes(dataclasses.replace(policy, augment=True)):
        found.append(PolicyTransform("policy, boxes unknown", "as on a film without boxes", BLIND, policy, boxes_known=False))
    return [*found, *COUNTER_EXAMPLES]


def most_bend(matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(M,) degrees: the most by which an angle between two lines changes under each of the maps (M, 2, 3).

    With s ≥ t the singular values, a line turns by up to asin((s − t) / (s + t)) one way or the other, so an angle changes by up to twice
    that; 0 for rotations, mirrors and isotropic scale, which have s = t.
    """
    a, b, c, d = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1]
    one, other = np.hypot(a + d, c - b), np.hypot(a - d, b + c)  # sum and difference of s and t; the other way round for a mirror
    share = np.minimum(one, other) / np.maximum(np.maximum(one, other), 1e-12)
    return np.degrees(2 * np.arcsin(share.clip(0, 1)))


def growth(matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(M,): by how much lengths grow, the root of the area's change, under each of the maps (M, 2, 3)."""
    return np.sqrt(np.abs(matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]))
