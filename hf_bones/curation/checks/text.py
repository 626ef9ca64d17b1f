"""Writing burnt into a picture: rows of letters that could be a name, a date or a number. Nothing is read, only found.

A letter is a small connected part with a narrow stroke and sharp edges, lighter or darker than what lies around it; writing is a row of
such parts of like height on one line, close together. One or two letters, as of a side marker, are none; nor are rows of bars and discs, as
of rulers and screws. Not found: handwriting whose letters join, letters below 7 px or above a tenth of the long side, faint or blurred
writing, writing that is neither level nor upright, and words of fewer than six letters. Words that name nobody are found too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hf_bones.curation.checks.measures import Grey, shrunk

Floats = npt.NDArray[np.float64]

TEXT_SIDE = 1280  # px: the long side at which the smallest letters are looked for
_SCALES = (1.0, 0.5, 0.25)  # of that: each letter is looked for where it is of one of these heights
_SMALLEST = 96  # px: below this long side there is no room for six letters
_HEIGHTS = (7, 34)  # px
_WIDEST = 2.6  # × height: up to three letters that touch
_LETTER = 0.8  # × height: the width of a letter where letters touch
_STROKE = 9  # px: strokes are narrower
_CONTRAST = 50  # grey levels between a stroke and what lies around it
_OF_INK = 0.55  # of the way from the ground to the brightest stroke around: parts letters that nearly touch
_EDGE, _EDGES = 0.4, 0.18  # of the contrast, what is left of it two pixels beside a part, and beside the parts of a line on average
_GAP = 1.5  # × height, between letters of a line: a space, or a hyphen, which is too low for a letter
_LIKE_HEIGHT = 0.62  # the lower of two neighbours ÷ the higher: an x is as high as 0.7 of an X
_LIKE_LEVEL = 60  # grey levels between neighbours
_LINE = 0.22  # × height, by which neighbours may stand above or below each other
_ON_LINE = 0.7  # share of the letters that stand on the line of all
_SOLID = 0.72  # share of its box that a bar or a disc fills; of letters, half are less solid
_ALIKE, _MOST_ALIKE = 0.04, 0.7  # in what their boxes hold, and the share of a line that may be so: more are teeth, threads, a chain
_LEAST_PARTS = 4  # in a line
_MOST_PARTS = 2500  # that are looked at: a picture with more is texture


@dataclass(frozen=True, eq=False)
class _Parts:
    """Letter-like parts: (N,) left, right, top, bottom in px, mean level, share of the box that is filled, contrast left beside it."""

    left: Floats
    right: Floats
    top: Floats
    bottom: Floats
    level: Floats
    filled: Floats
    beside: Floats

    def turned(self) -> _Parts:
        """As they stand where the picture lies on its side."""
        return _Parts(self.top, self.bottom, self.left, self.right, self.level, self.filled, self.beside)


def text_letters(grey: Grey) -> float:
    """Letters of the longest line of writing, level or upright; 0 where there is none. Grey (H, W) uint8, as opened."""
    whole = shrunk(grey, TEXT_SIDE)
    longest = 0.0
    for scale in _SCALES:
        side = round(max(whole.shape) * scale)
        if side < _SMALLEST or min(whole.shape) * scale < _STROKE:
            break
        small = shrunk(whole, side)
        for levels in (small, 255 - small):
            parts = _letter_like(levels)
            longest = max(longest, _longest_line(parts), _longest_line(parts.turned()))
    return longest


def _letter_like(levels: Grey) -> _Parts:
    """The bright parts of a picture that may be letters, or some that touch.

    Strokes are what a morphological opening takes away (the white top-hat, as in `marks.py`).
    """
    ground = ndimage.grey_opening(levels, size=(_STROKE, _STROKE)).astype(np.int16)
    strokes = levels - ground
    ink = ndimage.maximum_filter(np.where(strokes >= _CONTRAST, levels, 0), size=2 * _STROKE + 1)
    mask = strokes >= np.maximum(_CONTRAST, _OF_INK * (ink - ground))
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), bool))
    if not count:
        return _Parts(*np.zeros((7, 0)))
    boxes = [(columns.start, columns.stop, rows.start, rows.stop) for rows, columns in ndimage.find_objects(labels)]
    left, right, top, bottom = np.array(boxes, dtype=np.float64).T
    width, height = right - left, bottom - top
    area, contrast = _mean_by_part(labels, mask, strokes, count)
    _, level = _mean_by_part(labels, mask, levels, count)
    near = ndimage.grey_dilation(labels, size=(5, 5))
    _, left_over = _mean_by_part(near, ~mask & (near > 0), strokes, count)
    beside = left_over / contrast
    kept = (np.maximum(width, height) >= _HEIGHTS[0]) & (np.minimum(width, height) <= _HEIGHTS[1]) & (beside <= _EDGE)
    found = (left, right, top, bottom, level, area / (width * height), beside)
    return _Parts(*(values[kept] for values in found))


def _mean_by_part(
    labels: npt.NDArray[np.int32], where: npt.NDArray[np.bool_], values: npt.NDArray[np.integer], count: int
) -> tuple[Floats, Floats]:
    """Pixels of each part in `where`, and the mean of their values."""
    part = labels[where] - 1
    pixels = np.bincount(part, minlength=count).astype(np.float64)
    return pixels, np.bincount(part, weights=values[where], minlength=count) / np.maximum(pixels, 1)


def _longest_line(parts: _Parts) -> float:
    """Letters of the longest level line that is writing."""
    return max((letters for letters, line in _lines(parts) if _is_writing(parts, line)), default=0.0)


def _lines(parts: _Parts) -> Iterator[tuple[float, npt.NDArray[np.int64]]]:
    """Rows of parts on one level line, each with the number of letters that it may hold."""
    width, height = parts.right - parts.left, parts.bottom - parts.top
    fits = np.flatnonzero((height >= _HEIGHTS[0]) & (height <= _HEIGHTS[1]) & (width <= _WIDEST * height))
    if not _LEAST_PARTS <= fits.size <= _MOST_PARTS:
        return
    fits = fits[np.argsort(parts.left[fits], kind="stable")]
    left, right, top, bottom, level = (values[fits] for values in (parts.left, parts.right, parts.top, parts.bottom, parts.level))
    width, height = width[fits], height[fits]
    higher = np.maximum(height[:, None], height)
    gap = left - right[:, None]
    after = (left > left[:, None]) & (gap <= _GAP * higher) & (gap >= -_LINE * higher)
    after &= np.minimum(height[:, None], height) >= _LIKE_HEIGHT * higher
    after &= (np.abs(bottom - bottom[:, None]) <= _LINE * higher) | (np.abs(top - top[:, None]) <= _LINE * higher)
    after &= np.abs(level - level[:, None]) <= _LIKE_LEVEL
    following = np.where(after.any(axis=1), np.where(after, left, np.inf).argmin(axis=1), -1)
    begins = np.ones(fits.size, bool)
    begins[following[following >= 0]] = False
    for start in np.flatnonzero(begins):
        line = [int(start)]
        while following[line[-1]] >= 0:
            line.append(int(following[line[-1]]))
        letters = np.maximum(1, np.round(width[line] / (_LETTER * height[line])))
        yield float(letters.sum()), fits[line]


def _is_writing(parts: _Parts, line: npt.NDArray[np.int64]) -> bool:
    """Whether the parts of a line have the edges and shapes of letters, and stand on one line as a whole."""
    if len(line) < _LEAST_PARTS or float(parts.beside[line].mean()) > _EDGES:
        return False
    top, bottom = parts.top[line], parts.bottom[line]
    leeway = _LINE * float(np.median(bottom - top))
    filled = parts.filled[line]
    alike = np.abs(filled - np.median(filled)) <= _ALIKE * np.median(filled)
    on_line = (np.abs(bottom - np.median(bottom)) <= leeway) | (np.abs(top - np.median(top)) <= leeway)
    return bool((filled <= _SOLID).mean() >= 0.5 and alike.mean() <= _MOST_ALIKE and on_line.mean() >= _ON_LINE)
