"""Drawn films and what may be done to a copy of one, for the tests of near-duplicates."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from small_films import encoded

from hf_bones.dataset.drawn.radiograph import draw_radiograph

Picture = np.ndarray


def film(seed: int, size: int = 256) -> Picture:
    """A drawn radiograph, (H, W) uint8."""
    return draw_radiograph(seed, size=size).pixels


def compressed(picture: Picture) -> Picture:
    return np.asarray(Image.open(io.BytesIO(encoded(picture, "JPEG", quality=35))).convert("L"))


def scaled(picture: Picture) -> Picture:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width * 3 // 5, image.height * 3 // 5), Image.Resampling.BICUBIC))


def framed(picture: Picture) -> Picture:
    return np.asarray(ImageOps.expand(Image.fromarray(picture), (20, 14, 26, 20), fill=255))


def cropped(picture: Picture) -> Picture:
    height, width = picture.shape
    return picture[round(0.08 * height) : round(0.92 * height), round(0.08 * width) : round(0.92 * width)]


def mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def inverted(picture: Picture) -> Picture:
    return 255 - picture


def turned(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).rotate(4, Image.Resampling.BICUBIC))


def drawn_upon(picture: Picture) -> Picture:
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    x, y = image.width * 0.35, image.height * 0.4
    draw.line((x, y, x + 40, y + 30), 255, 3)
    draw.line((x, y, x + 14, y - 2), 255, 3)
    draw.line((x, y, x - 1, y + 15), 255, 3)
    return np.asarray(image)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    change.__name__: change for change in (compressed, scaled, framed, cropped, mirrored, inverted, turned, drawn_upon)
}
