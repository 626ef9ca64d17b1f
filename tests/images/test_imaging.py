"""What `open_image` promises: the same grey pixels from any kind of image, or a refusal with a reason.

Run: pytest tests/images/test_imaging.py
More examples: HYPOTHESIS_PROFILE=thorough pytest tests/images/test_imaging.py
"""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import subprocess
import sys
import textwrap
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFile, ImageOps, PngImagePlugin
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from hf_bones.images.opening import ImageRefusedError, Limits, Radiograph, Refusal, explain, open_image

settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
settings.register_profile("thorough", max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

HEIGHT, WIDTH = 48, 40


def drawn_grey(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A bright slanted bar on a dim gradient: no symmetry, so that a wrong turn or flip shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    grey = 20 + rows * 60 // height + columns * 40 // width
    grey[abs(columns - width // 3 - rows // 4) < 5] = 220
    grey[2:6, 2:9] = 250
    return grey.astype(np.uint8)


GREY = drawn_grey()


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(source: object, limits: Limits | None = None) -> Refusal:
    with pytest.raises(ImageRefusedError) as caught:
        open_image(source, limits or Limits())
    assert caught.value.detail and str(caught.value.reason) in str(caught.value)
    return caught.value.reason


def opens_or_is_refused(source: object, limits: Limits | None = None) -> Radiograph | None:
    """The one property behind all others: a Radiograph of the promised form, or ImageRefusedError; any other exception fails."""
    try:
        radiograph = open_image(source, limits or Limits())
    except ImageRefusedError as error:
        assert isinstance(error.reason, Refusal)
        return None
    assert radiograph.pixels.dtype == np.uint8 and radiograph.pixels.ndim == 2
    assert radiograph.pixels.flags.c_contiguous and radiograph.pixels.flags.writeable
    assert min(radiograph.pixels.shape) >= 1
    assert sorted(radiograph.pixels.shape) == sorted(radiograph.original_size)
    return radiograph


# ---- 8-bit images keep their pixels -------------------------------------------------------------------------------------------


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


# ---- transparency -------------------------------------------------------------------------------------------------------------


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


# ---- more than eight bits -----------------------------------------------------------------------------------------------------


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


# ---- orientation and frames ---------------------------------------------------------------------------------------------------


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


# ---- DICOM --------------------------------------------------------------------------------------------------------------------


def dicom(
    stored: np.ndarray, syntax: str = ExplicitVRLittleEndian, bits: int | None = None, frame: bytes | None = None, **tags: object
) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.PatientName = "Doe^Jane"
    dataset.Rows, dataset.Columns = stored.shape[-3:-1] if stored.ndim == 3 and stored.shape[-1] == 3 else stored.shape[-2:]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 and stored.shape[-1] == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if dataset.SamplesPerPixel == 3 else "MONOCHROME2"
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = stored.tobytes() if frame is None else encapsulate([frame])
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


TWELVE = GREY.astype(np.uint16) * 16


def test_dicom_without_a_window_is_windowed_by_percentiles() -> None:
    radiograph = open_image(dicom(TWELVE, bits=12))
    assert np.array_equal(radiograph.pixels, open_image(TWELVE).pixels)
    assert radiograph.source_format == "DICOM" and "DICOM tags dropped" in radiograph.steps
    assert "Doe" not in repr(radiograph)


def test_eight_bit_dicom_keeps_its_pixels() -> None:
    assert np.array_equal(open_image(dicom(GREY)).pixels, GREY)


def test_dicom_window_sets_black_and_white() -> None:
    window = {"WindowCenter": [2048, 100], "WindowWidth": [1024, 50]}
    radiograph = open_image(dicom(TWELVE, bits=12, **window))
    expected = np.clip((TWELVE - 2047.5) / 1023 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert abs(radiograph.pixels - expected).max() <= 1
    assert "VOI window applied" in radiograph.steps


@pytest.mark.parametrize("slope", [2.0, -1.0])
def test_dicom_window_counts_in_rescaled_values(slope: float) -> None:
    values = TWELVE * slope - 1000
    center, width = float(values.mean()), float(np.ptp(values))
    data = dicom(TWELVE, bits=12, RescaleSlope=slope, RescaleIntercept=-1000, WindowCenter=round(center), WindowWidth=round(width))
    radiograph = open_image(data)
    expected = np.clip((values - (round(center) - 0.5)) / (round(width) - 1) + 0.5, 0, 1) * 255
    assert abs(radiograph.pixels - expected).max() <= 1
    assert "modality LUT applied" in radiograph.steps


def test_signed_dicom_with_sigmoid_window_opens() -> None:
    radiograph = open_image(dicom(TWELVE.astype(np.int16) - 2000, bits=16, VOILUTFunction="SIGMOID", WindowCenter=0, WindowWidth=1500))
    assert np.corrcoef(radiograph.pixels.ravel(), GREY.ravel())[0, 1] > 0.9


def test_dicom_voi_lut_is_applied() -> None:
    lut = pydicom.Dataset()
    lut.LUTDescriptor = [4096, 0, 16]
    lut.LUTData = (4095 - np.arange(4096, dtype=np.uint16)).tobytes()
    lut["LUTData"].VR = "OW"
    radiograph = open_image(dicom(TWELVE, bits=12, VOILUTSequence=[lut]))
    assert abs(radiograph.pixels - (4095 - TWELVE.astype(float)) / 4095 * 255).max() <= 1
    assert "VOI LUT applied" in radiograph.steps


@pytest.mark.parametrize(("center", "width"), [(2000, 0), (2000, -5), (9e8, 10)])
def test_a_window_that_shows_nothing_is_left_aside(center: float, width: float) -> None:
    radiograph = open_image(dicom(TWELVE, bits=12, WindowCenter=center, WindowWidth=width))
    assert np.array_equal(radiograph.pixels, open_image(TWELVE).pixels)
    assert any(step.startswith("VOI") and "ignored" in step for step in radiograph.steps)


def test_monochrome1_is_inverted() -> None:
    radiograph = open_image(dicom(4095 - TWELVE, bits=12, PhotometricInterpretation="MONOCHROME1"))
    assert abs(radiograph.pixels.astype(int) - open_image(TWELVE).pixels).max() <= 1
    assert "MONOCHROME1 inverted" in radiograph.steps
    assert np.array_equal(open_image(dicom(255 - GREY, PhotometricInterpretation="MONOCHROME1")).pixels, GREY)


def test_dicom_padding_does_not_set_the_scale() -> None:
    padded = TWELVE.astype(np.int16)
    padded[:12] = -2000
    radiograph = open_image(dicom(padded, PixelPaddingValue=-2000))
    assert radiograph.pixels[:12].max() == 0
    assert abs(radiograph.pixels[12:].astype(int) - open_image(TWELVE[12:]).pixels).max() <= 4


def test_colour_palette_and_many_frame_dicom_open() -> None:
    assert np.array_equal(open_image(dicom(np.dstack([GREY] * 3))).pixels, GREY)
    radiograph = open_image(dicom(np.stack([GREY, 255 - GREY, GREY]), NumberOfFrames=3))
    assert np.array_equal(radiograph.pixels, GREY) and "first of 3 frames" in radiograph.steps
    ramp = (np.arange(256, dtype=np.uint16) * 257).tobytes()
    tables = {f"{c}PaletteColorLookupTableData": ramp for c in ("Red", "Green", "Blue")}
    descriptors = {f"{c}PaletteColorLookupTableDescriptor": [256, 0, 16] for c in ("Red", "Green", "Blue")}
    palette = open_image(dicom(GREY, PhotometricInterpretation="PALETTE COLOR", **descriptors, **tables))
    assert np.corrcoef(palette.pixels.ravel(), GREY.ravel())[0, 1] > 0.99


def test_compressed_dicom_opens_where_a_decoder_is_there_and_else_says_what_to_install() -> None:
    jpeg = encoded(GREY, "JPEG")
    assert np.array_equal(open_image(dicom(GREY, JPEGBaseline8Bit, frame=jpeg)).pixels, open_image(jpeg).pixels)
    dataset = pydicom.dcmread(io.BytesIO(dicom(TWELVE, bits=12)))
    dataset.compress(RLELossless)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert np.array_equal(open_image(buffer.getvalue()).pixels, open_image(TWELVE).pixels)
    from pydicom.pixels import get_decoder

    if not get_decoder(JPEGLosslessSV1).available_plugins:
        with pytest.raises(ImageRefusedError, match="dicom-codecs") as caught:
            open_image(dicom(TWELVE, JPEGLosslessSV1, frame=jpeg))
        assert caught.value.reason == Refusal.MISSING_CODEC and "dicom-codecs" in explain(caught.value.reason)


def test_dicom_that_cannot_be_opened_is_refused_by_name() -> None:
    whole = dicom(TWELVE, bits=12)
    assert refusal(whole[:-100]) == Refusal.UNDECODABLE
    assert refusal(whole[:140]) in (Refusal.UNDECODABLE, Refusal.NOT_AN_IMAGE)
    assert refusal(dicom(GREY, Rows=60000, Columns=60000)) == Refusal.BOMB
    assert refusal(dicom(GREY, DeflatedExplicitVRLittleEndian)) == Refusal.UNSUPPORTED
    assert refusal(dicom(GREY[:20, :20])) == Refusal.TOO_SMALL


# ---- refusals -----------------------------------------------------------------------------------------------------------------


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width: int, height: int, pixels: bytes = b"", extra: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")


def tiff_of_tags(tags: list[tuple[int, int, int, int]], size: int = 4096, order: str = "<") -> bytes:
    body = struct.pack(order + "2sHL", b"II" if order == "<" else b"MM", 42, 8) + struct.pack(order + "H", len(tags))
    body += b"".join(struct.pack(order + "HHLL", *tag) for tag in tags) + struct.pack(order + "L", 0)
    return body.ljust(size, b"\0")


def webp_of_size(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg2000_of_size(width: int, height: int, tile: int) -> bytes:
    siz = struct.pack(">H8IH", 0, width, height, 0, 0, tile, tile, 0, 0, 1) + b"\x07\x01\x01"
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 2) + siz + b"\xff\x90" + b"\0" * 40


def progressive_jpeg_of_scans(scans: int) -> bytes:
    data = encoded(GREY, "JPEG", progressive=True)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x01\x00\x7f"
    return data[:-2] + scan * scans + b"\xff\xd9"


REFUSED: dict[str, tuple[object, Refusal]] = {
    "empty": (b"", Refusal.NOT_AN_IMAGE),
    "text": (b"no image at all, only words" * 9, Refusal.NOT_AN_IMAGE),
    "web page": (b"\n<!DOCTYPE html><html>404</html>", Refusal.NOT_AN_IMAGE),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", Refusal.NOT_AN_IMAGE),
    "zip": (b"PK\x03\x04" + b"\0" * 60, Refusal.NOT_AN_IMAGE),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", Refusal.UNSUPPORTED),
    "PDF": (b"%PDF-1.7\n", Refusal.UNSUPPORTED),
    "icon": (encoded(GREY, "ICO"), Refusal.UNSUPPORTED),
    "ICNS": (encoded(GREY, "ICNS"), Refusal.UNSUPPORTED),
    "SVG": (b'<?xml version="1.0"?><svg width="10"/>', Refusal.UNSUPPORTED),
    "HEIC": (b"\0\0\0\x18ftypheic" + b"\0" * 40, Refusal.UNSUPPORTED),
    "half a JPEG": (encoded(GREY, "JPEG", quality=95)[:600], Refusal.UNDECODABLE),
    "magic alone": (b"\xff\xd8\xff\xe0", Refusal.UNDECODABLE),
    "PNG with a flipped byte": (bytes(b ^ (i == 70) for i, b in enumerate(encoded(GREY))), Refusal.UNDECODABLE),
    "PNG without pixels": (png_of_size(40, 40), Refusal.UNDECODABLE),
    "PNG bomb": (png_of_size(40000, 40000, bytes(10000)), Refusal.BOMB),
    "PNG of 2^31 - 1": (png_of_size(2**31 - 1, 2**31 - 1), Refusal.BOMB),
    "PNG text bomb": (png_of_size(40, 40, extra=png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000)))), Refusal.BOMB),
    "PNG profile bomb": (png_of_size(40, 40, extra=png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3_000_000)))), Refusal.BOMB),
    "GIF bomb": (
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0" + struct.pack("<HH", 65535, 65535) + b"\0\x08",
        Refusal.BOMB,
    ),
    "WebP canvas bomb": (webp_of_size(16383, 16383), Refusal.BOMB),
    "BMP bomb": (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 60000, 60000, 1, 8, 0, 0, 0, 0, 0, 0), Refusal.BOMB),
    "PGM bomb": (b"P5 99999 99999 255\n", Refusal.BOMB),
    "JPEG 2000 tile bomb": (jpeg2000_of_size(7000, 7000, 1), Refusal.BOMB),
    "JPEG scan bomb": (progressive_jpeg_of_scans(5000), Refusal.BOMB),
    "TIFF tag bomb": (tiff_of_tags([(t, 7, 50_000, 0) for t in range(1000, 3000)], 60_000), Refusal.BOMB),
    "TIFF tag bomb, big-endian": (tiff_of_tags([(t, 7, 50_000, 0) for t in range(1000, 3000)], 60_000, ">"), Refusal.BOMB),
    "TIFF tile bomb": (
        tiff_of_tags(
            [(256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (262, 3, 1, 1), (322, 4, 1, 30000), (323, 4, 1, 30000), (324, 4, 1, 8)]
        ),
        Refusal.BOMB,
    ),
    "one pixel": (encoded(GREY[:1, :1]), Refusal.TOO_SMALL),
    "thumbnail": (encoded(drawn_grey(28, 28), "JPEG"), Refusal.TOO_SMALL),
    "sliver": (encoded(drawn_grey(12, 3000), "JPEG"), Refusal.BAD_ASPECT),
    "array of one dimension": (np.zeros(100), Refusal.NOT_AN_IMAGE),
    "array, channels first": (np.zeros((3, 64, 64)), Refusal.NOT_AN_IMAGE),
    "array of two channels": (np.zeros((64, 64, 2)), Refusal.NOT_AN_IMAGE),
    "empty array": (np.zeros((0, 64)), Refusal.TOO_SMALL),
    "array of objects": (np.full((40, 40), None), Refusal.UNSUPPORTED),
    "complex array": (np.zeros((40, 40), complex), Refusal.UNSUPPORTED),
    "huge array": (np.broadcast_to(np.uint8(0), (50000, 50000)), Refusal.BOMB),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_reason(name: str) -> None:
    source, reason = REFUSED[name]
    assert refusal(source) == reason


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.png", tmp_path, tmp_path / "pipe", "", "with\0nul", "/dev/zero", "x" * 5000):
        assert refusal(path) == Refusal.UNREADABLE_FILE


def test_a_file_over_the_byte_limit_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.write(encoded(GREY))
        file.truncate(2**40)  # sparse: one terabyte that would not fit in memory
    assert refusal(path) == Refusal.TOO_LARGE
    assert refusal(encoded(GREY), Limits(max_bytes=50)) == Refusal.TOO_LARGE


def test_limits_are_the_callers() -> None:
    assert open_image(encoded(drawn_grey(16, 16)), Limits(min_side=16)).pixels.shape == (16, 16)
    assert open_image(drawn_grey(40, 1000), Limits(max_aspect=25)).pixels.shape == (40, 1000)
    assert refusal(GREY, Limits(max_pixels=1000)) == Refusal.BOMB
    assert open_image(drawn_grey(32, 640)).pixels.shape == (32, 640)  # 20 to 1 is still in


@pytest.mark.parametrize("source", [None, 5, ["a.png"], io.BytesIO(b""), object(), {"bytes": b""}])
def test_another_type_of_source_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError, match="open_image takes"):
        open_image(source)  # type: ignore[arg-type]


def test_the_error_names_the_file_and_survives_pickling(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("words")
    with pytest.raises(ImageRefusedError, match=r"notes\.jpg refused: not_an_image") as caught:
        open_image(path)
    assert caught.value.source == str(path)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.reason, copy.detail, copy.source, str(copy)) == (caught.value.reason, caught.value.detail, str(path), str(caught.value))


def test_every_reason_has_a_sentence_for_a_person() -> None:
    sentences = [explain(reason) for reason in Refusal]
    assert len(set(sentences)) == len(Refusal) and all(sentence.endswith(".") for sentence in sentences)
    assert explain("too_small") == explain(Refusal.TOO_SMALL)
    with pytest.raises(ValueError, match="no_such_reason"):
        explain("no_such_reason")


# ---- no side effects ----------------------------------------------------------------------------------------------------------


def test_sources_and_pillows_settings_are_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK
    array = GREY.copy()
    radiograph = open_image(array)
    radiograph.pixels[:] = 0
    assert np.array_equal(array, GREY)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(GREY, "JPEG", exif=exif)))
    open_image(image)
    assert image.size == (WIDTH, HEIGHT) and image.getexif()[0x0112] == 6
    for source, _ in REFUSED.values():
        opens_or_is_refused(source)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)


def test_threads_get_the_same_pixels() -> None:
    sources = [encoded(GREY, kind) for kind in ("PNG", "TIFF", "JPEG", "WEBP", "GIF", "BMP")] + [dicom(TWELVE, bits=12)]
    alone = [open_image(source).pixels for source in sources]
    with ThreadPoolExecutor(8) as pool:
        for index, radiograph in enumerate(pool.map(open_image, sources * 20)):
            assert np.array_equal(radiograph.pixels, alone[index % len(sources)])


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    """In a process of its own, whose peak then speaks only of these files."""
    bombs = {name: source for name, (source, reason) in REFUSED.items() if reason == Refusal.BOMB and isinstance(source, bytes)}
    bombs["DICOM"] = dicom(GREY, Rows=60000, Columns=60000)
    exif = tiff_of_tags([(tag, 7, 50_000, 0) for tag in range(1000, 5000)], 60_000)
    bombs["EXIF in JPEG"] = encoded(GREY, "JPEG", exif=b"Exif\0\0" + exif)
    (tmp_path / "bombs.pickle").write_bytes(pickle.dumps(bombs))
    script = textwrap.dedent(
        """
        import pickle, resource, sys
        from hf_bones.images.opening import ImageRefusedError, open_image
        import numpy, pydicom.pixels
        open_image(numpy.zeros((64, 64), numpy.uint16))
        bombs = pickle.loads(open(sys.argv[1], "rb").read())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, data in bombs.items():
            try:
                open_image(data)
                print(name, "opened")
            except ImageRefusedError as error:
                if error.reason != "decompression_bomb":
                    print(name, error)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (2**20 if sys.platform == "darwin" else 2**10)
        print(f"grew {grown:.0f} MiB" if grown > 100 else "in bounds")
        """
    )
    run = subprocess.run([sys.executable, "-c", script, tmp_path / "bombs.pickle"], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "in bounds"


# ---- properties ---------------------------------------------------------------------------------------------------------------

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
