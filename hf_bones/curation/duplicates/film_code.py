"""A code of 256 bits by which a film is known again after it was scaled, encoded anew, mirrored, turned by quarters, inverted or framed.

The bits are the signs of fixed random projections of the film's locally normalised picture of 32 × 32 (Charikar, "Similarity estimation
techniques from rounding algorithms", STOC 2002): the share of bits in which two codes differ is the angle between the two pictures ÷ π. No
code depends on other films, so that codes made on different machines can be compared.

Not here: cropped, turned a little or drawn upon. Those need the pictures themselves (`find.py`).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

BITS = 256
WORDS = BITS // 64
NEAR = 32  # bits in which codes of one film may differ. A rescaled copy differs in 19 or fewer, another film of a set in 39 or more:
# scripts/bench/seen.py measures both.
VERSION = 1  # of all that a code depends on
_SIDE = 32  # px of the normalised picture
_LEAST = 0.02  # mean square of a normalised picture: a flatter one shows nothing to know it by

Codes = npt.NDArray[np.uint64]


def film_codes(pixels: npt.NDArray[np.uint8]) -> Codes:
    """(F, 4) codes of a grey (H, W) picture: whole, and without its frame where it has one. None of a picture that shows nothing."""
    return _codes(_pictures(pixels))


def film_codes_every_way(pixels: npt.NDArray[np.uint8]) -> Codes:
    """(8 F, 4) codes of a picture as `film_codes`, and as it is after mirroring and quarter turns."""
    turned = [np.rot90(pictures, turns, (1, 2)) for pictures in _mirrored(_pictures(pixels)) for turns in range(4)]
    return _codes(np.concatenate(turned))


def differing_bits(codes: Codes, others: Codes) -> npt.NDArray[np.int64]:
    """(N,) in how many bits each of N codes differs from the nearest of M `others`; an inverted picture counts as the picture itself.

    `BITS` where there are no others.
    """
    nearest = np.full(len(codes), BITS)
    for other in others:
        differ = np.bitwise_count(codes ^ other).sum(axis=1, dtype=np.int64)
        nearest = np.minimum(nearest, np.minimum(differ, BITS - differ))
    return nearest


def _pictures(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(F, 32, 32): the whole picture and the one without its frame, locally normalised."""
    # SciPy is behind these, which takes a second to import: reading a list of codes, or pushing one, needs none of it.
    from hf_bones.curation.duplicates.canonical import THUMB_SIDE, squash, trim_box
    from hf_bones.curation.duplicates.registration import normalised

    left, top, right, bottom = trim_box(pixels)
    inside = pixels[top:bottom, left:right]
    forms = [pixels] if inside.shape == pixels.shape else [pixels, inside]
    return normalised(np.stack([squash(form, THUMB_SIDE) for form in forms]), 0)


def _mirrored(pictures: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return pictures, pictures[:, :, ::-1]


def _codes(pictures: npt.NDArray[np.float32]) -> Codes:
    shown = pictures[(pictures**2).mean(axis=(1, 2)) > _LEAST]
    signs = shown.reshape(len(shown), _SIDE**2) @ _projections() > 0
    return np.packbits(signs, axis=1, bitorder="little").view("<u8").astype(np.uint64)


@lru_cache(maxsize=1)
def _projections() -> npt.NDArray[np.float32]:
    """(1024, 256) of ±1, the same everywhere: numpy's generators may draw otherwise in another version."""
    places = _SIDE**2
    drawn = hashlib.shake_256(f"hf_bones film code {VERSION}".encode()).digest(places * BITS // 8)
    return np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(places, BITS).astype(np.float32) * 2 - 1
