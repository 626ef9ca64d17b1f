"""The form in which two near-duplicates look alike: squashed, freed of frames and thin marks, and described by its low frequencies.

A copy may have been compressed, scaled, framed, cropped, mirrored, inverted, turned a little or drawn upon. What each does here:

- compression and scale vanish in a picture of 64 × 64;
- arrows and letters are thin: a median filter takes them out;
- frames are trimmed; where that changes anything, the trimmed form is described beside the whole one;
- a mirror image turns the sign of every odd horizontal frequency, an inverted one the sign of all: neither needs a description of its own;
- cropped and turned copies are met half-way: the low frequencies of the picture's own crops and turns, the *probes*, are described too.

A description is a discrete cosine transform under a soft window (the idea of the perceptual hash of Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010), kept as numbers: how they become bits depends on the collection (`hash_index.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

VERSION = 1  # of everything that a fingerprint holds; a fingerprint of another version is made anew

SIDE = 64  # px of the squashed picture that is described
THUMB_SIDE = 128  # px of the squashed picture that pairs are registered on
FREQUENCIES = 12  # in each direction
NUMBERS = FREQUENCIES**2 - 1  # without the mean
_MEDIAN = 5  # px: takes out lines up to 2 px thick, which is 3 % of the side

# Where a crop's edges may lie, as shares of the side: 8 % off either edge, off both, or half of that off both.
_CROPS = ((0.0, 1.0), (0.08, 1.0), (0.0, 0.92), (0.08, 0.92), (0.04, 0.96))
_TURNS = (-5.0, -2.5, 2.5, 5.0)  # degrees

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What near-duplicates are found by.

    `probes`: (33, 143) float16, unit vectors; the first describes the picture itself, the others its crops and turns, as in
    `probe_transforms(aspect)`. `trimmed`: (143,) float16, the picture without its frame, or None where it has none. `thumb`: (128, 128)
    uint8, squashed, and `aspect`, width ÷ height; `trimmed_thumb` and `trimmed_aspect` are those of the picture without its frame.
    `phash` is ImageHash's 64-bit hash of the trimmed picture, 16 hex digits.
    """

    probes: npt.NDArray[np.float16]
    trimmed: npt.NDArray[np.float16] | None
    thumb: npt.NDArray[np.uint8]
    aspect: float
    trimmed_thumb: npt.NDArray[np.uint8] | None
    trimmed_aspect: float
    phash: str


def fingerprint(pixels: npt.NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of a grey (H, W) uint8 picture, as `open_image` gives it."""
    height, width = pixels.shape
    left, top, right, bottom = trim_box(pixels)
    inside = pixels[top:bottom, left:right]
    has_frame = inside.shape != pixels.shape
    middle = _median(squash(pixels, SIDE))
    return Fingerprint(
        probes=np.concatenate([_describe_crops(middle), _describe_turns(middle, width / height)]).astype(np.float16),
        trimmed=_describe_crops(_median(squash(inside, SIDE)))[0].astype(np.float16) if has_frame else None,
        thumb=squash(pixels, THUMB_SIDE),
        aspect=width / height,
        trimmed_thumb=squash(inside, THUMB_SIDE) if has_frame else None,
        trimmed_aspect=inside.shape[1] / inside.shape[0],
        phash=str(imagehash.phash(Image.fromarray(inside))),
    )


@lru_cache(maxsize=4096)
def probe_transforms(aspect: float) -> tuple[Affine, ...]:
    """For each probe the (2, 3) matrix that takes a place in the probe to its place in the picture, both in [0, 1]² of (x, y)."""
    crops = [np.array([[right - left, 0, left], [0, bottom - top, top]]) for top, bottom in _CROPS for left, right in _CROPS]
    turns = [_turn(degrees, grown, aspect) for degrees in _TURNS for grown in (False, True)]
    return (*crops, *turns)


PROBES = len(_CROPS) ** 2 + 2 * len(_TURNS)


def mirror_signs() -> npt.NDArray[np.float32]:
    """(143,) of ±1: a picture's description times these is its mirror image's."""
    signs = np.where(np.arange(FREQUENCIES) % 2, -1.0, 1.0)
    return np.tile(signs, FREQUENCIES)[1:].astype(np.float32)


def trim_box(pixels: npt.NDArray[np.uint8], tolerance: int = 6, most: float = 0.35) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is inside a frame of one grey, in pixels.

    A row or column belongs to the frame where 98 % of it are within `tolerance` grey levels of the outermost one's median. At most the
    share `most` goes from each side; a picture that would vanish stays whole.
    """
    height, width = pixels.shape
    top, bottom = _frame(pixels, tolerance, most), height - _frame(pixels[::-1], tolerance, most)
    middle = pixels[top:bottom].T
    left, right = _frame(middle, tolerance, most), width - _frame(middle[::-1], tolerance, most)
    return (left, top, right, bottom) if bottom - top >= 16 and right - left >= 16 else (0, 0, width, height)


def _frame(rows: npt.NDArray[np.uint8], tolerance: int, most: float) -> int:
    """How many of the first rows are a frame."""
    considered = rows[: int(len(rows) * most)]
    if not len(considered):
        return 0
    near = np.abs(considered.astype(np.int16) - int(np.median(considered[0]))) <= tolerance
    inside = np.flatnonzero(near.mean(axis=1) <= 0.98)
    return int(inside[0]) if len(inside) else len(considered)


def squash(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture as a square of `side` px, whatever its aspect ratio."""
    # Hamming's filter leaves little that depends on where exactly the pixels lie: a copy is never sampled at the same places.
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.HAMMING))


def _median(squashed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(squashed).filter(ImageFilter.MedianFilter(_MEDIAN)))


def _basis(start: float, end: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosines over [start, end) of the side, (12, 64), under a window that fades at both ends; and the flat weights inside, (64,)."""
    place = ((np.arange(SIDE) + 0.5) / SIDE - start) / (end - start)
    inside = (place > 0) & (place < 1)
    window = np.where(inside, np.sqrt(np.sin(np.pi * np.clip(place, 0, 1))), 0.0)
    cosines = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * place) * window
    cosines /= np.linalg.norm(cosines, axis=1, keepdims=True)
    return cosines.astype(np.float32), (inside / inside.sum()).astype(np.float32)


@lru_cache(maxsize=1)
def _bases() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The bases of all crops under each other, (5·12, 64); the sum of each cosine, (5, 12); the flat weights, (5, 64)."""
    pairs = [_basis(start, end) for start, end in _CROPS]
    cosines = np.stack([cosine for cosine, _ in pairs])
    return cosines.reshape(-1, SIDE), cosines.sum(axis=2), np.stack([flat for _, flat in pairs])


def _describe_crops(squashed: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
    """Descriptions of all 25 crops of a (64, 64) picture, (25, 143), in the order of `probe_transforms`; the first is the whole."""
    cosines, sums, flat = _bases()
    picture = squashed.astype(np.float32)
    found = (cosines @ picture @ cosines.T).reshape(len(_CROPS), FREQUENCIES, len(_CROPS), FREQUENCIES)
    means = flat @ picture @ flat.T
    found -= means[:, None, :, None] * sums[:, :, None, None] * sums[None, None, :, :]
    return _unit(found.transpose(0, 2, 1, 3).reshape(len(_CROPS) ** 2, -1)[:, 1:])


def _describe_turns(squashed: npt.NDArray[np.uint8], aspect: float) -> npt.NDArray[np.floating]:
    """Descriptions of the turned pictures, (8, 143). Corners that turn in are black, as image programs fill them."""
    image = Image.fromarray(squashed)
    cosines, sums = _bases()[0][:FREQUENCIES], _bases()[1][0]
    turned = []
    for matrix in probe_transforms(round(aspect, 3))[len(_CROPS) ** 2 :]:
        # Pillow counts in pixels, and samples at their middles by itself.
        pixels = np.column_stack([matrix[:, :2], matrix[:, 2] * SIDE])
        turned.append(np.asarray(image.transform((SIDE, SIDE), Image.Transform.AFFINE, pixels.ravel().tolist(), Image.Resampling.BILINEAR)))
    pictures = np.stack(turned).astype(np.float32)
    found = cosines @ pictures @ cosines.T - pictures.mean(axis=(1, 2))[:, None, None] * (sums[:, None] * sums[None, :])
    return _unit(found.reshape(len(turned), -1)[:, 1:])


def _turn(degrees: float, grown: bool, aspect: float) -> Affine:
    """The matrix of a turned picture: its canvas as large as the picture, or `grown` so that no corner is lost."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = aspect, 1.0
    canvas = (width * cos + height * abs(sin), width * abs(sin) + height * cos) if grown else (width, height)
    linear = np.array([[cos * canvas[0] / width, -sin * canvas[1] / width], [sin * canvas[0] / height, cos * canvas[1] / height]])
    return np.column_stack([linear, 0.5 - linear @ (0.5, 0.5)])


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-3)
