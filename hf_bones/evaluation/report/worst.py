"""The worst errors, each with its film, the fracture boxes known for it and its heat map: a page that stands alone, and a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hf_bones.evaluation.report.rows import NOT_STATED, Box, ScoredRows
from hf_bones.inference.heat import MEANING, HeatScale, legend, overlay
from hf_bones.pages.palette import BLUE, class_colour
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.sheet import FAINT, Band, Cell, Words, draw_sheet
from hf_bones.pages.templates import render

_SIDE = 320  # px of a picture on the page
_CELL = 256
_SHEET = 12  # errors on the contact sheet, two pictures each
_AT_A_TIME = 4  # films held in full while their heat maps are made
SILENT = "nothing reaches the scale"


@dataclass(frozen=True, eq=False)
class ShownError:
    """A wrong prediction. film: grey, with its boxes drawn, mode RGB, at most `_SIDE` px long; heat: the map over it, or why there is none.

    explained: the class that the heat map is for.
    """

    row: int
    film: Image.Image
    heat: Image.Image | str
    explained: str


def worst_rows(rows: ScoredRows, limit: int) -> list[int]:
    """Up to `limit` rows whose predicted class is wrong, the least probability for the true class first (ties by image id)."""
    given = rows.probabilities[np.arange(len(rows.labels)), rows.labels]
    wrong = np.flatnonzero(rows.predicted != rows.labels)
    return sorted((int(i) for i in wrong), key=lambda i: (given[i], rows.image_ids[i]))[:limit]


def show_errors(rows: ScoredRows, chosen: Sequence[int]) -> list[ShownError]:
    """The rows `chosen` with their pictures. A heat map is of the likeliest class but the normal one, as in the demo: of a film that was
    called healthy it shows where a break was most nearly seen.
    """
    abnormal = rows.probabilities.copy()
    abnormal[:, rows.normal_id] = -1
    explained = [rows.names[abnormal[row].argmax()] for row in chosen]
    return [
        ShownError(row, framed(film, () if rows.boxes is None else rows.boxes[row]), heat, name)
        for row, name, (film, heat) in zip(chosen, explained, _pictures(rows, chosen, explained), strict=True)
    ]


def framed(film: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """A copy of a grey film as RGB with a frame around each box (cx, cy, w, h), which are shares of its width and height."""
    picture = film.convert("RGB")
    draw = ImageDraw.Draw(picture)
    for x, y, width, height in boxes:
        left, right = (x - width / 2) * film.width, (x + width / 2) * film.width
        upper, lower = (y - height / 2) * film.height, (y + height / 2) * film.height
        draw.rectangle((left - 2, upper - 2, right + 2, lower + 2), outline=BLUE, width=2)  # outside: it hides nothing of a small break
    return picture


def _pictures(rows: ScoredRows, chosen: Sequence[int], explained: Sequence[str]) -> Iterator[tuple[Image.Image, Image.Image | str]]:
    """Film, grey and small, and heat map of each row."""
    assert rows.image is not None, "the caller leaves page and sheet out where there are no pictures"
    for start in range(0, len(chosen), _AT_A_TIME):
        part = chosen[start : start + _AT_A_TIME]
        films = [thumbnail(rows.image(row).convert("L"), _SIDE) for row in part]
        yield from zip(films, _heat(rows, part, explained[start : start + _AT_A_TIME], films), strict=True)


def _heat(rows: ScoredRows, part: Sequence[int], explained: Sequence[str], films: Sequence[Image.Image]) -> list[Image.Image | str]:
    if rows.heat_maps is None:
        return ["no heat map: only the probabilities are known"] * len(part)
    try:
        maps = rows.heat_maps(part, explained)
    except ValueError as error:  # a network whose answer does not pass through feature maps
        return [f"no heat map: {error}"] * len(part)
    scale = rows.heat_scale
    return [SILENT if scale.is_silent(heat) else _overlaid(film, heat, scale) for film, heat in zip(films, maps, strict=True)]


def _overlaid(film: Image.Image, heat: np.ndarray, scale: HeatScale) -> Image.Image:
    small = Image.fromarray(heat.astype(np.float32)).resize(film.size, Image.Resampling.BILINEAR)
    return Image.fromarray(overlay(np.asarray(film), np.asarray(small), scale))


def write_page(rows: ScoredRows, errors: Sequence[ShownError], path: Path, title: str) -> None:
    """One HTML file with embedded JPEG pictures (long side ≤ 320 px) and no script; every text from the data is escaped."""
    cards = [
        {
            "film": data_url(error.film),
            "heat": data_url(error.heat) if isinstance(error.heat, Image.Image) else "",
            "no_heat": error.heat if isinstance(error.heat, str) else "",
            "explained": error.explained,
            "facts": _facts(rows, error.row),
        }
        for error in errors
    ]
    wrong, boxed = int((rows.predicted != rows.labels).sum()), rows.boxes is not None and any(rows.boxes[error.row] for error in errors)
    shown = {
        "cards": cards,
        "wrong": wrong,
        "total": len(rows.labels),
        "boxed": boxed,
        "normal": rows.normal,
        "scale": legend(rows.heat_scale),
    }
    path.write_text(render("evaluation/report/worst_errors.html.j2", title=title, **shown), encoding="utf-8")


def write_sheet(rows: ScoredRows, errors: Sequence[ShownError], path: Path) -> None:
    """A PNG with the first 12 of `errors`, film and heat map beside each other, a band for each true class."""
    shown, bands = errors[:_SHEET], []
    for place, name in enumerate(rows.names):
        own = [error for error in shown if rows.labels[error.row] == place]
        cells = [cell for error in own for cell in _cells(rows, error)]
        if cells:
            bands.append(Band(f"label: {name.replace('_', ' ')}", class_colour(name, place), f"{len(own)} shown", cells))
    title = f"The {f'{len(shown)} errors' if len(shown) > 1 else 'error'} that gave the true class least"
    scale = rows.heat_scale
    span = f"{scale.number(scale.shown_from)} to {scale.number(scale.full)}"
    subtitle = f"Blue frames: fracture boxes of the dataset. Red to yellow: {MEANING[scale.unit]}, {span}. Not a medical device."
    draw_sheet(bands, title=title, subtitle=subtitle, cell=_CELL).save(path)


def _cells(rows: ScoredRows, error: ShownError) -> tuple[Cell, Cell]:
    given = rows.probabilities[error.row]
    image, predicted = rows.image_ids[error.row], int(rows.predicted[error.row])
    subtype = rows.subtypes[error.row] if rows.subtypes is not None else ""
    film = [
        [Words(f"predicted: {rows.names[predicted].replace('_', ' ')} ({given[predicted]:.2f})")],
        [Words(image if len(image) <= 25 else f"…{image[-24:]}", FAINT)],
    ]
    heat = [
        [Words(f"heat map: {error.explained.replace('_', ' ')}")],
        [Words(f"label: {given[rows.labels[error.row]]:.2f}"), Words(subtype, FAINT)],
    ]
    short = "no heat map" if isinstance(error.heat, str) and error.heat != SILENT else error.heat
    return Cell(lambda: error.film, film), Cell(lambda: short, heat)


def _facts(rows: ScoredRows, row: int) -> dict[str, Any]:
    names, subtype = rows.names, rows.subtypes[row] if rows.subtypes is not None else ""
    facts = {"image": rows.image_ids[row], "label": names[rows.labels[row]], "subtype": subtype or NOT_STATED}
    facts["predicted"] = names[rows.predicted[row]]
    if rows.verdicts is not None:
        facts["verdict"] = rows.verdicts[row]
    return facts | {
        "probabilities": "\n".join(f"{rows.probabilities[row, k]:.3f} {name}" for k, name in enumerate(names)),
        "boxes": str(len(rows.boxes[row])) if rows.boxes is not None and rows.boxes[row] else "none in the dataset",
        "source": rows.sources[row] or NOT_STATED,
        "region": rows.regions[row] or NOT_STATED,
    }
