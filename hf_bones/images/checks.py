"""A file's bytes made ready for Pillow: each check answers one way in which a small file makes a decoder allocate or work without bound, or
one kind of damage that Pillow lets pass. All of them draw on the file's one budget. Not here: decoding (`opening.py`), DICOM (`dicom.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.images.budget import Budget, MeteredBytes
from hf_bones.images.containers import check_avif, check_gif, check_webp
from hf_bones.images.headers import sniff
from hf_bones.images.jpeg import check_jpeg
from hf_bones.images.jpeg2000 import check_jpeg2000
from hf_bones.images.netpbm import check_netpbm
from hf_bones.images.png import check_png
from hf_bones.images.refusals import Limits
from hf_bones.images.tiff import TiffFacts, walk_tiff


@dataclass(frozen=True, eq=False)
class Checked:
    """A file that may be handed to Pillow: `stream` is what Pillow reads, on the account of `budget`.

    `frames` is 1 or more, None where Pillow can tell without decoding; `tiff` is there for a TIFF alone.
    """

    kind: str
    stream: MeteredBytes
    budget: Budget
    frames: int | None = None
    tiff: TiffFacts | None = None


def check(data: bytes, kind: str, limits: Limits, budget: Budget) -> Checked:
    """Checks `data`, of the format `kind` as `sniff` names it, anything but DICOM. Raises `ImageRefusedError`."""
    frames = tiff = None
    if kind == "TIFF":
        tiff = walk_tiff(data, limits, budget)
        frames = tiff.pages
    elif kind == "GIF":
        data, frames = check_gif(data, limits, budget)
    elif kind == "PNG":
        data = check_png(data, limits, budget)
    elif kind == "PPM":
        data = check_netpbm(data, limits, budget)
    elif kind == "JPEG":
        check_jpeg(data, limits, budget)
    elif kind == "WEBP":
        check_webp(data, limits, budget)
    elif kind == "JPEG2000":
        check_jpeg2000(data, limits, budget)
    elif kind == "AVIF":
        check_avif(data, limits, budget)
    return Checked(kind, MeteredBytes(data, budget), budget, frames, tiff)


def ready_for_pillow(data: bytes, limits: Limits) -> Checked:
    """The same, for the bytes of a file that is not DICOM, with a budget of its own."""
    return check(data, sniff(data), limits, Budget())
