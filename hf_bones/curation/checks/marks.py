"""What was drawn or stamped on a picture: letters, arrows, side markers. Small, thin, bright or coloured, with edges sharper than bone has.

Lead markers that were exposed with the film look the same and count too; so may wires and clips. Not counted: marks darker than what is
around them, marks that touch the picture's edge, and lines across it (frames, nails, gutters).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hf_bones.curation.checks.measures import Grey

_STROKE = 9  # px at the working size of 512: no stroke of a letter or arrow is wider
_CONTRAST = 80  # grey levels above what is left when strokes are taken away
_SHARPNESS = 0.63  # of that contrast, reached within one pixel
_SHARP_SHARE = 0.45  # of a mark's pixels
_SMALLEST = 14  # px of area: a letter 9 px high; single trabeculae are smaller
_LONGEST = 0.13  # of the picture's long side
_MARGIN = 0.015  # of the long side, which a mark keeps from the edge
_COLOUR = 32  # levels of chroma off the tint from which a pixel was coloured in
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def drawn_share(grey: Grey) -> float:
    """Area of bright drawn marks, in ten-thousandths of the picture. Grey (H, W) uint8 at the working size.

    Strokes are what a morphological opening takes away (the white top-hat: Serra, "Image Analysis and Mathematical Morphology", 1982); of
    their connected parts those count that are small, and whose pixels mostly have an edge of one pixel.
    """
    levels = grey.astype(np.int16)
    opened = ndimage.grey_opening(grey, size=(_STROKE, _STROKE))
    strokes = levels - opened
    candidate = strokes >= _CONTRAST
    parts, count = ndimage.label(candidate, structure=_EIGHT_NEIGHBOURS)
    if not count:
        return 0.0
    sharp = candidate & (_steps(levels) >= _SHARPNESS * strokes)
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    sharp_area = np.bincount(parts[sharp], minlength=count + 1)[1:]
    height, width = grey.shape
    longest, margin = _LONGEST * max(grey.shape), max(1, round(_MARGIN * max(grey.shape)))
    total = 0
    for (rows, columns), size, sharp_size in zip(ndimage.find_objects(parts), area, sharp_area, strict=True):
        inside = rows.start >= margin and columns.start >= margin and rows.stop <= height - margin and columns.stop <= width - margin
        small = max(rows.stop - rows.start, columns.stop - columns.start) <= longest
        if inside and small and size >= _SMALLEST and sharp_size >= _SHARP_SHARE * size:
            total += int(size)
    return 1e4 * total / grey.size


def coloured_share(untinted: npt.NDArray[np.float32]) -> float:
    """Area that is coloured otherwise than the picture's tint (`measures.untinted_colour`), in ten-thousandths of the picture."""
    return 1e4 * float((untinted >= _COLOUR).mean())


def _steps(levels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """The greatest difference of each pixel to one of its four neighbours."""
    steps = np.zeros_like(levels)
    across = np.abs(np.diff(levels, axis=1))
    down = np.abs(np.diff(levels, axis=0))
    np.maximum(steps[:, 1:], across, out=steps[:, 1:])
    np.maximum(steps[:, :-1], across, out=steps[:, :-1])
    np.maximum(steps[1:], down, out=steps[1:])
    np.maximum(steps[:-1], down, out=steps[:-1])
    return steps
