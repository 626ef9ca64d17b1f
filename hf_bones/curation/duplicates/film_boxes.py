"""Where in a screenshot a film may stand: inside a window, with tools, panels and text around it.

Two signs, both looked for in a small copy of the picture. A film is one connected thing on a ground of one grey, or it has four straight
edges along most of which the grey jumps. Most films show neither sign; then there is nothing to look for.

Not here: frames of one grey around the whole picture (`canonical.trim_box`).
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import find_objects, label, maximum_filter1d

Box = tuple[int, int, int, int]  # left, top, right, bottom

_SIDE = 256  # px of the long side of the copy that is looked at
_MOST = 3  # boxes of a picture
_LEAST_SHARE, _MOST_SHARE = 0.08, 0.9  # of the picture's area that a film on a screen has
_LEAST_SIDE = 24  # px of the copy: a smaller film shows too little to be known by
_OFF_GROUND = 10  # grey levels from the ground's from which something stands on it
_LEAST_GROUND = 0.06  # share of the picture that its commonest greys have, where it has a ground
_JUMP = 8  # grey levels between neighbouring pixels at an edge, at the least
_ABOVE_NOISE = 2.5  # of the usual step between neighbouring pixels: more is a jump
_LINES = 8  # straight edges looked at in each direction
_LEAST_EDGE = 0.65  # share of a box's outline along which the grey jumps
_SAME = 0.85  # share of the area in common from which two boxes are one


def film_boxes(pixels: npt.NDArray[np.uint8]) -> list[Box]:
    """Up to three boxes in pixels of a grey (H, W) picture, the likeliest first; none where nothing looks like a film on a screen."""
    height, width = pixels.shape
    scale = max(1.0, max(height, width) / _SIDE)
    small = np.asarray(Image.fromarray(pixels).resize((max(1, round(width / scale)), max(1, round(height / scale))), Image.Resampling.BOX))
    if min(small.shape) < 2 * _LEAST_SIDE:
        return []
    kept: list[Box] = []
    for box in itertools.chain(_on_a_ground(small), _with_straight_edges(small)):
        if len(kept) < _MOST and all(in_common(box, other) < _SAME for other in kept):
            kept.append(box)
    across, down = width / small.shape[1], height / small.shape[0]
    return [(round(left * across), round(top * down), round(right * across), round(bottom * down)) for left, top, right, bottom in kept]


def _fits(box: Box, shape: tuple[int, ...]) -> bool:
    width, height = box[2] - box[0], box[3] - box[1]
    share = width * height / (shape[0] * shape[1])
    return min(width, height) >= _LEAST_SIDE and _LEAST_SHARE <= share <= _MOST_SHARE


def _on_a_ground(small: npt.NDArray[np.uint8]) -> list[Box]:
    """The largest two things on the commonest grey."""
    counts = np.convolve(np.bincount(small.ravel(), minlength=256), np.ones(5), "same")
    ground = int(counts.argmax())
    if counts[ground] < _LEAST_GROUND * small.size:
        return []
    things, _ = label(np.abs(small.astype(np.int16) - ground) > _OFF_GROUND)
    boxes = [(across.start, down.start, across.stop, down.stop) for down, across in find_objects(things)]
    return sorted((box for box in boxes if _fits(box, small.shape)), key=_area, reverse=True)[:2]


def _with_straight_edges(small: npt.NDArray[np.uint8]) -> list[Box]:
    """The two boxes along whose outline the grey jumps most consistently; a larger one before a smaller one that does so as well."""
    grey = small.astype(np.int16)
    height, width = small.shape
    steps_down, steps_across = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(grey, axis=1))
    jump = max(_JUMP, _ABOVE_NOISE * float(np.median(steps_down)))
    down, across = steps_down > jump, steps_across > jump  # (H - 1, W): between a row and the next; (H, W - 1)
    rows, columns = _lines(down), _lines(across.T)
    # Sums along each line, so that a piece's share costs two look-ups. A film's edge may run askew by a pixel.
    along_rows = np.pad(maximum_filter1d(down, 3, axis=0).cumsum(axis=1), ((0, 0), (1, 0)))
    along_columns = np.pad(maximum_filter1d(across, 3, axis=1).T.cumsum(axis=1), ((0, 0), (1, 0)))
    tops, bottoms = _pairs(rows, _LEAST_SIDE)
    lefts, rights = _pairs(columns, _LEAST_SIDE)
    if not len(tops) or not len(lefts):
        return []
    top, left = tops[:, None], lefts[None, :]
    bottom, right = bottoms[:, None], rights[None, :]
    wide, high = right - left, bottom - top
    horizontal = [(along_rows[line, right] - along_rows[line, left]) / wide for line in (top - 1, bottom - 1)]
    vertical = [(along_columns[line, bottom] - along_columns[line, top]) / high for line in (left - 1, right - 1)]
    sides = np.stack([*np.broadcast_arrays(*horizontal, *vertical)])
    share = wide * high / (height * width)
    score = np.where((share >= _LEAST_SHARE) & (share <= _MOST_SHARE) & (sides.min(axis=0) > 0.25), sides.mean(axis=0), 0)
    found: list[Box] = []
    for place in np.argsort(-(score + 0.1 * share), axis=None)[:40]:
        row, column = np.unravel_index(place, score.shape)
        box = (int(lefts[column]), int(tops[row]), int(rights[column]), int(bottoms[row]))
        if score[row, column] >= _LEAST_EDGE and all(in_common(box, other) < _SAME for other in found):
            found.append(box)
    return found[:2]


def _lines(jumps: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The places of the longest straight edges, ascending: each the number of the first row behind the edge."""
    strength = jumps.sum(axis=1)
    peaks = np.flatnonzero(strength == maximum_filter1d(strength, 3))
    longest = peaks[np.argsort(-strength[peaks], kind="stable")][:_LINES]
    lines: npt.NDArray[np.intp] = np.sort(longest[strength[longest] >= _LEAST_SIDE // 2]) + 1
    return lines


def _pairs(lines: npt.NDArray[np.intp], apart: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    first, second = np.triu_indices(len(lines), 1)
    far = lines[second] - lines[first] >= apart
    return lines[first][far], lines[second][far]


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def in_common(one: Box, other: Box) -> float:
    """The area that two boxes have in common as a share of that of both together."""
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    common = max(wide, 0) * max(high, 0)
    return common / (_area(one) + _area(other) - common)
