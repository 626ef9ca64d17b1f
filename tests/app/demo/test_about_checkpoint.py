"""What a checkpoint says of itself: data, films seen, card, figures. Run: pytest tests/app/demo/test_about_checkpoint.py"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import grey, png

from hf_bones.app.demo.about.card import card_html
from hf_bones.app.demo.about.figures import read_measured
from hf_bones.app.demo.about.seen_before import seen_before
from hf_bones.app.demo.about.shipped import PLOTS, Shipped, shipped_with
from hf_bones.app.demo.about.trained_on import TrainedOn, read_trained_on
from hf_bones.curation.duplicates.film_code import film_codes
from hf_bones.curation.duplicates.seen_films import CHOSEN, LEARNT, SeenFilms, seen_films
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.inference.checkpoint import find_folder
from hf_bones.record import sha256_file

BUNDLED = Shipped(find_folder("bundled"))


def films(tmp_path: Path) -> tuple[list[Path], SeenFilms]:
    """Three drawn films and a list that has the first as learnt from, the second as validated on."""
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}.png")
        Image.fromarray(draw_radiograph(seed, "healthy", size=160).pixels).save(paths[-1])
    codes = [film_codes(np.asarray(Image.open(path))) for path in paths[:2]]
    return paths, seen_films([sha256_file(path) for path in paths[:2]], [False, True], codes)


def test_a_film_is_known_by_its_bytes_and_a_changed_copy_by_its_picture(tmp_path: Path) -> None:
    paths, seen = films(tmp_path)
    assert [(found.match, found.how) for found in (seen_before(seen, path) for path in paths)] == [
        ("file", LEARNT),
        ("file", CHOSEN),
        ("none", ""),
    ]
    copy = tmp_path / "copy.jpg"
    Image.open(paths[1]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((200, 200)).save(copy, quality=80)
    found = seen_before(seen, copy)
    assert (found.match, found.how, found.films) == ("picture", CHOSEN, 2)


def test_what_cannot_be_compared_is_not_called_unseen(tmp_path: Path) -> None:
    paths, seen = films(tmp_path)
    bad, flat = tmp_path / "bad.png", tmp_path / "flat.png"
    bad.write_bytes(b"no image")
    Image.new("L", (90, 90), 40).save(flat)
    hashes_alone = SeenFilms(seen.hashes, seen.validation, seen.codes[:0], seen.owner[:0])
    assert seen_before(seen, bad).match == "unreadable" and "image" in seen_before(seen, bad).problem
    assert seen_before(seen, flat).match == "plain"
    assert seen_before(hashes_alone, paths[0]).match == "file" and seen_before(hashes_alone, paths[2]).match == "no_pictures"
    assert seen_before(None, paths[0]).match == "no_list"


def test_a_listed_file_that_no_longer_opens_is_known_by_its_bytes(tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(png(grey())[:500])
    assert seen_before(seen_films([sha256_file(torn)], [False], [None]), torn).how == LEARNT


def test_the_data_of_the_bundled_model_are_told_as_its_record_has_them() -> None:
    found = read_trained_on(BUNDLED)
    record = json.loads((BUNDLED.folder / "record.json").read_text(encoding="utf-8"))["data"]
    assert found is not None and found.counts == record["counts"] and found.sources == record["sources"] and found.credits
    assert found.films("train") == sum(record["counts"]["train"].values()) and found.labels == ["healthy", "fractured", "beyond_repair"]


@pytest.mark.parametrize(
    "data", [None, [], {"counts": [1], "sources": {"a": "x", "b": -1}, "licences": 3, "attribution": 5, "drawn": "many"}]
)
def test_a_record_of_another_layout_says_little_and_breaks_nothing(tmp_path: Path, data: object) -> None:
    (tmp_path / "record.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    found = read_trained_on(Shipped(tmp_path))
    assert found in (None, TrainedOn(credits=("5",)))


def test_the_figures_of_the_bundled_model_come_with_their_intervals() -> None:
    found = read_measured(BUNDLED)
    whole = json.loads((BUNDLED.folder / "metrics.json").read_text(encoding="utf-8"))["slices"][0]
    assert found is not None and found.n == whole["n"]
    figures = dict(found.figures)
    for key in ("auroc_abnormal", "sensitivity_fractured", "ece"):
        expected = whole["figures"][key]
        assert figures[key].value == f"{expected['value']:.2f}"
        assert figures[key].interval == "{:.2f}–{:.2f}".format(*expected["interval"])
    assert sum(map(sum, found.confusion)) == found.n
    assert [name for name, _ in found.decisions] == ["all classes", *found.classes]
    assert {model for model, _ in found.baselines} == {"statistics-only forest", "majority class"}


@pytest.mark.parametrize("data", [{}, {"classes": ["a"], "slices": []}, {"classes": ["a"], "slices": [{"figures": 1}]}, {"classes": 3}])
def test_figures_of_another_layout_are_refused_by_name(tmp_path: Path, data: object) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=r"metrics\.json: it is not what"):
        read_measured(Shipped(tmp_path))
    assert read_measured(Shipped(tmp_path / "elsewhere")) is None


def test_a_card_shows_its_text_tables_and_own_pictures() -> None:
    text = BUNDLED.text("README.md")
    assert text is not None
    html = card_html(text, BUNDLED)
    assert "pipeline_tag" not in html and "<h3>hf_bones: the bundled model" in html and "<table>" in html
    assert html.count("data:image/png;base64,") == text.count(".png)")


def test_nothing_in_a_strangers_card_becomes_markup_or_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5 * 2**20))
    text = """---
license: mit
---
# <script>alert(1)</script>
<img src=x onerror=alert(1)> ![spy](https://spy.example/a.png) ![up](../secret.png) ![x](fake.png) ![y](big.png)
[bad](javascript:alert(1)) [file](/etc/passwd) [data](data:text/html,x) [good](https://a.example/b "t") <javascript:alert(1)>

```html"><script>
<script>alert(1)</script>
```
"""
    html = card_html(text, Shipped(tmp_path))
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html
    assert html.count("<a ") == 1
    assert '<a href="https://a.example/b" title="t" rel="noopener noreferrer nofollow" target="_blank">good</a>' in html
    assert "<em>spy</em>" in html and "license" not in html


def test_text_that_is_too_large_for_a_card_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"x" * (2**20 + 1))
    assert Shipped(tmp_path).text("README.md") is None


def test_a_folder_ships_what_lies_in_it() -> None:
    found = shipped_with("bundled", None)
    assert found.folder == BUNDLED.folder and found.reached
    assert [file for file in PLOTS if found.picture(file)] == [file for file in PLOTS if (found.folder / file).is_file()]
