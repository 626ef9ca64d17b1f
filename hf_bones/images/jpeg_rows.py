"""How many rows of a cut-off JPEG are really there: its entropy-coded data is followed to its last complete block, and nothing is guessed.

Decoders fill up what is missing and do not say where they began. Which blocks are whole follows from the bits alone, as ITU-T T.81 lays
them out (Annex F.2.2, Huffman decoding; E.1.4 and F.2.2.5, restart markers). Only lengths are read here, no coefficient is computed.

Not here: progressive, arithmetic and lossless files and those of several scans, whose rows are only whole when the file is; decoding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

_FRAMES = range(0xC0, 0xD0)  # start-of-frame markers, but for three of them
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_SEQUENTIAL = (0xC0, 0xC1)
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in entropy-coded data: neither a stuffed FF, nor a fill byte, nor a restart
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_END = 0xD9

# Code length × 256 + symbol, by the next 16 bits; 0 where no code begins so.
_Codes = list[int]


class NotCutOffError(ValueError):
    """Bytes whose rows cannot be counted: not a JPEG that was cut off, or not of the kind that is understood. Says why."""


@dataclass(frozen=True)
class CutJpeg:
    """A JPEG that ends too soon. `end`: where its usable data ends, in bytes; `rows` of its `height` rows (as stored) are whole."""

    width: int
    height: int
    end: int
    rows: int


@dataclass
class _Component:
    horizontal: int
    vertical: int
    dc: _Codes = field(default_factory=list)
    ac: _Codes = field(default_factory=list)


@dataclass
class _Header:
    """What stands before the entropy-coded data, which begins at `start`."""

    width: int = 0
    height: int = 0
    start: int = 0
    restart_interval: int = 0
    components: dict[int, _Component] = field(default_factory=dict)


def count_rows(data: bytes) -> CutJpeg:
    """Follows a cut-off baseline or extended sequential JPEG. Raises `NotCutOffError` for anything else, a complete JPEG included.

    A row counts where every bit that it depends on is there. That is one row less than the blocks give where colour is stored at half
    height, since decoders blend a row of colour with the next one ("fancy upsampling").
    """
    header = _read_header(data)
    found = _MARKER.search(data, header.start)
    if found is not None:
        what = "it has its end marker" if data[found.start() + 1] == _END else "its data is broken off by a marker in the middle"
        raise NotCutOffError(f"not cut off: {what}")
    end = len(data.rstrip(b"\xff"))  # a last FF is half of a marker, or of a stuffed byte
    tallest = max(component.vertical for component in header.components.values())
    widest = max(component.horizontal for component in header.components.values())
    blocks = [part for part in header.components.values() for _ in range(part.horizontal * part.vertical)]
    if len(header.components) == 1:  # a lone component is stored block by block, whatever its sampling factors
        tallest, widest, blocks = 1, 1, blocks[:1]
    across, down = -(-header.width // (8 * widest)), -(-header.height // (8 * tallest))
    complete = _count_units(data[header.start : end], blocks, across * down, header.restart_interval)
    rows = header.height
    if complete < across * down:
        blended = any(component.vertical < tallest for component in header.components.values())
        rows = min(header.height, max(0, complete // across * 8 * tallest - blended))
    return CutJpeg(header.width, header.height, end, rows)


def _read_header(data: bytes) -> _Header:
    """The segments up to the first scan. Raises `NotCutOffError` for a JPEG of another kind, or one that ends before its first scan."""
    if not data.startswith(b"\xff\xd8"):
        raise NotCutOffError("not a JPEG")
    header = _Header()
    tables: dict[int, _Codes] = {}
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise NotCutOffError(f"damaged: no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF or marker in _ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4])
        body = data[position + 4 : position + 2 + length]
        if length < 2 or len(body) != length - 2:
            break
        position += 2 + length
        if marker == 0xC4:
            _read_tables(body, tables)
        elif marker == 0xDD and len(body) == 2:
            header.restart_interval = int.from_bytes(body)
        elif marker in _FRAMES and marker not in _NO_FRAMES:
            _read_frame(marker, body, header)
        elif marker == 0xDA:
            _read_scan(body, header, tables)
            header.start = position
            return header
    raise NotCutOffError("it ends before its first row")


def _read_tables(body: bytes, tables: dict[int, _Codes]) -> None:
    """Huffman tables (T.81, B.2.4.2 and Annex C), by class × 16 + number."""
    while len(body) >= 17:
        codes, code, place = [0] * 65536, 0, 17
        for length, count in enumerate(body[1:17], start=1):
            for symbol in body[place : place + count]:
                first, reach = code << (16 - length), 1 << (16 - length)
                if first + reach > 65536:
                    raise NotCutOffError("damaged: a Huffman table with too many codes")
                codes[first : first + reach] = [length << 8 | symbol] * reach
                code += 1
            code, place = code << 1, place + count
        tables[body[0]] = codes
        body = body[place:]


def _read_frame(marker: int, body: bytes, header: _Header) -> None:
    if marker not in _SEQUENTIAL:
        raise NotCutOffError("progressive or of a rare kind: its rows are only whole when the file is")
    if len(body) < 6 or body[0] != 8 or len(body) < 6 + 3 * body[5]:
        raise NotCutOffError("damaged, or of more than 8 bits")
    header.height, header.width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    for place in range(6, 6 + 3 * body[5], 3):
        header.components[body[place]] = _Component(body[place + 1] >> 4, body[place + 1] & 15)
    factors = [factor for part in header.components.values() for factor in (part.horizontal, part.vertical)]
    if not header.height or not header.width or not factors or not all(1 <= factor <= 4 for factor in factors):
        raise NotCutOffError("damaged, or its size is stated at its end")


def _read_scan(body: bytes, header: _Header, tables: dict[int, _Codes]) -> None:
    count = body[0] if body else 0
    if not header.components or count != len(header.components) or len(body) < 4 + 2 * count:
        raise NotCutOffError("of several scans: its rows are only whole when the file is")
    for place in range(1, 1 + 2 * count, 2):
        component = header.components.get(body[place])
        dc, ac = tables.get(body[place + 1] >> 4), tables.get(0x10 | body[place + 1] & 15)
        if component is None or dc is None or ac is None:
            raise NotCutOffError("damaged: its first scan names a component or a table that is not there")
        component.dc, component.ac = dc, ac


def _count_units(data: bytes, blocks: list[_Component], total: int, interval: int) -> int:
    """How many of the `total` coded units (MCUs) are complete, a unit being made of `blocks`; `interval` units stand between restarts."""
    parts = _RESTART.split(data)
    segments, markers = parts[::2], parts[1::2]
    if markers and not interval:
        raise NotCutOffError("damaged: restart markers where none belong")
    if any(marker[0] != 0xD0 + place % 8 for place, marker in enumerate(markers)):
        raise NotCutOffError("damaged: restart markers out of turn")
    complete = 0
    for place, segment in enumerate(segments):
        wanted = min(interval or total, total - complete)
        counted = _count_in_segment(segment.replace(b"\xff\x00", b"\xff"), blocks, wanted)
        complete += counted
        if counted < wanted and place + 1 < len(segments):
            raise NotCutOffError("damaged: data is missing in the middle")
    return complete


def _count_in_segment(data: bytes, blocks: list[_Component], wanted: int) -> int:
    """How many units can be read from `data`, at most `wanted`."""
    size = 8 * len(data)
    padded = np.frombuffer(data + bytes(4), np.uint8).astype(np.uint32)
    # 24 bits from each byte on: any 16 bits are one lookup away.
    ahead: list[int] = (padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]).tolist()
    position = 0
    for unit in range(wanted):
        for component in blocks:
            position = _skip_block(ahead, position, size, component.dc, component.ac)
            if position > size:
                return unit
    return wanted


def _skip_block(ahead: list[int], position: int, size: int, dc: _Codes, ac: _Codes) -> int:
    """The place of the bit behind a block; beyond `size` where the block is not complete. Raises `NotCutOffError` for bits that are no
    code."""
    codes, coefficient = dc, 0
    while coefficient < 64:
        found = codes[ahead[position >> 3] >> (8 - (position & 7)) & 0xFFFF]
        length, symbol = found >> 8, found & 255
        if position + max(length, 1) > size:
            return size + 1
        if not length:
            raise NotCutOffError("damaged: bits that are no code")
        extra = symbol & 15
        position += length + extra
        if position > size:
            return size + 1
        if codes is dc:
            codes, coefficient = ac, 1
            if symbol > 15:
                raise NotCutOffError("damaged: bits that are no code")
        elif extra:
            coefficient += (symbol >> 4) + 1
        elif symbol == 0xF0:
            coefficient += 16
        else:
            return position
    if coefficient > 64:
        raise NotCutOffError("damaged: a block with too many coefficients")
    return position
