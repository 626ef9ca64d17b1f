"""What pages, cards and reports are made with: `python -m pytest tests/pages/test_pages.py`."""

from __future__ import annotations

import base64
import csv
import io
import tomllib
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from hf_bones.dataset.reading.tables import read_table
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.palette import SERIES, class_colour
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.sheet import Band, Cell, Words, draw_sheet
from hf_bones.pages.tables import defused, markdown_table, stated, text_table, write_csv
from hf_bones.pages.templates import PACKAGE, render
from hf_bones.pages.text import plain

EVIL = "<script>|`x`*\n# head"


def test_every_value_of_a_page_is_escaped() -> None:
    page = render("curation/checks/checks.html.j2", title=EVIL, introduction=EVIL, sections=[], number=str, width=1, height=1)
    assert "<script>" not in page and page.count("&lt;script&gt;") == 3


def test_every_value_of_a_card_is_escaped_for_markdown() -> None:
    values = {"title": EVIL, "note": "n", "warning": "w", "unknown": "unknown", "groups": []}
    assert render("collect/upkeep/credits.md.j2", **values).startswith("# &lt;script&gt;\\|\\`x\\`\\* \\# head\n")


def test_a_template_without_one_of_its_values_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("pages/page.html.j2")


@pytest.mark.parametrize("text", ["- a", "+ a", "1. a", "1) a", "http://a.example", "www.a.example", "ada@a.example"])
def test_text_begins_no_list_and_becomes_no_link(text: str) -> None:
    assert "\\" in plain(text) and plain(text).replace("\\", "") == text


def test_numbers_and_dates_stay_as_they_are() -> None:
    assert all(plain(text) == text for text in ("0.82", "-0.1", "+0.100 (-0.020 to +0.300)", "2026-11-29", "CC-BY-4.0", "95 %"))


def test_tables_for_markdown_and_for_a_terminal() -> None:
    assert markdown_table(["a", "n"], [["x", "1"]], right_from=1) == "| a | n |\n|---|---:|\n| x | 1 |"
    assert text_table(["name", "n", ""], [["x", "10", "ok"], ["long name", "1", ""]], left=(0, 2)) == [
        "name        n",
        "x          10  ok",
        "long name   1",
    ]


def test_a_thumbnail_is_a_small_copy_and_a_page_can_hold_it() -> None:
    picture = Image.new("L", (300, 100), 255)
    assert thumbnail(picture, 30).size == (30, 10) and picture.size == (300, 100)
    kind, _, data = data_url(picture).partition(",")
    assert kind == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(data))).size == (300, 100)


def test_each_class_has_its_colour_and_others_take_theirs_by_place() -> None:
    assert len({class_colour(name) for name in THREE_CLASS.names}) == 3
    assert class_colour("mine", 7) == SERIES[1] and class_colour("healthy", 5) == class_colour("healthy")


def test_a_sheet_holds_every_picture_and_says_why_one_is_missing() -> None:
    def white() -> Image.Image:
        return Image.new("L", (50, 50), 255)

    cells = [Cell(white, [[Words("a line that is much too long for a cell of this size")]]), Cell(lambda: "file is missing", [])]
    sheet = np.asarray(draw_sheet([Band("healthy", class_colour("healthy"), "2 images", cells)], title="t", cell=80))
    assert (sheet == 255).all(axis=2).sum() == 80 * 80
    with pytest.raises(ValueError, match="cell 10"):
        draw_sheet([], cell=10)


def test_templates_scripts_and_style_sheets_are_in_the_package() -> None:
    """The wheel takes every file of the package that git does not ignore."""
    root = Path(__file__).parents[2]
    assert tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["hf_bones"]}
    ignored = (root / ".gitignore").read_text().splitlines()
    assert not any(line.strip("*/") in (".j2", ".js", ".css") for line in ignored)
    assert {path.suffix for path in PACKAGE.rglob("*") if path.is_file()} >= {".j2", ".js", ".css"}


@pytest.mark.parametrize(
    "cell", ["=1+1", "+49 30 1", "-film.png", "@SUM(A1)", "\t=1+1", "\r=1+1", "\uff1d1+1", "'=1+1", "''-x", "-", "'@", "+1;=2"]
)
def test_a_cell_that_begins_as_a_formula_is_shown_as_text_and_read_back_as_it_was(tmp_path: Path, cell: str) -> None:
    write_csv(tmp_path / "films.csv", ["file", "n"], [[cell, 1]])
    with (tmp_path / "films.csv").open(newline="", encoding="utf-8") as stream:
        (kept, _) = list(csv.reader(stream))[1]
    assert kept == f"'{cell}" and stated(kept) == cell
    if cell.strip() == cell:
        assert read_table(tmp_path / "films.csv")[1] == [{"file": cell, "n": "1"}]


@pytest.mark.parametrize("cell", ["-0.5", "+3", "-1e-05", "-.5", "-inf", -0.5, -7, None, "film.png", "it's", "'film'", "a=b", "", "1-2"])
def test_numbers_and_plain_words_stay_as_they_are(cell: object) -> None:
    assert defused(cell) is cell and (not isinstance(cell, str) or stated(cell) == cell)
