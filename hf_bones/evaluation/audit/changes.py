"""Changes to films that an audit asks a model about again: what is hidden, what is coarsened, and what changes nothing that matters.

Each takes an opened film, uint8 (H, W), and gives another one. The rules are stated in words (`Change.rule`), which the page repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from hf_bones.preprocess import fit_to

Grey = npt.NDArray[np.uint8]

# Numbers of the rules below; a change of one is another rule, and is kept under another name on disk (`Change.key`).
_WORKING_SIDE = 256  # px, at which bone is looked for
_BINS = 64
_AIR = 12  # grey levels up to which a pixel shows no tissue
_NEIGHBOURHOOD = 0.1  # of the long side: what bone is brighter than
_RIDGE, _RIDGE_LEVELS = 0.12, 12  # of the long side: no bone of a hand is wider; grey levels that it stands out by
_MARGIN = 0.008  # of the long side, by which what is found is grown
BORDER, CORNER = 0.06, 0.15  # of each side
COARSE_SIDE = 256  # px


@dataclass(frozen=True)
class Change:
    """A change under its `name`; `rule` says what it does."""

    name: str
    rule: str
    apply: Callable[[Grey], Grey]

    @property
    def key(self) -> str:
        """The folder that answers to films changed so are kept in."""
        return self.name.replace(" ", "-")


def bone_mask(pixels: Grey) -> npt.NDArray[np.bool_]:
    """(H, W) where a film is likely to show bone, or metal: the brightest of three classes of grey values, what is in the upper two and
    brighter than its neighbourhood, and bright ridges (white top-hat). The thresholds are Otsu's for three classes ("A threshold selection
    method from gray-level histograms", 1979), on the pixels that are not air, at a long side of 256 px.
    """
    small = ndimage.gaussian_filter(fit_to(pixels, _WORKING_SIDE).astype(np.float32), 1.0)
    tissue = small > _AIR
    if not tissue.any():
        return np.zeros(pixels.shape, dtype=bool)
    low, high = _two_thresholds(small[tissue])
    side = max(small.shape)
    around = ndimage.gaussian_filter(small, _NEIGHBOURHOOD * side)
    ridges = small - ndimage.grey_opening(small, size=(round(_RIDGE * side),) * 2)
    found = (small >= high) | ((small >= low) & (small > around)) | (ridges >= _RIDGE_LEVELS)
    grown = ndimage.binary_dilation(found, iterations=max(1, round(_MARGIN * side)))
    return np.asarray(Image.fromarray(grown).resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.NEAREST))


def without_bones(pixels: Grey) -> Grey:
    """The film with `bone_mask` filled by the median of what else is not air; the outline of the limb stays."""
    mask = bone_mask(pixels)
    rest = pixels[~mask & (pixels > _AIR)]
    changed = pixels.copy()
    changed[mask] = int(np.median(rest)) if rest.size else 0
    return changed


def without_borders(pixels: Grey) -> Grey:
    """The film with its borders and corners black."""
    height, width = pixels.shape
    changed = pixels.copy()
    for share_of, rows_and_columns in ((BORDER, False), (CORNER, True)):
        deep, wide = max(1, round(share_of * height)), max(1, round(share_of * width))
        top, bottom, left, right = slice(0, deep), slice(height - deep, None), slice(0, wide), slice(width - wide, None)
        if rows_and_columns:
            for rows in (top, bottom):
                changed[rows, left] = changed[rows, right] = 0
        else:
            changed[top] = changed[bottom] = changed[:, left] = changed[:, right] = 0
    return changed


def coarsened(pixels: Grey) -> Grey:
    """The film at a long side of at most 256 px."""
    return fit_to(pixels, COARSE_SIDE) if max(pixels.shape) > COARSE_SIDE else pixels


def _contrast(factor: float) -> Callable[[Grey], Grey]:
    def changed(pixels: Grey) -> Grey:
        mean = float(pixels.mean())
        return np.asarray(np.clip((pixels - mean) * factor + mean, 0, 255).round().astype(np.uint8))

    return changed


def _gamma(power: float) -> Callable[[Grey], Grey]:
    table = (255 * (np.arange(256) / 255) ** power).round().astype(np.uint8)
    return lambda pixels: np.asarray(table[pixels])


def _two_thresholds(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """The grey values that part a histogram into three classes whose means lie furthest apart."""
    counts, edges = np.histogram(values, bins=_BINS, range=(0, 256))
    weight = np.r_[0, counts.cumsum()].astype(np.float64)
    moment = np.r_[0, (counts * (edges[:-1] + edges[1:]) / 2).cumsum()]
    first, second = np.triu_indices(_BINS, 1)
    first, second = first[first > 0], second[first > 0]
    between = np.zeros(len(first))
    for lower, upper in ((0, first), (first, second), (second, _BINS)):
        own, sum_ = weight[upper] - weight[lower], moment[upper] - moment[lower]
        between += np.divide(sum_**2, own, out=np.zeros(len(first)), where=own > 0)
    best = int(between.argmax())
    return float(edges[first[best]]), float(edges[second[best]])


AS_IT_IS = Change("as it is", "the film as it is", lambda pixels: pixels)
MASKED = (
    Change(
        "bones masked out",
        "bone and metal are painted over with the median of the rest: what is in the brightest of three classes of grey values (Otsu), "
        "what is in the upper two and brighter than its neighbourhood, and narrow bright ridges (white top-hat), at 256 px; the outline of "
        "the limb and the background stay",
        without_bones,
    ),
    Change(
        "borders and corners masked",
        f"a border of {100 * BORDER:.0f} % of each side, and in each corner {100 * CORNER:.0f} %, are black",
        without_borders,
    ),
    Change("reduced to 256 px", f"the long side is {COARSE_SIDE} px, scaled up again to the model's input", coarsened),
)
FLIPS = (
    Change("mirrored left to right", "left and right change places", lambda pixels: np.ascontiguousarray(pixels[:, ::-1])),
    Change("upside down", "top and bottom change places", lambda pixels: np.ascontiguousarray(pixels[::-1])),
    Change("less contrast", "grey values are drawn to their mean by a factor of 0.7", _contrast(0.7)),
    Change("more contrast", "grey values are spread from their mean by a factor of 1.4", _contrast(1.4)),
    Change("darker", "gamma 1.4", _gamma(1.4)),
    Change("brighter", "gamma 0.7", _gamma(0.7)),
)
