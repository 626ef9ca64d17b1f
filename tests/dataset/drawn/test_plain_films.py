"""Plain drawn films: breaks that anybody sees, and nothing but the break to tell the classes apart.

pytest tests/dataset/drawn/test_plain_films.py -q
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import numpy as np
import pytest

from hf_bones.config.stages import DataConfig
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.drawn.plain import PLAIN_SUBTYPES, SHAFTS
from hf_bones.dataset.drawn.radiograph import MODES, PLAIN, DrawnRadiograph, draw_radiograph, draw_set
from hf_bones.evaluation.report.baselines import forest_probabilities, image_statistics
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY, THREE_CLASS
from hf_bones.training.data.rows import training_rows

SIZE = 96
EIGHTH = 1 / 8


@pytest.fixture(scope="module")
def plain() -> list[DrawnRadiograph]:
    """300 small films with balanced labels, shared by the tests that need many."""
    return list(draw_set(300, seed=3, size=SIZE, mode=PLAIN))


def digest(film: DrawnRadiograph) -> str:
    return hashlib.sha256(film.pixels.tobytes() + repr((film.boxes, film.severity, film.region)).encode()).hexdigest()


def test_a_break_covers_an_eighth_of_the_side_or_more(plain: list[DrawnRadiograph]) -> None:
    for film in plain:
        sides = [side for _, _, *sides in film.boxes for side in sides]
        assert (film.label == HEALTHY) == (not sides)
        assert not sides or max(sides) >= EIGHTH, (film.seed, film.subtype)


def test_a_seed_draws_the_same_film_again_and_each_mode_another() -> None:
    drawn = {mode: [digest(film) for film in draw_set(6, seed=4, size=SIZE, mode=mode)] for mode in MODES}
    assert drawn == {mode: [digest(film) for film in draw_set(6, seed=4, size=SIZE, mode=mode)] for mode in MODES}
    assert not set(drawn["hard"]) & set(drawn[PLAIN])
    assert [digest(film) for film in draw_set(6, seed=4, size=SIZE)] == drawn["hard"], "hard is the default"


@pytest.mark.parametrize("label", [FRACTURED, BEYOND_REPAIR])
def test_a_broken_film_is_the_healthy_one_but_for_the_break(label: str) -> None:
    """Person, film, cast, metal and markers are those of the twin, and beyond the bone that is broken the pictures agree."""
    for seed in range(40, 52):
        whole, broken = (draw_radiograph(seed, name, size=SIZE, mode=PLAIN) for name in (HEALTHY, label))
        assert (whole.region, whole.view, whole.cast, whole.pixels.shape) == (broken.region, broken.view, broken.cast, broken.pixels.shape)
        changed = np.abs(whole.pixels.astype(int) - broken.pixels)
        assert changed[broken.mask].mean() > 10, "a break that nobody sees"
        corners = np.concatenate([changed[:6, :6], changed[:6, -6:], changed[-6:, :6], changed[-6:, -6:]])
        assert np.median(corners) <= 3


def test_casts_and_regions_do_not_go_with_the_label(plain: list[DrawnRadiograph]) -> None:
    assert {film.region for film in plain} == set(SHAFTS) and {film.view for film in plain} == {"frontal"}
    for ask in (lambda film: film.cast, lambda film: film.region in ("forearm", "leg")):
        shares = [np.mean([ask(film) for film in plain if film.label == label]) for label in THREE_CLASS.names]
        assert max(shares) - min(shares) < 0.16 and min(shares) > 0.04, shares


def test_size_brightness_and_borders_tell_half_the_films_at_most(plain: list[DrawnRadiograph]) -> None:
    table = np.array([image_statistics(film.pixels) for film in plain])
    labels = np.array([THREE_CLASS.label2id[film.label] for film in plain])
    said = forest_probabilities(table[:200], labels[:200], table[200:], 3).argmax(axis=1)
    score = np.mean([(said[labels[200:] == each] == each).mean() for each in range(3)])
    assert score <= 0.5, f"a forest reads the label off size, brightness and borders with balanced accuracy {score:.2f}; chance is 0.33"


def test_only_plain_breaks_are_drawn(plain: list[DrawnRadiograph]) -> None:
    wanted = {label: set(subtypes) for label, subtypes in PLAIN_SUBTYPES.items()}
    assert wanted == {label: {film.subtype for film in plain if film.label == label} for label in (FRACTURED, BEYOND_REPAIR)}
    for label, subtypes in wanted.items():
        assert {THREE_CLASS.resolve(subtype) for subtype in subtypes} == {label}
    assert draw_radiograph(1, subtype="shattered", region="femur", size=SIZE, mode=PLAIN).region == "femur"


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"mode": "easy"}, "mode 'easy'.*hard or plain"),
        ({"mode": PLAIN, "region": "hand"}, "'hand' cannot be drawn in plain mode.*forearm"),
        ({"mode": PLAIN, "subtype": "hairline"}, "'hairline' cannot be drawn in plain mode.*transverse"),
        ({"mode": PLAIN, "subtype": "dislocation"}, "'dislocation' cannot be drawn in plain mode"),
    ],
)
def test_a_wish_that_a_mode_cannot_draw_is_named(wish: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        draw_radiograph(1, size=SIZE, **wish)  # type: ignore[arg-type]


def test_a_dataset_of_each_mode_can_be_built(tmp_path) -> None:
    built = {
        mode: build_command(["drawn"], tmp_path / mode, BuildChoices(count=12, drawn_size=SIZE, drawn_mode=mode), progress=False)
        for mode in MODES
    }
    ids = {mode: {row["image_id"] for part in each.dataset.values() for row in part} for mode, each in built.items()}
    assert all(name.startswith("drawn-plain-") for name in ids[PLAIN]) and not ids[PLAIN] & ids["hard"]
    assert Counter(row["region"] in SHAFTS for part in built[PLAIN].dataset.values() for row in part) == {True: 12}
    with pytest.raises(ValueError, match="hard or plain"):
        build_command(["drawn"], tmp_path / "x", BuildChoices(count=3, drawn_mode="easy"), progress=False)


def test_a_recipe_draws_in_its_mode_and_the_rows_say_so() -> None:
    config = DataConfig(drawn_images=6, drawn_validation_images=6, drawn_size=SIZE, drawn_mode=PLAIN)
    train, _ = training_rows(config, THREE_CLASS, seed=0)
    hard, _ = training_rows(dataclasses.replace(config, drawn_mode="hard"), THREE_CLASS, seed=0)
    assert not set(train.hashes) & set(hard.hashes)
    label = THREE_CLASS.names[train.labels[1]]
    assert np.array_equal(train.sources[0].pixels(1), draw_radiograph(1_000_001, label, size=SIZE, mode=PLAIN).pixels)
