"""The format of an image file by its first bytes: a file's name is never looked at."""

from __future__ import annotations

import re

from hf_bones.images import jpeg2000, png
from hf_bones.images.refusals import ImageRefusedError, Refusal

_JP2_MAGIC = b"\x00\x00\x00\x0cjP  \r\n\x87\n"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (png.MAGIC, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (_JP2_MAGIC, "JPEG2000"),
    (jpeg2000.START, "JPEG2000"),
)

# DICOM without its preamble: the group length of the file's meta information, or a first element of group 8, in either VR encoding.
_DICOM_START = re.compile(
    rb"\x02\0\0\0(?:UL\x04\0|\x04\0\0\0)|\x08\0[\0\x01\x05\x08\x12\x13\x14\x16\x18\x20]\0[\0-\xff]\0\0\0"
    rb"|\x08\0[\0-\xff][\0-\x11](?:UL|CS|UI|DA|TM|DT|SH|LO|PN|ST|SQ)[\0-\xff]"
)

# Known, and left out on purpose: they run other programs, hold many images in one, or need a library that Pillow does not bring.
_REFUSED_MAGIC: tuple[tuple[bytes, Refusal, str], ...] = (
    (b"%!PS", Refusal.UNSUPPORTED, "PostScript, which only another program can draw"),
    (b"%PDF", Refusal.UNSUPPORTED, "a PDF; save the page as PNG"),
    (b"8BPS", Refusal.UNSUPPORTED, "a Photoshop document"),
    (b"\x00\x00\x01\x00", Refusal.UNSUPPORTED, "an icon file"),
    (b"icns", Refusal.UNSUPPORTED, "an icon file"),
    (b"\xd7\xcd\xc6\x9a", Refusal.UNSUPPORTED, "a Windows metafile"),
    (b"version https://git-lfs", Refusal.NOT_AN_IMAGE, "a Git LFS pointer, not the file; run: git lfs pull"),
)


def sniff(data: bytes) -> str:
    """The format of `data` as Pillow names it, or "DICOM". Raises `ImageRefusedError` for anything that is not opened here."""
    if not data:
        raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "the file is empty")
    if data[128:132] == b"DICM" or _DICOM_START.match(data):
        return "DICOM"
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if re.match(rb"P[1-6f]\s", data):
        return "PPM"
    if data[4:8] == b"ftyp":
        if data[8:12] in (b"avif", b"avis"):
            return "AVIF"
        raise ImageRefusedError(Refusal.UNSUPPORTED, "HEIC or a video; save it as PNG or JPEG")
    for magic, reason, what in _REFUSED_MAGIC:
        if data.startswith(magic):
            raise ImageRefusedError(reason, what)
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "a web page saved under an image's name")
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        raise ImageRefusedError(Refusal.UNSUPPORTED, "an SVG drawing")
    raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "the content starts like no image format")
