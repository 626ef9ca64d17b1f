"""Where the limb lies on a film: its silhouette, its axis and its bone, estimated from grey values on a coarse grid.

An estimate, for drawing casts and metal where they could be: it takes a limb for what is brighter than the dark ground and not as broad as
a trunk. It learns nothing and is right on most films of one or two limbs on a dark ground; on others it says so, or finds little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

from hf_bones.training.data.augment.detail import blurred
from hf_bones.training.data.augment.kinds import BatchImages

CELLS = 96  # of the grid, each way
_BINS = 64
_BROADEST = 0.2  # of the side: half the breadth from which it is a trunk or the edge of a table
_FLESH = 0.25  # of the way from ground to bone
_LEAST, _MOST = 0.02, 0.5  # share of the square that a limb takes up
_LONG = 1.5  # times as long as broad at least; a chest with its arms is not
_SWEEPS = 8  # of growing a part from one cell: more than a limb that bends twice needs


@dataclass(frozen=True, eq=False)
class Limbs:
    """The limb of each image of a batch, on a grid of `CELLS` × `CELLS` over the square; places count in cells.

    `inside` (B, N, N): distance to the skin, above 0 in the limb, below 0 outside. `bone` (B, N, N): how much brighter than its
    surroundings. `found` (B,): whether there is a limb at all.
    """

    inside: torch.Tensor
    bone: torch.Tensor
    found: torch.Tensor


def find_limbs(grey: torch.Tensor, images: BatchImages, chance: torch.Tensor) -> Limbs:
    """The limb on each of `grey` (B, 1, S, S); where there are several, the one that the numbers `chance` (B,) in [0, 1) choose."""
    small = interpolate(grey, size=(CELLS, CELLS), mode="area")
    size = grey.shape[-1]
    centres = (torch.arange(CELLS, device=grey.device) + 0.5) * size / CELLS
    film = (centres[None, None, :] < images.widths[:, None, None] - 1) & (centres[None, :, None] < images.heights[:, None, None] - 1)
    level = blurred(small, torch.full((len(grey),), 0.7, device=grey.device), 0.7)[:, 0].clamp(min=0).sqrt()
    bright = (level > _threshold(level, film)[:, None, None]) & (level < 0.975) & film
    reach = round(_BROADEST * CELLS)
    core = ~_widened(~bright, reach)  # what is left of a trunk, shrunk from all sides
    thin = bright & ~_widened(core, reach + 7)
    limb = _part(_widened(~_widened(~thin, 2), 2) & thin, chance)  # without fingers, wires and the edge of a table
    edge = torch.where(limb, distance(limb, 24), -distance(~limb, 8))
    inside = blurred(edge[:, None], torch.full((len(grey),), 1.2, device=grey.device), 1.2)[:, 0]
    share = limb.float().mean(dim=(1, 2))
    long, broad = spreads(limb.float())
    wide = blurred(level[:, None], torch.full((len(grey),), 5.0, device=grey.device), 5.0)[:, 0]
    return Limbs(inside, level - wide, (share > _LEAST) & (share < _MOST) & (long > _LONG * broad))


def _threshold(level: torch.Tensor, film: torch.Tensor) -> torch.Tensor:
    """Between ground and flesh (B,): a quarter of the way from the commonest dark level to the mean of what is bright."""
    steps = (torch.arange(_BINS, device=level.device) + 0.5) / _BINS
    bins = (level * _BINS).long().clamp(0, _BINS - 1).flatten(1)
    counts = torch.zeros(len(level), _BINS, device=level.device).scatter_add_(1, bins, film.flatten(1).float())
    first = _otsu(counts, steps)[:, None]
    dark, bright = counts * (steps <= first), counts * (steps > first)
    ground = steps[(dark + dark.roll(1, 1) + dark.roll(-1, 1)).argmax(dim=1)]
    white = (bright * steps).sum(dim=1) / bright.sum(dim=1).clamp(min=1)
    return ground + _FLESH * (white - ground)


def _otsu(counts: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    weight, moment = counts.cumsum(dim=1), (counts * steps).cumsum(dim=1)
    total, whole = weight[:, -1:].clamp(min=1), moment[:, -1:]
    low, high = moment / weight.clamp(min=1e-6), (whole - moment) / (total - weight).clamp(min=1e-6)
    return steps[(weight * (total - weight) * (low - high) ** 2).argmax(dim=1)] + 0.5 / len(steps)


def distance(mask: torch.Tensor, most: int) -> torch.Tensor:
    """Cells from each cell of `mask` (B, N, N) to the nearest one outside it, up to `most`, 0 there; the frame's edge is no outside."""
    count = mask.shape[-1]
    at = torch.arange(count, device=mask.device, dtype=torch.float32)
    far = torch.tensor(2.0 * count, device=mask.device)
    left = at - torch.where(mask, -far, at).cummax(dim=2).values
    right = torch.where(mask, far, at).flip(2).cummin(dim=2).values.flip(2) - at
    along = pad(torch.minimum(left, right).clamp(max=float(most)) ** 2, (0, 0, most, most), value=float(most**2))
    found = along[:, most : most + count]
    for step in range(1, most):
        nearer = torch.minimum(along[:, most - step : most - step + count], along[:, most + step : most + step + count])
        found = torch.minimum(found, nearer + step**2)
    return found.sqrt()


def _part(mask: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """The connected part of `mask` that holds a cell drawn by `chance`, cells deep within it more readily."""
    weight = (avg_pool2d(mask[:, None].float(), 9, 1, 4)[:, 0] ** 4 * mask).flatten(1)
    start = drawn_cell(weight, chance)
    grown = torch.zeros_like(weight).scatter_(1, start[:, None], 1.0).view(mask.shape) > 0
    at = torch.arange(mask.shape[-1], device=mask.device, dtype=torch.int16)
    gaps, turned_gaps = _last(~mask, at), _last(~mask.transpose(1, 2), at)
    back_gaps, turned_back_gaps = _last(~mask.flip(2), at), _last(~mask.transpose(1, 2).flip(2), at)
    for _ in range(_SWEEPS):
        # Along its row, then its column, what is grown spreads both ways as far as there is no gap.
        for before, after in ((gaps, back_gaps), (turned_gaps, turned_back_gaps)):
            grown = (_last(grown, at) > before) | (_last(grown.flip(2), at) > after).flip(2)
            grown = grown.transpose(1, 2)
    return grown & mask


def _last(mask: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """The last place in each row up to which `mask` (B, N, N) is true, -1 before the first."""
    return torch.where(mask, at, -1).cummax(dim=2).values


def _widened(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """`mask` (B, N, N) and what lies within `reach` cells of it, in x and y."""
    along = max_pool2d(mask[:, None].float(), (1, 2 * reach + 1), 1, (0, reach))
    return max_pool2d(along, (2 * reach + 1, 1), 1, (reach, 0))[:, 0] > 0


def drawn_cell(weight: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """A cell of each grid of weights (B, N, N), drawn by the numbers `chance` (B,) in [0, 1): its place in the flattened grid, (B,)."""
    below = weight.flatten(1).cumsum(dim=1)
    return (below <= chance[:, None] * below[:, -1:]).sum(dim=1).clamp(max=weight[0].numel() - 1)


def axis(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Middle (B, 2) and direction (B, 2), x and y in cells, of weights (B, N, N): the mean and the first principal axis."""
    middle, (xx, yy, xy) = _moments(weight)
    angle = torch.atan2(2 * xy, xx - yy) / 2
    return middle, torch.stack([angle.cos(), angle.sin()], dim=1)


def spreads(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Standard deviations of weights (B, N, N) along their first and their second principal axis, cells (B,)."""
    _, (xx, yy, xy) = _moments(weight)
    middle, apart = (xx + yy) / 2, (((xx - yy) / 2) ** 2 + xy**2).sqrt()
    return (middle + apart).sqrt(), (middle - apart).clamp(min=0).sqrt()


def _moments(weight: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """The mean of weights (B, N, N), (B, 2), and their variances in x and y and covariance, (B,) each."""
    x, y = cells(weight)
    total = weight.sum(dim=(1, 2)).clamp(min=1e-6)
    middle_x, middle_y = (weight * x).sum(dim=(1, 2)) / total, (weight * y).sum(dim=(1, 2)) / total
    x, y = x - middle_x[:, None, None], y - middle_y[:, None, None]
    xx, yy, xy = ((weight * each).sum(dim=(1, 2)) / total for each in (x * x, y * y, x * y))
    return torch.stack([middle_x, middle_y], dim=1), (xx, yy, xy)


def cells(grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x (1, 1, N) and y (1, N, 1) of the middles of a grid's cells, in cells."""
    at = torch.arange(grid.shape[-1], device=grid.device, dtype=torch.float32) + 0.5
    return at[None, None, :], at[None, :, None]
