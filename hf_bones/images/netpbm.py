"""Netpbm files (PBM, PGM, PPM) before Pillow gets them: Pillow decodes some of them pixel by pixel in Python, microseconds each.

Binary ones whose white is neither 255 nor 65535, such as 12-bit radiographs, are scaled here as Pillow would scale them, in one step. Plain
ones, written in digits, are held to a size.
"""

from __future__ import annotations

import re

import numpy as np

from hf_bones.images.budget import Budget
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size

MAX_PLAIN_SAMPLES = 4_000_000  # numbers that are written in digits: about a microsecond each
_BLOCK = 2**20  # bytes that Pillow takes plain text in; each comment costs a copy of one
_SPACE = rb"[ \t\r\n\v\f]"
_NUMBER = rb"(?:" + _SPACE + rb"|#[^\r\n]*[\r\n])*([0-9]{1,10})" + _SPACE
_HEADER = re.compile(rb"P([2356])" + _SPACE + 3 * _NUMBER)
_HEADER_BYTES = 4096


def check_netpbm(data: bytes, limits: Limits, budget: Budget) -> bytes:
    """The file as Pillow is to get it: scaled to a white of 255 or 65535, else as it is. Raises `ImageRefusedError`."""
    is_plain = data[1:2] in b"123"
    if is_plain:
        budget.copy(data.count(b"#") * min(len(data), _BLOCK), "comments in a plain Netpbm file")
    found = _HEADER.match(data[:_HEADER_BYTES])
    if found is None:
        if data[1:2] in b"23":
            raise ImageRefusedError(Refusal.UNDECODABLE, "the header of a plain Netpbm file is malformed, or too long")
        return data
    magic, width, height, white = found[1], *(int(found[place]) for place in (2, 3, 4))
    check_size(width, height, limits)
    if is_plain and width * height * (3 if magic == b"3" else 1) > MAX_PLAIN_SAMPLES:
        raise ImageRefusedError(Refusal.TOO_COSTLY, f"{width} x {height} pixels written in digits; save it as PNG")
    if is_plain or white == 255 or (white == 65535 and magic == b"5") or not 0 < white < 65536:
        return data
    return _scaled(data[found.end() :], magic, (width, height), white)


def _scaled(body: bytes, magic: bytes, size: tuple[int, int], white: int) -> bytes:
    stored = np.dtype(">u2" if white > 255 else "u1")
    whole = 65535 if white > 255 and magic == b"5" else 255  # Pillow has 16 bits of grey, not of colour
    samples = size[0] * size[1] * (3 if magic == b"6" else 1)
    values = np.frombuffer(body, stored, min(samples, len(body) // stored.itemsize))
    table = [min(whole, round(value / white * whole)) for value in range(256**stored.itemsize)]
    scaled = np.array(table, ">u2" if whole == 65535 else "u1")[values]
    return b"P%b %d %d %d\n" % (magic, *size, whole) + scaled.tobytes()
