"""Writing burnt into films is told from markers, rulers and bone: `python -m pytest tests/curation/checks/test_burnt_in_text.py`."""

from __future__ import annotations

import csv
import json
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from small_films import build

from hf_bones.curation.checks.text import text_letters
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.dataset.reading.sources import SourceRow

MOST = load_curate_recipe().checks.max_text


@lru_cache
def film(seed: int) -> np.ndarray:
    return draw_radiograph(seed, size=256).pixels


def written(words: str, *, font: str = "DejaVuSans", size: int = 14, at: tuple[int, int] = (12, 10), black: bool = False) -> np.ndarray:
    """A film with words on it: white, or black on a white edge as film scanners leave one."""
    picture = Image.fromarray(film(6))
    pen = ImageDraw.Draw(picture)
    if black:
        pen.rectangle((0, 0, picture.width, at[1] + 2 * size), fill=225)
    pen.text(
        at, words, fill=0 if black else 255, font=ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf"), size)
    )
    return np.asarray(picture)


@pytest.mark.parametrize("black", [False, True])
@pytest.mark.parametrize("words", ["MUELLER, ANNA", "Schmidt Peter", "01.02.1963", "1963-02-01", "4711004", "ID 52347"])
def test_names_dates_and_numbers_are_found(words: str, black: bool) -> None:
    for font, size in (("DejaVuSans", 13), ("DejaVuSerif", 18), ("DejaVuSansMono-Bold", 22)):
        assert text_letters(written(words, font=font, size=size, black=black)) > MOST, (font, size)


def test_upright_writing_and_writing_on_a_large_film_are_found() -> None:
    assert text_letters(np.rot90(written("MUELLER, ANNA", size=20))) > MOST
    large = np.asarray(Image.fromarray(written("MUELLER, ANNA", size=22)).resize((1500, 1500), Image.Resampling.LANCZOS))
    assert text_letters(large) > MOST


@pytest.mark.parametrize("words", ["L", "R", "R PA", "L 12", "AP  L"])
def test_side_markers_are_no_text(words: str) -> None:
    assert text_letters(written(words, font="DejaVuSans-Bold", size=26)) <= MOST


def test_rulers_and_rows_of_screws_are_no_text() -> None:
    for mark in ("line", "ellipse", "rectangle"):
        picture = Image.fromarray(film(2))
        pen = ImageDraw.Draw(picture)
        for step in range(20):
            width = 0 if mark == "line" else 9
            getattr(pen, mark)((20 + 14 * step, 200, 20 + 14 * step + width, 212), fill=255)
        assert text_letters(np.asarray(picture)) <= MOST, mark


def test_bare_films_carry_no_text() -> None:
    assert [seed for seed in range(6) if text_letters(film(seed)) > MOST] == []


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (400, 5), (96, 96)])
def test_any_picture_has_an_answer(shape: tuple[int, int]) -> None:
    assert text_letters(np.zeros(shape, np.uint8)) == 0
    assert text_letters(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)) <= MOST


def test_a_build_names_the_films_with_text_and_keeps_them(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        path = tmp_path / f"film-{number}.png"
        Image.fromarray(written("MUELLER, ANNA") if number == 4 else np.roll(film(2), number, axis=1)).save(path)
        rows.append(
            SourceRow(label=("healthy", "fractured", "beyond_repair")[number % 3], file=path, group=f"g{number}", image_id=path.name)
        )
    built = build(rows, tmp_path / "out")
    assert sum(map(len, built.dataset.values())) == 6
    (note,) = [note for note in built.notes if note.startswith("burnt-in text")]
    assert "1 image (film-4.png); burnt_in_text.csv lists them" in note
    with (tmp_path / "out" / "burnt_in_text.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["file"] == "film-4.png" and int(row["letters"]) > MOST
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["burnt_in_text"] == 1
    assert "Burnt-in text" in (tmp_path / "out" / "README.md").read_text()
