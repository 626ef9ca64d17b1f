"""Drawn films and what may be done to a copy of one, for the tests of near-duplicates."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from small_films import encoded

from hf_bones.dataset.drawn.radiograph import draw_radiograph

Picture = np.ndarray


@cache
def film(seed: int, size: int = 256) -> Picture:
    """A drawn radiograph, (H, W) uint8, that cannot be written to: whoever asks for it again gets the same array."""
    pixels = draw_radiograph(seed, size=size).pixels
    pixels.flags.writeable = False
    return pixels


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


def quarter_turned(picture: Picture) -> Picture:
    return np.rot90(picture)


def turned_about(picture: Picture) -> Picture:
    return np.rot90(picture, 2)


def turned_and_mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(np.rot90(picture, 3)[:, ::-1])


def cut_at_one_side(picture: Picture) -> Picture:
    return picture[:, round(0.15 * picture.shape[1]) :]


def contrasted(picture: Picture) -> Picture:
    grey = picture.astype(np.float32)
    return np.clip((grey - grey.mean()) * 1.8 + grey.mean(), 0, 255).astype(np.uint8)


def watermarked(picture: Picture) -> Picture:
    words = Image.new("L", picture.shape[::-1])
    draw, font = ImageDraw.Draw(words), ImageFont.load_default(14)
    for place in range(5):
        draw.text((10 + 30 * (place % 2), 20 + 50 * place), "SAMPLE  SAMPLE", 255, font)
    mask = np.asarray(words.rotate(20)) / 255 * 0.3
    return np.rint(picture * (1 - mask) + 255 * mask).astype(np.uint8)


def turned_and_cropped(picture: Picture) -> Picture:
    return cropped(np.asarray(Image.fromarray(picture).rotate(6, Image.Resampling.BICUBIC)))


def on_a_screen(picture: Picture) -> Picture:
    height, width = picture.shape
    window = Image.new("L", (width + 90, height + 76), 225)
    draw = ImageDraw.Draw(window)
    draw.rectangle((0, 0, width + 90, 18), 120)
    draw.text((6, 3), "film viewer", 255)
    for place in range(6):
        draw.rectangle((8 + 26 * place, 24, 26 + 26 * place, 42), 180, 40)
        draw.text((6, 60 + 20 * place), f"series {place}", 60)
    window.paste(Image.fromarray(picture), (70, 52))
    return np.asarray(window)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    change.__name__: change for change in (compressed, scaled, framed, cropped, mirrored, inverted, turned, drawn_upon)
}
FURTHER_CHANGES: dict[str, Callable[[Picture], Picture]] = {
    change.__name__: change
    for change in (
        quarter_turned,
        turned_about,
        turned_and_mirrored,
        cut_at_one_side,
        contrasted,
        watermarked,
        turned_and_cropped,
        on_a_screen,
    )
}
