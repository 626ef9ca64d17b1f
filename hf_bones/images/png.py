"""What a PNG file says before it is decoded: chunks counted, checksums of those that pixels depend on, and metadata held to a size.

Pillow reads pixel chunks without looking at checksums or at the end, and refuses a picture for the size of its texts and profiles.
None of these is needed for the pixels: what is too large is left out of what Pillow gets.
"""

from __future__ import annotations

import re
import struct
import zlib

from hf_bones.images.budget import SEGMENT_STEPS, Budget
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size

MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 1_000_000  # bytes of one text or profile, unpacked: a little below what Pillow takes
MAX_TEXTS = 32 * 2**20  # of all together
_XMP = b"XML:com.adobe.xmp\0"
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def check_png(data: bytes, limits: Limits, budget: Budget) -> bytes:
    """The file as Pillow is to get it: without texts and profiles that are too large, else as it is.

    Raises `ImageRefusedError` where a chunk that pixels depend on is damaged or the end is missing.
    """
    position, texts, kept_from = len(MAGIC), 0, 0
    kept: list[bytes] = []
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        is_first = position == len(MAGIC)
        if is_first and kind != b"IHDR":
            raise ImageRefusedError(Refusal.UNDECODABLE, "PNG does not start with its header chunk")
        if is_first and len(data) >= position + 16:
            # Before the checksum: an absurd size is the plainer reason, whatever else is wrong.
            width, height = struct.unpack_from(">II", data, position + 8)
            check_size(width, height, limits)
        end = position + 12 + length
        if end > len(data):
            break
        budget.step(SEGMENT_STEPS, "PNG chunks")
        # An upper-case first letter marks a chunk that pixels depend on (PNG specification, 5.4).
        if not kind[0] & 0x20 and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ImageRefusedError(Refusal.UNDECODABLE, f"PNG chunk {kind!r} fails its checksum")
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            body = data[position + 8 : end - 4]
            text = _unpacked(kind, body)
            budget.copy(len(body) + len(text), "PNG texts")
            texts += len(text)
            if len(text) > MAX_TEXT or texts > MAX_TEXTS:
                kept += [data[kept_from:position], _orientation_alone(body, text)]
                kept_from = end
        if kind == b"IEND":
            return b"".join([*kept, data[kept_from:]]) if kept else data
        position = end
    raise ImageRefusedError(Refusal.UNDECODABLE, "PNG ends before its end chunk")


def _unpacked(kind: bytes, body: bytes) -> bytes:
    """The content of a text or profile chunk, unpacked no further than is needed to see that it is too large."""
    start = body.find(b"\0") + 1
    if kind == b"tEXt" or not start:
        return body[start:]
    if kind == b"iTXt":
        packed = body[start : start + 1] == b"\1"
        start = body.find(b"\0", body.find(b"\0", start + 2) + 1) + 1  # behind the language and the translated keyword
        if not packed:
            return body[start:]
    else:
        start += 1  # the method of compression
    try:
        return zlib.decompressobj().decompress(body[start:], MAX_TEXT + 1)
    except zlib.error:
        return b""  # Pillow leaves it out too


def _orientation_alone(body: bytes, text: bytes) -> bytes:
    """In place of XMP that is too large: a chunk that says no more than which way up the picture is."""
    found = XMP_ORIENTATION.search(text) if body.startswith(_XMP) else None
    if found is None:
        return b""
    content = b"iTXt" + _XMP + b"\0\0\0\0" + found[0]
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
