"""Whatever the bytes, `open_image` gives a picture or a refusal. Run: pytest tests/images/test_opening_at_random.py"""

from __future__ import annotations

import random
import struct

import numpy as np
from grey_images import (
    GREY,
    dicom,
    drawn_grey,
    encoded,
    jpeg2000_of_size,
    opens_or_is_refused,
    png_of_size,
    refusal,
    tiff_of_tags,
    webp_of_size,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hf_bones.images.opening import Limits, Refusal, open_image

KINDS = ["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF"]
MODES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB"],  # Pillow cannot read the YCbCr that it writes
    "GIF": ["1", "L", "P", "RGB", "RGBA"],
    "WEBP": ["L", "RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "PPM": ["1", "L", "RGB", "I", "F"],
    "JPEG2000": ["L", "LA", "RGB", "RGBA", "I;16"],
    "AVIF": ["L", "RGB", "RGBA"],
}


def picture_in_mode(grey: np.ndarray, mode: str) -> Image.Image:
    deep = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    if mode in deep:
        return Image.fromarray(grey.astype(deep[mode]) * deep[mode](200))
    image = Image.fromarray(grey)
    return image.convert("RGB").convert(mode) if mode == "LAB" else image.convert(mode)


@st.composite
def encoded_pictures(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([*KINDS, "DICOM"]))
    grey = drawn_grey(draw(st.integers(33, 60)), draw(st.integers(33, 60)))
    if kind == "DICOM":
        dtype = draw(st.sampled_from([np.uint8, np.uint16, np.int16]))
        tags = draw(st.fixed_dictionaries({}, optional={
            "WindowCenter": st.integers(-100, 70000), "WindowWidth": st.integers(-2, 70000), "PixelPaddingValue": st.integers(0, 255),
            "PhotometricInterpretation": st.sampled_from(["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "YBR_FULL", "nonsense"]),
            "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "NONE"]), "NumberOfFrames": st.integers(0, 3),
        }))  # fmt: skip
        if "RescaleSlope" not in tags and draw(st.booleans()):
            tags |= {"RescaleSlope": draw(st.sampled_from([0, 1, -2.5, 1e6])), "RescaleIntercept": draw(st.sampled_from([0, -1024, 1e7]))}
        return dicom(grey.astype(dtype), **tags)
    options: dict[str, object] = {}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        exif = Image.Exif()
        exif[0x0112] = draw(st.integers(1, 8) if kind == "TIFF" else st.integers(0, 9))  # libtiff writes no other
        options["exif"] = exif
    if kind == "JPEG":
        options |= {"progressive": draw(st.booleans()), "quality": draw(st.sampled_from([5, 75, 100]))}
    if kind == "TIFF":
        options["compression"] = draw(st.sampled_from([None, "tiff_lzw", "tiff_deflate", "packbits"]))
    return encoded(picture_in_mode(grey, draw(st.sampled_from(MODES[kind]))), kind, **options)


@given(encoded_pictures())
def test_sound_files_open(data: bytes) -> None:
    radiograph = opens_or_is_refused(data)
    assert radiograph is not None or data[128:132] == b"DICM"


@given(encoded_pictures(), st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused_or_had_all_its_pixels(data: bytes, part: float) -> None:
    assume(data[128:132] != b"DICM" or opens_or_is_refused(data) is not None)
    radiograph = opens_or_is_refused(data[: int(len(data) * part)])
    if radiograph is not None:
        assert np.array_equal(radiograph.pixels, open_image(data).pixels) or same_picture_turned(radiograph.pixels, open_image(data).pixels)


def same_picture_turned(one: np.ndarray, other: np.ndarray) -> bool:
    """A file cut after its pixels may have lost the EXIF that follows them (WebP, PNG)."""
    turns = [np.rot90(mirror, k) for mirror in (other, other.T) for k in range(4)]
    return any(np.array_equal(one, turn) for turn in turns)


def test_a_png_cut_at_any_byte_is_refused() -> None:
    data = encoded(GREY)
    for end in range(len(data)):
        assert refusal(data[:end]) in (Refusal.UNDECODABLE, Refusal.NOT_AN_IMAGE)


@given(encoded_pictures(), st.integers(1, 60), st.randoms(use_true_random=False))
def test_flipped_bytes_never_crash(data: bytes, flips: int, dice: random.Random) -> None:
    damaged = bytearray(data)
    reach = dice.choice([64, 400, len(damaged)])  # headers hold the interesting bytes
    for _ in range(flips):
        damaged[dice.randrange(min(reach, len(damaged)))] = dice.randrange(256)
    opens_or_is_refused(bytes(damaged))


MAGIC = [
    b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1\x00\x40Exif\0\0II*\0", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"GIF89a", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0", b"BM", b"RIFF\xff\0\0\0WEBPVP8X",
    b"RIFF\xff\0\0\0WEBPVP8 ", b"RIFF\xff\0\0\0WEBPVP8L", b"P1 ", b"P2 40 40 ", b"P5 40 40 9 ", b"P6 40 40 65535 ", b"Pf 40 40 1.0\n",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\0\0\0\x1cftypavif", bytes(128) + b"DICM",
    bytes(128) + b"DICM\x02\0\0\0UL\x04\0", b"", b"8BPS", b"%!PS",
]  # fmt: skip


@given(st.sampled_from(MAGIC), st.binary(max_size=400))
def test_random_bytes_behind_real_magic_numbers_never_crash(magic: bytes, rest: bytes) -> None:
    opens_or_is_refused(magic + rest)


sizes = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 31, 32, 640, 8000, 65535, 2**31 - 1, 2**31, 2**32 - 1]))


@given(sizes, sizes)
def test_headers_of_random_size_never_crash_nor_allocate(width: int, height: int) -> None:
    limits = Limits(max_pixels=1_000_000)
    short = [min(side, 65535) for side in (width, height)]
    for data in (
        png_of_size(width, height, b"\0" * 100),
        b"GIF89a" + struct.pack("<HH", *short) + b"\0\0\0,\0\0\0\0" + struct.pack("<HH", *short) + b"\0\x08\x01\0\0;",
        b"BM" + struct.pack("<IHHIIIIHHIIiiII", 0, 0, 0, 54, 40, width, height, 1, 8, 0, 0, 0, 0, 0, 0),
        tiff_of_tags(
            [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (278, 4, 1, height)]
        ),
        webp_of_size(width % 2**24 + 1, height % 2**24 + 1),
        jpeg2000_of_size(width, height, 64),
        b"P5 %d %d 255\n" % (width, height),
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, *reversed(short), 1) + b"\x01\x11\0\xff\xda",
    ):
        assert opens_or_is_refused(data, limits) is None or width * height <= limits.max_pixels


@given(
    hnp.arrays(
        st.sampled_from(["?", "u1", "i1", ">u2", "i2", "u4", "i8", "u8", "f2", "f4", ">f8"]),
        st.one_of(
            st.tuples(st.integers(0, 40), st.integers(0, 40)), st.tuples(st.integers(32, 40), st.integers(32, 40), st.integers(0, 5))
        ),
    )
)
def test_arrays_of_any_kind_never_crash(array: np.ndarray) -> None:
    opens_or_is_refused(array)
    if array.ndim == 2 and min(array.shape) >= 4:
        opens_or_is_refused(array[::-1, ::2], Limits(min_side=1))


@given(st.binary(max_size=200))
def test_random_bytes_are_never_an_image(data: bytes) -> None:
    assert opens_or_is_refused(data) is None
