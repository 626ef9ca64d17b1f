"""The worst errors with their pictures. Run: pytest tests/evaluation/report/test_worst_errors.py"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image
from scored_rows import ABOUT, NAMES, QUICK, scored

from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.worst import show_errors, worst_rows

NASTY = "<script>alert(1)</script>|`x`"


class Links(HTMLParser):
    """Tags of a page and where its pictures come from."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for key, value in attrs if key in {"src", "href"}]


def test_worst_errors_come_first_and_text_from_the_data_stays_text(tmp_path: Path) -> None:
    rows = scored(sources=[NASTY] * 96 + ["web"] * 24, image_ids=[f"{index}{NASTY}" for index in range(120)])
    done = evaluate_probabilities(rows, tmp_path, ABOUT, resampling=QUICK, worst=5)
    assert done.errors is not None
    page = done.errors.read_text()
    links = Links()
    links.feed(page)
    assert "script" not in links.tags
    assert links.tags.count("img") == 5, "a film each; these rows have no heat map"
    assert all(source.startswith("data:image/jpeg;base64,") for source in links.sources), "the page must be self-contained"
    given = rows.probabilities[np.arange(120), rows.labels]
    wrong = rows.predicted != rows.labels
    shown = [int(text) for text in re.findall(r"<dt>image</dt><dd>(\d+)", page)]
    assert shown == sorted(np.flatnonzero(wrong).tolist(), key=lambda index: given[index])[:5]
    assert "<script" not in done.report.read_text()


def test_a_worst_error_has_its_film_with_boxes_its_heat_map_and_its_subtype(tmp_path: Path) -> None:
    asked: list[tuple[int, str]] = []

    def heat_maps(rows: Sequence[int], classes: Sequence[str]) -> list[np.ndarray]:
        asked.extend(zip(rows, classes, strict=True))
        return [np.linspace(0, 1, 30 * (40 + row)).reshape(30, 40 + row) for row in rows]

    boxes = [((0.5, 0.5, 0.4, 0.4),) if row % 2 else () for row in range(120)]
    rows = scored(boxes=boxes, subtypes=[NASTY] * 120, heat_maps=heat_maps, image=lambda index: Image.new("L", (40 + index, 30), 90))
    chosen = worst_rows(rows, 9)
    errors = show_errors(rows, chosen)
    assert [row for row, _ in asked] == chosen, "heat maps are made of the films that are shown, and of no other"
    for error, (row, name) in zip(errors, asked, strict=True):
        assert name == error.explained == max(NAMES[1:], key=lambda each: rows.probabilities[row, NAMES.index(each)])
        coloured = np.ptp(np.asarray(error.film).astype(int), axis=2).max(axis=1) > 0
        assert coloured.any() == bool(boxes[row])
        assert isinstance(error.heat, Image.Image) and error.heat.size == error.film.size
        assert np.ptp(np.asarray(error.heat).astype(int), axis=2).max() > 60, "warm where the map is"

    done = evaluate_probabilities(rows, tmp_path, ABOUT, resampling=QUICK, worst=9)
    assert done.errors is not None
    page = done.errors.read_text()
    assert page.count("<img") == 18 and page.count("Heat map for") == 9
    assert page.count("<dt>subtype</dt><dd>&lt;script&gt;") == 9 and "<script" not in page
    assert "linear-gradient" in page and "<b>1 +</b>" in page and "log odds that the place adds" in page
    assert "blue frame" in page and "<dt>boxes</dt><dd>1</dd>" in page and "<dd>none in the dataset</dd>" in page


def test_a_model_without_heat_maps_says_so(tmp_path: Path) -> None:
    def none(rows: Sequence[int], classes: Sequence[str]) -> list[np.ndarray]:
        raise ValueError("TinyModel returns no hidden states; heat maps need them")

    done = evaluate_probabilities(scored(heat_maps=none), tmp_path, ABOUT, resampling=QUICK, worst=3)
    assert done.errors is not None
    page = done.errors.read_text()
    assert page.count("no heat map: TinyModel returns no hidden states; heat maps need them") == 6, "in place of the picture and below it"
    assert "The dataset has no fracture box for these films" in page
    quiet = show_errors(scored(heat_maps=lambda rows, classes: [np.zeros((30, 40))] * len(rows)), [0])
    assert quiet[0].heat == "nothing reaches the scale"


def test_a_page_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    for name in ("worst_errors.html", "worst_errors.png"):
        (tmp_path / name).write_text("of an earlier run")
    rows = scored()
    evaluate_probabilities(scored(probabilities=np.eye(3)[rows.labels]), tmp_path, ABOUT, resampling=QUICK)
    assert "No wrong prediction" in (tmp_path / "worst_errors.html").read_text()
    assert not (tmp_path / "worst_errors.png").exists()
    evaluate_probabilities(scored(image=None), tmp_path, ABOUT, resampling=QUICK)
    assert not (tmp_path / "worst_errors.html").exists()
