"""Files that are built to cost more than their size: the still pictures of the hostile bench. DICOM stands in `hostile_dicom.py`.

Each is a tactic at several sizes: parts without number, parts that overlap, numbers that two readers understand differently. Every file is
made only when it is asked for.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

SIZES = (20_000, 400_000, 4_000_000, 64_000_000)  # bytes: the last is close under 64 MiB


@dataclass(frozen=True)
class Hostile:
    """A file: its format, what is wrong with it, how it is made, and the pixels that its header states."""

    kind: str
    name: str
    make: Callable[..., bytes]
    pixels: int = 64 * 64


def drawn(height: int = 64, width: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return ((rows * 3 + columns * 2 + (rows * columns) % 7) % 256).astype(np.uint8)


def encoded(kind: str, picture: np.ndarray | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(drawn() if picture is None else picture).save(stream, kind, **options)
    return stream.getvalue()


def filled(part: bytes, size: int) -> bytes:
    """`part` over and over, to about `size` bytes."""
    return part * max(1, size // len(part))


def overlapping_directories(size: int, order: str = "<") -> bytes:
    """TIFF directories of 65,535 entries that begin two bytes apart, each linked from entries of the one before."""
    head = struct.pack(order + "2sHL", b"II" if order == "<" else b"MM", 42, 8)
    body = np.zeros(max(size, 800_000) // 12 * 12, np.uint8)
    entry = np.frombuffer(struct.pack(order + "HHLL", 34665, 4, 1, 0), np.uint8)
    table = np.tile(entry, len(body) // 12).reshape(-1, 12)
    pointers = (8 + 2 * np.arange(1, len(table) + 1)).astype(order + "u4")
    table[:, 8:] = pointers.view(np.uint8).reshape(-1, 4)
    return head + struct.pack(order + "H", 65535) + table.tobytes()


def payload_bomb(size: int, kind: int = 7) -> bytes:
    """Many tags, all of which point at the whole file."""
    count = min(60_000, size // 24)
    tags = b"".join(struct.pack("<HHLL", 1000 + number, kind, size // 8, 8) for number in range(count))
    return (struct.pack("<2sHLH", b"II", 42, 8, count) + tags).ljust(size, b"\0")


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(body) + 2) + body


def jpegs(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain, progressive = encoded("JPEG"), encoded("JPEG", progressive=True)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x01\x00\x7f"

    def put(middle: Callable[[int], bytes], size: int) -> Callable[[], bytes]:
        return lambda: plain[:2] + middle(size) + plain[2:]

    floods: dict[str, Callable[[int], bytes]] = {
        "fill bytes": lambda size: b"\xff" * size,
        "junk": lambda size: b"\x11" * size,
        "comments": lambda size: filled(segment(0xFE, b"words"), size),
        "empty segments": lambda size: filled(segment(0xE5, b""), size),
        "EXIF segments, short": lambda size: filled(segment(0xE1, b"Exif\0\0II*\0"), size),
        "EXIF segments, long": lambda size: filled(segment(0xE1, b"Exif\0\0" + bytes(60_000)), size),
        "Photoshop blocks": lambda size: filled(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000), size),
        "quantization tables": lambda size: filled(segment(0xDB, bytes([0] + [1] * 64) * 1000), size),
        "frame headers": lambda size: filled(segment(0xC0, b"\x08\0\x40\0\x40\x01" + b"\x01\x11\0" * 20_000), size),
        "profiles": lambda size: filled(segment(0xE2, b"ICC_PROFILE\0\x01\x01" + bytes(500)), size),
        "directories in EXIF": lambda size: segment(0xE1, b"Exif\0\0" + overlapping_directories(0)[:65_000]),
        "values in EXIF": lambda size: segment(0xE1, b"Exif\0\0" + payload_bomb(65_000)),
        "directories in MPF": lambda size: segment(0xE2, b"MPF\0" + overlapping_directories(0)[:65_000]),
        "restart intervals": lambda size: filled(segment(0xDD, b"\0\1"), size),
    }
    for name, flood in floods.items():
        for size in sizes:
            yield Hostile("MPO" if "MPF" in name else "JPEG", f"{name}, {size}", put(flood, size))
    for count in (50, 99, 101, 5000, 500_000):
        yield Hostile("JPEG", f"{count} scans", lambda count=count: progressive[:-2] + scan * count + b"\xff\xd9")
    for side in (2000, 7900):
        flat = encoded("JPEG", np.full((side, side), 90, np.uint8), progressive=True)
        yield Hostile("JPEG", f"90 scans of {side} px", lambda flat=flat: flat[:-2] + scan * 90 + b"\xff\xd9", side * side)
    wide = np.zeros((7800, 7800, 4), np.uint8)
    yield Hostile("JPEG", "progressive CMYK", lambda: _cmyk(wide), 7800 * 7800)
    yield Hostile("MPO", "four billion pictures", lambda: plain[:2] + segment(0xE2, b"MPF\0" + _mpf(2**32 - 1)) + plain[2:])


def _cmyk(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture, "CMYK").save(stream, "JPEG", progressive=True, subsampling=0, quality=30)
    return stream.getvalue()


def _mpf(count: int) -> bytes:
    return struct.pack("<2sHLHHHLLHHLLL", b"II", 42, 8, 2, 0xB001, 4, 1, count, 0xB002, 7, 16, 38, 0) + bytes(64)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pngs(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain = encoded("PNG")
    packed = zlib.compress(bytes(60_000_000), 9)
    floods: dict[str, Callable[[int], bytes]] = {
        "tiny texts": lambda size: filled(chunk(b"tEXt", b"a\0b"), size),
        "packed texts": lambda size: filled(chunk(b"zTXt", b"a\0\0" + packed), size),
        "packed profiles": lambda size: filled(chunk(b"iCCP", b"a\0\0" + packed), size),
        "one text": lambda size: chunk(b"tEXt", b"a\0" + b"b" * size),
        "international texts": lambda size: filled(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed), size),
        "unknown chunks": lambda size: filled(chunk(b"abCd", b""), size),
        "palettes": lambda size: filled(chunk(b"PLTE", bytes(768)), size),
        "empty pixel chunks": lambda size: filled(chunk(b"IDAT", b""), size),
        "frame controls": lambda size: filled(chunk(b"fcTL", bytes(26)), size),
        "directories in EXIF": lambda size: chunk(b"eXIf", overlapping_directories(size)),
        "values in EXIF": lambda size: chunk(b"eXIf", payload_bomb(size)),
    }
    for name, flood in floods.items():
        for size in sizes:
            yield Hostile("PNG", f"{name}, {size}", lambda flood=flood, size=size: plain[:33] + flood(size) + plain[33:])
    for side in (8000, 40_000, 2**31 - 1):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
        yield Hostile("PNG", f"{side} px", lambda header=header: plain[:8] + header + plain[33:], min(side * side, 64_000_000))


def gifs(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain = encoded("GIF")
    start = 13 + (3 << (plain[10] & 7) + 1)
    floods: dict[str, Callable[[int], bytes]] = {
        "a comment in full blocks": lambda size: b"\x21\xfe" + filled(b"\xff" + b"a" * 255, size) + b"\0",
        "a comment in blocks of a byte": lambda size: b"\x21\xfe" + filled(b"\x01a", size) + b"\0",
        "comments": lambda size: filled(b"\x21\xfe\x01a\0", size),
        "controls": lambda size: filled(b"\x21\xf9\x04\x01\0\0\0\0", size),
        "programs": lambda size: filled(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", size),
        "junk": lambda size: b"\x11" * size,
        "hidden comments": lambda size: b"\x11\x21\xfe" + filled(b"\xff" + b"a" * 255, size) + b"\0",
        "empty blocks, then comments": lambda size: b"\x21\x01\0" + filled(b"\xff" + b"a" * 255, size) + b"\0",
    }
    for name, flood in floods.items():
        for size in sizes:
            yield Hostile("GIF", f"{name}, {size}", lambda flood=flood, size=size: plain[:start] + flood(size) + plain[start:])
    picture = b"\x2c" + struct.pack("<4HB", 0, 0, 64, 64, 0)
    for size in sizes:
        yield Hostile(
            "GIF", f"picture in blocks of a byte, {size}", lambda size=size: plain[:start] + picture + b"\x08" + filled(b"\1\0", size)
        )
        yield Hostile("GIF", f"frames, {size}", lambda size=size: plain[:start] + filled(picture + b"\x02\x02\x44\x01\0", size) + b";")


def bmps(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    def bmp(bits: int, compression: int, body: Callable[..., bytes], size: int, side: int, colours: int = 256) -> Callable[[], bytes]:
        head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, bits, compression, 0, 0, 0, colours, 0)
        return lambda: b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + head + bytes(1024) + body(size)

    runs: dict[str, bytes] = {"empty deltas": b"\0\2\0\0", "ends of line": b"\0\0", "single pixels": b"\1\7", "pairs": b"\0\3abc\0"}
    for name, run in runs.items():
        for bits, compression in ((8, 1), (4, 2)):
            for size in sizes:
                for side in (64, 7000):
                    yield Hostile(
                        "BMP",
                        f"RLE{bits} {name}, {size}, {side} px",
                        bmp(bits, compression, lambda size, run=run: filled(run, size), size, side),
                        side * side,
                    )
    yield Hostile("BMP", "colours", bmp(8, 0, lambda size: bytes(size), 4_000_000, 64, 65_536))


def netpbms(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    for size in sizes:
        yield Hostile("PPM", f"comments, {size}", lambda size=size: b"P2 64 64 255\n" + filled(b"#\n", size))
        yield Hostile("PPM", f"comments in the header, {size}", lambda size=size: b"P2 " + filled(b"#\n", size) + b" 64 64 255\n")
        yield Hostile("PPM", f"a comment of words, {size}", lambda size=size: b"P5 #" + b"a" * size + b"\n64 64 255\n" + bytes(4096))
        yield Hostile("PPM", f"bits with comments, {size}", lambda size=size: b"P1 64 64\n" + filled(b"#\n1 ", size))
        side = int((size / 2) ** 0.5)
        yield Hostile(
            "PPM", f"digits, {size}", lambda size=size, side=side: b"P2 %d %d 9\n" % (side, side) + filled(b"7 ", size), side * side
        )
        yield Hostile("PPM", f"digits in colour, {size}", lambda size=size: b"P3 64 64 9\n" + filled(b"7 ", size))
        yield Hostile(
            "PPM", f"12 bits, {size}", lambda size=size, side=side: b"P5 %d %d 4095\n" % (side, side) + bytes(side * side * 2), side * side
        )
        yield Hostile(
            "PPM",
            f"an odd white, hidden, {size}",
            lambda size=size, side=side: b"P5 %d#\n %d 254\n" % (side, side) + bytes(side * side),
            side * side,
        )
