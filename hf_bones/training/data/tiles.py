"""Tiles: a training image is replaced by a window of it at two to three times the size, and its label is that of the window.

A window that holds a box keeps the film's label; one that holds none is healthy, though the limb is broken elsewhere: so cast, region and
hospital tell nothing of the label, and breaks are seen as large as a second look shows them. No window cuts a box that decides its label:
it holds the whole of one, or none is within it. Films whose breaks nobody marked are left whole.

As everything about an augmentation, a tile rests on the image's own draw, its boxes and its sides alone, and on a coarse map of how bright
it is (`brightness`), so that windows are not mere background.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.on_device import constant

Named = Mapping[str, torch.Tensor]

SMALLEST = 2.0  # times the size, of a tile that need not be smaller to hold its box
WITH_A_BOX = 0.5  # share of a broken film's tiles
CELLS = 16  # each way, of the map of brightness
_MARGIN = 0.02  # of the longer side, kept between a window's edge and the boxes that it holds or leaves out
_WINDOWS = 32  # places that are tried for a window without a box
_PLASTIC = (0.7548776662466927, 0.5698402909980532)  # steps of the R2 sequence, which fills a square evenly (Roberts 2018)
_POINTS = 5  # each way, at which a window is asked how bright it is
_DARK = 0.5  # of the film's mean: a window below it is background


class Frame(Protocol):
    """What is known of the unpadded images of a batch: sides (B,) px, boxes (B, K, 4), whether these are known (B,), and brightness."""

    @property
    def heights(self) -> torch.Tensor: ...
    @property
    def widths(self) -> torch.Tensor: ...
    @property
    def boxes(self) -> torch.Tensor: ...
    @property
    def boxes_known(self) -> torch.Tensor: ...
    @property
    def bright(self) -> torch.Tensor | None: ...


DRAWS = {"tile": 1.0, "tile_factor": 0.5, "tile_box": 1.0, "tile_which": 0.5, "tile_x": 0.5, "tile_y": 0.5}
"""The uniform numbers that a tile takes, with the values at which there is none."""


def are_on(policy: AugmentConfig) -> bool:
    """Whether a policy ever takes a tile."""
    return policy.augment and policy.tile_probability > 0 and policy.tile_scale > 1


def are_tiles(draws: Named, boxes_known: torch.Tensor, policy: AugmentConfig) -> torch.Tensor:
    """Which images of a batch are replaced by a tile, (B,)."""
    return (draws["tile"] < (policy.tile_probability if are_on(policy) else 0.0)) & boxes_known


def tiled(matrices: torch.Tensor, draws: Named, frame: Frame, policy: AugmentConfig) -> torch.Tensor:
    """`matrices` followed by the enlargement of a window, for the images that are replaced by a tile."""
    if not are_on(policy):
        return matrices
    sides = torch.stack([frame.widths, frame.heights], dim=1).float()
    margin = _MARGIN * sides.amax(dim=1, keepdim=True)
    first, last, real = box_extents(matrices, sides, frame.boxes)
    least = min(SMALLEST, policy.tile_scale)
    factor = torch.exp(math.log(least) + draws["tile_factor"] * math.log(policy.tile_scale / least))
    place = torch.stack([draws["tile_x"], draws["tile_y"]], dim=1)

    top, end = _chosen_box(first, last, real, draws["tile_which"])
    top, end = torch.maximum(top - margin, torch.zeros_like(sides)), torch.minimum(end + margin, sides)
    room = (sides / (end - top).clamp(min=1)).amin(dim=1).clamp(min=1)
    near = torch.minimum(factor, room)  # a large box is held by a larger window
    window = sides / near[:, None]
    low, high = (end - window).clamp(min=0), torch.minimum(top, sides - window)
    holding = low + place * (high - low).clamp(min=0)

    kept_clear = first - margin[:, None], last + margin[:, None]
    empty, is_free = _window_without_box(matrices, sides, sides / factor[:, None], place, kept_clear, frame)
    broken = real.any(dim=1)
    hold = broken & ((draws["tile_box"] < WITH_A_BOX) | ~is_free)
    chosen = are_tiles(draws, frame.boxes_known, policy)
    factor = torch.where(chosen, torch.where(hold, near, factor), torch.ones_like(factor))
    offset = torch.where(chosen[:, None], torch.where(hold[:, None], holding, empty), torch.zeros_like(sides))
    moved = matrices * factor[:, None, None]
    # Matrices count from the centre of the first pixel, half a pixel from the corner that the window's offset counts from.
    moved[:, :, 2] = (matrices[:, :, 2] + 0.5 - offset) * factor[:, None] - 0.5
    return torch.where(chosen[:, None, None], moved, matrices)


def hold_a_box(matrices: torch.Tensor, sides: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Which images (B,) have at least half of a box within the frame of `sides` (B, 2) after `matrices`."""
    first, last, real = box_extents(matrices, sides, boxes)
    inside = (torch.minimum(last, sides[:, None]) - first.clamp(min=0)).clamp(min=0).prod(dim=-1)
    area = (last - first).prod(dim=-1)  # 0 of a box that lies beyond the film's edge
    return ((inside >= 0.5 * area) & (area > 0) & real).any(dim=1)


def box_extents(matrices: torch.Tensor, sides: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where `matrices` take each box: first and last x and y, (B, K, 2) px from the frame's corner; which rows are boxes, (B, K)."""
    corners = constant((-0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5), boxes.device).view(4, 2)
    points = (boxes[:, :, None, :2] + corners * boxes[:, :, None, 2:]).clamp(0, 1) * sides[:, None, None]
    moved = torch.einsum("bij,bkcj->bkci", matrices[:, :, :2], points - 0.5) + matrices[:, None, None, :, 2] + 0.5
    return moved.amin(dim=2), moved.amax(dim=2), (boxes[..., 2:] > 0).all(dim=-1)


def _chosen_box(first: torch.Tensor, last: torch.Tensor, real: torch.Tensor, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and last x and y (B, 2) of one of the boxes of each image, all alike by `which` (B,); of an image without, of its first row."""
    number = (which * real.sum(dim=1)).long() + 1
    index = ((real.cumsum(dim=1) == number[:, None]) & real).float().argmax(dim=1)
    rows = torch.arange(len(index), device=index.device)
    return first[rows, index], last[rows, index]


def _window_without_box(
    matrices: torch.Tensor,
    sides: torch.Tensor,
    window: torch.Tensor,
    place: torch.Tensor,
    extents: tuple[torch.Tensor, torch.Tensor],
    frame: Frame,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Offset (B, 2) of a window of `window` (B, 2) px that no box touches and that shows more than background; whether there is one (B,).

    Of the places that are tried, the first one that will do; where all are dark, the brightest.
    """
    steps = torch.arange(_WINDOWS, device=sides.device)[:, None] * constant(_PLASTIC, sides.device)
    offsets = ((place[:, None] + steps) % 1) * (sides - window)[:, None]  # (B, W, 2)
    low, high = (each[:, None] for each in extents)  # (B, 1, K, 2)
    start, stop = offsets[:, :, None], (offsets + window[:, None])[:, :, None]
    real = (frame.boxes[..., 2:] > 0).all(dim=-1)[:, None]
    free = ~(((low < stop) & (high > start)).all(dim=-1) & real).any(dim=2)  # (B, W)
    light, mean = _light(matrices, sides, window, offsets, frame.bright)
    order = torch.arange(_WINDOWS, 0, -1, device=sides.device)
    first_good = (free & (light >= _DARK * mean[:, None])) * order
    best_left = torch.where(free, light, torch.full_like(light, -1.0)).argmax(dim=1)
    index = torch.where(first_good.any(dim=1), first_good.argmax(dim=1), best_left)
    return offsets[torch.arange(len(index), device=index.device), index], free.any(dim=1)


def _light(
    matrices: torch.Tensor, sides: torch.Tensor, window: torch.Tensor, offsets: torch.Tensor, bright: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """How bright the film is in each window (B, W) and all over (B,); 0 where the window shows what is beyond the film."""
    if bright is None:
        return torch.ones_like(offsets[..., 0]), torch.ones_like(sides[:, 0])
    line = (torch.arange(_POINTS, device=sides.device) + 0.5) / _POINTS
    spread = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).flatten(0, 1)  # (P, 2)
    points = offsets[:, :, None] + spread * window[:, None, None] - 0.5  # (B, W, P, 2)
    x, y = (points - matrices[:, None, None, :, 2]).unbind(-1)
    a, b, c, d = (each[:, None, None] for each in matrices[:, :, :2].flatten(1).unbind(1))
    source = torch.stack([d * x - b * y, a * y - c * x], dim=-1) / (a * d - b * c)[..., None]
    share = (source + 0.5) / sides[:, None, None]
    within = ((share >= 0) & (share < 1)).all(dim=-1)
    cell = (share * CELLS).long().clamp(0, CELLS - 1)
    place = (cell[..., 1] * CELLS + cell[..., 0]).flatten(1)
    found = bright.flatten(1).gather(1, place).view_as(within) * within
    return found.mean(dim=2), bright.flatten(1).mean(dim=1)


def brightness(grey: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """A coarse map of how bright each unpadded image is, float32 (B, CELLS, CELLS) of whole numbers from 0 to 255.

    `grey` (B, 1, S, S) uint8, padded right and below. Whole numbers, so that a kept map and a new one are the same.
    """
    size = grey.shape[-1]
    line = (torch.arange(CELLS, device=grey.device) + 0.5) / CELLS
    x, y = ((line * side.float()[:, None] / size * 2 - 1) for side in (widths, heights))  # (B, CELLS)
    places = torch.stack([x[:, None].expand(-1, CELLS, -1), y[:, :, None].expand(-1, -1, CELLS)], dim=-1)
    pooled = torch.nn.functional.adaptive_avg_pool2d(grey.float(), min(size, 2 * CELLS))
    found = torch.nn.functional.grid_sample(pooled, places, mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, 0].round()
