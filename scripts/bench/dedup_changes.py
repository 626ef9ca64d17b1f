"""The changes that a copy may have gone through, each drawn at random: a part of dedup.py.

Every change takes a grey (H, W) uint8 picture and a source of random numbers, and gives a grey picture of some size.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

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


def quarter_turned(picture: Picture, rng: random.Random) -> Picture:
    """A turn by 90, 180 or 270 degrees, half of them mirrored too."""
    turned_about = np.rot90(picture, rng.randint(1, 3))
    return np.ascontiguousarray(turned_about[:, ::-1] if rng.random() < 0.5 else turned_about)


def cropped_at_one_side(picture: Picture, rng: random.Random) -> Picture:
    """15 % cut off one side."""
    height, width = picture.shape
    down, across = round(0.15 * height), round(0.15 * width)
    return [picture[down:], picture[: height - down], picture[:, across:], picture[:, : width - across]][rng.randrange(4)]


def watermarked(picture: Picture, rng: random.Random) -> Picture:
    """A name across the film, or many times in rows, white or black, a quarter to a half opaque, at any slant."""
    height, width = picture.shape
    words, long_side = rng.choice(["SAMPLE", "Radiology Archive", "stock images", "www.example.org"]), max(width, height)
    canvas = Image.new("L", (2 * long_side, 2 * long_side))
    draw = ImageDraw.Draw(canvas)
    if rng.random() < 0.5:
        font = _font(rng.uniform(1.2, 1.8) * width / len(words))
        draw.text((long_side, long_side), words, 255, font, anchor="mm")
    else:
        font = _font(rng.uniform(0.04, 0.07) * long_side)
        step = round(font.getlength(words) * 1.4)
        for row, y in enumerate(range(0, canvas.height, round(rng.uniform(3, 5) * font.size))):
            for x in range((row % 2) * step // 2, canvas.width, step):
                draw.text((x, y), words, 255, font)
    canvas = canvas.rotate(rng.choice([0, 30, 45, -30, rng.uniform(-60, 60)]), Image.Resampling.BILINEAR)
    left, top = long_side - width // 2, long_side - height // 2
    mask = np.asarray(canvas.crop((left, top, left + width, top + height))) / 255 * rng.uniform(0.25, 0.5)
    return np.rint(picture * (1 - mask) + rng.choice([255, 255, 0]) * mask).astype(np.uint8)


def turned_and_cropped(picture: Picture, rng: random.Random) -> Picture:
    """6 degrees either way, then 6 to 10 % cut off all four sides, so that little or nothing of the corners is left."""
    turned_a_little = Image.fromarray(picture).rotate(rng.choice([-6, 6]), Image.Resampling.BICUBIC)
    across, down = (round(rng.uniform(0.06, 0.1) * side) for side in turned_a_little.size)
    return np.asarray(turned_a_little.crop((across, down, turned_a_little.width - across, turned_a_little.height - down)))


def screenshot(picture: Picture, rng: random.Random) -> Picture:
    """The film in the window of a viewer: a title, a row of tools, often a panel at one side and a line at the foot, light or dark."""
    image = Image.fromarray(picture)
    long_side = max(image.size)
    ground, ink = rng.choice([(240, 40), (225, 60), (45, 210), (30, 190), (70, 230)])
    title, tools, foot = (round(share * long_side) for share in (rng.uniform(0.04, 0.07), rng.uniform(0.06, 0.1), rng.choice([0, 0.05])))
    panel = round(rng.choice([0, 0, rng.uniform(0.12, 0.3)]) * long_side)
    left, top, right, bottom = (round(rng.uniform(0.0, 0.12) * long_side) for _ in range(4))
    width, height = panel + left + image.width + right, title + tools + top + image.height + bottom + foot
    window = Image.new("L", (width, height), ground)
    draw, font = ImageDraw.Draw(window), _font(0.035 * long_side)
    draw.rectangle((0, 0, width, title), rng.choice([ground // 2, min(255, ground + 30), ground]))
    draw.text((0.02 * width, 0.1 * title), "film viewer: study 1 of 4", ink, font)
    for place in range(rng.randint(4, 9)):
        x, side = round((place + 0.3) * 1.3 * tools), round(0.7 * tools)
        y = title + (tools - side) // 2
        draw.rectangle((x, y, x + side, y + side), rng.choice([None, (ground + ink) // 2]), ink)
        draw.line((x + 0.2 * side, y + 0.8 * side, x + 0.8 * side, y + 0.2 * side), ink, max(1, side // 10))
    at_right = rng.random() < 0.5
    text_at = round(width - 0.95 * panel if at_right else 0.05 * panel)
    for row in range(rng.randint(3, 12) if panel else 0):
        draw.text((text_at, title + tools + row * 0.06 * long_side), f"series {row}", ink, font)
    if foot:
        draw.text((0.02 * width, height - 0.9 * foot), "zoom 100 %   W 2048   L 1024", ink, font)
    inner = left if at_right else panel + left
    window.paste(image, (inner, title + tools + top))
    if rng.random() < 0.3:
        draw.rectangle((0, 0, width - 1, height - 1), None, ink, max(1, long_side // 200))
    return np.asarray(window)


def strong_contrast(picture: Picture, rng: random.Random) -> Picture:
    """Contrast 1.8 to 2.5 times as strong about the mean: bright bone and dark ground are clipped."""
    grey = picture.astype(np.float32)
    return np.clip((grey - grey.mean()) * rng.uniform(1.8, 2.5) + grey.mean(), 0, 255).round().astype(np.uint8)


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(8, round(size)))
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


CHANGES: dict[str, Callable[[Picture, random.Random], Picture]] = {
    "JPEG re-compression": compressed,
    "scaling": scaled,
    "border": framed,
    "8 % crop": cropped,
    "mirror": mirrored,
    "inversion": inverted,
    "small rotation": turned,
    "drawn arrows": drawn_upon,
    "quarter and half turns, also mirrored": quarter_turned,
    "15 % off one side": cropped_at_one_side,
    "watermark": watermarked,
    "turned 6° and cropped": turned_and_cropped,
    "screenshot": screenshot,
    "strong contrast": strong_contrast,
}
FIRST_EIGHT = list(CHANGES)[:8]
TARGETS = {
    "quarter and half turns, also mirrored": 0.95,
    "15 % off one side": 0.95,
    "watermark": 0.9,
    "turned 6° and cropped": 0.9,
    "screenshot": 0.8,
    "strong contrast": 0.95,
}
