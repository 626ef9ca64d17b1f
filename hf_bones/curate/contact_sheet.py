"""A contact sheet: one picture of a collection or dataset, a band for each label with a random few of its images and their captions.

Every image is opened by `imaging.open_image`, so that the sheet shows what training sees; one that cannot be opened has its reason in its
place. The same records, numbers and seed give the same picture. Not here: who chooses the records (the command's filters, the look-up app).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import ImageRecord

_NO_LABEL = "no label"
_GROUND, _CELL, _RULE = "#0d1117", "#010409", "#21262d"
_BRIGHT, _TEXT, _FAINT, _WARNING = "#f0f6fc", "#c9d1d9", "#8b949e", "#f0883e"
# Colours that the colour-blind can tell apart (Okabe and Ito, 2008), the known labels' first.
_COLOURS = ("#56b4e9", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#f0e442")
_SHORT_HASH = 12
_READERS = 4  # threads: Pillow decodes outside the interpreter lock


@dataclass(frozen=True)
class _Layout:
    """Sizes, px, all in proportion to the side of a cell."""

    cell: int
    columns: int

    @property
    def margin(self) -> int:
        return self.cell // 6

    @property
    def gap(self) -> int:
        return self.cell // 18

    @property
    def step(self) -> int:
        return self.cell + self.gap

    @property
    def text(self) -> int:
        """Height of a caption's letters."""
        return max(9, self.cell // 17)

    @property
    def caption(self) -> int:
        return 3 * self.text + self.gap // 2

    @property
    def head(self) -> int:
        """Height of the line above a band."""
        return self.cell // 3

    @property
    def width(self) -> int:
        return 2 * self.margin + self.columns * self.step - self.gap

    def rows(self, count: int) -> int:
        return -(-count // self.columns)

    def band(self, count: int) -> int:
        """Height of a band of `count` images."""
        return self.head + self.rows(count) * (self.cell + self.caption + self.gap) + self.gap


def contact_sheet(
    records: Iterable[ImageRecord],
    read: Callable[[ImageRecord], bytes],
    *,
    per_label: int = 12,
    columns: int = 6,
    cell: int = 220,
    seed: int = 0,
    title: str = "",
    subtitle: str = "",
) -> Image.Image:
    """The sheet as an RGB picture: for each label that counts (`ImageRecord.final_label`) its name, its number of images, and `per_label`
    of them chosen by `seed`, `columns` beside each other in squares of `cell` px. `read` gives an image's bytes (see `curate.Subject`).

    Labels come in the order of the three-class scheme, others after them by name. Raises ValueError without any record, and for numbers
    below 1 (a cell below 64).
    """
    if per_label < 1 or columns < 1 or cell < 64:
        raise ValueError(f"per label {per_label}, columns {columns} and cell {cell} px: needs at least 1, 1 and 64")
    by_label: dict[str, list[ImageRecord]] = {}
    for record in records:
        by_label.setdefault(record.final_label or _NO_LABEL, []).append(record)
    if not by_label:
        raise ValueError("no images to show: nothing is left by these filters")
    chosen = {label: _some(by_label[label], per_label, seed) for label in sorted(by_label, key=_place)}
    widest = max(len(some) for some in chosen.values())
    layout = _Layout(cell, min(columns, max(3, widest)))  # three columns at least, or the title has no room
    top = layout.margin + (layout.head if title or subtitle else 0)
    height = top + sum(layout.band(len(some)) for some in chosen.values()) + layout.margin // 2
    sheet = Image.new("RGB", (layout.width, height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_title(draw, layout, title, subtitle)
    with ThreadPoolExecutor(_READERS) as pool:
        for place, (label, some) in enumerate(chosen.items()):
            _draw_head(draw, layout, top, label, _colour(label, place), by_label[label], len(some))
            pictures = pool.map(lambda record: _picture(record, read, cell), some)
            for index, (record, picture) in enumerate(zip(some, pictures, strict=True)):
                row, column = divmod(index, layout.columns)
                left = layout.margin + column * layout.step
                upper = top + layout.head + row * (cell + layout.caption + layout.gap)
                _draw_cell(sheet, draw, layout, left, upper, record, picture)
            top += layout.band(len(some))
    return sheet


def _place(label: str) -> tuple[int, str]:
    names = THREE_CLASS.names
    return (len(names) + 1 if label == _NO_LABEL else names.index(label) if label in names else len(names), label)


def _colour(label: str, place: int) -> str:
    if label == _NO_LABEL:
        return _FAINT
    known = THREE_CLASS.names
    return _COLOURS[(known.index(label) if label in known else place) % len(_COLOURS)]


def _some(records: Sequence[ImageRecord], count: int, seed: int) -> list[ImageRecord]:
    """`count` of the records, by a hash of seed and image: which ones does not depend on their order, nor on the images beside them."""
    return sorted(records, key=lambda record: hashlib.sha256(f"{seed} {record.sha256}".encode()).digest())[:count]


def _picture(record: ImageRecord, read: Callable[[ImageRecord], bytes], cell: int) -> Image.Image | str:
    """The image, grey, its long side `cell` px (never enlarged more than twice); or why there is none."""
    try:
        pixels = open_image(read(record)).pixels
    except ImageRefusedError as error:
        return str(error.reason)
    except OSError:
        return "file is missing"
    picture = Image.fromarray(pixels)
    scale = min(cell / max(picture.size), 2.0)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _draw_title(draw: ImageDraw.ImageDraw, layout: _Layout, title: str, subtitle: str) -> None:
    room = layout.width - 2 * layout.margin
    font, small = _font("DejaVuSans-Bold", layout.cell // 8), _font("DejaVuSans", layout.cell // 15)
    draw.text((layout.margin, layout.margin * 2 // 3), _fitting(title, font, room), _BRIGHT, font)
    draw.text((layout.margin, layout.margin * 2 // 3 + layout.cell // 6), _fitting(subtitle, small, room), _FAINT, small)


def _draw_head(
    draw: ImageDraw.ImageDraw, layout: _Layout, top: int, label: str, colour: str, records: Sequence[ImageRecord], shown: int
) -> None:
    """The line above a band: the label's name on its colour's bar, how many there are, and from where."""
    left, right, base = layout.margin, layout.width - layout.margin, top + layout.head - layout.gap * 3 // 2
    font, small = _font("DejaVuSans-Bold", layout.cell // 11), _font("DejaVuSans", layout.cell // 15)
    draw.line((left, top + layout.gap // 2, right, top + layout.gap // 2), _RULE)
    bar = max(4, layout.cell // 40)
    draw.rounded_rectangle((left, base - layout.cell // 10, left + bar, base + bar), bar / 2, colour)
    left += 3 * bar
    draw.text((left, base), label, _BRIGHT, font, anchor="ls")
    left += round(font.getlength(label)) + 4 * bar
    many = f"{len(records):,} image{'s' * (len(records) != 1)}" + (f", {shown} shown" if shown < len(records) else "")
    sources = Counter(record.provider or "source unknown" for record in records).most_common()
    text = f"{many}   ·   " + ", ".join(f"{name} {count:,}" for name, count in sources)
    draw.text((left, base), _fitting(text, small, right - left), _FAINT, small, anchor="ls")


def _draw_cell(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    layout: _Layout,
    left: int,
    upper: int,
    record: ImageRecord,
    picture: Image.Image | str,
) -> None:
    cell, font, mono = layout.cell, _font("DejaVuSans", layout.text), _font("DejaVuSansMono", layout.text)
    draw.rectangle((left, upper, left + cell - 1, upper + cell - 1), _CELL)
    if isinstance(picture, str):
        centre = (left + cell / 2, upper + cell / 2)
        draw.text(centre, _fitting(picture.replace("_", " "), font, cell - layout.gap), _WARNING, font, anchor="mm")
    else:
        sheet.paste(picture, (left + (cell - picture.width) // 2, upper + (cell - picture.height) // 2))
    known = [record.provider, *(word.replace("_", " ") for word in (record.region, record.final_subtype) if word not in ("", "unknown"))]
    first = upper + cell + layout.gap // 2
    draw.text((left, first), _fitting(" · ".join(filter(None, known)) or "source unknown", font, cell), _TEXT, font)
    second = first + layout.text * 3 // 2
    digest = record.sha256[: min(_SHORT_HASH, int(cell / 2 / mono.getlength("0")))]  # half of the line is the split's
    draw.text((left, second), digest, _FAINT, mono)
    after = left + mono.getlength(digest) + layout.text // 2
    word, colour = ("dropped", _WARNING) if record.decision == "drop" else (record.split, _FAINT)
    draw.text((after, second), _fitting(word, font, left + cell - after), colour, font)


@lru_cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib: the same on every machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)


def _fitting(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text on one line, cut with an ellipsis where it is wider than `room` px."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(f"{line}…") > room:
        line = line[:-1]
    return f"{line.rstrip()}…" if line else ""


def matching(records: Iterable[ImageRecord], filters: Mapping[str, Sequence[str]]) -> list[ImageRecord]:
    """The records whose columns have one of the values asked for. A filter without values lets all through; case does not matter.

    Raises ValueError naming the values that are there where one that is asked for is not.
    """
    kept = list(records)
    for column, wanted in filters.items():
        if not wanted:
            continue
        there = Counter(str(getattr(record, column)) for record in kept)
        words = {word.casefold() for word in wanted}
        missing = words - {value.casefold() for value in there}
        if missing:
            shown = ", ".join(f"{value or '(none)'} ({count:,})" for value, count in there.most_common(12))
            raise ValueError(f"no image has {column} {', '.join(sorted(missing))!r}; there are: {shown or 'no images'}")
        kept = [record for record in kept if str(getattr(record, column)).casefold() in words]
    return kept
