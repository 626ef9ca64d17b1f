"""How much a picture looks like several films side by side: two bodies with a gap, a dark gutter or a bright one between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hf_bones.curation.checks.measures import Grey, shrunk

_SIDE = 96  # px: gutters are wider than a hundredth of a film
_SLANTS = (-0.06, -0.03, 0.0, 0.03, 0.06)  # px sideways for each px along: films are laid down by hand
_EDGE = 0.05  # share of the side that is left out at either end: borders of the film are no panels
_MIDDLE = (0.15, 0.85)  # where a cut may lie, as shares of what is left
_SMOOTHING = 0.02  # share of the side: marrow cavities and joint spaces are narrower than gaps between limbs
_NEARBY = 1 / 12  # share of the side: how far beside a gutter it is compared with what it separates
_ALONG = (15, 85)  # percentiles along a line: a gutter may end before the film does
_DARK_WEIGHT = 2.0  # dark gutters are told from a gap between bodies by little contrast

Floats = npt.NDArray[np.float32]


def panel_score(grey: Grey) -> float:
    """The sum of four cues along the best cut across or down the picture, 0 to about 3: above 2 it is nearly always several films.

    A cut is a line from side to side, upright or a little slanted, in the middle 70 %. The cues: how deep the mean brightness falls between
    two bodies, how deep the mean detail falls, and the contrast of a bright gutter and (twice) of a dark one to both of its sides. Each
    takes its own best cut. The weights are rounded from a logistic regression on FracAtlas' `multiscan`.
    """
    return max(cut_scores(grey))


def cut_scores(grey: Grey) -> tuple[float, float]:
    """The score of the best cut down the picture and of the best one across it; see `panel_score`."""
    small = shrunk(grey, _SIDE).astype(np.float32)
    if min(small.shape) < 12:
        return 0.0, 0.0
    return _cut_score(small), _cut_score(np.ascontiguousarray(small.T))


def _cut_score(picture: Floats) -> float:
    """The score of the best upright cut of an (H, W) picture."""
    lines = _lines(picture)
    detail = np.log1p(ndimage.gaussian_gradient_magnitude(picture, 1.0) / 4)
    above_ground = lines.clip(min=np.percentile(picture, 10)) - np.percentile(picture, 10)
    low, high = np.percentile(lines, _ALONG, axis=1)
    return float(
        _valley(above_ground.mean(axis=1))
        + _valley(_lines(detail).mean(axis=1))
        + _gutter(low, bright=True)
        + _DARK_WEIGHT * _gutter(high, bright=False)
    )


def _lines(picture: Floats) -> Floats:
    """(slants, H, W): at each place the line through its column in the middle row, for each slant."""
    height, width = picture.shape
    rows = np.arange(height)[:, None] - height / 2
    columns = np.arange(width)[None]
    places = [np.clip(np.rint(columns + slant * rows).astype(np.int64), 0, width - 1) for slant in _SLANTS]
    return np.stack([np.take_along_axis(picture, place, axis=1) for place in places])


def _valley(profiles: Floats) -> float:
    """How deep the deepest place between two hills is, in [0, 1]: its depth below the lower hill, relative to the higher one."""
    width = profiles.shape[1]
    edge = max(2, int(_EDGE * width))
    smooth = ndimage.gaussian_filter1d(profiles, max(_SMOOTHING * width, 0.5), axis=1)[:, edge : width - edge]
    left = np.maximum.accumulate(smooth, axis=1)
    right = np.maximum.accumulate(smooth[:, ::-1], axis=1)[:, ::-1]
    depth = (np.minimum(left, right) - smooth) / (np.maximum(left, right) + 1e-6)
    first, last = (int(share * smooth.shape[1]) for share in _MIDDLE)
    return float(max(0.0, depth[:, first:last].max(initial=0.0)))


def _gutter(profiles: Floats, *, bright: bool) -> float:
    """How much brighter (or darker) than both of its sides a line is along most of its length, in [0, 1]."""
    width = profiles.shape[1]
    beside = max(3, int(_NEARBY * width))
    inner = profiles[:, beside:-beside]
    left, right = profiles[:, : -2 * beside], profiles[:, 2 * beside :]
    contrast = inner - np.maximum(left, right) if bright else np.minimum(left, right) - inner
    from_edge = max(width // 6 - beside, 0)
    return float(max(0.0, contrast[:, from_edge : contrast.shape[1] - from_edge].max(initial=0.0)) / 255)
