"""Pictures that people make: plots, pages of text, windows of programs, signs and logos, drawings. Drawn from a seed."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from hf_bones.evaluation.gate.patterns import Picture, power_noise, sides

_LETTERS = "etaoinshrdlucmfwypvbgk"


def words(rng: np.random.Generator, count: int) -> str:
    """`count` words of letters as frequent as in English, of no meaning."""
    lengths = rng.integers(2, 10, count)
    weights = np.linspace(2, 0.3, len(_LETTERS))
    return " ".join("".join(rng.choice(list(_LETTERS), length, p=weights / weights.sum())) for length in lengths)


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(6, round(size)))


def plot(rng: np.random.Generator) -> Picture:
    """One or several plots of matplotlib: lines, points, bars, histograms, heat maps, in one of its styles."""
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = str(rng.choice(["default", "default", "ggplot", "dark_background", "grayscale", "bmh"]))
    with matplotlib.style.context(style):
        rows, columns = (1, 1) if rng.random() < 0.7 else (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        figure = Figure(figsize=tuple(rng.uniform(3.2, 6.5, 2)), dpi=90)
        FigureCanvasAgg(figure)
        for axes in np.ravel(figure.subplots(rows, columns)):
            _draw_into(rng, axes)
        held = BytesIO()
        figure.savefig(held, format="png")
    return np.asarray(Image.open(held).convert("L"))


def _draw_into(rng: np.random.Generator, axes: Any) -> None:
    kind = rng.integers(6)
    x = np.linspace(0, rng.uniform(1, 50), int(rng.integers(10, 120)))
    if kind == 0:
        for _ in range(int(rng.integers(1, 5))):
            axes.plot(x, np.cumsum(rng.normal(size=x.size)) + np.sin(x) * rng.uniform(0, 5), label=words(rng, 1), lw=rng.uniform(0.8, 2.5))
        axes.legend()
    elif kind == 1:
        axes.scatter(rng.normal(size=200), rng.normal(size=200), c=rng.random(200), s=rng.uniform(4, 60))
    elif kind == 2:
        count = int(rng.integers(3, 14))
        axes.bar(range(count), rng.uniform(1, 20, count), color=rng.random(3))
    elif kind == 3:
        axes.hist(rng.normal(size=500) + rng.choice([0, 4], 500), bins=int(rng.integers(10, 50)))
    elif kind == 4:
        shape = rng.integers(3, 40, 2)
        axes.imshow(ndimage.gaussian_filter(rng.random(shape), rng.uniform(0, 3)), cmap=str(rng.choice(["viridis", "gray", "coolwarm"])))
    else:
        axes.step(np.sort(rng.random(40)), np.sort(rng.random(40)))
        axes.plot([0, 1], [0, 1], "--")
        axes.grid(True)
    axes.set_title(words(rng, 3))
    axes.set_xlabel(words(rng, 2))


def page(rng: np.random.Generator) -> Picture:
    """A page: headings, paragraphs in one or two columns, a table, a picture; sometimes as white on black, scanned aslant, or as code."""
    height, width = sorted((int(rng.integers(420, 620)), int(rng.integers(320, 460))), reverse=True)
    if rng.random() < 0.25:
        height, width = width, height
    sheet = Image.new("L", (width, height), int(rng.integers(225, 256)))
    draw = ImageDraw.Draw(sheet)
    margin, size, ink = width * rng.uniform(0.04, 0.12), rng.uniform(7, 17), int(rng.integers(0, 90))
    columns = int(rng.integers(1, 3))
    across = (width - margin * (1 + columns)) / columns
    draw.text((margin, margin * 0.6), words(rng, 4), fill=ink, font=_font(size * 1.7))
    for column in range(columns):
        left, top = margin + column * (across + margin), margin + size * 2.5
        while top < height - margin:
            kind = rng.random()
            if kind < 0.06:
                tall = rng.uniform(40, 110)
                drawn = Image.fromarray(np.clip(128 + 40 * power_noise(rng, int(tall), int(across), 1.4), 0, 255).astype(np.uint8))
                sheet.paste(drawn, (int(left), int(top)))
                top += tall + size
            elif kind < 0.12:
                for row in range(int(rng.integers(3, 7))):
                    draw.rectangle([left, top + row * size * 1.5, left + across, top + (row + 1) * size * 1.5], outline=ink)
                    draw.text((left + 4, top + row * size * 1.5), words(rng, 2), fill=ink, font=_font(size * 0.9))
                top += size * 1.5 * 7
            else:
                indent = across * rng.choice([0, 0, 0.1, 0.2])
                text = words(rng, int(across / size / 2.2) or 1)
                draw.text((left + indent, top), text[: int((across - indent) / size * 2)], fill=ink, font=_font(size))
                top += size * (1.35 if rng.random() < 0.85 else 2.4)
    shown = np.asarray(sheet)
    if rng.random() < 0.3:
        shown = ndimage.rotate(shown, rng.uniform(-6, 6), reshape=False, order=1, cval=float(rng.integers(0, 256)))
    if rng.random() < 0.3:
        shown = np.clip(shown + rng.normal(0, 6, shown.shape) + 10 * power_noise(rng, shown.shape[0], shown.shape[1], 1.8), 0, 255).astype(
            np.uint8
        )
    return 255 - shown if rng.random() < 0.3 else shown


def screen(rng: np.random.Generator) -> Picture:
    """A program's window: bars, menus, buttons, lists, panels with text or a picture; dark or light."""
    width, height = int(rng.integers(380, 640)), int(rng.integers(300, 460))
    dark = rng.random() < 0.5
    ground, text = (
        (int(rng.integers(10, 70)), int(rng.integers(170, 256))) if dark else (int(rng.integers(200, 256)), int(rng.integers(0, 90)))
    )
    sheet = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(sheet)
    size = rng.uniform(8, 14)
    draw.rectangle([0, 0, width, size * 2], fill=int(np.clip(ground + rng.integers(-60, 60), 0, 255)))
    draw.text((6, size * 0.3), words(rng, 4), fill=text, font=_font(size))
    split = width * rng.uniform(0.15, 0.4)
    for row in range(int(height / size / 1.8)):
        if rng.random() < 0.75:
            draw.text((8, size * (2.5 + 1.7 * row)), words(rng, 2)[: int(split / size * 1.6)], fill=text, font=_font(size))
    draw.line([split, size * 2, split, height], fill=text)
    for _ in range(int(rng.integers(2, 9))):
        left, top = rng.uniform(split, width * 0.85), rng.uniform(size * 2, height * 0.85)
        wide, tall = rng.uniform(40, width - split), rng.uniform(14, height * 0.5)
        kind = rng.integers(4)
        box = [left, top, min(left + wide, width - 4), min(top + tall, height - 4)]
        if kind == 0 and box[2] - box[0] > 8 and box[3] - box[1] > 8:
            shape = (int(box[3] - box[1]), int(box[2] - box[0]))
            sheet.paste(Image.fromarray(np.clip(128 + 45 * power_noise(rng, *shape, 1.3), 0, 255).astype(np.uint8)), (int(left), int(top)))
        elif kind == 1:
            draw.rounded_rectangle(box, radius=6, fill=int(rng.integers(0, 256)), outline=text)
        else:
            draw.rectangle(box, fill=int(np.clip(ground + rng.integers(-30, 30), 0, 255)), outline=text)
            for row in range(int((box[3] - box[1]) / size / 1.5)):
                draw.text(
                    (left + 4, top + size * 1.5 * row), words(rng, 4)[: int((box[2] - left) / size * 1.7)], fill=text, font=_font(size)
                )
    return np.asarray(sheet)


def logo(rng: np.random.Generator) -> Picture:
    """A sign: a few flat shapes in one or two tones, rings, a word."""
    width, height = (int(side) for side in rng.integers(200, 560, 2))
    tones = rng.integers(0, 256, 3)
    ground = int(rng.choice([0, 255, int(tones[0])]))
    sheet = Image.new("L", (width * 2, height * 2), ground)
    draw = ImageDraw.Draw(sheet)
    least = min(width, height) * 2
    for _ in range(int(rng.integers(1, 7))):
        tone = int((ground + rng.integers(60, 196)) % 256)
        cx, cy, radius = rng.uniform(0.3, 0.7) * width * 2, rng.uniform(0.3, 0.7) * height * 2, least * rng.uniform(0.06, 0.42)
        box = [cx - radius, cy - radius * rng.uniform(0.4, 1), cx + radius, cy + radius * rng.uniform(0.4, 1)]
        kind = rng.integers(5)
        if kind == 0:
            draw.ellipse(box, fill=tone)
        elif kind == 1:
            draw.ellipse(box, outline=tone, width=max(3, int(radius * rng.uniform(0.05, 0.4))))
        elif kind == 2:
            draw.rounded_rectangle(box, radius=radius * rng.uniform(0, 0.5), fill=tone)
        elif kind == 3:
            turns = np.arange(int(rng.integers(3, 9))) * 2 * np.pi
            points = [(cx + radius * np.cos(turn / len(turns) + 0.3), cy + radius * np.sin(turn / len(turns) + 0.3)) for turn in turns]
            draw.polygon(points, fill=tone)
        else:
            draw.arc(box, rng.uniform(0, 180), rng.uniform(180, 360), fill=tone, width=max(3, int(radius * 0.2)))
    if rng.random() < 0.6:
        draw.text(
            (least * 0.05, height * rng.uniform(0.2, 1.6)), words(rng, 1), fill=int(255 - ground), font=_font(least * rng.uniform(0.1, 0.3))
        )
    return np.asarray(sheet.resize((width, height), Image.Resampling.BOX))


def drawing(rng: np.random.Generator) -> Picture:
    """Strokes of a pen or chalk: curves, outlines, hatching, flat filled areas; on paper, in grey or as white on black."""
    height, width = sides(rng)
    sheet = Image.new("L", (width, height), int(rng.integers(215, 256)))
    draw = ImageDraw.Draw(sheet)
    pen, ink = int(rng.integers(1, 6)), int(rng.integers(0, 110))
    for _ in range(int(rng.integers(4, 40))):
        along = np.linspace(0, 1, 60)
        scale = min(height, width) * rng.uniform(0.03, 0.5)
        curve = np.stack(
            [np.cumsum(rng.normal(0, 1, 4) @ np.sin(np.outer(np.arange(1, 5), along * 6 + rng.uniform(0, 6))) * 0.05) for _ in "xy"]
        )
        points = (curve * scale + np.array([[rng.uniform(0, width)], [rng.uniform(0, height)]])).T
        joined = [tuple(point) for point in points.tolist()]
        if rng.random() < 0.25:
            draw.polygon(joined, fill=int(rng.integers(80, 256)), outline=ink)
        draw.line(joined, fill=ink, width=pen, joint="curve")
    if rng.random() < 0.4:
        left, top, step = rng.uniform(0, width * 0.6), rng.uniform(0, height * 0.6), rng.uniform(4, 14)
        for number in range(int(rng.integers(8, 40))):
            draw.line([left + step * number, top, left + step * number + 40, top + 90], fill=ink, width=1)
    shown = np.asarray(sheet).astype(np.float64)
    if rng.random() < 0.5:
        shown = ndimage.gaussian_filter(shown, rng.uniform(0.4, 1.5)) + rng.uniform(0, 8) * power_noise(
            rng, height, width, rng.uniform(0, 1.5)
        )
    grey = np.clip(shown, 0, 255).astype(np.uint8)
    return 255 - grey if rng.random() < 0.35 else grey
