"""What the bytes of an image file say before anything is decoded: its format by its magic number, and traps that Pillow falls into.

Each check answers one way in which a small file makes a decoder allocate or work without bound, or one kind of damage that Pillow
lets pass. Formats are told by content: a file's name is never looked at. Not here: decoding (`opening.py`, `dicom.py`).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size

MAX_JPEG_SCANS = 100  # encoders write about ten; each scan costs a pass over the whole image, however few bytes it has
MAX_SEGMENTS = 100_000  # JPEG segments or PNG chunks: Pillow walks them in Python
MAX_TIFF_NUMBERS = 1_000_000  # Pillow turns numeric tags into tuples of Python ints
MAX_J2K_TILES = 20_000  # OpenJPEG allocates some kilobytes for each tile before it reads the first

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JP2_MAGIC = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_J2K_START = b"\xff\x4f\xff\x51"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (_PNG_MAGIC, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (_JP2_MAGIC, "JPEG2000"),
    (_J2K_START, "JPEG2000"),
)

# Known, and left out on purpose: they run other programs, hold many images in one, or need a library that Pillow does not bring.
_REFUSED_MAGIC: tuple[tuple[bytes, Refusal, str], ...] = (
    (b"%!PS", Refusal.UNSUPPORTED, "PostScript, which only another program can draw"),
    (b"%PDF", Refusal.UNSUPPORTED, "a PDF; save the page as PNG"),
    (b"8BPS", Refusal.UNSUPPORTED, "a Photoshop document"),
    (b"\x00\x00\x01\x00", Refusal.UNSUPPORTED, "an icon file"),
    (b"icns", Refusal.UNSUPPORTED, "an icon file"),
    (b"\xd7\xcd\xc6\x9a", Refusal.UNSUPPORTED, "a Windows metafile"),
    (b"version https://git-lfs", Refusal.NOT_AN_IMAGE, "a Git LFS pointer, not the file; run: git lfs pull"),
)


def sniff(data: bytes) -> str:
    """The format of `data` as Pillow names it, or "DICOM". Raises `ImageRefusedError` for anything that is not opened here."""
    if not data:
        raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "the file is empty")
    if data[128:132] == b"DICM":
        return "DICOM"
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if re.match(rb"P[1-6f]\s", data):
        return "PPM"
    if data[4:8] == b"ftyp":
        if data[8:12] in (b"avif", b"avis"):
            return "AVIF"
        raise ImageRefusedError(Refusal.UNSUPPORTED, "HEIC or a video; save it as PNG or JPEG")
    for magic, reason, what in _REFUSED_MAGIC:
        if data.startswith(magic):
            raise ImageRefusedError(reason, what)
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "a web page saved under an image's name")
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        raise ImageRefusedError(Refusal.UNSUPPORTED, "an SVG drawing")
    raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "the content starts like no image format")


def check_png(data: bytes, limits: Limits) -> None:
    """Checksums of the critical chunks, and that the file reaches its end: Pillow reads pixel chunks without looking at either."""
    position, chunks = len(_PNG_MAGIC), 0
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if chunks == 0 and kind != b"IHDR":
            raise ImageRefusedError(Refusal.UNDECODABLE, "PNG does not start with its header chunk")
        if chunks == 0 and len(data) >= position + 16:
            # Before the checksum: an absurd size is the plainer reason, whatever else is wrong.
            width, height = struct.unpack_from(">II", data, position + 8)
            check_size(width, height, limits)
        end = position + 12 + length
        if end > len(data):
            break
        # An upper-case first letter marks a chunk that pixels depend on (PNG specification, 5.4).
        if not kind[0] & 0x20 and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ImageRefusedError(Refusal.UNDECODABLE, f"PNG chunk {kind!r} fails its checksum")
        if kind == b"IEND":
            return
        position, chunks = end, chunks + 1
        if chunks > MAX_SEGMENTS:
            raise ImageRefusedError(Refusal.BOMB, f"PNG of more than {MAX_SEGMENTS} chunks")
    raise ImageRefusedError(Refusal.UNDECODABLE, "PNG ends before its end chunk")


_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not stuffing (00), restart (D0-D7) or fill (FF)


def check_jpeg(data: bytes, limits: Limits) -> None:
    """Counts segments and scans up to the end of the image, and looks through the EXIF that Pillow reads as it opens the file.

    Thousands of empty progressive scans make a small file decode for hours.
    """
    position, scans, segments = 2, 0, 0
    exif = b""
    while (found := _JPEG_MARKER.search(data, position)) is not None:
        marker, position = data[found.start() + 1], found.end()
        if marker == 0xD9:
            break
        segments += 1
        scans += marker == 0xDA
        if scans > MAX_JPEG_SCANS or segments > MAX_SEGMENTS:
            raise ImageRefusedError(Refusal.BOMB, f"JPEG of more than {MAX_JPEG_SCANS} scans or {MAX_SEGMENTS} segments")
        if marker in (0x01, 0xD8):
            continue
        end = position + max(2, int.from_bytes(data[position : position + 2]))
        if marker == 0xE1 and data.startswith(b"Exif\0", position + 2):
            exif += data[position + 8 : end]  # Pillow joins them too
        if marker == 0xE2 and data.startswith(b"MPF\0", position + 2):
            exif_facts(data[position + 6 : end], limits)
        position = end
    exif_facts(exif, limits)


def count_gif_frames(data: bytes, limits: Limits) -> int:
    """1, or 2 where there are more. Checks their sizes: Pillow fills a frame's area as it opens the file, before it tells the size."""
    if len(data) < 13:
        return 1
    width, height = struct.unpack_from("<HH", data, 6)
    areas = [(width, height)]
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    frames = 0
    while frames < 2 and position + 10 < len(data) and data[position] in b"\x21\x2c":
        if data[position] == 0x2C:
            left, top, width, height, flags = struct.unpack_from("<4HB", data, position + 1)
            areas.append((left + width, top + height))
            frames += 1
            position += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        else:
            position += 2
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    for width, height in areas:
        if width * height > limits.max_pixels:  # only this: some sound files give their screen no size
            raise ImageRefusedError(Refusal.BOMB, f"GIF of {width} x {height} pixels")
    return max(frames, 1)


def check_webp(data: bytes, limits: Limits) -> None:
    """The canvas size: Pillow's decoder allocates two canvases while it opens the file, before it tells the size."""
    header = data[12:30].ljust(18, b"\0")
    if header[:4] == b"VP8X":
        check_size(1 + int.from_bytes(header[12:15], "little"), 1 + int.from_bytes(header[15:18], "little"), limits)
    elif header[:4] == b"VP8L":
        bits = int.from_bytes(header[9:13], "little")
        check_size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), limits)
    elif header[:4] == b"VP8 ":
        check_size(int.from_bytes(header[14:16], "little") & 0x3FFF, int.from_bytes(header[16:18], "little") & 0x3FFF, limits)


def check_jpeg2000(data: bytes, limits: Limits) -> None:
    """The size and tiling in the codestream, which the size in the JP2 box (all that Pillow reads) need not agree with."""
    position = data.find(_J2K_START)
    while position >= 0 and len(data) >= position + 42:
        right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = struct.unpack_from(">8IH", data, position + 8)
        check_size(right - left, bottom - top, limits)
        tiles = -((tile_left - right) // max(tile_width, 1)) * -((tile_top - bottom) // max(tile_height, 1))
        if tiles > MAX_J2K_TILES or components > 5:
            raise ImageRefusedError(Refusal.BOMB, f"JPEG 2000 of {tiles} tiles and {components} components")
        position = data.find(_J2K_START, position + 1)


@dataclass(frozen=True)
class TiffFacts:
    """From the first directory of a TIFF, or of EXIF data, which is built the same way. None where the tag is missing."""

    orientation: int | None
    photometric: int | None
    pages: int


_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_BYTE_TYPES = (1, 2, 7)  # Pillow keeps these as bytes
_TIFF_NUMBER = {3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_TIFF_SUBDIRECTORIES = (34665, 34853, 40965)
_ORIENTATION, _PHOTOMETRIC, _TILE_WIDTH, _TILE_LENGTH = 274, 262, 322, 323


def walk_tiff(data: bytes, limits: Limits) -> TiffFacts:
    """Reads the directories of a TIFF or BigTIFF without their values.

    Raises `ImageRefusedError`, reason `BOMB`, where tags hold more bytes than the file (many tags pointing at the same bytes, each of which
    Pillow would copy), or millions of numbers, or where a tile is larger than an image may be; `UNDECODABLE` where the header is cut.
    """
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 16 or data[:2] not in (b"II", b"MM"):
        raise ImageRefusedError(Refusal.UNDECODABLE, "TIFF header is cut off or malformed")
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count_format, entry_format, pointer_format = ("Q", "HHQ8s", "Q") if big else ("H", "HHL4s", "L")
    entry_bytes, inline = (20, 8) if big else (12, 4)
    pending = [(struct.unpack_from(order + pointer_format, data, 8 if big else 4)[0], True)]
    seen: set[int] = set()
    first: dict[int, int] = {}
    pages = payload = numbers = 0
    while pending:
        offset, is_page = pending.pop()
        if offset in seen or not 0 < offset <= len(data) - struct.calcsize("<" + count_format):
            continue
        seen.add(offset)
        pages += is_page
        count = struct.unpack_from(order + count_format, data, offset)[0]
        start = offset + struct.calcsize("<" + count_format)
        end = start + entry_bytes * min(count, (len(data) - start) // entry_bytes)
        for position in range(start, end, entry_bytes):
            tag, kind, length, value = struct.unpack_from(order + entry_format, data, position)
            size = length * _TIFF_TYPE_BYTES.get(kind, 0)
            target = struct.unpack(order + pointer_format, value)[0] if size > inline else 0
            if target + size > len(data):
                continue  # Pillow cannot read the value either
            payload += size if size > inline else 0
            numbers += 0 if kind in _TIFF_BYTE_TYPES else length
            value = (data[target : target + 8] if size > inline else value).ljust(8, b"\0")
            number = struct.unpack_from(order + _TIFF_NUMBER.get(kind, "L"), value)[0]
            if pages == 1 and is_page and length == 1 and kind in _TIFF_NUMBER:
                first[tag] = number
            if tag in _TIFF_SUBDIRECTORIES:
                pending.append((number, False))
        # Values of a sound file lie beside each other, so that together they cannot exceed it.
        if payload > 2 * len(data) + 65536 or numbers > MAX_TIFF_NUMBERS:
            raise ImageRefusedError(Refusal.BOMB, f"TIFF tags of {payload} bytes and {numbers} numbers in a file of {len(data)} bytes")
        if is_page and end + inline <= len(data):
            pending.insert(0, (struct.unpack_from(order + pointer_format, data, end)[0], True))
    if first.get(_TILE_WIDTH, 0) * first.get(_TILE_LENGTH, 0) > limits.max_pixels:
        raise ImageRefusedError(Refusal.BOMB, f"TIFF tiles of {first[_TILE_WIDTH]} x {first[_TILE_LENGTH]} pixels")
    return TiffFacts(first.get(_ORIENTATION), first.get(_PHOTOMETRIC), pages)


def exif_facts(blob: bytes, limits: Limits) -> TiffFacts | None:
    """The same for EXIF data, with or without its "Exif" prefix; None where it is malformed, which is no reason to refuse the pixels."""
    while blob.startswith(b"Exif\0\0"):
        blob = blob[6:]
    if len(blob) < 16 or blob[:2] not in (b"II", b"MM"):
        return None
    return walk_tiff(blob, limits)


CHECKS: dict[str, Callable[[bytes, Limits], None]] = {
    "PNG": check_png,
    "JPEG": check_jpeg,
    "WEBP": check_webp,
    "JPEG2000": check_jpeg2000,
}
