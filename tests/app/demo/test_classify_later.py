"""What the Classify tab gives after its answer: heat map, full size, stability, picture, report.

Run: pytest tests/app/demo/test_classify_later.py
"""

from __future__ import annotations

import re
import time
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_demo import save_checkpoint
from tiny import grey, png

from hf_bones.app.demo.classify import VIEW_SIDE
from hf_bones.app.demo.models.shelf import ModelEntry, Shelf
from hf_bones.app.demo.result.about import figure_sentences
from hf_bones.app.demo.result.figures import ModelFigures, card_licence, model_figures
from hf_bones.app.demo.result.kept import GoneError, KeptFilm, KeptFilms
from hf_bones.app.demo.result.later import Later
from hf_bones.app.demo.result.pictures import heat_layer
from hf_bones.app.demo.result.stability import changed_films, stability
from hf_bones.app.demo.wording import load_words
from hf_bones.inference.checkpoint import BUNDLED, find_checkpoint
from hf_bones.inference.finding import Finding
from hf_bones.inference.heat import HeatScale, coloured
from hf_bones.record import write_json

WORDS = load_words()
MODEL = "my-model"


@pytest.fixture(scope="module")
def shelf(checkpoint: Path) -> Shelf:
    return Shelf([ModelEntry(checkpoint)])


@pytest.fixture(scope="module")
def kept() -> KeptFilms:
    return KeptFilms()


@pytest.fixture(scope="module")
def later(shelf: Shelf, kept: KeptFilms) -> Later:
    return Later(shelf, kept, WORDS)


def keep(shelf: Shelf, kept: KeptFilms, source: str | bytes, name: str = "wrist.png") -> str:
    return kept.keep(KeptFilm(source, shelf.get(MODEL).predict(source, name).finding, MODEL))


def picture_of(address: str) -> Image.Image:
    return Image.open(BytesIO(b64decode(address.partition(",")[2])))


def test_a_heat_map_comes_apart_from_the_film_with_its_scale(shelf: Shelf, kept: KeptFilms, later: Later) -> None:
    answer = later.answer("heat", {"token": keep(shelf, kept, png(grey()))})
    layer = np.asarray(picture_of(answer["layer"]))
    assert answer["ok"] and layer.shape == (90, 70, 4) and not layer[..., 3].any(), "little speaks for a class here"
    assert "No place of this film reaches 0.1" in answer["html"] and "does not locate a fracture" in answer["html"]


def test_a_place_that_reaches_the_scale_is_coloured_and_the_scale_is_shown(tmp_path: Path) -> None:
    shelf, kept = Shelf([ModelEntry(save_checkpoint(tmp_path / MODEL))]), KeptFilms()
    predictor = shelf.get(MODEL).predictor
    predictor.decision = replace(predictor.decision, heat=HeatScale("log_odds", 0.01, 0.05))
    answer = Later(shelf, kept, WORDS).answer("heat", {"token": keep(shelf, kept, png(grey()))})
    assert np.asarray(picture_of(answer["layer"]))[..., 3].any() and "No place" not in answer["html"]
    assert "<b>0.01</b><b>0.03</b><b>0.05 +</b>" in answer["html"] and "the likeliest other than Healthy" in answer["html"]
    shelf.close()


def test_the_layer_over_the_film_is_what_the_overlay_is() -> None:
    scale, heat = HeatScale("log_odds", 0.1, 1.0), np.linspace(0, 1.2, 64 * 48, dtype=np.float32).reshape(64, 48)
    film = np.asarray(grey(64, 48))
    colour = np.asarray(heat_layer(heat, scale)).astype(float)
    alpha = colour[..., 3:] / 255
    laid = film[..., None] * (1 - alpha) + colour[..., :3] * alpha
    assert np.abs(laid - coloured(film, scale.warmth(heat))).max() <= 2


def test_a_model_without_feature_maps_says_so_and_its_picture_has_no_colours(
    shelf: Shelf, kept: KeptFilms, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opaque(*_: Any) -> Any:
        raise ValueError("Opaque returns no hidden states; heat maps need them")

    token = keep(shelf, kept, png(grey()))
    monkeypatch.setattr(shelf.get(MODEL).predictor, "heat", opaque)
    answer = later.answer("heat", {"token": token})
    assert answer["layer"] == "" and "No heat map: Opaque returns no hidden states" in answer["html"]
    assert picture_of(later.answer("picture", {"token": token})["picture"]).size == (70, 90)


def test_the_full_size_comes_when_it_is_asked_for(shelf: Shelf, kept: KeptFilms, later: Later) -> None:
    size = (VIEW_SIDE + 200, 300)
    whole = picture_of(later.answer("pixels", {"token": keep(shelf, kept, png(grey(*size)))})["picture"])
    assert np.array_equal(np.asarray(whole), np.asarray(grey(*size)))


def test_the_report_stands_alone_and_names_each_view(shelf: Shelf, kept: KeptFilms, later: Later) -> None:
    evil = "<script>alert(1)</script>.png"
    tokens = [keep(shelf, kept, png(grey(seed=seed)), name) for seed, name in enumerate(("front.png", evil))]
    tokens.append(keep(shelf, kept, b"no film", "note.txt"))
    html = later.answer("report", {"tokens": tokens})["html"]
    assert html.startswith("<!doctype html>") and "What the model says of 3 views" in html and "not a medical device" in html
    assert "front.png" in html and "&lt;script&gt;" in html and "<script" not in html and "note.txt" in html
    assert html.count('src="data:image/jpeg') == 2 and "This is not an image" in html
    assert not re.findall(r"(?:src|href)=\"(?!data:)", html), "it needs nothing beside it"
    assert "All 3 views together" in html and "Left out of the answer: note.txt" in html


def test_an_answer_is_stable_where_no_change_turns_it_and_each_change_is_shown(shelf: Shelf, kept: KeptFilms, later: Later) -> None:
    html = later.answer("stability", {"token": keep(shelf, kept, png(grey()))})["html"]
    assert re.search(r'data-stable="(yes|no)"', html)
    assert all(change in html for change in ("as given", "mirrored", "less contrast", "more contrast"))
    same, other = Finding("film", "healthy", "model"), Finding("film", "refer", "model")
    pixels = np.asarray(grey())
    assert stability(same, pixels, lambda _: same).is_stable
    mirrored = changed_films(pixels)["mirrored"]
    turned = stability(same, pixels, lambda changed: other if np.array_equal(changed, mirrored) else same)
    assert not turned.is_stable and turned.findings["mirrored"] is other and np.array_equal(mirrored[:, ::-1], pixels)


def test_changes_of_contrast_keep_the_mean_and_change_the_spread() -> None:
    pixels = np.asarray(grey()).astype(np.uint8) // 2 + 64
    films = changed_films(pixels)
    assert films["softer"].std() < 0.8 * pixels.std() < pixels.std() < 1.2 * pixels.std() < films["harder"].std()
    assert all(abs(film.mean() - pixels.mean()) < 2 for film in films.values())


@pytest.mark.parametrize("name", ["heat", "pixels", "stability", "picture"])
def test_a_film_that_is_gone_or_a_guess_gets_a_sentence(name: str, shelf: Shelf, kept: KeptFilms, later: Later, tmp_path: Path) -> None:
    path = tmp_path / "wrist.png"
    grey().save(path)
    token = keep(shelf, kept, str(path))
    path.unlink()
    for asked in ({"token": token}, {"token": "guess"}, {"token": ["x"]}, {}, None, "token"):
        assert later.answer(name, asked) == {"error": WORDS("classify.gone")}
    assert later.answer("report", {"tokens": [token]}) == later.answer("report", {}) == {"error": WORDS("classify.gone")}


def test_films_are_kept_for_a_while_and_no_more_than_so_many() -> None:
    film = KeptFilm(b"", Finding("film", "healthy", "model"), MODEL)
    few = KeptFilms(most=2)
    first, second, third = (few.keep(film) for _ in range(3))
    assert len({first, second, third}) == 3 and few.get(third) is film and few.get(second) is film
    with pytest.raises(GoneError):
        few.get(first)
    short = KeptFilms(seconds=0.05)
    token = short.keep(film)
    deadline = time.monotonic() + 10
    while len(short) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(short) == 0, "it goes though nobody asks for it"
    with pytest.raises(GoneError):
        short.get(token)


def test_the_bundled_model_s_figures_are_those_of_its_files() -> None:
    folder = find_checkpoint(BUNDLED).folder
    figures = model_figures(folder)
    assert figures.is_test and figures.n and figures.balanced and figures.balanced[1] and figures.referred and figures.missed
    said = " ".join(figure_sentences(figures, WORDS))
    assert (
        f"{figures.n} films" in said
        and f"{100 * figures.balanced[0]:.0f} %" in said
        and f"{figures.missed[0]} of {figures.missed[1]}" in said
    )
    assert figures.licence == "apache-2.0" and figures.auroc
    assert f"{figures.auroc[0]:.2f}".replace(".", ",") in " ".join(figure_sentences(figures, load_words("de")))


def test_a_model_without_a_test_has_the_figures_of_its_validation_and_one_without_files_none(tmp_path: Path) -> None:
    assert model_figures(tmp_path) == ModelFigures() and figure_sentences(ModelFigures(), WORDS) == []
    write_json(tmp_path / "record.json", {"metrics": {"validation": {"n": 40, "balanced_accuracy": 0.5}}})
    figures = model_figures(tmp_path)
    assert (figures.n, figures.is_test, figures.balanced, figures.auroc) == (40, False, (0.5, None), None)
    assert "also chose it" in figure_sentences(figures, WORDS)[0]
    for text, licence in (("---\nlicense: mit\n---\n# Card", "mit"), ("# Card", ""), ("---\n: [\n---\n", ""), ("---\n- a\n---\n", "")):
        (tmp_path / "README.md").write_text(text)
        assert card_licence(tmp_path / "README.md") == licence
