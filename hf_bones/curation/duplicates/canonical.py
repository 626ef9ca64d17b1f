"""The form in which two near-duplicates look alike: squashed, freed of frames and thin marks, and described by its low frequencies.

A copy may have been compressed, scaled, framed, cropped, mirrored, inverted, turned a little or drawn upon. What each does here:

- compression and scale vanish in a picture of 64 × 64;
- arrows and letters are thin: a median filter takes them out;
- frames are trimmed; where that changes anything, the trimmed form is described beside the whole one;
- a mirror image turns the sign of every odd horizontal frequency, an inverted one the sign of all, and a quarter turn swaps horizontal and
  vertical ones: none of them needs a description of its own (`symmetric`);
- cropped and slightly turned copies are met half-way: the low frequencies of the picture's own crops and turns, the *probes*, are described
  too;
- where part of the picture may be a film on a screen (`film_boxes.py`), that part is described too.

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

from hf_bones.curation.duplicates.film_boxes import Box, film_boxes, in_common

VERSION = 3  # of everything that a fingerprint holds; a fingerprint of another version is made anew

SIDE = 64  # px of the squashed picture that is described
THUMB_SIDE = 128  # px of the squashed picture that pairs are registered on
_SAME_FORM = 0.97  # share in common from which two parts are one form: the tools above a film may be a twentieth of their window
FREQUENCIES = 12  # in each direction
NUMBERS = FREQUENCIES**2 - 1  # without the mean
_MEDIAN = 5  # px: takes out lines up to 2 px thick, which is 3 % of the side

# Where a crop's edges may lie, as shares of the side: 8 % off either edge, off both, half of that off both, or 16 % off either.
_CROPS = ((0.0, 1.0), (0.08, 1.0), (0.0, 0.92), (0.08, 0.92), (0.04, 0.96), (0.16, 1.0), (0.0, 0.84))
_TURNS = (-5.0, -2.5, 2.5, 5.0)  # degrees
_CANVASES = ("same", "grown", "cropped")  # of a turned picture: as it was, so that no corner is lost, with few empty corners
_TURN_CROP = 0.16  # share of either side that is lost where the canvas is cropped

SYMMETRIES = 8  # of a square: bit 0 mirrors left to right, bit 1 top to bottom, after bit 2 has swapped across and down

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Form:
    """A picture, or a part of it that may be what two near-duplicates share.

    `description`: (143,) float16, a unit vector. `thumb`: (128, 128) uint8, squashed; `aspect`: width ÷ height before that.
    """

    description: npt.NDArray[np.float16]
    thumb: npt.NDArray[np.uint8]
    aspect: float


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What near-duplicates are found by.

    `forms`: first the whole picture; with `has_frame` then the picture without its frame; then parts that may be films on a screen.
    `probes`: (61, 143) float16, unit vectors; the first describes the picture itself, the others its crops and turns, as in
    `probe_transforms(aspect)`. `phash` is ImageHash's 64-bit hash of the trimmed picture, 16 hex digits.
    """

    forms: tuple[Form, ...]
    has_frame: bool
    probes: npt.NDArray[np.float16]
    phash: str


def fingerprint(pixels: npt.NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of a grey (H, W) uint8 picture, as `open_image` gives it."""
    height, width = pixels.shape
    whole, trimmed = (0, 0, width, height), trim_box(pixels)
    boxes = [whole] if trimmed == whole else [whole, trimmed]
    has_frame = len(boxes) > 1
    for left, top, right, bottom in film_boxes(pixels):
        inner = trim_box(pixels[top:bottom, left:right])
        box = (left + inner[0], top + inner[1], left + inner[2], top + inner[3])
        if all(in_common(box, other) < _SAME_FORM for other in boxes):
            boxes.append(box)
    small = [_described(pixels, box) for box in boxes]
    left, top, right, bottom = trimmed
    return Fingerprint(
        forms=tuple(form for form, _ in small),
        has_frame=has_frame,
        probes=np.concatenate([_describe_crops(small[0][1]), _describe_turns(small[0][1], width / height)]).astype(np.float16),
        phash=str(imagehash.phash(Image.fromarray(pixels[top:bottom, left:right]))),
    )


def _described(pixels: npt.NDArray[np.uint8], box: Box) -> tuple[Form, npt.NDArray[np.uint8]]:
    """A part of a picture as a form, and the (64, 64) picture that its description is made of."""
    left, top, right, bottom = box
    part = pixels[top:bottom, left:right]
    middle = _median(squash(part, SIDE))
    return Form(_describe_whole(middle).astype(np.float16), squash(part, THUMB_SIDE), (right - left) / (bottom - top)), middle


@lru_cache(maxsize=4096)
def probe_transforms(aspect: float) -> tuple[Affine, ...]:
    """For each probe the (2, 3) matrix that takes a place in the probe to its place in the picture, both in [0, 1]² of (x, y)."""
    crops = [np.array([[right - left, 0, left], [0, bottom - top, top]]) for top, bottom in _CROPS for left, right in _CROPS]
    turns = [_turn(degrees, canvas, aspect) for degrees in _TURNS for canvas in _CANVASES]
    return (*crops, *turns)


PROBES = len(_CROPS) ** 2 + len(_CANVASES) * len(_TURNS)


def symmetric(descriptions: npt.NDArray[np.floating], symmetry: int) -> npt.NDArray[np.floating]:
    """The descriptions that (N, 143) descriptions' pictures have under one of the `SYMMETRIES`."""
    across, down = (np.where(np.arange(FREQUENCIES) % 2 * (symmetry >> bit & 1), -1.0, 1.0).astype(np.float32) for bit in (0, 1))
    places = np.arange(FREQUENCIES**2).reshape(FREQUENCIES, FREQUENCIES)
    order = (places.T if symmetry & 4 else places).ravel()[1:] - 1
    moved: npt.NDArray[np.floating] = descriptions[..., order] * np.outer(down, across).ravel()[1:]
    return moved


def symmetry_transform(symmetry: int) -> Affine:
    """The (2, 3) matrix that takes a place in a picture to its place in the picture under one of the `SYMMETRIES`, both in [0, 1]²."""
    linear = np.array([[0.0, 1.0], [1.0, 0.0]]) if symmetry & 4 else np.eye(2)
    flipped = np.array([bool(symmetry & 1), bool(symmetry & 2)])
    return np.column_stack([linear * np.where(flipped, -1.0, 1.0)[:, None], flipped.astype(np.float64)])


def mirror_and_quarters(symmetry: int) -> tuple[bool, int]:
    """Whether one of the `SYMMETRIES` mirrors left to right, and by how many quarters (-1 to 2) it then turns."""
    linear = symmetry_transform(symmetry)[:, :2]
    mirrored = bool(np.linalg.det(linear) < 0)
    x, y = linear[:, 0] * (-1 if mirrored else 1)
    return mirrored, round(math.atan2(y, x) / (math.pi / 2))


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
    """The bases of all crops under each other, (7·12, 64); the sum of each cosine, (7, 12); the flat weights, (7, 64)."""
    pairs = [_basis(start, end) for start, end in _CROPS]
    cosines = np.stack([cosine for cosine, _ in pairs])
    return cosines.reshape(-1, SIDE), cosines.sum(axis=2), np.stack([flat for _, flat in pairs])


def _describe_crops(squashed: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
    """Descriptions of all 49 crops of a (64, 64) picture, (49, 143), in the order of `probe_transforms`; the first is the whole."""
    cosines, sums, flat = _bases()
    picture = squashed.astype(np.float32)
    found = (cosines @ picture @ cosines.T).reshape(len(_CROPS), FREQUENCIES, len(_CROPS), FREQUENCIES)
    means = flat @ picture @ flat.T
    found -= means[:, None, :, None] * sums[:, :, None, None] * sums[None, None, :, :]
    return _unit(found.transpose(0, 2, 1, 3).reshape(len(_CROPS) ** 2, -1)[:, 1:])


def _describe_whole(squashed: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
    """The description of a (64, 64) picture, (143,): the first of `_describe_crops`."""
    cosines, sums = _bases()[0][:FREQUENCIES], _bases()[1][0]
    picture = squashed.astype(np.float32)
    return _unit((cosines @ picture @ cosines.T - picture.mean() * np.outer(sums, sums)).ravel()[1:])


def _describe_turns(squashed: npt.NDArray[np.uint8], aspect: float) -> npt.NDArray[np.floating]:
    """Descriptions of the turned pictures, (12, 143). Corners that turn in are black, as image programs fill them."""
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


def _turn(degrees: float, canvas: str, aspect: float) -> Affine:
    """The matrix of a turned picture on one of the `_CANVASES`."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = aspect, 1.0
    across, down = (width * cos + height * abs(sin), width * abs(sin) + height * cos) if canvas == "grown" else (width, height)
    if canvas == "cropped":
        across, down = across * (1 - _TURN_CROP), down * (1 - _TURN_CROP)
    linear = np.array([[cos * across / width, -sin * down / width], [sin * across / height, cos * down / height]])
    return np.column_stack([linear, 0.5 - linear @ (0.5, 0.5)])


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-3)
