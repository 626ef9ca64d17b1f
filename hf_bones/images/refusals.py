"""Why an image can be refused: the one list of reasons, the error that carries them, and the limits that an image must keep.

The same words stand in the manifest, the command line and the demo. Not here: opening images (`opening.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Every reason for which `open_image` refuses a source. `explain` has the sentence for a person."""

    NOT_AN_IMAGE = "not_an_image"
    UNDECODABLE = "undecodable_or_truncated"
    BOMB = "decompression_bomb"
    TOO_COSTLY = "too_costly"
    TOO_SMALL = "too_small"
    BAD_ASPECT = "bad_aspect"
    UNREADABLE_FILE = "unreadable_file"
    TOO_LARGE = "file_too_large"
    UNSUPPORTED = "unsupported_format"
    MISSING_CODEC = "missing_codec"


_EXPLANATIONS = {
    Refusal.NOT_AN_IMAGE: "This is not an image. Use a JPEG, PNG, TIFF, WebP or DICOM file.",
    Refusal.UNDECODABLE: "The image is damaged or was cut off on the way. Save or download it again.",
    Refusal.BOMB: "The image would unpack to far more pixels than a radiograph needs. Save it smaller.",
    Refusal.TOO_COSTLY: "Opening this file would take far more time or memory than its picture calls for. Save it anew as PNG.",
    Refusal.TOO_SMALL: "The image is too small to read a bone from. Use the original rather than a thumbnail.",
    Refusal.BAD_ASPECT: "The image is a thin strip, not a radiograph. Check that it was not cropped by mistake.",
    Refusal.UNREADABLE_FILE: "The file cannot be read. Check that it exists and that you may open it.",
    Refusal.TOO_LARGE: "The file is too large. Save it smaller, or raise the limit on file size.",
    Refusal.UNSUPPORTED: "This kind of image is not supported. Save it as PNG or JPEG.",
    Refusal.MISSING_CODEC: "Reading this DICOM needs a decoder that is not installed: pip install 'hf-bones[dicom-codecs]'.",
}


def explain(reason: Refusal | str) -> str:
    """What a reason means and what to do, as one or two sentences for a person. Raises ValueError for a word that is no reason."""
    return _EXPLANATIONS[Refusal(reason)]


class ImageRefusedError(ValueError):
    """An image that will not be opened: `reason` for programs, `detail` for whoever looks into it, `source` names the file."""

    def __init__(self, reason: Refusal, detail: str, source: str = "") -> None:
        super().__init__(reason, detail, source)  # all three, so that the error survives pickling between processes
        self.reason = reason
        self.detail = detail
        self.source = source

    def __str__(self) -> str:
        return f"{self.source or 'image'} refused: {self.reason} ({self.detail})"


@dataclass(frozen=True)
class Limits:
    """What an image must keep to be opened.

    `max_bytes` caps what is read of a file; `max_pixels` is width x height, checked on the header before anything is decoded. 64 Mpx
    covers a mammogram (27 Mpx) and a stitched spine twice over. Opening takes 6 to 20 bytes a pixel beside the file
    itself, by format (JPEG 7, PNG 8, 32-bit TIFF 12, WebP 16, JPEG 2000 20).
    """

    max_bytes: int = 128 * 2**20
    max_pixels: int = 64_000_000
    min_side: int = 32
    max_aspect: float = 20.0


DEFAULT_LIMITS = Limits()


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuses a size in pixels: too many first, then too thin, then too small (a 3000 x 12 sliver is thin before it is small)."""
    if max(width, 1) * max(height, 1) > limits.max_pixels:
        raise ImageRefusedError(Refusal.BOMB, f"{width} x {height} pixels, over the limit of {limits.max_pixels}")
    if min(width, height) < 1:
        raise ImageRefusedError(Refusal.TOO_SMALL, f"{width} x {height} pixels: there is nothing to see")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise ImageRefusedError(Refusal.BAD_ASPECT, f"{width} x {height} pixels, thinner than {limits.max_aspect:g} to 1")
    if min(width, height) < limits.min_side:
        raise ImageRefusedError(Refusal.TOO_SMALL, f"{width} x {height} pixels, under {limits.min_side} on the short side")
