"""Two models on one film, without a browser. Run: pytest tests/app/demo/test_compare_tab.py"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_demo import save_checkpoint
from tiny import grey, png, telling_checkpoint

from hf_bones.app.demo.models.shelf import ModelEntry, Shelf
from hf_bones.app.demo.tabs.compare import compared_html
from hf_bones.app.demo.wording import load_words
from hf_bones.pages.text import percent

WORDS = load_words("en")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("models")
    save_checkpoint(folder / "one")
    telling_checkpoint(folder / "two", seed=7)
    (folder / "broken").mkdir()
    shelf = Shelf([ModelEntry(folder / name) for name in ("one", "two", "broken")])
    yield shelf
    shelf.close()


def test_each_model_answers_for_itself(shelf: Shelf) -> None:
    html = compared_html(shelf, ("one", "two"), png(grey(seed=2)), "wrist.png", WORDS)
    findings = [shelf.get(name).predictor.predict(png(grey(seed=2)))[0] for name in ("one", "two")]
    sides = html.split("<article>")[1:]
    assert len(sides) == 2 and "wrist.png, as the models see it" in html
    for name, side, finding in zip(("one", "two"), sides, findings, strict=True):
        assert f"<h3>{name}</h3>" in side and f'data-class="{finding.verdict}"' in side and f"Heat map of {name}" in side
        told = re.findall(r"<b>([^<]+)</b>", side)
        assert told == [percent(value).replace("<", "&lt;").replace(">", "&gt;") for value in finding.probabilities.values()]
    assert (WORDS("compare.same") in html) == (findings[0].verdict == findings[1].verdict)
    assert (WORDS("compare.differ") in html) == (findings[0].verdict != findings[1].verdict)


def test_a_model_that_cannot_be_loaded_says_so_beside_the_other(shelf: Shelf, tmp_path: Path) -> None:
    html = compared_html(shelf, ("one", "broken"), png(grey()), "wrist.png", WORDS)
    assert "Heat map of one" in html and "broken cannot be used" in html and "config.json" in html
    assert str(tmp_path.parent) not in html and "compare-agree" not in html


def test_an_unreadable_film_is_one_for_both(shelf: Shelf) -> None:
    html = compared_html(shelf, ("one", "two"), b"no image", "<b>.png", WORDS)
    assert html.count("This is not an image.") == 2 and "<b>.png" not in html and "<img" not in html


def test_a_model_that_is_not_offered_is_refused(shelf: Shelf) -> None:
    html = compared_html(shelf, ("one", "/etc"), png(grey()), "wrist.png", WORDS)
    assert "no model" in html and "Heat map of one" in html
