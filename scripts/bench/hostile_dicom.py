"""DICOM files that are built to cost more than their size: their elements, and what is compressed inside them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from hostile_containers import codestream
from hostile_files import SIZES, Hostile, drawn, encoded, filled, jpegs
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless


def dicom(
    pixels: bytes, side: int = 64, syntax: str = ExplicitVRLittleEndian, bits: int = 8, encapsulated: bool = False, **tags: Any
) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.Rows = dataset.Columns = side
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate([pixels]) if encapsulated else pixels
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _before_group_28(data: bytes, more: bytes) -> bytes:
    place = data.index(b"\x28\0\x02\0US")
    return data[:place] + more + data[place:]


ITEM, NO_ITEM, NO_SEQUENCE = b"\xfe\xff\0\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
OPEN = b"\xff\xff\xff\xff"
SEQUENCE = b"\x08\0\x40\x11SQ\0\0"


def elements(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain = dicom(drawn().tobytes())
    floods: dict[str, Callable[[int], bytes]] = {
        "empty items": lambda size: SEQUENCE + OPEN + filled(ITEM + bytes(4), size) + NO_SEQUENCE,
        "open items": lambda size: SEQUENCE + OPEN + filled(ITEM + OPEN + NO_ITEM, size) + NO_SEQUENCE,
        "items with an element": lambda size: (
            SEQUENCE + OPEN + filled(ITEM + struct.pack("<L", 10) + b"\x08\0\x60\0CS\2\0DX", size) + NO_SEQUENCE
        ),
        "sequences in sequences": lambda size: filled(SEQUENCE + OPEN + ITEM + OPEN, size),
        "empty sequences": lambda size: filled(SEQUENCE + OPEN + NO_SEQUENCE, size),
        "elements": lambda size: filled(b"\x09\0\x10\x10LO\2\0ab", size),
        "a value without length": lambda size: b"\x09\0\x10\x10OB\0\0" + OPEN + bytes(size) + NO_SEQUENCE,
        "values without length": lambda size: filled(b"\x09\0\x10\x10OB\0\0" + OPEN + NO_SEQUENCE, size),
    }
    for name, flood in floods.items():
        for size in sizes:
            yield Hostile("DICOM", f"{name}, {size}", lambda flood=flood, size=size: _before_group_28(plain, flood(size)))
    centres, syntaxes = b"\x28\0\x50\x10UN\0\0", b"\x02\0\x10\0UN\0\0"
    behind = plain.index(b"\xe0\x7f\x10\0")
    for size in sizes:
        yield Hostile("DICOM", f"window centres, {size}", lambda size=size: plain[:behind] + centres + _ones(size) + plain[behind:])
        yield Hostile("DICOM", f"transfer syntaxes, {size}", lambda size=size: plain[:144] + syntaxes + _ones(size) + plain[144:])
        yield Hostile("DICOM", f"pixels that are not asked for, {size}", lambda size=size: dicom(bytes(size)))
        yield Hostile("DICOM", f"no preamble, elements, {size}", lambda size=size: plain[132:] + filled(b"\x09\0\x10\x10LO\2\0ab", size))
    yield Hostile("DICOM", "60,000 rows", lambda: dicom(bytes(4096), Rows=60_000, Columns=60_000))
    yield Hostile("DICOM", "two billion frames", lambda: dicom(bytes(4096), NumberOfFrames=2**31 - 1))


def _ones(size: int) -> bytes:
    """A length and a value of numbers without number."""
    return struct.pack("<L", size // 2 * 2) + b"1\\" * (size // 2)


def run_lengths(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    head = struct.pack("<16L", 1, 64, *[0] * 14)
    runs = {"runs of 128": b"\x81\0", "empty runs": b"\x80", "single bytes": b"\0a", "pairs": b"\xffa"}
    for name, run in runs.items():
        for size in sizes:
            for side in (64, 4000, 7900):
                yield Hostile("DICOM RLE", f"{name}, {size}, {side} px",
                              lambda run=run, size=size, side=side: dicom(head + filled(run, size), side, RLELossless, encapsulated=True),
                              side * side)  # fmt: skip
    deep = struct.pack("<16L", 8, *[64] * 8, *[0] * 7)
    yield Hostile(
        "DICOM RLE", "64 bits of one segment", lambda: dicom(deep + filled(b"\x81\0", 500_000), 7900, RLELossless, 64, True), 7900 * 7900
    )
    for size in sizes:
        pieces = bytes.fromhex("e07f10004f420000ffffffff") + ITEM + bytes(4)
        start = dicom(b"abcd", 64, RLELossless, encapsulated=True)
        start = start[: start.index(b"\xe0\x7f\x10\0")] + pieces
        yield Hostile(
            "DICOM RLE",
            f"fragments, {size}",
            lambda start=start, size=size: start + filled(ITEM + struct.pack("<L", 2) + b"ab", size) + NO_SEQUENCE,
        )


def frames(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    """Every hostile JPEG again, as a frame; and frames of another size than the header says."""
    for one in jpegs(sizes):
        if one.kind == "JPEG":
            yield Hostile(
                "DICOM JPEG",
                one.name,
                lambda one=one: dicom(one.make(), int(one.pixels**0.5), JPEGBaseline8Bit, encapsulated=True),
                one.pixels,
            )
    cod = struct.pack(">BBHB5B", 1, 0, 9, 0, 5, 0, 0, 0, 1) + bytes(6)
    for side in (2000, 7900):
        large = np.zeros((side, side), np.uint8)
        yield Hostile(
            "DICOM JPEG",
            f"a frame of {side} px",
            lambda large=large: dicom(encoded("JPEG", large), 64, JPEGBaseline8Bit, encapsulated=True),
        )
        yield Hostile("DICOM JPEG", f"a JPEG 2000 of {side} px",
                      lambda side=side: dicom(codestream(side, cod=cod), 64, JPEG2000Lossless, encapsulated=True))  # fmt: skip
        boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + filled(b"\0\0\0\x08free", 4_000_000)
        yield Hostile(
            "DICOM JPEG", f"boxes of a JPEG 2000, {side} px", lambda boxes=boxes: dicom(boxes, 64, JPEG2000Lossless, encapsulated=True)
        )
