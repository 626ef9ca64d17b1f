"""What a JPEG file says before it is decoded: segments, scans and EXIF, counted within the file's budget (ITU-T T.81, Annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hf_bones.images.budget import READ_STEPS, SEGMENT_STEPS, Budget
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal
from hf_bones.images.tiff import exif_facts

MAX_JPEG_SCANS = 100  # of one component each; encoders write about ten, and each costs a pass over the image, however few bytes it has
MAX_COEFFICIENT_BYTES = 400_000_000  # of several scans the decoder keeps every coefficient until the last

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not stuffing (00), restart (D0-D7) or fill (FF)
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)  # F7: JPEG-LS


@dataclass(frozen=True)
class JpegFacts:
    """(width, height) in the frame header, None without one, and the number of scans."""

    size: tuple[int, int] | None
    scans: int


def check_jpeg(data: bytes, limits: Limits, budget: Budget | None = None) -> JpegFacts:
    """Counts segments and scans up to the end of the image, and looks through the EXIF that Pillow reads as it opens the file.

    Thousands of empty progressive scans make a small file decode for hours. Raises `ImageRefusedError`, reason `TOO_COSTLY`.
    """
    budget = budget or Budget()
    budget.step(4 * data.count(b"8BIM"), "Photoshop's blocks")  # Pillow takes them apart in Python
    position, scans, component_scans, coefficients = 2, 0, 0, 0
    size: tuple[int, int] | None = None
    exif: list[bytes] = []
    exif_bytes = 0
    while (found := _MARKER.search(data, position)) is not None:
        if not scans:
            budget.step(READ_STEPS * (found.start() - position), "bytes between JPEG segments")  # read one by one
        marker, position = data[found.start() + 1], found.end()
        if marker == 0xD9:
            break
        budget.step(SEGMENT_STEPS, "JPEG segments")
        if marker in (0x01, 0xD8):
            continue
        end = position + max(2, int.from_bytes(data[position : position + 2]))
        body = data[position + 2 : end]
        position = end
        if marker == 0xDA:
            scans += 1
            component_scans += min(max(body[0] if body else 1, 1), 4)
            if component_scans > MAX_JPEG_SCANS:
                raise ImageRefusedError(Refusal.TOO_COSTLY, f"JPEG of more than {MAX_JPEG_SCANS} scans")
        elif marker in _FRAMES:
            budget.step(len(body), "JPEG frame headers")
            if size is None and len(body) >= 6:
                size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
                coefficients = _coefficient_bytes(body, size)
        elif marker == 0xDB:
            budget.step(len(body) // 5, "JPEG quantization tables")
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif.append(body[6:])
            exif_bytes += len(body)
            budget.copy(2 * exif_bytes, "EXIF in many segments")  # joined one by one
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            exif_facts(body[4:], limits, budget)
    exif_facts(b"".join(exif), limits, budget)
    if scans > 1 and coefficients > MAX_COEFFICIENT_BYTES:
        raise ImageRefusedError(Refusal.TOO_COSTLY, f"JPEG in {scans} scans, of {coefficients // 10**6} MB of coefficients")
    return JpegFacts(size, scans)


def _coefficient_bytes(frame: bytes, size: tuple[int, int]) -> int:
    """What the coefficients of all components take, at two bytes each."""
    factors = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * frame[5] : 3]]
    if not factors:
        return 0
    largest = max(across for across, _ in factors) * max(down for _, down in factors)
    return 2 * size[0] * size[1] * sum(across * down for across, down in factors) // max(largest, 1)
