"""Random changes to a batch of radiographs that keep each image's label, run on the batch's device.

`AUGMENTATIONS` is the list of them: training, the augmentation check and its contact sheet read it, so a new one is an entry there (and
its keys in `AugmentConfig`). It has no shear, no anisotropic scale and no crop that knows nothing of the break: shear can imitate
displacement, which is what tells `beyond_repair` from `fractured`, and a blind crop can cut the break out. The zoom enlarges a window that
holds all known fracture boxes, and a rotation, scale or shift that would take one of them out of the frame is followed by a shift back.

Each image's draw comes from its own seed (run seed and position in the run), so the changes do not depend on how many processes or
loader workers there are, nor on where a run was killed and resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data import tiles
from hf_bones.training.data.on_device import constant

Named = Mapping[str, torch.Tensor]
"""Uniform numbers (B,) in [0, 1) by what is drawn with them, see `named_draws`."""

_MARGIN = 0.05  # of each side, kept around the boxes that a zoom must hold


@dataclass(frozen=True, eq=False)
class BatchImages:
    """What is known of the unpadded images of a batch: sides (B,) px, boxes (B, K, 4) and whether these are known (B,), and where it is
    at hand how bright they are (`tiles.brightness`)."""

    heights: torch.Tensor
    widths: torch.Tensor
    boxes: torch.Tensor
    boxes_known: torch.Tensor
    bright: torch.Tensor | None = None


@dataclass(frozen=True)
class Augmentation:
    """A random change: the keys of `AugmentConfig` with the values at which it does nothing, the uniform numbers it takes with those at
    which it does nothing whatever the policy, and how strong a policy makes it, in words.

    `tone` changes grey values (B, 1, S, S), in place. `move` follows up on the matrices of `affine_matrices` where boxes are given, and
    has to keep these in view itself. Rotation, scale, shift and flips have neither: they make up one similarity.
    """

    name: str
    off: Mapping[str, float]
    draws: Mapping[str, float]
    strength: Callable[[AugmentConfig], str]
    tone: Callable[[torch.Tensor, Named, AugmentConfig], torch.Tensor] | None = None
    move: Callable[[torch.Tensor, Named, BatchImages, AugmentConfig], torch.Tensor] | None = None

    def is_on(self, policy: AugmentConfig) -> bool:
        """Whether a policy ever makes this change; one with a probability of its own needs both."""
        differ = [getattr(policy, key) != value for key, value in self.off.items()]
        return all(differ) if f"{self.name}_probability" in self.off else any(differ)


def _gamma(grey: torch.Tensor, draws: Named, policy: AugmentConfig) -> torch.Tensor:
    gamma = torch.exp((draws["gamma"] * 2 - 1) * math.log1p(policy.gamma))[:, None, None, None]
    # x ** gamma by logarithms, which takes half as long; in place, since on a CPU new tensors cost more than the arithmetic.
    return grey.log_().mul_(gamma).exp_()


def _contrast(grey: torch.Tensor, draws: Named, policy: AugmentConfig) -> torch.Tensor:
    return grey.mul_((1 + (draws["contrast"] * 2 - 1) * policy.contrast)[:, None, None, None]).clamp_(0, 1)


def _brightness(grey: torch.Tensor, draws: Named, policy: AugmentConfig) -> torch.Tensor:
    return grey.add_(((draws["brightness"] * 2 - 1) * policy.brightness)[:, None, None, None]).clamp_(0, 1)


def _zoom(matrices: torch.Tensor, draws: Named, frame: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """`matrices` followed by the enlargement of a window that holds all boxes, drawn among those that do; of known boxes only."""
    if policy.zoom <= 1:
        return matrices
    sides = torch.stack([frame.widths, frame.heights], dim=1)  # (B, 2)
    top, end, any_real = _extent(matrices, sides, frame.boxes, _MARGIN)
    top, end = torch.where(any_real, top, sides), torch.where(any_real, end, torch.zeros_like(sides))
    top, end = torch.minimum(top.clamp(min=0), sides), torch.minimum(end.clamp(min=0), sides)
    room = torch.where(any_real, sides / (end - top).clamp(min=1), torch.full_like(sides, torch.inf)).amin(dim=1)
    factor = torch.minimum(torch.exp(draws["zoom_factor"] * math.log(policy.zoom)), room.clamp(min=1))
    chosen = (draws["zoom"] < policy.zoom_probability) & frame.boxes_known & ~tiles.are_tiles(draws, frame.boxes_known, policy)
    factor = torch.where(chosen, factor, torch.ones_like(factor))
    window = sides / factor[:, None]
    first, last = (end - window).clamp(min=0), torch.minimum(top, sides - window)
    offset = first + torch.stack([draws["zoom_x"], draws["zoom_y"]], dim=1) * (last - first).clamp(min=0)
    zoomed = matrices * factor[:, None, None]
    zoomed[:, :, 2] = (matrices[:, :, 2] - offset) * factor[:, None]
    return zoomed


AUGMENTATIONS = (
    Augmentation("rotation", {"rotation_degrees": 0}, {"rotation": 0.5}, lambda policy: f"± {policy.rotation_degrees:g}°"),
    Augmentation("scale", {"scale": 0}, {"scale": 0.5}, lambda policy: f"{1 - policy.scale:g} to {1 + policy.scale:g}"),
    Augmentation("shift", {"shift": 0}, {"shift_x": 0.5, "shift_y": 0.5}, lambda policy: f"± {policy.shift:g} of the side"),
    Augmentation(
        "flips",
        {"horizontal_flip": 0, "vertical_flip": 0},
        {"horizontal_flip": 1, "vertical_flip": 1},
        lambda policy: f"mirrored {policy.horizontal_flip:.0%}, upside down {policy.vertical_flip:.0%}",
    ),
    Augmentation("gamma", {"gamma": 0}, {"gamma": 0.5}, lambda policy: f"{1 / (1 + policy.gamma):.2g} to {1 + policy.gamma:.2g}", _gamma),
    Augmentation(
        "contrast", {"contrast": 0}, {"contrast": 0.5}, lambda policy: f"× {1 - policy.contrast:g} to {1 + policy.contrast:g}", _contrast
    ),
    Augmentation("brightness", {"brightness": 0}, {"brightness": 0.5}, lambda policy: f"± {policy.brightness:g}", _brightness),
    Augmentation(
        "zoom",
        {"zoom": 1, "zoom_probability": 0},
        {"zoom": 1, "zoom_factor": 0.5, "zoom_x": 0.5, "zoom_y": 0.5},
        lambda policy: f"up to {policy.zoom:g}, in {policy.zoom_probability:.0%}",
        move=_zoom,
    ),
    Augmentation(
        "tile",
        {"tile_scale": 1, "tile_probability": 0},
        tiles.DRAWS,
        lambda policy: f"up to {policy.tile_scale:g}, in {policy.tile_probability:.0%}",
        move=tiles.tiled,
    ),
)
"""In the order in which numbers are drawn for them and in which they are made; a new one comes last, and leaves the others their draws."""

_NEUTRAL = {name: value for augmentation in AUGMENTATIONS for name, value in augmentation.draws.items()}
DRAWS = tuple(_NEUTRAL)
"""Names of the uniform numbers in [0, 1) that one image's augmentation takes, in the order in which they are drawn."""


def augmentation_draw(seed: int, position: int) -> np.ndarray:
    """The float32 uniform numbers of the image at `position` (counted over the whole run), in the order of `DRAWS`."""
    return np.random.default_rng([seed, position]).random(len(DRAWS), dtype=np.float32)


def neutral_draw() -> np.ndarray:
    """The draw that changes nothing, whatever the policy: middle values, and certainties at which no flip and no zoom comes about."""
    return np.array([*_NEUTRAL.values()], dtype=np.float32)


def named_draws(draws: torch.Tensor) -> dict[str, torch.Tensor]:
    """The numbers of a batch, each (B,), by name, from the draws of its images stacked to one tensor."""
    return dict(zip(DRAWS, draws.unbind(1), strict=True))


def policy_without_any() -> AugmentConfig:
    """The policy all of whose augmentations are off."""
    off: dict[str, float] = {}
    for augmentation in AUGMENTATIONS:
        off |= augmentation.off
    return AugmentConfig(**off)  # type: ignore[arg-type]  # `augment` and `keep_in_view` are none of these keys


def needs_boxes(policy: AugmentConfig) -> bool:
    """Whether a policy looks at where the breaks of an image are."""
    return policy.augment and (policy.keep_in_view or any(each.move is not None and each.is_on(policy) for each in AUGMENTATIONS))


def affine_matrices(
    draws: Named,
    heights: torch.Tensor,
    widths: torch.Tensor,
    policy: AugmentConfig,
    boxes: torch.Tensor | None = None,
    boxes_known: torch.Tensor | None = None,
    bright: torch.Tensor | None = None,
) -> torch.Tensor:
    """Float32 (B, 2, 3) pixel-space matrices, source to destination, about the centre of each unpadded image.

    `heights` and `widths` are (B,) px of the unpadded images. `boxes` (B, K, 4) are (cx, cy, w, h) in [0, 1] of them, rows of zero size
    being none: they stay in view (`keep_in_view`), and only images whose boxes are known (B,) are zoomed, or
    replaced by a tile. `bright` are the maps of `tiles.brightness`; without them a tile may show background.
    """
    centre_x, centre_y = (widths - 1) / 2, (heights - 1) / 2
    angle = (draws["rotation"] * 2 - 1) * math.radians(policy.rotation_degrees)
    scale = 1 + (draws["scale"] * 2 - 1) * policy.scale
    shift_x = (draws["shift_x"] * 2 - 1) * policy.shift * widths
    shift_y = (draws["shift_y"] * 2 - 1) * policy.shift * heights
    mirror = torch.where(draws["horizontal_flip"] < policy.horizontal_flip, -1.0, 1.0)
    flip = torch.where(draws["vertical_flip"] < policy.vertical_flip, -1.0, 1.0)
    # Rotation × isotropic scale × mirror: angles between bones and relative lengths are kept, which shear would not do.
    a, b = scale * torch.cos(angle) * mirror, -scale * torch.sin(angle) * flip
    c, d = scale * torch.sin(angle) * mirror, scale * torch.cos(angle) * flip
    move_x = centre_x + shift_x - a * centre_x - b * centre_y
    move_y = centre_y + shift_y - c * centre_x - d * centre_y
    matrices = torch.stack([torch.stack([a, b, move_x], dim=1), torch.stack([c, d, move_y], dim=1)], dim=1)
    if boxes is None or boxes_known is None:
        return matrices
    if policy.keep_in_view:
        matrices = _moved_back(matrices, heights, widths, boxes)
    frame = BatchImages(heights, widths, boxes, boxes_known, bright)
    for augmentation in AUGMENTATIONS:
        if augmentation.move is not None:
            matrices = augmentation.move(matrices, draws, frame, policy)
    return matrices


def _extent(
    matrices: torch.Tensor, sides: torch.Tensor, boxes: torch.Tensor, margin: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where `matrices` take all boxes of each image: first and last x and y, (B, 2) px from the frame's corner; whether it has any, (B, 1).

    A `margin`, a share of each side of the frame (B, 2), is added all round. Without any box, first is inf and last is -inf.
    """
    corners = constant((-0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5), boxes.device).view(4, 2)
    points = (boxes[:, :, None, :2] + corners * boxes[:, :, None, 2:]).clamp(0, 1) * sides[:, None, None]  # (B, K, 4, 2)
    # Matrices count from the centre of the first pixel, half a pixel from the corner.
    moved = torch.einsum("bij,bkcj->bkci", matrices[:, :, :2], points - 0.5) + matrices[:, None, None, :, 2] + 0.5
    real = (boxes[..., 2:] > 0).all(dim=-1)[:, :, None, None]
    first = moved.masked_fill(~real, torch.inf).flatten(1, 2).amin(dim=1) - margin * sides
    last = moved.masked_fill(~real, -torch.inf).flatten(1, 2).amax(dim=1) + margin * sides
    return first, last, real.flatten(1).any(dim=1)[:, None]


def _moved_back(matrices: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """`matrices` followed by the least shift that brings all boxes into the frame; to its middle where they are larger than it."""
    sides = torch.stack([widths, heights], dim=1)
    first, last, any_real = _extent(matrices, sides, boxes, 0)
    back = torch.where(last - first > sides, (sides - first - last) / 2, (-first).clamp(min=0) + (sides - last).clamp(max=0))
    shifted = matrices.clone()
    shifted[:, :, 2] += torch.where(any_real, back, torch.zeros_like(back))
    return shifted


def augment_batch(
    grey: torch.Tensor,
    heights: torch.Tensor,
    widths: torch.Tensor,
    draws: Named,
    policy: AugmentConfig,
    matrices: torch.Tensor | None = None,
) -> torch.Tensor:
    """Augments grey images in [0, 1], (B, 1, S, S), padded right and below beyond `heights` × `widths`.

    `matrices` are those of `affine_matrices`, where they are at hand (a zoom needs the boxes); otherwise they are made without a zoom.
    Returns the same shape in [0, 1]. What a rotation or shift brings in from outside is black; the padding is left to the caller,
    who sets it to 0 again after normalising.
    """
    if matrices is None:
        matrices = affine_matrices(draws, heights.to(grey.dtype), widths.to(grey.dtype), policy)
    changed = warp(grey, matrices).clamp_(0, 1)
    for augmentation in AUGMENTATIONS:
        if augmentation.tone is not None:
            changed = augmentation.tone(changed, draws, policy)
    return changed


def warp(grey: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Images (B, 1, H, W) moved by pixel-space `matrices` (B, 2, 3), source to destination: bilinear, black outside, centres of pixels.

    The same as kornia's `warp_affine`, in half the time on a CPU: the matrices are inverted by hand and the places to read at are sums of
    a row and a column, no products of matrices.
    """
    height, width = grey.shape[-2:]
    a, b, move_x = matrices[:, 0].unbind(1)
    c, d, move_y = matrices[:, 1].unbind(1)
    area = a * d - b * c
    xs, ys = (torch.arange(side, device=grey.device, dtype=grey.dtype) for side in (width, height))
    grid = torch.empty(len(grey), height, width, 2, device=grey.device, dtype=grey.dtype)
    # Where each pixel comes from, solved for x and y, from -1 to 1 over the centres of the first and the last pixel.
    for axis, (along_x, along_y, side) in enumerate(((d, -b, width), (-c, a, height))):
        step = 2 / ((side - 1) * area)
        start = -(along_x * move_x + along_y * move_y) * step - 1
        columns, rows = (along_x * step)[:, None] * xs, (along_y * step)[:, None] * ys + start[:, None]
        torch.add(columns[:, None, :], rows[:, :, None], out=grid[..., axis])
    return torch.nn.functional.grid_sample(grey, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
