"""What the Data tab says, without a browser. Run: pytest tests/app/demo/test_data_tab.py"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny import grey, png

from hf_bones.app.demo.examples import draw_examples
from hf_bones.app.demo.tabs.data import facts_html, seen_html, sheet_html
from hf_bones.app.demo.wording import languages, load_words
from hf_bones.curation.duplicates.seen_films import SEEN_FILE, seen_films, write_seen_films
from hf_bones.images.opening import open_image
from hf_bones.record import sha256_file

WORDS = load_words("en")


def loaded(checkpoint: str | Path) -> Any:
    """What the tab asks of a loaded model: its name, its checkpoint, how it opens files."""
    predictor = SimpleNamespace(checkpoint=str(checkpoint), revision=None)
    return SimpleNamespace(predictor=predictor, name="my-model", open=open_image)


@pytest.mark.parametrize("language", languages())
def test_the_bundled_model_says_what_it_learnt_from(language: str) -> None:
    html = facts_html(loaded("bundled"), load_words(language))
    for told in ("1,734", "2,584", "fracatlas", "2,066", "CC-BY-4.0", "FracAtlas: I. Abedeen", "480"):
        assert told in html, told


def test_a_model_without_a_record_says_that_nobody_knows(checkpoint: Path) -> None:
    assert "my-model came without a record" in facts_html(loaded(checkpoint), WORDS)


def test_a_damaged_record_is_named_without_its_folder(checkpoint: Path) -> None:
    record = checkpoint / "record.json"
    record.write_text("{", encoding="utf-8")
    html = facts_html(loaded(checkpoint), WORDS)
    record.unlink()
    assert "cannot be read" in html and "record.json" in html and str(checkpoint.parent) not in html


def test_what_a_stranger_wrote_into_a_record_is_text(checkpoint: Path) -> None:
    record = checkpoint / "record.json"
    evil = "<script>alert(1)</script>"
    data = {"counts": {evil: {evil: 1}}, "sources": {evil: 1}, "licences": {evil: 1}, "attribution": [evil], "label_noise": evil}
    record.write_text(json.dumps({"data": {**data, "synthetic_only": True}, "base_model": evil}), encoding="utf-8")
    html = facts_html(loaded(checkpoint), WORDS)
    record.unlink()
    assert "<script" not in html and html.count("&lt;") >= 6 and "drawn films only" in html


def test_whether_a_film_was_seen_is_told_with_what_that_means(checkpoint: Path, tmp_path: Path) -> None:
    film, other = tmp_path / "film.png", tmp_path / "other.png"
    film.write_bytes(png(grey()))
    other.write_bytes(png(grey(seed=9)))
    assert "ships no list" in seen_html(loaded(checkpoint), film, "film.png", WORDS)
    write_seen_films(seen_films([sha256_file(film)], [False], [np.zeros((1, 4), np.uint64)]), checkpoint / SEEN_FILE)
    html = seen_html(loaded(checkpoint), film, "<film>.png", WORDS)
    assert 'data-match="file"' in html and "learnt from it" in html and "On the list: 1 films" in html and "<film>" not in html
    assert 'data-match="none"' in seen_html(loaded(checkpoint), other, "other.png", WORDS)
    (checkpoint / SEEN_FILE).write_bytes(b"PK damaged")
    html = seen_html(loaded(checkpoint), film, "film.png", WORDS)
    (checkpoint / SEEN_FILE).unlink()
    assert "The list cannot be read" in html and str(checkpoint.parent) not in html


def test_the_sheet_has_two_drawn_films_of_each_label() -> None:
    html = sheet_html(draw_examples(), WORDS)
    assert html.count("data:image/jpeg") == 6
    for label in ("Healthy", "Fractured", "Beyond repair"):
        assert html.count(f"{label}, drawn") == 2
