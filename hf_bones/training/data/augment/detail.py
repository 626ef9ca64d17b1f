"""Changes of fine detail: blur, noise, edge enhancement, down- and up-sampling, JPEG.

Each looks at neighbouring pixels. `spread_edges` has put the last row and column of each image into its padding by then, so that no
padding is drawn in.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch.nn.functional import conv2d, pad

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.augment.kinds import BatchImages, Named, grid, of_some

_BLOCK = 8
_WIDEST_HALO = 4.0  # px: standard deviation of the blur that an unsharp mask takes away
# Quantisation of luminance at quality 50, ITU-T T.81, table K.1
_QUANTISATION = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def spread_edges(grey: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """`grey` (B, 1, S, S) with the last column and row of each unpadded image repeated over its padding."""
    x, y = grid(grey)
    right, below = (x > widths[:, None, None])[:, None], (y > heights[:, None, None])[:, None]
    column = grey.gather(3, (widths - 1).long()[:, None, None, None].expand(-1, -1, grey.shape[2], -1))
    spread = torch.where(right, column, grey)
    row = spread.gather(2, (heights - 1).long()[:, None, None, None].expand(-1, -1, -1, grey.shape[3]))
    return torch.where(below, row, spread)


def blurred(grey: torch.Tensor, sigma: torch.Tensor, most: float) -> torch.Tensor:
    """Gaussian blur of each image (B, 1, H, W) by its own `sigma` (B,) px, which is at most `most`."""
    reach = max(1, math.ceil(2.5 * most))
    steps = torch.arange(-reach, reach + 1, device=grey.device, dtype=grey.dtype)
    kernel = torch.exp(-((steps / sigma.clamp(min=1e-3)[:, None]) ** 2) / 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    images = pad(grey.transpose(0, 1), (reach, reach, reach, reach), mode="replicate")  # a channel an image: each has its own kernel
    images = conv2d(images, kernel[:, None, :, None], groups=len(grey))
    return conv2d(images, kernel[:, None, None, :], groups=len(grey)).transpose(0, 1)


def blur(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    most = policy.strength("blur")
    return of_some(
        grey,
        draws["blur"] < policy.style_probability,
        lambda grey, rows: blurred(grey, draws["blur_sigma"][rows] * most, most).clamp_(0, 1),
    )


def sharpen(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Unsharp mask: what a blur takes away is added once more, by a factor."""

    def sharpened(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        amount = (draws["sharpen_amount"][rows] * policy.strength("sharpen"))[:, None, None, None]
        halo = blurred(grey, 0.8 + draws["sharpen_halo"][rows] * (_WIDEST_HALO - 0.8), _WIDEST_HALO)
        return torch.lerp(grey, halo, -amount).clamp_(0, 1)

    return of_some(grey, draws["sharpen"] < policy.style_probability, sharpened)


def noise(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Grain, stronger where the film is bright, since fewer photons came through there."""

    def noisy(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        deviation = (draws["noise_deviation"][rows] * policy.strength("noise"))[:, None, None, None]
        grain = grain_of(draws["noise_x"][rows], draws["noise_y"][rows], grey.shape[-1], grey.device)
        return grey.addcmul(grain, deviation * (0.4 + 0.6 * grey)).clamp_(0, 1)

    return of_some(grey, draws["noise"] < policy.style_probability, noisy)


def grain_of(x: torch.Tensor, y: torch.Tensor, size: int, device: torch.device) -> torch.Tensor:
    """(B, 1, size, size) standard normal numbers: for each image the part of one sheet of noise that its numbers (B,) in [0, 1) choose."""
    sheet = _noise_sheet(2 * size, device)
    steps = torch.arange(size, device=device)
    rows, columns = ((each * size).long()[:, None] + steps for each in (y, x))
    return sheet[rows[:, :, None], columns[:, None, :]][:, None]


@lru_cache(maxsize=8)
def _noise_sheet(side: int, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):  # one made in inference mode could not be used in training
        return torch.from_numpy(np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)).to(device)


def resample(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Down-sampling to pixels up to so much coarser, by area, and up again, linearly: a matrix along each side."""

    def resampled(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        size = grey.shape[-1]
        coarse = (1 + draws["resample_factor"][rows] * policy.strength("resample"))[:, None, None]  # px
        fine = torch.arange(size, device=grey.device, dtype=grey.dtype)
        cell = fine[None, :, None] * coarse
        down = (torch.minimum(fine + 1, (cell + coarse).clamp(max=size)) - torch.maximum(fine, cell)).clamp_(min=0)
        down = down / down.sum(dim=2, keepdim=True).clamp(min=1e-6)
        last = torch.ceil(size / coarse) - 1
        at = torch.minimum(((fine[None, :, None] + 0.5) / coarse - 0.5).clamp(min=0), last)
        both = (1 - (at - fine).abs()).clamp_(min=0) @ down  # (B, S, S)
        return (both @ grey[:, 0] @ both.transpose(1, 2))[:, None].clamp_(0, 1)

    return of_some(grey, draws["resample"] < policy.style_probability, resampled)


def jpeg(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """What JPEG keeps of an image at a quality: cosines of 8 × 8 blocks, quantised by the standard's table for luminance."""

    def compressed(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        size = grey.shape[-1]
        more = -size % _BLOCK
        quality = (100 - draws["jpeg_quality"][rows] * policy.strength("jpeg")).clamp(1, 100)[:, None, None, None, None]
        cosines, table = _cosines(grey.device)
        scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
        steps = (table * scale).round_().clamp_(1, 255)
        blocks = pad(grey, (0, more, 0, more), mode="replicate")[:, 0].mul(255).round_().sub_(128)
        blocks = blocks.unflatten(2, (-1, _BLOCK)).unflatten(1, (-1, _BLOCK)).transpose(2, 3)  # (B, rows, columns, 8, 8)
        kept = (cosines @ blocks @ cosines.T).div_(steps).round_().mul_(steps)
        found = (cosines.T @ kept @ cosines).add_(128).round_().clamp_(0, 255).div_(255)
        return found.transpose(2, 3).flatten(3).flatten(1, 2)[:, None, :size, :size]

    return of_some(grey, draws["jpeg"] < policy.style_probability, compressed)


@lru_cache(maxsize=8)
def _cosines(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The orthonormal cosine transform and the table of quantisation, (8, 8) each."""
    with torch.inference_mode(False):
        step = torch.arange(_BLOCK, dtype=torch.float64)
        cosines = torch.cos((2 * step + 1) * step[:, None] * math.pi / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
        cosines[0] /= math.sqrt(2)
        table = torch.tensor(_QUANTISATION, dtype=torch.float32).view(_BLOCK, _BLOCK)
        return cosines.float().to(device), table.to(device)
