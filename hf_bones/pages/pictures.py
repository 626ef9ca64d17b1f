"""The one way to a small picture on a page: scaled, encoded as JPEG, and as a data URL where the page must stand alone."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

QUALITY = 80  # of JPEG


def thumbnail(picture: Image.Image, side: int) -> Image.Image:
    """A copy at most `side` px long; a smaller picture stays as it is."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def jpeg(picture: Image.Image, quality: int = QUALITY) -> bytes:
    """A grey or RGB picture as a JPEG file."""
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def png(picture: Image.Image, **options: int) -> bytes:
    """A picture as a PNG file; `options` are Pillow's."""
    stream = BytesIO()
    picture.save(stream, "PNG", **options)
    return stream.getvalue()


def data_url(picture: Image.Image, quality: int = QUALITY) -> str:
    """The JPEG as an address that a page can hold."""
    return f"data:image/jpeg;base64,{b64encode(jpeg(picture, quality)).decode()}"
