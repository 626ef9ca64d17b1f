"""Contact sheet of the augmentation check: a band for each transform, films before it and after some draws, the breaks outlined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from hf_bones.evaluation.augmentation.choices import Criteria
from hf_bones.evaluation.augmentation.films import BrokenFilm, BrokenFilms
from hf_bones.evaluation.augmentation.measure import Floats, percent, share_as_labelled, squared
from hf_bones.evaluation.augmentation.transforms import Draws, Transform, film_draws, transforms_of
from hf_bones.pages.palette import BLUE, ORANGE
from hf_bones.pages.sheet import FAINT, Band, Cell, Words, draw_sheet

if TYPE_CHECKING:
    from hf_bones.evaluation.augmentation.results import AugmentCheck, FilmsFigures

_CELL = 168
_SHOWN = 3  # draws of each film: the first ones, and the one that takes most of the break out of view


def write_sheet(films: BrokenFilms, figures: FilmsFigures, check: AugmentCheck, path: Path) -> None:
    """A PNG: for each transform its verdict, and of each of `figures.shown` films the picture before and after `_SHOWN` draws."""
    size, settings, criteria = check.recipe.model.image_size, check.settings, check.criteria
    shown = [(films.film(index), film_draws(settings.seed, index, settings.draws)) for index in figures.shown]
    bands = []
    for transform, found in zip(transforms_of(check.recipe.augment), figures.transforms, strict=True):
        said = (transform.setting, f"in view {percent(found.in_view.value)}", f"angles up to {found.bend[99]:.1f}°", found.judged)
        cells = [one for film, draws in shown for one in _cells(film, transform, size, draws, criteria)]
        bands.append(Band(transform.name, BLUE if found.passes else ORANGE, "   ·   ".join(filter(None, said)), cells))
    legend = (
        f"Outlined: known breaks. Blue: at least {percent(criteria.inside)} of each is in the frame; orange: less. Worst: of all draws."
    )
    title = f"Augmentation of {check.recipe.name} on {figures.name}"
    draw_sheet(bands, title=title, subtitle=legend, columns=len(shown) * (_SHOWN + 1), cell=_CELL).save(path)


def _cells(film: BrokenFilm, transform: Transform, size: int, draws: Draws, criteria: Criteria) -> list[Cell]:
    """The film as it is, then after the first draws and after the one that takes most of its breaks out of view, each with a caption."""
    matrices = transform.matrices(film, size, draws)
    maps = matrices.numpy().astype(np.float64)
    frame = transform.frame(film, size)
    inside = share_as_labelled(film, transform, draws, matrices, frame)
    _, keeps_label = transform.tiles(film, draws, matrices)
    first = min(_SHOWN - 1, len(maps))
    loses = bool(inside.min() < inside.max())
    chosen = [*range(first), int(inside.argmin()) if loses else min(first, len(maps) - 1)]
    part = Draws(draws.policy[chosen], draws.other[chosen])
    after = transform.pictures(squared(film.pixels, size).expand(len(chosen), 1, size, size), film, part, matrices[chosen])
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = [_cell(_outlined(film.pixels, film, still, kept=True), f"{film.name}, {film.label}", "before")]
    for number, index in enumerate(chosen):
        pixels = (after[number, 0, : frame[0], : frame[1]] * 255).round().byte().numpy()
        share = percent(float(inside[index]))
        told = f"{share} in frame" if keeps_label[index] else f"healthy, {share} out of frame"
        caption = f"{'worst: ' if loses and number == len(chosen) - 1 else ''}{told}"
        found.append(_cell(_outlined(pixels, film, maps[index], kept=bool(inside[index] >= criteria.inside)), caption))
    return found


def _cell(picture: Image.Image, *caption: str) -> Cell:
    return Cell(lambda: picture, [[Words(line, FAINT)] for line in caption])


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
        draw.line([(float(x), float(y)) for x, y in [*moved, moved[0]]], BLUE if kept else ORANGE, 2)
    return picture
