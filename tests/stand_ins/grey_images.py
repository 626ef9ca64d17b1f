"""Grey pictures in any file format, DICOM among them, and the refusals that opening them gives."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian
from small_films import encoded

from hf_bones.images.opening import ImageRefusedError, Limits, Radiograph, Refusal, open_image

HEIGHT, WIDTH = 48, 40


def drawn_grey(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A bright slanted bar on a dim gradient: no symmetry, so that a wrong turn or flip shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    grey = 20 + rows * 60 // height + columns * 40 // width
    grey[abs(columns - width // 3 - rows // 4) < 5] = 220
    grey[2:6, 2:9] = 250
    return grey.astype(np.uint8)


GREY = drawn_grey()


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
    "GIF bomb": (
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0" + struct.pack("<HH", 65535, 65535) + b"\0\x08",
        Refusal.BOMB,
    ),
    "WebP canvas bomb": (webp_of_size(16383, 16383), Refusal.BOMB),
    "BMP bomb": (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 60000, 60000, 1, 8, 0, 0, 0, 0, 0, 0), Refusal.BOMB),
    "PGM bomb": (b"P5 99999 99999 255\n", Refusal.BOMB),
    "JPEG 2000 tile bomb": (jpeg2000_of_size(7000, 7000, 1), Refusal.TOO_COSTLY),
    "JPEG scan bomb": (progressive_jpeg_of_scans(5000), Refusal.TOO_COSTLY),
    "TIFF tag bomb": (tiff_of_tags([(t, 7, 50_000, 0) for t in range(1000, 3000)], 60_000), Refusal.TOO_COSTLY),
    "TIFF tag bomb, big-endian": (tiff_of_tags([(t, 7, 50_000, 0) for t in range(1000, 3000)], 60_000, ">"), Refusal.TOO_COSTLY),
    "TIFF tile bomb": (
        tiff_of_tags(
            [(256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (262, 3, 1, 1), (322, 4, 1, 30000), (323, 4, 1, 30000), (324, 4, 1, 8)]
        ),
        Refusal.TOO_COSTLY,
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
