"""The eight changes that a copy may have gone through, each drawn at random: a part of dedup.py.

Every change takes a grey (H, W) uint8 picture and a source of random numbers, and gives a grey picture of some size.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

Picture = npt.NDArray[np.uint8]


def compressed(picture: Picture, rng: random.Random) -> Picture:
    """JPEG of quality 20 to 60."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=rng.randint(20, 60))
    return np.asarray(Image.open(stream).convert("L"))


def scaled(picture: Picture, rng: random.Random) -> Picture:
    """0.4 to 1.6 times the size, by a filter of any kind."""
    image, factor = Image.fromarray(picture), rng.choice([rng.uniform(0.4, 0.8), rng.uniform(1.2, 1.6)])
    kind = rng.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    return np.asarray(image.resize((max(33, round(image.width * factor)), max(33, round(image.height * factor))), kind))


def framed(picture: Picture, rng: random.Random) -> Picture:
    """A frame of 3 to 12 % of the long side, black, white or grey, on two sides or all four, not equally wide."""
    image = Image.fromarray(picture)
    sides = [round(rng.uniform(0.03, 0.12) * max(image.size)) for _ in range(4)]
    if rng.random() < 0.3:
        sides[rng.choice([0, 1])] = sides[rng.choice([2, 3])] = 0
    return np.asarray(ImageOps.expand(image, tuple(sides), fill=rng.choice([0, 255, rng.randint(1, 254)])))


def cropped(picture: Picture, rng: random.Random) -> Picture:
    """8 % cut off: off one side, off several, or off all four."""
    height, width = picture.shape
    cut = rng.choice([[True] * 4, [rng.random() < 0.5 for _ in range(4)]])
    if not any(cut):
        cut[rng.randrange(4)] = True
    left, top, right, bottom = (0.08 if one else 0.0 for one in cut)
    return picture[round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)]


def mirrored(picture: Picture, rng: random.Random) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def inverted(picture: Picture, rng: random.Random) -> Picture:
    return 255 - picture


def turned(picture: Picture, rng: random.Random) -> Picture:
    """1 to 6 degrees either way, the canvas as it was or grown; corners black."""
    degrees = rng.choice([-1, 1]) * rng.uniform(1, 6)
    return np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC, expand=rng.random() < 0.5))


def drawn_upon(picture: Picture, rng: random.Random) -> Picture:
    """One to three arrows, white or black, somewhere in the middle."""
    image = Image.fromarray(picture)
    draw, long_side = ImageDraw.Draw(image), max(image.size)
    for _ in range(rng.randint(1, 3)):
        x, y = rng.uniform(0.2, 0.8) * image.width, rng.uniform(0.2, 0.8) * image.height
        length, direction = rng.uniform(0.1, 0.25) * long_side, rng.uniform(0, 2 * math.pi)
        width, ink = max(2, round(rng.uniform(0.006, 0.014) * long_side)), rng.choice([255, 255, 0])
        draw.line((x, y, x + length * math.cos(direction), y + length * math.sin(direction)), ink, width)
        for side in (-0.5, 0.5):
            draw.line((x, y, x + 0.3 * length * math.cos(direction + side), y + 0.3 * length * math.sin(direction + side)), ink, width)
    return np.asarray(image)


CHANGES: dict[str, Callable[[Picture, random.Random], Picture]] = {
    "JPEG re-compression": compressed,
    "scaling": scaled,
    "border": framed,
    "8 % crop": cropped,
    "mirror": mirrored,
    "inversion": inverted,
    "small rotation": turned,
    "drawn arrows": drawn_upon,
}
