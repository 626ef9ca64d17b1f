"""What is measured of one opened image: detail, spread of grey, flat areas, colour. Plain functions on decoded pixels, one number each.

Grey pictures are measured at a long side of at most `WORKING_SIDE` px, so that the numbers of a large film and of a small one can be
compared; they are never enlarged. Panels and burnt-in marks have files of their own (`panels.py`, `marks.py`). Not here: what is too much
or too little (the recipe), and which image is measured when (`run.py`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

WORKING_SIDE = 512  # px
COLOUR_SIDE = 128  # px: colour is looked at in a thumbnail, where JPEG's coarse colour is averaged out
_FLAT_SIDE = 5  # px of the square in which an area is flat or shaded
_FLAT_RANGE = 2  # grey levels that JPEG leaves in an area of one grey
_SHADED_RANGE = 40  # grey levels: more than that within 5 px is an edge of a drawing rather than shading
_BRIGHT = 170  # grey level from which a flat area is paper or a window of a program, not air or collimation
_ROUNDING = 1 / 12  # variance in grey levels
_SHADES = 32  # bins of brightness for which a tint has one colour each

Grey = npt.NDArray[np.uint8]


def grey_range(grey: Grey) -> float:
    """Grey levels between the 0.5 and 99.5 percentiles, 0 to 255: next to nothing on a blank picture."""
    low, high = np.percentile(grey, [0.5, 99.5])
    return float(high - low)


def entropy(grey: Grey) -> float:
    """Shannon entropy of the grey levels, 0 to 8 bits: low where few levels are used (Shannon, 1948; cleanvision flags it so too)."""
    shares = np.bincount(grey.ravel(), minlength=256) / grey.size
    shares = shares[shares > 0]
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def fine_detail(grey: Grey) -> float:
    """Contrast of the finest details (below 1 px) ÷ that of the next (1 to 4 px), 0 up: low on a picture that is blurred or enlarged.

    Bands are differences of Gaussians (Burt and Adelson, "The Laplacian Pyramid", 1983). A ratio, so that neither contrast nor an empty
    background counts; the variance of rounding to whole grey levels (1/12) is taken off, which is most of what a smooth picture has left.
    0 where there is no detail at all.
    """
    values = grey.astype(np.float32)
    fine = ndimage.gaussian_filter(values, 1.0)
    coarse = ndimage.gaussian_filter(values, 4.0)
    middle = float((fine - coarse).std())
    finest = max(0.0, float((values - fine).var()) - _ROUNDING)
    return finest**0.5 / middle if middle > 1e-3 else 0.0


def flat_share(grey: Grey) -> float:
    """Bright flat areas ÷ (bright flat areas + shaded ones), in [0, 1]: near 1 on diagrams, plots, text and screenshots, low on films.

    Within 5 × 5 px, flat is a range of at most 2 grey levels, shaded one of 3 to 40: film has gradations nearly everywhere but in
    collimated black, a drawing has its flat paper and edges.
    """
    highest = ndimage.maximum_filter(grey, _FLAT_SIDE).astype(np.int16)
    spread = highest - ndimage.minimum_filter(grey, _FLAT_SIDE)
    flat = float(((spread <= _FLAT_RANGE) & (grey >= _BRIGHT)).mean())
    shaded = float(((spread > _FLAT_RANGE) & (spread <= _SHADED_RANGE)).mean())
    return flat / (flat + shaded) if flat else 0.0


def untinted_colour(colour: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """For each pixel of an (h, w, 3) RGB picture how far its colour is from the picture's tint, (h, w) float32 in levels of chroma, 0 up.

    A film that was scanned blue or photographed sepia has one colour for each brightness: that tint (the median chroma of pixels of that
    brightness, in Cb and Cr of ITU-R BT.601) is taken off. What is left is colour of things: on
    average 0 on grey and evenly tinted pictures, 5 to 15 on colour photographs.
    """
    values = colour.astype(np.float32)
    luma = values @ np.array([0.299, 0.587, 0.114], np.float32)
    shade = np.clip(luma * (_SHADES / 256), 0, _SHADES - 1).astype(np.int64).ravel()
    order = np.argsort(shade, kind="stable")
    bounds = np.cumsum(np.bincount(shade, minlength=_SHADES))[:-1]
    left = np.zeros(shade.shape, np.float32)
    for channel, weight in ((2, 0.564), (0, 0.713)):
        chroma = ((values[..., channel] - luma) * weight).ravel()
        tint = np.array([np.median(part) if part.size else 0 for part in np.split(chroma[order], bounds)], np.float32)
        left += (chroma - tint[shade]) ** 2
    return np.sqrt(left).reshape(luma.shape)


def shrunk(grey: Grey, side: int) -> Grey:
    """A grey picture with its long side at most `side` px, by averaging."""
    if max(grey.shape) <= side:
        return grey
    scale = side / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
