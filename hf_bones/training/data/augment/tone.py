"""Changes of grey values: gamma, contrast, brightness, and what digital systems do to a histogram. Padding counts in none of them."""

from __future__ import annotations

import math

import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.augment.kinds import BatchImages, Named, grid, of_some

_BINS = 256
_FINE = 160  # px: side of a batch from which a histogram leaves pixels out
_TILES = 6  # each way, of CLAHE
_CLIP = 3.0  # CLAHE: no grey level counts for more than this many times its even share


def gamma(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    power = torch.exp((draws["gamma"] * 2 - 1) * math.log1p(policy.gamma))[:, None, None, None]
    # x ** gamma by logarithms, which takes half as long; in place, since on a CPU new tensors cost more than the arithmetic.
    return grey.log_().mul_(power).exp_()


def contrast(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    return grey.mul_((1 + (draws["contrast"] * 2 - 1) * policy.contrast)[:, None, None, None]).clamp_(0, 1)


def brightness(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    return grey.add_(((draws["brightness"] * 2 - 1) * policy.brightness)[:, None, None, None]).clamp_(0, 1)


def stretch(grey: torch.Tensor, draws: Named, images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Each image's darkest and brightest pixels to black and white, and the rest spread between them."""

    def stretched(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        share = (draws["stretch_share"][rows] * policy.strength("stretch"))[:, None]
        counts = _histograms(grey, images.of(rows), 1)[:, 0]
        below = counts.cumsum(dim=1)
        total = below[:, -1:]
        low = (below <= share * total).sum(dim=1)[:, None, None, None] / _BINS
        high = (below < (1 - share) * total).sum(dim=1)[:, None, None, None].add(1) / _BINS
        return _between(grey, low, high)

    return of_some(grey, draws["stretch"] < policy.style_probability, stretched)


def window(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """A narrower range of grey: what lies below and above it turns black and white."""

    def windowed(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        low, high = (draws[f"window_{end}"][rows][:, None, None, None] * policy.strength("window") for end in ("low", "high"))
        return _between(grey, low, 1 - high)

    return of_some(grey, draws["window"] < policy.style_probability, windowed)


def clahe(grey: torch.Tensor, draws: Named, images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Contrast-limited adaptive histogram equalisation over the unpadded image, mixed with the image as it was."""

    def equalised(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        chosen = images.of(rows)
        counts = _histograms(grey, chosen, _TILES)
        counts = counts / counts.sum(dim=2, keepdim=True).clamp(min=1)
        clipped = counts.clamp(max=_CLIP / _BINS)
        clipped = clipped + (1 - clipped.sum(dim=2, keepdim=True)) / _BINS
        table = clipped.cumsum(dim=2).flatten()
        x, y = grid(grey)
        columns, right = _neighbours(x / chosen.widths[:, None, None])
        lines, lower = _neighbours(y / chosen.heights[:, None, None])
        level = (grey[:, 0] * _BINS).long().clamp_(0, _BINS - 1) + torch.arange(len(grey), device=grey.device)[
            :, None, None
        ] * _TILES**2 * _BINS
        found = torch.zeros_like(grey[:, 0])
        for line, down in ((lines, 1 - lower), ((lines + 1).clamp(max=_TILES - 1), lower)):
            for column, across in ((columns, 1 - right), ((columns + 1).clamp(max=_TILES - 1), right)):
                found += table[level + (line * _TILES + column) * _BINS] * (down * across)
        share = (draws["clahe_share"][rows] * policy.strength("clahe"))[:, None, None, None]
        return torch.lerp(grey, found[:, None], share)

    return of_some(grey, draws["clahe"] < policy.style_probability, equalised)


def invert(grey: torch.Tensor, draws: Named, _images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    turned = (draws["invert"] < policy.invert)[:, None, None, None].to(grey.dtype)
    return grey.mul_(1 - 2 * turned).add_(turned)


def _between(grey: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    return ((grey - low) / (high - low).clamp(min=1 / _BINS)).clamp_(0, 1)


def _neighbours(places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tile whose middle comes before each of `places` in [0, 1], and how far it is to the next one's, in [0, 1]."""
    at = (places * _TILES - 0.5).clamp(0, _TILES - 1)
    first = at.floor()
    return first.long(), at - first


def _histograms(grey: torch.Tensor, images: BatchImages, tiles: int) -> torch.Tensor:
    """How often each grey level occurs in each of `tiles` × `tiles` parts of the unpadded images: (B, tiles², 256), in proportion."""
    x, y = grid(grey)
    if grey.shape[-1] >= _FINE:  # a quarter of the pixels tell as much
        grey, x, y = grey[:, :, ::2, ::2], x[..., ::2], y[:, ::2]
    column, line = (x / images.widths[:, None, None] * tiles).long(), (y / images.heights[:, None, None] * tiles).long()
    inside = ((column < tiles) & (line < tiles)).float()
    tile = (line * tiles + column).clamp_(max=tiles**2 - 1)
    place = torch.arange(len(grey), device=grey.device)[:, None, None] * tiles**2 + tile
    level = (grey[:, 0] * _BINS).long().clamp_(0, _BINS - 1)
    counts = torch.zeros(len(grey) * tiles**2 * _BINS, device=grey.device)
    return counts.scatter_add_(0, (place * _BINS + level).flatten(), inside.flatten()).view(len(grey), tiles**2, _BINS)
