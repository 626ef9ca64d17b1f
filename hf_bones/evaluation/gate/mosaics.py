"""Several films in one picture: side by side, above one another, or a sheet of thumbnails. One film stays what it is; a sheet has none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from hf_bones.evaluation.gate.patterns import Picture

_SIDE = 640  # px, the long side of a sheet


def mosaic(rng: np.random.Generator, films: Sequence[Picture], rows: int, columns: int) -> Picture:
    """`rows` × `columns` of the films, each fitted into its cell or filling it, with or without gutters."""
    cell_height = rng.uniform(0.75, 1.35)
    scale = _SIDE / max(rows * cell_height, columns)
    height, width = max(8, round(cell_height * scale)), max(8, round(scale))
    gutter = int(rng.choice([0, 2, 4, round(width * 0.05)]))
    ground = int(rng.choice([0, 0, 255, 128]))
    sheet = Image.new("L", (columns * width + (columns + 1) * gutter, rows * height + (rows + 1) * gutter), ground)
    fills = rng.random() < 0.6
    for number, chosen in enumerate(rng.permutation(len(films))[np.arange(rows * columns) % len(films)]):
        film = Image.fromarray(films[chosen])
        if fills:
            share = max(width / film.width, height / film.height)
            film = film.resize((max(width, round(film.width * share)), max(height, round(film.height * share))), Image.Resampling.BOX)
            left, top = (film.width - width) // 2, (film.height - height) // 2
            film = film.crop((left, top, left + width, top + height))
        else:
            film.thumbnail((width, height), Image.Resampling.BOX)
        row, column = divmod(number, columns)
        at = (
            gutter + column * (width + gutter) + (width - film.width) // 2,
            gutter + row * (height + gutter) + (height - film.height) // 2,
        )
        sheet.paste(film, at)
    return np.asarray(sheet)
