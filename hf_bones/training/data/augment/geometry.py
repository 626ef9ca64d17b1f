"""Where pixels go: rotation, scale, shift and flips as one similarity, and a zoom onto a window that holds all known boxes.

There is no shear, no anisotropic scale and no crop that knows nothing of the break: shear can imitate displacement, which is what tells
`beyond_repair` from `fractured`, and a blind crop can cut the break out.
"""

from __future__ import annotations

import math

import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data import tiles
from hf_bones.training.data.augment.kinds import BatchImages, Named
from hf_bones.training.data.on_device import constant

_MARGIN = 0.05  # of each side, kept around the boxes that a zoom must hold


def similarity(draws: Named, heights: torch.Tensor, widths: torch.Tensor, policy: AugmentConfig) -> torch.Tensor:
    """Rotation, scale, shift and flips as float32 (B, 2, 3) pixel-space matrices about the centre of each unpadded image."""
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
    return torch.stack([torch.stack([a, b, move_x], dim=1), torch.stack([c, d, move_y], dim=1)], dim=1)


def zoomed(matrices: torch.Tensor, draws: Named, frame: BatchImages, policy: AugmentConfig) -> torch.Tensor:
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
    moved = matrices * factor[:, None, None]
    moved[:, :, 2] = (matrices[:, :, 2] - offset) * factor[:, None]
    return moved


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


def moved_back(matrices: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """`matrices` followed by the least shift that brings all boxes into the frame; to its middle where they are larger than it."""
    sides = torch.stack([widths, heights], dim=1)
    first, last, any_real = _extent(matrices, sides, boxes, 0)
    back = torch.where(last - first > sides, (sides - first - last) / 2, (-first).clamp(min=0) + (sides - last).clamp(max=0))
    shifted = matrices.clone()
    shifted[:, :, 2] += torch.where(any_real, back, torch.zeros_like(back))
    return shifted


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
