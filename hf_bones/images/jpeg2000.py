"""What a JPEG 2000 codestream says before it is decoded: size, tiles, and how finely it is cut up (ITU-T T.800, Annex A).

OpenJPEG allocates tiles, precincts and code blocks by these numbers before it reads the first of them, and its time goes with the coded
bytes, at about 0.3 s a megabyte. The size in the JP2 box, which is all that Pillow reads, need not agree with the codestream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hf_bones.images.budget import SEGMENT_STEPS, Budget
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size

START = b"\xff\x4f\xff\x51"
MAX_J2K_TILES = 20_000  # some kilobytes each
MAX_J2K_PARTS = 400_000  # code blocks and precincts: most of a kilobyte each
MAX_J2K_PACKETS = 2_000_000
CODED_BYTES, CODED_BYTES_A_PIXEL = 15_000_000, 0.36

_COD, _COC, _SOT, _SOD, _EOC = 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9


def check_jpeg2000(data: bytes, limits: Limits, budget: Budget | None = None) -> tuple[int, int] | None:
    """(width, height) in the first codestream of `data`, None without one; all that begin in it are checked.

    Raises `ImageRefusedError`: for the size as ever, and `TOO_COSTLY`.
    """
    budget = budget or Budget()
    position = data.find(START)
    size: tuple[int, int] | None = None
    while position >= 0 and len(data) >= position + 42:
        budget.step(SEGMENT_STEPS, "JPEG 2000 codestreams")
        found = _check_codestream(data, position, limits, budget)
        size = size or found
        position = data.find(START, position + 1)
    return size


def _check_codestream(data: bytes, start: int, limits: Limits, budget: Budget) -> tuple[int, int]:
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = struct.unpack_from(">8IH", data, start + 8)
    width, height = right - left, bottom - top
    check_size(width, height, limits)
    tiles = -((tile_left - right) // max(tile_width, 1)) * -((tile_top - bottom) // max(tile_height, 1))
    if tiles > MAX_J2K_TILES or components > 5:
        raise ImageRefusedError(Refusal.TOO_COSTLY, f"JPEG 2000 of {tiles} tiles and {components} components")
    if len(data) - start > CODED_BYTES + CODED_BYTES_A_PIXEL * width * height:
        raise ImageRefusedError(Refusal.TOO_COSTLY, f"{(len(data) - start) // 10**6} MB of JPEG 2000 for {width} x {height} pixels")
    layers = 1
    for marker, body in _segments(data, start + 2, budget):
        skipped = 0
        if marker == _COD and len(body) >= 10:
            layers = max(layers, int.from_bytes(body[2:4]))
            skipped = 5
        elif marker == _COC and len(body) >= 7:
            skipped = 2
        if skipped:
            _check_cuts(body[0 if marker == _COD else 1], body[skipped:], layers, (width, height, components, tiles))
    return width, height


def _segments(data: bytes, position: int, budget: Budget) -> Iterator[tuple[int, bytes]]:
    """Marker and body of the segments of the main header and of each tile part's header."""
    part = 0  # where the tile part ends
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        budget.step(SEGMENT_STEPS, "JPEG 2000 segments")
        if marker == _SOD and part > position:
            position, part = part, 0
            continue
        if marker in (_SOD, _EOC) or marker < 0xFF00 or length < 2:
            return
        if marker == _SOT and position + 12 <= len(data):
            part = position + (int.from_bytes(data[position + 6 : position + 10]) or len(data))
        yield marker, data[position + 4 : position + 2 + length]
        position += 2 + length


def _check_cuts(style: int, body: bytes, layers: int, image: tuple[int, int, int, int]) -> None:
    """Precincts, code blocks and packets of what a COD or COC segment says, for the whole image. `body` begins with the levels."""
    width, height, components, tiles = image
    levels, block = min(body[0], 32), (body[1] & 15) + (body[2] & 15) + 4
    precincts = 0
    blocks = 0
    for resolution in range(levels + 1):
        shrunk = levels - resolution
        across, down = -(-width // 2**shrunk), -(-height // 2**shrunk)
        place = 5 + resolution
        log = (body[place] & 15, body[place] >> 4) if style & 1 and place < len(body) else (15, 15)
        cuts = max(tiles, -(-across // 2 ** log[0]) * -(-down // 2 ** log[1]))
        precincts += cuts
        blocks += 3 * cuts + across * down // 2 ** max(0, min(block, log[0] + log[1] - 2))
    packets = precincts * components * layers
    if (precincts + blocks) * components > MAX_J2K_PARTS + width * height // 200 or packets > MAX_J2K_PACKETS:
        what = f"JPEG 2000 of {precincts * components} precincts, {blocks * components} code blocks and {packets} packets"
        raise ImageRefusedError(Refusal.TOO_COSTLY, what)
