"""The worst errors with their pictures: a self-contained HTML page, and a contact sheet for Markdown."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hf_bones.evaluation.report.rows import NOT_STATED, ScoredRows
from hf_bones.pages.palette import class_colour
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.sheet import FAINT, Band, Cell, Words, draw_sheet
from hf_bones.pages.templates import render

_THUMBNAIL = 256
_SHEET = 24


def worst_rows(rows: ScoredRows, limit: int) -> list[int]:
    """Up to `limit` rows whose predicted class is wrong, the least probability for the true class first (ties by image id)."""
    given = rows.probabilities[np.arange(len(rows.labels)), rows.labels]
    wrong = np.flatnonzero(rows.predicted != rows.labels)
    return sorted((int(i) for i in wrong), key=lambda i: (given[i], rows.image_ids[i]))[:limit]


def write_page(rows: ScoredRows, chosen: list[int], path: Path, title: str) -> None:
    """One HTML file with embedded JPEG thumbnails (long side ≤ 256 px) and no script; every text from the data is escaped."""
    cards = [{"picture": data_url(_picture(rows, index)), "facts": _facts(rows, index)} for index in chosen]
    wrong = int((rows.predicted != rows.labels).sum())
    page = render("evaluation/report/worst_errors.html.j2", title=title, cards=cards, wrong=wrong, total=len(rows.labels))
    path.write_text(page, encoding="utf-8")


def write_sheet(rows: ScoredRows, chosen: list[int], path: Path) -> None:
    """A PNG with the first 24 of `chosen`, a band for each true class, each captioned with what was predicted."""
    shown = chosen[:_SHEET]
    bands = []
    for place, name in enumerate(rows.names):
        own = [index for index in shown if rows.labels[index] == place]
        cells = [Cell(partial(_picture, rows, index), _caption(rows, index)) for index in own]
        if cells:
            bands.append(Band(f"true: {name.replace('_', ' ')}", class_colour(name, place), f"{len(own)} shown", cells))
    title = f"The {len(shown)} errors that gave the true class least"
    draw_sheet(bands, title=title, subtitle="Not a medical device.", cell=_THUMBNAIL).save(path)


def _caption(rows: ScoredRows, index: int) -> list[list[Words]]:
    given = rows.probabilities[index, rows.labels[index]]
    image = rows.image_ids[index]
    return [
        [Words(f"predicted: {rows.names[rows.predicted[index]].replace('_', ' ')}")],
        [Words(f"P = {given:.2f}"), Words(image if len(image) <= 20 else f"…{image[-19:]}", FAINT)],
    ]


def _facts(rows: ScoredRows, index: int) -> dict[str, Any]:
    facts = {
        "image": rows.image_ids[index],
        "true": rows.names[rows.labels[index]],
        "predicted": rows.names[rows.predicted[index]],
        "probabilities": "\n".join(f"{rows.probabilities[index, k]:.3f} {name}" for k, name in enumerate(rows.names)),
        "source": rows.sources[index] or NOT_STATED,
        "region": rows.regions[index] or NOT_STATED,
    }
    return facts if rows.verdicts is None else {**facts, "verdict": rows.verdicts[index]}


def _picture(rows: ScoredRows, index: int) -> Image.Image:
    assert rows.image is not None, "the caller leaves page and sheet out where there are no pictures"
    return thumbnail(rows.image(index).convert("L"), _THUMBNAIL)
