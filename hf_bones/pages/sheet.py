"""The one contact sheet: bands of pictures with captions below, on one dark ground, as an RGB picture.

The same bands give the same sheet. Not here: which pictures, and what is said of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
from PIL import Image, ImageDraw, ImageFont

BRIGHT, TEXT, FAINT, WARNING = "#f0f6fc", "#c9d1d9", "#8b949e", "#f0883e"
_GROUND, _CELL, _RULE = "#0d1117", "#010409", "#21262d"
_READERS = 4  # threads: Pillow decodes outside the interpreter lock
_LARGEST_SCALE = 2.0  # a small picture is not enlarged beyond
REGULAR, BOLD, MONO = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono"


@dataclass(frozen=True)
class Words:
    """A piece of a caption's line."""

    text: str
    colour: str = TEXT
    font: str = REGULAR


@dataclass(frozen=True)
class Cell:
    """A picture, made when its band is drawn, or the reason why there is none; and the lines below it."""

    picture: Callable[[], Image.Image | str]
    caption: Sequence[Sequence[Words]]


@dataclass(frozen=True)
class Band:
    """Cells under a line with a title, a bar in a colour, and what is to be said of all of them."""

    title: str
    colour: str
    detail: str
    cells: Sequence[Cell]


class _Layout(NamedTuple):
    """Sizes, px: of a cell, a caption with its letters, the line above a band, and what lies between."""

    columns: int
    cell: int
    margin: int
    gap: int
    text: int
    caption: int
    head: int

    @property
    def step(self) -> int:
        return self.cell + self.gap

    @property
    def width(self) -> int:
        return 2 * self.margin + self.columns * self.step - self.gap

    def band(self, count: int) -> int:
        """Height of a band of `count` cells."""
        return self.head + -(-count // self.columns) * (self.step + self.caption) + self.gap


def draw_sheet(bands: Sequence[Band], *, title: str = "", subtitle: str = "", columns: int = 6, cell: int = 220) -> Image.Image:
    """The sheet: `columns` squares of `cell` px beside each other in every band. Raises ValueError for no column or a cell below 64 px."""
    if columns < 1 or cell < 64:
        raise ValueError(f"columns {columns} and cell {cell} px: needs at least 1 and 64")
    widest = max(len(band.cells) for band in bands)
    lines = max((len(one.caption) for band in bands for one in band.cells), default=0)
    gap, text = cell // 18, max(9, cell // 17)
    columns = min(columns, max(3, widest))  # three at least, or the title has no room
    layout = _Layout(columns, cell, cell // 6, gap, text, lines * text * 3 // 2 + gap // 2, cell // 3)
    top = layout.margin + (layout.head if title or subtitle else 0)
    height = top + sum(layout.band(len(band.cells)) for band in bands) + layout.margin // 2
    sheet = Image.new("RGB", (layout.width, height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    room = layout.width - 2 * layout.margin
    _write(draw, (layout.margin, layout.margin * 2 // 3), Words(title, BRIGHT, BOLD), cell // 8, room)
    _write(draw, (layout.margin, layout.margin * 2 // 3 + cell // 6), Words(subtitle, FAINT), cell // 15, room)
    with ThreadPoolExecutor(_READERS) as pool:
        for band in bands:
            _draw_head(draw, layout, top, band)
            pictures = pool.map(lambda one: _scaled(one.picture(), cell), band.cells)
            for index, (one, picture) in enumerate(zip(band.cells, pictures, strict=True)):
                row, column = divmod(index, layout.columns)
                left = layout.margin + column * layout.step
                upper = top + layout.head + row * (layout.step + layout.caption)
                draw.rectangle((left, upper, left + cell - 1, upper + cell - 1), _CELL)
                if isinstance(picture, str):
                    centre = (left + cell / 2, upper + cell / 2)
                    _write(draw, centre, Words(picture, WARNING), layout.text, cell - layout.gap, "mm")
                else:
                    sheet.paste(picture, (left + (cell - picture.width) // 2, upper + (cell - picture.height) // 2))
                _draw_caption(draw, layout, left, upper + cell + layout.gap // 2, one.caption)
            top += layout.band(len(band.cells))
    return sheet


def _scaled(picture: Image.Image | str, cell: int) -> Image.Image | str:
    if isinstance(picture, str):
        return picture
    scale = min(cell / max(picture.size), _LARGEST_SCALE)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.LANCZOS)


def _draw_head(draw: ImageDraw.ImageDraw, layout: _Layout, top: int, band: Band) -> None:
    """The line above a band: its title on a bar of its colour, and its detail."""
    left, right, base = layout.margin, layout.width - layout.margin, top + layout.head - layout.gap * 3 // 2
    draw.line((left, top + layout.gap // 2, right, top + layout.gap // 2), _RULE)
    bar = max(4, layout.cell // 40)
    draw.rounded_rectangle((left, base - layout.cell // 10, left + bar, base + bar), bar / 2, band.colour)
    left += 3 * bar
    left += round(_write(draw, (left, base), Words(band.title, BRIGHT, BOLD), layout.cell // 11, right - left, "ls")) + 4 * bar
    _write(draw, (left, base), Words(band.detail, FAINT), layout.cell // 15, right - left, "ls")


def _draw_caption(draw: ImageDraw.ImageDraw, layout: _Layout, left: int, top: int, caption: Sequence[Sequence[Words]]) -> None:
    for number, line in enumerate(caption):
        at = float(left)
        for words in line:
            at += _write(draw, (at, top + number * layout.text * 3 // 2), words, layout.text, left + layout.cell - at) + layout.text // 2


def _write(draw: ImageDraw.ImageDraw, place: tuple[float, float], words: Words, size: int, room: float, anchor: str | None = None) -> float:
    """Writes on one line, cut with an ellipsis where it is wider than `room` px; returns its width."""
    font = _font(words.font, size)
    line = "".join(letter if letter.isprintable() else " " for letter in words.text)
    if font.getlength(line) > room:
        while line and font.getlength(f"{line}…") > room:
            line = line[:-1]
        line = f"{line.rstrip()}…" if line else ""
    draw.text(place, line, words.colour, font, anchor)
    return font.getlength(line)


@lru_cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib: the same on every machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)
