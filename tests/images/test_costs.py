"""A file costs what its size calls for, whatever is written in it; and no sound file pays for that.

Run: pytest tests/images/test_costs.py"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from grey_images import GREY, TWELVE, dicom, encoded, jpeg2000_of_size, png_chunk, progressive_jpeg_of_scans, refusal, tiff_of_tags
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from hf_bones.images.opening import Refusal, open_image


def directories_over_each_other(entries: int = 70_000) -> bytes:
    """TIFF directories of 65,535 entries, of which each links to the next, two bytes on."""
    table = np.tile(np.frombuffer(struct.pack("<HHLL", 34665, 4, 1, 0), np.uint8), entries).reshape(-1, 12)
    table[:, 8:] = (8 + 2 * np.arange(1, entries + 1)).astype("<u4").view(np.uint8).reshape(-1, 4)
    return struct.pack("<2sHLH", b"II", 42, 8, 65535) + table.tobytes()


def behind_header(kind: str, part: bytes) -> bytes:
    plain = encoded(GREY, kind)
    place = {"PNG": 33, "JPEG": 20, "GIF": 13 + (3 << (plain[10] & 7) + 1)}[kind]
    return plain[:place] + part + plain[place:]


def webp_with(blob: bytes) -> bytes:
    body = encoded(GREY, "WEBP", lossless=True)[12:]
    canvas = b"\x08\0\0\0" + struct.pack("<I", 39)[:3] + struct.pack("<I", 47)[:3]
    chunks = b"VP8X" + struct.pack("<I", 10) + canvas + body + b"EXIF" + struct.pack("<I", len(blob)) + blob + bytes(len(blob) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def avif_with(blob: bytes) -> bytes:
    stand_in = b"II*\0\x08\0\0\0" + bytes(len(blob) - 8)
    return encoded(GREY, "AVIF", speed=10, exif=stand_in).replace(stand_in, blob, 1)


def segments(marker: int, body: bytes, count: int) -> bytes:
    return (struct.pack(">BBH", 255, marker, len(body) + 2) + body) * count


def tiled(kind: int, compression: int, more: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    tags = [(256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
    return tiff_of_tags([*tags, (322, kind, 1, 30_000), (323, kind, 1, 30_000), *more, (324, 4, 1, 8), (325, 4, 1, 100)])


def run_lengths(body: bytes, count: int = 1) -> bytes:
    return dicom(GREY, RLELossless, frame=struct.pack("<16L", count, *[64] * count, *[0] * (15 - count)) + body)


def with_elements(part: bytes) -> bytes:
    data = dicom(GREY)
    place = data.index(b"\x28\0\x02\0US")
    return data[:place] + part + data[place:]


SEQUENCE = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff"
COSTLY = {
    "TIFF directories over each other": lambda: directories_over_each_other(),
    "the same as EXIF in PNG": lambda: behind_header("PNG", png_chunk(b"eXIf", directories_over_each_other())),
    "the same as EXIF in WebP": lambda: webp_with(directories_over_each_other()),
    "the same as EXIF in AVIF": lambda: avif_with(directories_over_each_other()),
    "EXIF values over each other, in PNG": lambda: behind_header(
        "PNG", png_chunk(b"eXIf", tiff_of_tags([(tag, 7, 50_000, 0) for tag in range(1000, 3000)], 60_000))
    ),
    "TIFF tiles of signed sizes": lambda: tiled(9, 5),
    "TIFF tiles of 64-bit sizes": lambda: tiled(13, 8),
    "TIFF tiles without number": lambda: tiff_of_tags(
        [(256, 4, 1, 7000), (257, 4, 1, 7000), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1), (322, 3, 1, 1),
         (323, 3, 1, 1), (324, 4, 1, 8)]
    ),
    "JPEG fill bytes": lambda: behind_header("JPEG", b"\xff" * 1_300_000),
    "JPEG junk": lambda: behind_header("JPEG", b"\x11" * 1_300_000),
    "JPEG comments": lambda: behind_header("JPEG", segments(0xFE, b"", 320_000)),
    "JPEG EXIF in many segments": lambda: behind_header("JPEG", segments(0xE1, b"Exif\0\0" + bytes(500), 4000)),
    "JPEG tables": lambda: behind_header("JPEG", segments(0xDB, bytes([0] + [1] * 64) * 1000, 200)),
    "JPEG blocks of Photoshop": lambda: behind_header("JPEG", segments(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000, 130)),
    "PNG chunks": lambda: behind_header("PNG", png_chunk(b"abCd", b"") * 320_000),
    "GIF blocks": lambda: behind_header("GIF", b"\x21\xfe" + b"\x01a" * 1_300_000 + b"\0"),
    "BMP deltas of nothing": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 1078, 40, 64, 64, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024) + b"\0\2\0\0" * 430_000
    ),
    "comments in plain PGM": lambda: b"P2 40 40 255\n" + b"#\n" * 600_000,
    "large plain PGM": lambda: b"P2 3000 3000 9\n" + b"7 " * 1000,
    "JPEG 2000 precincts": lambda: jpeg2000_with(b"\1\0\0\1\0\5\4\4\0\1" + bytes(6)),
    "JPEG 2000 layers": lambda: jpeg2000_with(b"\0\0\xff\xff\0\x20\4\4\0\1"),
    "AV1 data larger than its box": lambda: encoded(np.zeros((700, 700), np.uint8), "AVIF", speed=10).replace(
        b"\x12\0\x0a", b"\x12\0\x0a\x09\x18\x3f\xff\xff\xff\xff\xff\xff\xff\x0a"
    ),
    "DICOM items": lambda: with_elements(SEQUENCE + b"\xfe\xff\0\xe0\0\0\0\0" * 50_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"),
    "DICOM elements": lambda: with_elements(b"\x09\0\x10\x10LO\0\0" * 350_000),
    "DICOM meta information": lambda: (data := dicom(GREY))[:144] + b"\2\0\x10\0UN\0\0" + struct.pack("<L", 200_000)
    + b"1\\" * 100_000 + data[144:],
    "DICOM window centres": lambda: (data := dicom(GREY))[: (at := data.index(b"\xe0\x7f\x10\0"))]
    + b"\x28\0\x50\x10UN\0\0" + struct.pack("<L", 2_000_000) + b"1\\" * 1_000_000 + data[at:],
    "progressive JPEG inside DICOM": lambda: dicom(GREY, JPEGBaseline8Bit, frame=progressive_jpeg_of_scans(3000)),
    "fill bytes inside DICOM": lambda: dicom(GREY, JPEGBaseline8Bit, frame=behind_header("JPEG", b"\xff" * 1_300_000)),
    "JPEG 2000 inside DICOM": lambda: dicom(GREY, JPEG2000Lossless, frame=jpeg2000_of_size(7000, 7000, 1)),
    "DICOM run lengths": lambda: run_lengths(b"\x81\0" * 60_000),
}  # fmt: skip


def jpeg2000_with(cod: bytes, side: int = 4000) -> bytes:
    siz = struct.pack(">H8IH", 0, side, side, 0, 0, side, side, 0, 0, 1) + b"\x07\x01\x01"
    return b"".join(
        (b"\xff\x4f\xff\x51", struct.pack(">H", len(siz) + 2), siz, b"\xff\x52", struct.pack(">H", len(cod) + 2), cod, bytes(400))
    )


@pytest.mark.parametrize("name", COSTLY)
def test_what_would_cost_more_than_its_size_is_refused_as_too_costly(name: str) -> None:
    assert refusal(COSTLY[name]()) == Refusal.TOO_COSTLY


def test_two_answers_to_one_question_are_refused() -> None:
    """Pillow takes the last of two equal tags, libtiff the first; and a frame may be larger than the header that was checked says."""
    assert refusal(tiled(4, 5, ((322, 4, 1, 64), (323, 4, 1, 64)))) == Refusal.UNDECODABLE
    assert refusal(dicom(GREY, JPEGBaseline8Bit, frame=encoded(np.zeros((900, 900), np.uint8), "JPEG"))) == Refusal.UNDECODABLE


def test_metadata_costs_nobody_the_picture() -> None:
    exif = b"Exif\0\0" + struct.pack("<2sHLHHHLLHHLLL", b"II", 42, 8, 2, 0x9999, 99, 2_000_000_000, 7, 0x0112, 3, 1, 6, 0)
    assert open_image(encoded(GREY, "JPEG", exif=exif)).pixels.shape == GREY.T.shape
    mpf = segments(0xE2, b"MPF\0" + struct.pack("<2sHLHHHLLL", b"II", 42, 8, 1, 0xB001, 99, 2**32 - 1, 2, 0), 1)
    with pytest.warns(UserWarning, match="malformed MPO"):
        open_image(behind_header("JPEG", mpf))
    packed = zlib.compress(bytes(3_000_000))
    for chunk in (
        png_chunk(b"zTXt", b"notes\0\0" + packed),
        png_chunk(b"iCCP", b"profile\0\0" + packed),
        png_chunk(b"tEXt", b"notes\0" + b"word " * 600_000) * 2,
        png_chunk(b"iTXt", b"notes\0\1\0\0\0" + packed) * 100,
    ):
        assert np.array_equal(open_image(behind_header("PNG", chunk)).pixels, GREY)
    xmp = b'<x tiff:Orientation="6"/>' + b" " * 3_000_000
    turned = behind_header("PNG", png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)))
    assert np.array_equal(open_image(turned).pixels, np.rot90(GREY, -1))
    comment = b"\x21\xfe" + (b"\xff" + b"a" * 255) * 400 + b"\0"
    assert np.array_equal(open_image(behind_header("GIF", comment)).pixels, GREY)


@pytest.mark.parametrize("white", [9, 254, 1023, 4095, 65534])
@pytest.mark.parametrize("bands", [1, 3])
def test_netpbm_of_any_white_is_scaled_as_pillow_scales_it(white: int, bands: int) -> None:
    values = np.random.default_rng(white).integers(0, white + 1, (40, 36 * bands)).astype(">u2" if white > 255 else "u1")
    header = b"P%d # of so many bits\n36 40\n%d\n" % (5 if bands == 1 else 6, white)
    import io

    expected = open_image(Image.open(io.BytesIO(header + values.tobytes()))).pixels
    assert np.array_equal(open_image(header + values.tobytes()).pixels, expected)
    assert refusal(header + values.tobytes()[:-5]) == Refusal.UNDECODABLE


def test_dicom_opens_without_its_preamble_and_without_meta_information() -> None:
    whole = dicom(TWELVE, bits=12)
    expected = open_image(whole).pixels
    assert np.array_equal(open_image(whole[132:]).pixels, expected)
    group_length = struct.unpack_from("<L", whole, 140)[0]
    bare = whole[144 + group_length :]
    assert bare[:2] != b"\2\0"
    group_8 = b"\x08\0\x60\0CS\2\0DX" + bare
    assert np.array_equal(open_image(group_8).pixels, expected)


def test_a_presentation_that_contradicts_the_pixels_is_said() -> None:
    data = dicom(TWELVE, bits=12, PresentationLUTShape="INVERSE")
    assert any("contradicts MONOCHROME2" in step for step in open_image(data).steps)
    assert np.array_equal(open_image(data).pixels, open_image(dicom(TWELVE, bits=12)).pixels)


def test_sound_compressed_dicom_of_many_frames_opens() -> None:
    from pydicom.encaps import encapsulate

    frames = [encoded(picture, "JPEG") for picture in (GREY, 255 - GREY, GREY)]
    data = dicom(GREY, JPEGBaseline8Bit, frame=frames[0], NumberOfFrames=3)
    start = data.index(b"\xe0\x7f\x10\0") + 12
    for with_table in (True, False):
        several = data[:start] + encapsulate(frames, has_bot=with_table) + b"\xfe\xff\xdd\xe0\0\0\0\0"
        radiograph = open_image(several)
        assert np.array_equal(radiograph.pixels, open_image(frames[0]).pixels) and "first of 3 frames" in radiograph.steps
