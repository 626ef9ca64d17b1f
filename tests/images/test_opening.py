"""What `open_image` promises: the same grey pixels from any kind of image. Run: pytest tests/images/test_opening.py"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from grey_images import GREY, HEIGHT, WIDTH, drawn_grey, encoded, refusal
from PIL import Image, ImageOps, PngImagePlugin

from hf_bones.images.opening import Refusal, open_image


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "GIF", "JPEG", "WEBP", "JPEG2000", "AVIF"])
def test_eight_bit_grey_comes_out_as_pillow_reads_it(kind: str) -> None:
    data = encoded(GREY, kind, **({"lossless": True} if kind == "WEBP" else {}))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    radiograph = open_image(data)
    assert np.array_equal(radiograph.pixels, expected)
    assert radiograph.original_size == (WIDTH, HEIGHT) and radiograph.source_format == kind
    if kind not in ("JPEG", "AVIF"):
        assert np.array_equal(radiograph.pixels, GREY)


@pytest.mark.parametrize("mode", ["L", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_of_a_grey_picture_gives_the_same_grey(mode: str) -> None:
    via = {"LAB": "RGB", "HSV": "RGB", "La": "LA", "RGBa": "RGBA"}.get(mode, mode)
    image = Image.fromarray(GREY).convert(via)
    image = image if via == mode else image.convert(mode)
    difference = open_image(image).pixels.astype(int) - GREY
    assert abs(difference).max() <= (2 if mode == "LAB" else 0)


def test_one_bit_and_bool_become_black_and_white() -> None:
    bits = GREY > 100
    image = Image.fromarray(bits)
    for source in (encoded(image), encoded(image, "TIFF"), image, bits, bits[..., None], np.dstack([bits] * 3)):
        assert np.array_equal(open_image(source).pixels, np.where(bits, 255, 0))


def test_colour_becomes_luma_as_pillow_has_it() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(colour).convert("L"))
    for source in (colour, Image.fromarray(colour), encoded(colour), encoded(colour, "TIFF"), encoded(colour, "BMP")):
        radiograph = open_image(source)
        assert np.array_equal(radiograph.pixels, expected) and "colour to grey" in radiograph.steps


def test_cmyk_jpeg_keeps_its_polarity() -> None:
    assert abs(open_image(encoded(Image.fromarray(GREY).convert("CMYK"), "JPEG", quality=95)).pixels.astype(int) - GREY).mean() < 3


def test_a_name_is_not_believed_and_any_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Röntgen фото 骨 #1 (copy).jpg"
    path.write_bytes(encoded(GREY, "PNG") + b"junk after the end")
    for source in (path, str(path), path.read_bytes()):
        assert np.array_equal(open_image(source).pixels, GREY)


def test_what_is_transparent_turns_black_whatever_colour_lies_under_it() -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:10] = 0
    alpha[10:20] = 128
    under = GREY.copy()
    under[:10] = 255
    expected = np.rint(under * (alpha / 255.0))
    rgba = np.dstack([under, under, under, alpha])
    la = Image.merge("LA", [Image.fromarray(under), Image.fromarray(alpha)])
    for source in (rgba, Image.fromarray(rgba), encoded(rgba), encoded(la), encoded(rgba, "TIFF"), encoded(rgba, "WEBP", lossless=True)):
        radiograph = open_image(source)
        assert abs(radiograph.pixels - expected).max() <= 1
        assert "alpha composited on black" in radiograph.steps


def test_a_transparent_palette_entry_or_grey_level_turns_black() -> None:
    palette = Image.fromarray(GREY).convert("P")
    for source in (encoded(palette, transparency=250), encoded(Image.fromarray(GREY), transparency=250)):
        assert np.array_equal(open_image(source).pixels, np.where(GREY == 250, 0, GREY))


def test_full_alpha_changes_nothing() -> None:
    radiograph = open_image(np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]))
    assert np.array_equal(radiograph.pixels, GREY) and "alpha composited on black" not in radiograph.steps


def deep_sources() -> dict[str, object]:
    twelve = GREY.astype(np.uint16) * 16
    return {
        "png16": encoded(GREY.astype(np.uint16) * 257),
        "png12in16": encoded(twelve),
        "tiff12in16": encoded(twelve, "TIFF"),
        "tiff16 lzw": encoded(twelve, "TIFF", compression="tiff_lzw"),
        "tiff int32": encoded(GREY.astype(np.int32) * 1000 - 5000, "TIFF"),
        "tiff float": encoded(GREY.astype(np.float32) / 255, "TIFF"),
        "pgm 16": encoded(GREY.astype(np.uint16) * 257, "PPM"),
        "pgm 12": b"P5 %d %d 4095\n" % (WIDTH, HEIGHT) + twelve.astype(">u2").tobytes(),
        "mode I": Image.fromarray(GREY.astype(np.int32) * 100),
        "mode I;16B": Image.frombytes("I;16B", (WIDTH, HEIGHT), twelve.astype(">u2").tobytes()),
        "mode F": Image.fromarray(GREY.astype(np.float32) - 1000),
        "array u16": twelve,
        "array >u2": twelve.astype(">u2"),
        "array u64": GREY.astype(np.uint64) << np.uint64(50),
        "array f16": GREY.astype(np.float16),
        "array f64": GREY * 1e300,
        "array int8": (GREY // 2).astype(np.int8) - np.int8(60),
    }


@pytest.mark.parametrize("name", deep_sources())
def test_deep_images_are_windowed_not_clipped(name: str) -> None:
    """One picture at any depth and offset comes out as one picture: its whole range stretched over 0 to 255."""
    radiograph = open_image(deep_sources()[name])
    low, high = np.percentile(GREY, [0.1, 99.9], method="nearest").astype(float)
    expected = (np.clip(GREY, low, high) - low) / (high - low) * 255
    assert abs(radiograph.pixels - expected).max() <= 2
    assert len(np.unique(radiograph.pixels)) > 50
    assert any(step.startswith("windowed from") for step in radiograph.steps)


def test_a_few_hot_pixels_do_not_darken_the_picture() -> None:
    deep = drawn_grey(200, 200).astype(np.uint16) * 16
    plain = open_image(deep).pixels
    deep[0, :10] = 65535
    assert abs(open_image(deep).pixels.astype(int) - plain)[1:].max() <= 2


def test_nearly_constant_and_constant_deep_images_open() -> None:
    deep = np.full((100, 100), 700, np.uint16)
    assert np.unique(open_image(deep).pixels).tolist() == [0]
    deep[50, 50] = 900
    pixels = open_image(deep).pixels
    assert pixels[50, 50] == 255 and pixels.sum() == 255


def test_white_is_zero_tiff_is_inverted_at_every_depth() -> None:
    for deep in (GREY, GREY.astype(np.uint16) * 257, GREY.astype(np.float32)):
        data = encoded(deep, "TIFF", tiffinfo={262: 0})
        if deep.dtype == np.uint8:  # Pillow writes 8-bit white-is-zero data inverted
            assert np.array_equal(open_image(data).pixels, GREY)
        else:
            radiograph = open_image(data)
            assert abs(radiograph.pixels.astype(int) + open_image(deep).pixels - 255).max() <= 1
            assert "white-is-zero inverted" in radiograph.steps
            assert np.array_equal(open_image(Image.open(io.BytesIO(data))).pixels, radiograph.pixels)


def test_nan_is_black_and_infinities_take_the_ends() -> None:
    values = GREY.astype(np.float64)
    values[0, :3] = np.nan, np.inf, -np.inf
    assert open_image(values).pixels[0, :3].tolist() == [0, 255, 0]
    assert refusal(np.full((40, 40), np.nan)) == Refusal.UNDECODABLE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_would(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(GREY, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    radiograph = open_image(data)
    assert np.array_equal(radiograph.pixels, expected)
    assert radiograph.pixels.shape == ((WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH))
    assert radiograph.original_size == (WIDTH, HEIGHT)
    assert any("orientation" in step for step in radiograph.steps) == (orientation > 1)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(open_image(image).pixels, expected)


def test_orientation_is_found_in_xmp_where_there_is_no_exif() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    assert np.array_equal(open_image(encoded(GREY, pnginfo=text)).pixels, np.rot90(GREY, -1))


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"", b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\0" * 20, b"MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_does_not_cost_the_picture(exif: bytes) -> None:
    assert open_image(encoded(GREY, "JPEG", exif=exif)).pixels.shape == GREY.shape


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG", "AVIF"])
def test_the_first_frame_is_taken_and_said(kind: str) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    options = {"lossless": True} if kind == "WEBP" else {}
    radiograph = open_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert abs(radiograph.pixels.astype(int) - GREY).max() <= (30 if kind == "AVIF" else 0)
    assert "first of several frames" in radiograph.steps
    assert "first of several frames" not in open_image(encoded(GREY, kind)).steps
