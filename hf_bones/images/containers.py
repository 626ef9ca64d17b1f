"""GIF, WebP and AVIF files before Pillow gets them: what their containers say of sizes, blocks and metadata, within the file's budget."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from hf_bones.images.budget import BLOCK_STEPS, SEGMENT_STEPS, Budget
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size
from hf_bones.images.tiff import exif_facts

_MAX_GIF_EXTENSIONS = 65536  # bytes before the picture; Pillow joins a comment block by block, at a cost that grows with its square
_OBU_BYTES = 4096  # in which the sequence header of an AVIF item stands
_TIFF_START = re.compile(rb"II[*+]\0|MM\0[*+]")


def check_gif(data: bytes, limits: Limits, budget: Budget) -> tuple[bytes, int]:
    """The file as Pillow is to get it, and 1 frame, or 2 where there are more (Pillow would decode its way to the second to know).

    Checks their sizes: Pillow fills a frame's area as it opens the file, before it tells the size. Extensions that take much room are left
    out, but for those that say what is transparent.
    """
    if len(data) < 13:
        return data, 1
    areas = [struct.unpack_from("<HH", data, 6)]
    start = position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    controls: list[bytes] = []
    frames, picture = 0, 0
    while frames < 2 and position + 10 < len(data) and data[position] in b"\x21\x2c":
        before, is_picture = position, data[position] == 0x2C
        if is_picture:
            left, top, width, height, flags = struct.unpack_from("<4HB", data, position + 1)
            areas.append((left + width, top + height))
            frames += 1
            picture = picture or position
            position += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        else:
            position += 2
        position = _behind_blocks(data, position, 1 if is_picture else BLOCK_STEPS, budget)
        if not frames and data[before + 1] == 0xF9:
            controls.append(data[before:position])
    for width, height in areas:
        if width * height > limits.max_pixels:  # only this: some sound files give their screen no size
            raise ImageRefusedError(Refusal.BOMB, f"GIF of {width} x {height} pixels")
    if (picture or len(data)) - start > _MAX_GIF_EXTENSIONS:
        if not picture:
            raise ImageRefusedError(Refusal.UNDECODABLE, "GIF without a picture")
        data = data[:start] + b"".join(controls) + data[picture:]
    return data, max(frames, 1)


def _behind_blocks(data: bytes, position: int, steps: int, budget: Budget) -> int:
    """The place behind the sub-blocks that begin at `position`."""
    blocks = 0
    while position < len(data) and data[position]:
        position += 1 + data[position]
        blocks += 1
        if blocks == 4096:
            budget.step(blocks * steps, "GIF blocks")
            blocks = 0
    budget.step((1 + blocks) * steps, "GIF blocks")
    return position + 1


def check_webp(data: bytes, limits: Limits, budget: Budget) -> None:
    """The canvas size: Pillow's decoder allocates two canvases while it opens the file, before it tells the size."""
    header = data[12:30].ljust(18, b"\0")
    if header[:4] == b"VP8X":
        check_size(1 + int.from_bytes(header[12:15], "little"), 1 + int.from_bytes(header[15:18], "little"), limits)
    elif header[:4] == b"VP8L":
        bits = int.from_bytes(header[9:13], "little")
        check_size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), limits)
    elif header[:4] == b"VP8 ":
        check_size(int.from_bytes(header[14:16], "little") & 0x3FFF, int.from_bytes(header[16:18], "little") & 0x3FFF, limits)
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        budget.step(SEGMENT_STEPS, "WebP chunks")
        if kind == b"EXIF":
            exif_facts(data[position + 8 : position + 8 + length], limits, budget)
        position += 8 + length + length % 2


def check_avif(data: bytes, limits: Limits, budget: Budget) -> None:
    """The size in the AV1 data, which the decoder allocates and decodes whatever the container says, and the EXIF that Pillow parses."""
    for kind, start, end in _boxes(data, 0, len(data), budget):
        if kind != b"meta":
            continue
        for inner, inner_start, inner_end in _boxes(data, start + 4, end, budget):
            if inner == b"iloc":
                for item in _items(data, inner_start, inner_end, budget):
                    _check_item(data, item, limits, budget)
    if data[8:12] == b"avis":  # samples of a sequence each begin with a temporal delimiter
        for found in re.finditer(rb"\x12\0(?=\x0a[\x05-\x40])", data):
            budget.step(SEGMENT_STEPS, "AVIF samples")
            _check_sequence(data[found.end() : found.end() + _OBU_BYTES], limits, budget)


def _boxes(data: bytes, position: int, end: int, budget: Budget) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of the boxes that stand one behind the other (ISO/IEC 14496-12, 4.2)."""
    while position + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, position)
        budget.step(SEGMENT_STEPS, "AVIF boxes")
        start = position + 8
        if size == 1 and position + 16 <= end:
            size = struct.unpack_from(">Q", data, start)[0]
            start += 8
        stop = end if size == 0 else min(end, position + size)
        if stop < start:
            return
        yield kind, start, stop
        position = stop


def _items(data: bytes, position: int, end: int, budget: Budget) -> Iterator[list[tuple[int, int]]]:
    """(offset, length) of the extents of each item of an `iloc` box (14496-12, 8.11.3); offsets into `idat` are left out."""
    body = data[position:end]
    if len(body) < 8:
        return
    version, sizes = body[0], body[4] << 8 | body[5]
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    place = 6

    def number(size: int) -> int:
        nonlocal place
        place += size
        return int.from_bytes(body[place - size : place])

    for _ in range(number(2 if version < 2 else 4)):
        number(2 if version < 2 else 4)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        extents = []
        for _ in range(number(2)):
            budget.step(SEGMENT_STEPS, "AVIF items")
            if version and index_size:
                number(index_size)
            extents.append((base + number(offset_size), number(length_size)))
            if place > len(body):
                return
        budget.step(SEGMENT_STEPS, "AVIF items")
        if place > len(body):
            return
        if method == 0:
            yield extents


def _check_item(data: bytes, extents: list[tuple[int, int]], limits: Limits, budget: Budget) -> None:
    start = b""
    for offset, length in extents:
        start += data[offset : offset + min(length or len(data), _OBU_BYTES)]
        if len(start) >= _OBU_BYTES:
            break
    found = _TIFF_START.search(start[:16])
    if found:
        budget.copy(sum(min(length or len(data), len(data)) for _, length in extents), "AVIF items")
        whole = b"".join(data[offset : offset + (length or len(data))] for offset, length in extents)
        exif_facts(whole[found.start() :], limits, budget)
    else:
        _check_sequence(start, limits, budget)


def _check_sequence(data: bytes, limits: Limits, budget: Budget) -> None:
    """The largest size in the sequence headers among these open bitstream units (AV1 specification, 5.3 to 5.5)."""
    place = 0
    while place < len(data):
        budget.step(SEGMENT_STEPS, "AV1 units")
        head = data[place]
        place += 2 if head & 4 else 1
        if not head & 2:
            length = len(data) - place
        else:
            length = 0
            for shift in range(0, 56, 7):
                if place >= len(data):
                    return
                length |= (data[place] & 127) << shift
                place += 1
                if data[place - 1] < 128:
                    break
        if head >> 3 & 15 == 1:
            width, height = _sequence_size(data[place : place + min(length, 64)])
            if width * height > limits.max_pixels:
                raise ImageRefusedError(Refusal.TOO_COSTLY, f"AV1 data of {width} x {height} pixels")
        place += length


def _sequence_size(body: bytes) -> tuple[int, int]:
    """(width, height) at most, of a sequence header; zeros where it is cut off."""
    bits = int.from_bytes(body.ljust(64, b"\0"))
    place = 512

    def number(count: int) -> int:
        nonlocal place
        place -= count
        return bits >> max(place, 0) & ((1 << count) - 1)

    number(3 + 1)
    if number(1):  # reduced_still_picture_header
        number(5)
    else:
        has_model = False
        delay_bits = 0
        if number(1):  # timing_info_present_flag
            number(64)
            if number(1):  # equal_picture_interval, then a number in Exp-Golomb code
                zeros = 0
                while zeros < 32 and not number(1):
                    zeros += 1
                number(zeros)
            has_model = bool(number(1))
            if has_model:
                delay_bits = number(5) + 1
                number(32 + 5 + 5)
        has_delays = number(1)
        for _ in range(number(5) + 1):
            number(12)
            if number(5) > 7:
                number(1)
            if has_model and number(1):
                number(2 * delay_bits + 1)
            if has_delays and number(1):
                number(4)
    wide, high = number(4) + 1, number(4) + 1
    return number(wide) + 1, number(high) + 1
