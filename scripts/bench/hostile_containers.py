"""TIFF, BigTIFF, JPEG 2000, WebP and AVIF files that are built to cost more than their size."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from hostile_files import SIZES, Hostile, encoded, filled, overlapping_directories, payload_bomb

Tag = tuple[int, int, int, int]  # tag, type, count, value or offset

_IMAGE: list[Tag] = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]


def tiff(tags: list[Tag], body: bytes = b"", order: str = "<", big: bool = False, following: int = 0) -> bytes:
    """A TIFF of one directory; `body` begins behind it."""
    if big:
        head = struct.pack(order + "2sHHHQQ", b"II" if order == "<" else b"MM", 43, 8, 0, 16, len(tags))
        return head + b"".join(struct.pack(order + "HHQQ", *tag) for tag in tags) + struct.pack(order + "Q", following) + body
    head = struct.pack(order + "2sHLH", b"II" if order == "<" else b"MM", 42, 8, len(tags))
    return head + b"".join(struct.pack(order + "HHLL", *tag) for tag in tags) + struct.pack(order + "L", following) + body


def tiffs(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain = encoded("TIFF")
    for big in (False, True):
        kind = "BigTIFF" if big else "TIFF"
        for tag_type in (1, 3, 4, 6, 8, 9, 13, 16, 17):
            for compression in (1, 5, 8):
                side = 255 if tag_type == 1 else 120 if tag_type == 6 else 30_000
                tags = [*_IMAGE[:3], (259, 3, 1, compression), *_IMAGE[4:], (322, tag_type, 1, side), (323, tag_type, 1, side)]
                tags += [(324, 4, 1, 200), (325, 4, 1, 2_000_000)]
                name = f"tiles of type {tag_type}, compression {compression}"
                yield Hostile(kind, name, lambda tags=tags, big=big: tiff(tags, bytes(2_000_000), big=big))
        for compression in (1, 5, 8, 32773):
            twice = [
                *_IMAGE[:3],
                (259, 3, 1, compression),
                *_IMAGE[4:],
                (322, 4, 1, 30_000),
                (322, 4, 1, 64),
                (323, 4, 1, 30_000),
                (323, 4, 1, 64),
            ]
            twice += [(324, 4, 1, 200), (325, 4, 1, 2_000_000)]
            yield Hostile(
                kind, f"tile sizes twice, compression {compression}", lambda tags=twice, big=big: tiff(tags, bytes(2_000_000), big=big)
            )
            for side in (512, 7000):
                count = min(side * side, 400_000)
                small = [
                    (256, 4, 1, side),
                    (257, 4, 1, side),
                    _IMAGE[2],
                    (259, 3, 1, compression),
                    *_IMAGE[4:],
                    (322, 4, 1, 1),
                    (323, 4, 1, 1),
                ]
                small += [(324, 4, count, 300), (325, 4, count, 300)]
                body = lambda count=count: bytes(120) + np.full(count, 250, "<u4").tobytes()  # noqa: E731
                yield Hostile(kind, f"1 x 1 tiles of {side} px, compression {compression}",
                              lambda tags=small, body=body, big=big: tiff(tags, body(), big=big), side * side)  # fmt: skip
        for rows in (0, 1, 2**31, 2**32 - 1):
            strips = [*_IMAGE, (273, 4, 1, 200), (278, 4, 1, rows), (279, 4, 1, 4096)]
            yield Hostile(kind, f"{rows} rows a strip", lambda tags=strips, big=big: tiff(tags, bytes(5000), big=big))
        deep = [*_IMAGE[:2], (258, 3, 1, 65535), (259, 3, 1, 5), _IMAGE[4], (277, 3, 1, 65535), (273, 4, 1, 200), (279, 4, 1, 4096)]
        yield Hostile(kind, "65,535 samples", lambda tags=deep, big=big: tiff(tags, bytes(5000), big=big))
        for size in sizes:
            many = [*_IMAGE, (273, 4, size // 8, 200), (278, 4, 1, 1), (279, 4, size // 8, 200)]
            yield Hostile(kind, f"strips without number, {size}", lambda tags=many, size=size, big=big: tiff(tags, bytes(size), big=big))
    for size in sizes:
        for order in "<>":
            yield Hostile(
                "TIFF", f"overlapping directories {order}, {size}", lambda size=size, order=order: overlapping_directories(size, order)
            )
        yield Hostile("TIFF", f"values over each other, {size}", lambda size=size: payload_bomb(size))
        yield Hostile("TIFF", f"numbers over each other, {size}", lambda size=size: payload_bomb(size, 3))
        yield Hostile("TIFF", f"fractions over each other, {size}", lambda size=size: payload_bomb(size, 5))
        yield Hostile("TIFF", f"pages without number, {size}", lambda size=size: _pages(size))
        yield Hostile("TIFF", f"rubbish behind a picture, {size}", lambda size=size: plain + bytes(size))


def _pages(size: int) -> bytes:
    count = max(1, size // 18)
    places = 8 + 18 * np.arange(1, count + 1)
    table = np.zeros((count, 18), np.uint8)
    table[:, 0] = 1
    table[:, 2:14] = np.frombuffer(struct.pack("<HHLL", 256, 4, 1, 64), np.uint8)
    table[:, 14:] = places.astype("<u4").view(np.uint8).reshape(-1, 4)
    return struct.pack("<2sHL", b"II", 42, 8) + table.tobytes()


def codestream(side: int, tile: int = 0, components: int = 1, cod: bytes = b"", more: bytes = b"", rest: bytes = b"") -> bytes:
    """The headers of a JPEG 2000 codestream, and what follows."""
    siz = struct.pack(">H8IH", 0, side, side, 0, 0, tile or side, tile or side, 0, 0, components) + b"\x07\x01\x01" * components
    cod = cod or struct.pack(">BBHB5B", 0, 0, 1, 0, 5, 4, 4, 0, 1)
    qcd = bytes([0x40]) + bytes([9 << 3] * 16)
    head = b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 2) + siz + b"\xff\x52" + struct.pack(">H", len(cod) + 2) + cod
    head += b"\xff\x5c" + struct.pack(">H", len(qcd) + 2) + qcd + more
    return head + b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 0, 0, 1) + b"\xff\x93" + (rest or bytes(4000)) + b"\xff\xd9"


def jpeg2000s(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    for side in (512, 4000, 7900):
        for exponent in (0, 1, 2, 5):
            cod = struct.pack(">BBHB5B", 1, 0, 1, 0, 5, 0, 0, 0, 1) + bytes([exponent * 17] * 6)
            yield Hostile(
                "JPEG2000", f"precincts of 2^{exponent}, {side} px", lambda side=side, cod=cod: codestream(side, cod=cod), side * side
            )
        for layers in (1000, 65_535):
            cod = struct.pack(">BBHB5B", 1, 0, layers, 0, 32, 0, 0, 0, 1) + bytes([0x55] * 33)
            yield Hostile("JPEG2000", f"{layers} layers, {side} px", lambda side=side, cod=cod: codestream(side, cod=cod), side * side)
        for block in range(3):
            cod = struct.pack(">BBHB5B", 0, 0, 1, 0, 0, block, block, 0, 1)
            yield Hostile(
                "JPEG2000",
                f"blocks of 2^{block + 2}, {side} px",
                lambda side=side, cod=cod: codestream(side, components=3, cod=cod),
                side * side,
            )
        for tile in (1, 16, 60):
            yield Hostile("JPEG2000", f"tiles of {tile}, {side} px", lambda side=side, tile=tile: codestream(side, tile, 5), side * side)
    coc = b"\xff\x53" + struct.pack(">HBBB4B", 9, 0, 0, 5, 4, 4, 0, 1)
    for size in sizes:
        yield Hostile("JPEG2000", f"COC segments, {size}", lambda size=size: codestream(64, more=filled(coc, size)))
        yield Hostile("JPEG2000", f"comments, {size}", lambda size=size: codestream(64, more=filled(b"\xff\x64\0\4\0\1", size)))
        yield Hostile("JPEG2000", f"beginnings, {size}", lambda size=size: codestream(64, rest=filled(b"\xff\x4f\xff\x51", size)))
        yield Hostile(
            "JPEG2000",
            f"tile parts, {size}",
            lambda size=size: codestream(64, rest=filled(b"\xff\x90\0\x0a\0\0\0\0\0\x0e\0\1\xff\x93", size)),
        )
        jp2 = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
        yield Hostile("JPEG2000", f"boxes, {size}", lambda size=size, jp2=jp2: jp2 + filled(b"\0\0\0\x08free", size))
    noise = np.random.default_rng(0).integers(0, 65536, (4000, 4000), dtype=np.uint16)
    yield Hostile("JPEG2000", "noise of 16 bits", lambda: encoded("JPEG2000", noise), 16_000_000)


def webps(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain = encoded("WEBP", lossless=True)
    exif = encoded("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0")

    def riff(body: bytes) -> bytes:
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body

    def part(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    for side in (8000, 16_383, 16_777_216):
        canvas = b"\x02\0\0\0" + (side - 1).to_bytes(3, "little") * 2
        yield Hostile("WEBP", f"canvas of {side} px", lambda canvas=canvas: riff(part(b"VP8X", canvas) + plain[12:]), 0)
    floods: dict[str, Callable[[int], bytes]] = {
        "empty chunks": lambda size: filled(part(b"abcd", b""), size),
        "frames": lambda size: filled(part(b"ANMF", bytes(16) + plain[12:]), size),
        "EXIF chunks": lambda size: filled(part(b"EXIF", b"II*\0\x08\0\0\0\xff\xff" + bytes(30)), size),
        "directories in EXIF": lambda size: part(b"EXIF", overlapping_directories(size)),
        "values in EXIF": lambda size: part(b"EXIF", payload_bomb(size)),
    }
    for name, flood in floods.items():
        for size in sizes:
            head = b"\x0a\0\0\0" if name == "frames" else b"\x08\0\0\0"
            start = part(b"VP8X", head + (63).to_bytes(3, "little") * 2) + (part(b"ANIM", bytes(6)) if name == "frames" else plain[12:])
            yield Hostile("WEBP", f"{name}, {size}", lambda start=start, flood=flood, size=size: riff(start + flood(size)))
    yield Hostile("WEBP", "an empty EXIF", lambda: exif)


def avifs(sizes: Sequence[int] = SIZES) -> Iterator[Hostile]:
    plain = encoded("AVIF", quality=60, speed=10)

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body) + 8, kind) + body

    def with_exif(blob: bytes) -> bytes:
        """The real blob in place of one of the same length, wherever the encoder put it."""
        stand_in = b"II*\0\x08\0\0\0" + bytes(len(blob) - 8)
        return encoded("AVIF", quality=60, speed=10, exif=stand_in).replace(stand_in, blob, 1)

    for size in sizes[:3]:
        yield Hostile("AVIF", f"directories in EXIF, {size}", lambda size=size: with_exif(overlapping_directories(size)))
        yield Hostile("AVIF", f"values in EXIF, {size}", lambda size=size: with_exif(payload_bomb(size)))
    for size in sizes:
        yield Hostile("AVIF", f"boxes, {size}", lambda size=size: plain + filled(box(b"free", b""), size))
        yield Hostile("AVIF", f"boxes in front, {size}", lambda size=size: plain[:32] + filled(box(b"free", b""), size) + plain[32:])
        locations = b"\0\0\0\0\x44\0\xff\xff" + filled(struct.pack(">HHHII", 1, 0, 1, 0, 4), size)
        yield Hostile("AVIF", f"items, {size}", lambda locations=locations: plain[:32] + box(b"meta", bytes(4) + box(b"iloc", locations)))
    large = encoded("AVIF", np.zeros((2000, 2000), np.uint8), speed=10)
    yield Hostile(
        "AVIF", "a picture larger than its box says", lambda: large.replace(struct.pack(">II", 2000, 2000), struct.pack(">II", 64, 64)), 0
    )
    yield Hostile("AVIF", "an AV1 sequence of 65,536 px", lambda: _enlarged(plain))


def _enlarged(data: bytes) -> bytes:
    """The same with the greatest size in its AV1 sequence headers: more bits for sizes, and ones in them."""
    place = data.find(b"\x12\0\x0a")
    return data[: place + 4] + b"\x18\x07\xff\xff\xff\xff\xff" + data[place + 11 :]
