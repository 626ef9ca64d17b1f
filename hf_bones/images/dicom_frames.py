"""The first frame of compressed DICOM pixel data, looked at as a file of its kind is, before any decoder gets it (DICOM PS3.5, A.4).

A frame is a JPEG, a JPEG 2000 codestream or run lengths, and has every trick of those. It is held to Rows and Columns as well. Not here:
decoding (`dicom.py`).
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from hf_bones.images.budget import Budget, MeteredBytes
from hf_bones.images.headers import sniff
from hf_bones.images.jpeg import check_jpeg
from hf_bones.images.jpeg2000 import check_jpeg2000
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal

_ELEMENT_HEADER = 12  # bytes of an explicit element with a long length
_RUNS, _RUNS_A_PIXEL = 5_000_000, 0.15  # by what two loops over them in Python take, ours and pydicom's
_RUN_EXCESS = 2  # run lengths may unpack to so many times the frame: some encoders pad


def first_frame(stream: MeteredBytes, header: Any, frames: int) -> bytes:
    """The encoded first frame. `stream` stands at the pixel data element of an encapsulated syntax."""
    from pydicom.encaps import get_frame

    stream.read(_ELEMENT_HEADER)
    offsets, lengths = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    extended = (offsets[:8], lengths[:8]) if offsets and lengths else None
    return get_frame(stream, 0, extended_offsets=extended, number_of_frames=frames)


def check_frame(frame: bytes, syntax: Any, header: Any, limits: Limits, budget: Budget) -> None:
    """Raises `ImageRefusedError` for a frame that a file of its kind would be refused for, or of another size than the header says."""
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGTransferSyntaxes, RLELossless

    stated = (int(header.Columns), int(header.Rows))
    if syntax == RLELossless:
        _check_runs(frame, stated[0] * stated[1])
        return
    if syntax in JPEG2000TransferSyntaxes:
        found = check_jpeg2000(frame, limits, budget)
    else:
        found = check_jpeg(frame, limits, budget).size
    if found is not None and found != stated:
        what = f"a DICOM frame of {found[0]} x {found[1]} pixels, its header says {stated[0]} x {stated[1]}"
        raise ImageRefusedError(Refusal.UNDECODABLE, what)
    if syntax in JPEG2000TransferSyntaxes or syntax in JPEGTransferSyntaxes[:2]:  # those that Pillow decodes
        kind = sniff(frame)
        with Image.open(MeteredBytes(frame, budget), formats=["JPEG", "JPEG2000"]) as image:
            if kind not in ("JPEG", "JPEG2000") or image.size != stated:
                raise ImageRefusedError(Refusal.UNDECODABLE, f"a DICOM frame of {image.size} pixels as {kind}, its header says {stated}")


def _check_runs(frame: bytes, pixels: int) -> None:
    """Follows the run lengths of each segment (PS3.5, G.3) without unpacking them: pydicom looks at their length only afterwards."""
    if len(frame) < 64:
        raise ImageRefusedError(Refusal.UNDECODABLE, "DICOM run lengths without their header")
    count, *offsets = struct.unpack_from("<16L", frame)
    starts = offsets[: min(count, 15)]
    runs, most_runs = 0, int(_RUNS + _RUNS_A_PIXEL * pixels)
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=True):
        unpacked, position, most = 0, start, _RUN_EXCESS * pixels + 4096
        while position < end and unpacked <= most and runs <= most_runs:
            runs += 1
            head = frame[position] if position < len(frame) else 128
            if head < 128:
                unpacked += head + 1
                position += head + 2
            elif head > 128:
                unpacked += 257 - head
                position += 2
            else:
                position += 1
        if runs > most_runs:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"more than {most_runs} DICOM run lengths for {pixels} pixels")
        if unpacked > most:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"DICOM run lengths that unpack to more than {most} bytes for {pixels} pixels")
