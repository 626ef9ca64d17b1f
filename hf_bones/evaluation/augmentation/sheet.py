"""Contact sheet of the augmentation check: a line for each transform, films before it and after some draws, the breaks outlined."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hf_bones.config.recipe import Recipe
from hf_bones.evaluation.augmentation.choices import Criteria
from hf_bones.evaluation.augmentation.films import BrokenFilm, BrokenFilms
from hf_bones.evaluation.augmentation.measure import Floats, percent, share_inside, squared
from hf_bones.evaluation.augmentation.transforms import Draws, Transform, film_draws, transforms_of

if TYPE_CHECKING:
    from hf_bones.evaluation.augmentation.choices import Settings
    from hf_bones.evaluation.augmentation.results import FilmsFigures

_CELL, _GAP, _CAPTION, _MARGIN, _SIDE, _HEAD = 150, 6, 17, 16, 196, 74
_GROUND, _EMPTY = "#0d1117", "#010409"
_BRIGHT, _TEXT, _FAINT = "#f0f6fc", "#c9d1d9", "#8b949e"
_KEPT, _LOST = "#56b4e9", "#e8590c"
_SHOWN = 3  # draws of each film: the first ones, and the one that takes most of the break out of view


def write_sheet(films: BrokenFilms, figures: FilmsFigures, recipe: Recipe, settings: Settings, criteria: Criteria, path: Path) -> None:
    """A PNG: for each transform its verdict, and of each of `figures.shown` films the picture before and after `_SHOWN` draws."""
    size = recipe.model.image_size
    transforms = transforms_of(recipe.augment)
    shown = [(films.film(index), film_draws(settings.seed, index, settings.draws)) for index in figures.shown]
    columns = len(shown) * (_SHOWN + 1)
    line = _CELL + _CAPTION + _GAP
    width = 2 * _MARGIN + _SIDE + columns * (_CELL + _GAP) + (len(shown) - 1) * 3 * _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _HEAD + len(transforms) * line), _GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), f"Augmentation of {recipe.name} on {figures.name}", _BRIGHT, _font("DejaVuSans-Bold", 18))
    legend = (
        f"Outlined: known breaks. Blue: at least {percent(criteria.inside)} of each is in the frame; orange: less. Worst: of all draws."
    )
    draw.text((_MARGIN, _MARGIN + 27), legend, _FAINT, _font("DejaVuSans", 12))
    for place, (film, _) in enumerate(shown):
        draw.text((_left(place * (_SHOWN + 1)), _MARGIN + 52), f"{film.name}, {film.label}", _TEXT, _font("DejaVuSans", 12))
    for row, (transform, found) in enumerate(zip(transforms, figures.transforms, strict=True)):
        top = _MARGIN + _HEAD + row * line
        draw.text((_MARGIN, top + 4), transform.name, _BRIGHT, _font("DejaVuSans-Bold", 14))
        words = [transform.setting, f"in view {percent(found.in_view.value)}", f"angles up to {found.bend[99]:.1f}°"]
        for number, text in enumerate(words):
            draw.text((_MARGIN, top + 26 + 18 * number), text, _TEXT, _font("DejaVuSans", 11))
        draw.text((_MARGIN, top + 82), found.judged, _KEPT if found.passes else _LOST, _font("DejaVuSans-Bold", 12))
        for place, (film, draws) in enumerate(shown):
            for column, (picture, caption) in enumerate(_pictures(film, transform, size, draws, criteria)):
                left = _left(place * (_SHOWN + 1) + column)
                draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), _EMPTY)
                sheet.paste(picture, (left + (_CELL - picture.width) // 2, top + (_CELL - picture.height) // 2))
                draw.text((left, top + _CELL + 3), caption, _FAINT, _font("DejaVuSans", 11))
    sheet.save(path)


def _left(column: int) -> int:
    return _MARGIN + _SIDE + column * (_CELL + _GAP) + column // (_SHOWN + 1) * 3 * _GAP


def _pictures(film: BrokenFilm, transform: Transform, size: int, draws: Draws, criteria: Criteria) -> list[tuple[Image.Image, str]]:
    """The film as it is, then after the first draws and after the one that takes most of its breaks out of view, each with a caption."""
    matrices = transform.matrices(film, size, draws)
    maps = matrices.numpy().astype(np.float64)
    frame = transform.frame(film, size)
    inside = np.min([share_inside(points, maps, frame) for points in film.points], axis=0)
    first = min(_SHOWN - 1, len(maps))
    loses = bool(inside.min() < inside.max())
    chosen = [*range(first), int(inside.argmin()) if loses else min(first, len(maps) - 1)]
    part = Draws(draws.policy[chosen], draws.other[chosen])
    after = transform.pictures(squared(film.pixels, size).expand(len(chosen), 1, size, size), film, part, matrices[chosen])
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = [(_outlined(film.pixels, film, still, kept=True), "before")]
    for number, index in enumerate(chosen):
        pixels = (after[number, 0, : frame[0], : frame[1]] * 255).round().byte().numpy()
        caption = f"{'worst: ' if loses and number == len(chosen) - 1 else ''}{percent(float(inside[index]))} in frame"
        found.append((_outlined(pixels, film, maps[index], kept=bool(inside[index] >= criteria.inside)), caption))
    return found


def _outlined(pixels: np.ndarray, film: BrokenFilm, matrix: Floats, *, kept: bool) -> Image.Image:
    """A grey picture scaled to a cell, the film's boxes drawn where a map (2, 3) takes them."""
    scale = _CELL / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS).convert("RGB")
    draw = ImageDraw.Draw(picture)
    height, width = film.shape
    for cx, cy, w, h in film.boxes:
        corners = np.array([(cx + i * w / 2, cy + j * h / 2) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]) * (width, height) - 0.5
        moved = (corners @ matrix[:, :2].T + matrix[:, 2] + 0.5) * scale
        draw.line([(float(x), float(y)) for x, y in [*moved, moved[0]]], _KEPT if kept else _LOST, 2)
    return picture


@lru_cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib: the same on every machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)
