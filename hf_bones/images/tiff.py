"""The directories of a TIFF file, and of EXIF data, which is built the same way: walked without their values, within the file's budget.

Pillow reads a directory into Python objects and copies each value; libtiff reads the same tags by rules of its own. What both are about
to do is bounded here before either of them sees the file. Tags and types: TIFF 6.0, section 2; BigTIFF as libtiff describes it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hf_bones.images.budget import ENTRY_STEPS, Budget
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal

MAX_TIFF_NUMBERS = 1_000_000  # Pillow turns numeric tags into tuples of Python ints
MAX_TILES = 20_000  # and one more for each 256 pixels: a tile costs its decoder microseconds before the first pixel
LARGEST_TILE = 16 * 2**20  # bytes beyond twice the image itself


@dataclass(frozen=True)
class TiffFacts:
    """From the first directory. None where the tag is missing; `pages` is 1, or 2 where there are more."""

    orientation: int | None
    photometric: int | None
    pages: int


_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BYTE_TYPES = (1, 2, 7)  # Pillow keeps these as bytes
_INTEGER = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q", 18: "Q"}  # all that libtiff takes for a size
_SUBDIRECTORIES = (34665, 34853, 40965)
_WIDTH, _LENGTH, _BITS, _SAMPLES, _PLANAR = 256, 257, 258, 277, 284
_ORIENTATION, _PHOTOMETRIC, _TILE_WIDTH, _TILE_LENGTH = 274, 262, 322, 323
_OFFSETS = (273, 324)  # of strips, of tiles
# Pillow takes the last of two, libtiff the first: what one checks must be what the other allocates.
_LAYOUT = (_WIDTH, _LENGTH, _BITS, _SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_LENGTH, 259, 278, *_OFFSETS)


@dataclass
class _Walk:
    """What was seen so far. `numbers` and `payload` are over all directories; `first` and `counts` of the first alone."""

    payload: int = 0
    numbers: int = 0
    first: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    twice: set[int] = field(default_factory=set)
    inner: list[int] = field(default_factory=list)


def walk_tiff(data: bytes, limits: Limits, budget: Budget) -> TiffFacts:
    """Checks the first directory and those inside it, which is all that is read of a TIFF.

    Raises `ImageRefusedError`: `TOO_COSTLY` where tags hold more bytes than the file (many tags pointing at the same bytes, each of which
    Pillow would copy), millions of numbers or entries, and where tiles are larger or more than the image calls for; `UNDECODABLE` where
    the header is cut, or a tag that says how pixels are laid out is given twice.
    """
    if data[:4] == b"MM\0+":
        raise ImageRefusedError(Refusal.UNSUPPORTED, "a big-endian BigTIFF; save it little-endian, or as TIFF")
    seen = _walk(data, budget)
    if seen.twice:
        raise ImageRefusedError(Refusal.UNDECODABLE, f"TIFF tags given twice: {', '.join(map(str, sorted(seen.twice)))}")
    _check_tiles(seen, limits)
    return TiffFacts(seen.first.get(_ORIENTATION), seen.first.get(_PHOTOMETRIC), 1 + _has_more(data))


def exif_facts(blob: bytes, limits: Limits, budget: Budget | None = None) -> TiffFacts | None:
    """The same for EXIF data, with or without its "Exif" prefix; None where it is malformed, which is no reason to refuse the pixels."""
    while blob.startswith(b"Exif\0\0"):
        blob = blob[6:]
    if len(blob) < 16 or blob[:2] not in (b"II", b"MM"):
        return None
    seen = _walk(blob, budget or Budget())
    return TiffFacts(seen.first.get(_ORIENTATION), seen.first.get(_PHOTOMETRIC), 1)


def _formats(data: bytes) -> tuple[str, bool, str, str, int]:
    """Byte order, whether it is a BigTIFF, and the struct formats of a count and a pointer, with the bytes of an inline value."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2] == 43  # in this byte, as Pillow has it: it takes a big-endian BigTIFF for a TIFF
    return order, big, order + ("Q" if big else "H"), order + ("Q" if big else "L"), 8 if big else 4


def _first_directory(data: bytes) -> int:
    _, big, _, pointer_format, _ = _formats(data)
    return int(struct.unpack_from(pointer_format, data, 8 if big else 4)[0])


def _entries(data: bytes, offset: int) -> range:
    """Where the entries of the directory at `offset` stand; empty where there is none."""
    _, big, count_format, _, _ = _formats(data)
    start = offset + struct.calcsize(count_format)
    if not 0 < offset <= len(data) - struct.calcsize(count_format):
        return range(0)
    size = 20 if big else 12
    count = struct.unpack_from(count_format, data, offset)[0]
    return range(start, start + size * min(count, (len(data) - start) // size), size)


def _has_more(data: bytes) -> bool:
    first = _first_directory(data)
    entries = _entries(data, first)
    _, _, count_format, pointer_format, inline = _formats(data)
    if entries.stop == 0 or entries.stop + inline > len(data):
        return False
    following = struct.unpack_from(pointer_format, data, entries.stop)[0]
    return following != first and 0 < following <= len(data) - struct.calcsize(count_format)


def _walk(data: bytes, budget: Budget) -> _Walk:
    if len(data) < 16 or data[:2] not in (b"II", b"MM"):
        raise ImageRefusedError(Refusal.UNDECODABLE, "TIFF header is cut off or malformed")
    seen = _Walk()
    first = _first_directory(data)
    pending, known = [first], set[int]()
    while pending:
        offset = pending.pop()
        if offset in known:
            continue
        known.add(offset)
        entries = _entries(data, offset)
        budget.step(ENTRY_STEPS * (1 + len(entries)), f"a TIFF or EXIF directory of {len(entries)} entries")
        _walk_entries(data, entries, offset == first, seen)
        pending += seen.inner
        seen.inner.clear()
        # Values of a sound file lie beside each other, so that together they cannot exceed it.
        if seen.payload > 2 * len(data) + 65536 or seen.numbers > MAX_TIFF_NUMBERS:
            what = f"TIFF tags of {seen.payload} bytes and {seen.numbers} numbers in {len(data)} bytes"
            raise ImageRefusedError(Refusal.TOO_COSTLY, what)
    return seen


def _walk_entries(data: bytes, entries: range, is_first: bool, seen: _Walk) -> None:
    order, big, _, pointer_format, inline = _formats(data)
    entry = struct.Struct(order + ("HHQ8s" if big else "HHL4s"))
    for position in entries:
        tag, kind, length, value = entry.unpack_from(data, position)
        if kind not in _TYPE_BYTES:
            continue  # neither Pillow nor libtiff reads a value of a type that it does not know
        size = length * _TYPE_BYTES[kind]
        target = struct.unpack(pointer_format, value)[0] if size > inline else 0
        if target + size > len(data):
            continue  # Pillow cannot read the value either
        seen.payload += size if size > inline else 0
        seen.numbers += 0 if kind in _BYTE_TYPES else length
        value = (data[target : target + 8] if size > inline else value).ljust(8, b"\0")
        number = struct.unpack_from(order + _INTEGER.get(kind, "L"), value)[0]
        if is_first and kind in _INTEGER and length:
            if tag in seen.first and tag in _LAYOUT and (seen.first[tag], seen.counts[tag]) != (number, length):
                seen.twice.add(tag)
            if length == 1 or tag in _LAYOUT:
                seen.first[tag], seen.counts[tag] = number, length
        if tag in _SUBDIRECTORIES:
            seen.inner.append(number)


def _check_tiles(seen: _Walk, limits: Limits) -> None:
    """Sizes and numbers of tiles, which decoders allocate and walk through before the first pixel."""
    width, length = seen.first.get(_WIDTH, 0), seen.first.get(_LENGTH, 0)
    samples = max(1, seen.first.get(_SAMPLES, 1))
    pixel_bits = max(1, seen.first.get(_BITS, 1)) * samples
    allowed = MAX_TILES + min(width * length, limits.max_pixels) // 256
    stated = max(seen.counts.get(tag, 0) for tag in _OFFSETS)
    if _TILE_WIDTH in seen.first or _TILE_LENGTH in seen.first:
        across, down = seen.first.get(_TILE_WIDTH, 0), seen.first.get(_TILE_LENGTH, 0)
        if across * down > limits.max_pixels or across * down * pixel_bits > 2 * width * length * pixel_bits + 8 * LARGEST_TILE:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"TIFF tiles of {across} x {down} pixels")
        if across > 0 and down > 0:
            stated = max(stated, -(-width // across) * -(-length // down) * samples)
    if stated > allowed:
        raise ImageRefusedError(Refusal.TOO_COSTLY, f"TIFF of {stated} tiles or strips")
