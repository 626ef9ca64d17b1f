"""Whether a break survives augmentation, by figures and as a whole. Run: pytest tests/evaluation/augmentation/test_augment_check.py"""

import json

import numpy as np
import pytest
from broken_films import ALL_ON, SIZE, film_with, transform_of
from PIL import Image
from tiny import bone_row, bone_rows
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.cli.measure import parse_changes
from hf_bones.config.recipe import AugmentConfig, Recipe, RecipeError, load_recipe, override, recipe_names
from hf_bones.evaluation.augmentation.check import AugmentCheckSettings, check_augmentation
from hf_bones.evaluation.augmentation.films import DrawnFilms, StoredFilms, fitted_mask, mask_points
from hf_bones.evaluation.augmentation.measure import Criteria, FilmFigures, measure_film, percent, percentiles, share, summarise, wilson
from hf_bones.evaluation.augmentation.transforms import POLICY, film_draws, transforms_of
from hf_bones.training.data.augment import AUGMENTATIONS

QUICK = AugmentCheckSettings(drawn=4, draws=20, looks=2, sheet_films=1, repeats=50)


def boxed_dataset(folder, places, size=(80, 60)):
    """A dataset of patchwork films with a box each at `places`, and one healthy film without any."""
    from datasets import DatasetDict

    rows = []
    for index, box in enumerate([*places, None]):
        patches = np.random.default_rng(index).integers(40, 200, (size[0] // 5, size[1] // 5), dtype=np.uint8)
        told = {"label": 0, "boxes": []} if box is None else {"label": 1 + index % 2, "boxes": [list(box)]}
        rows.append(bone_row(np.kron(patches, np.ones((5, 5), np.uint8)), index, image_id=f"film{index}", **told))
    part = bone_rows(rows)
    DatasetDict(train=part, test=part.select([len(rows) - 1])).save_to_disk(str(folder))
    return folder


# Films
def test_drawn_films_have_a_twin_that_differs_where_the_mask_is():
    films = DrawnFilms(2, 96, drawn_size=96)
    for index in range(2):
        film = films.film(index)
        change = np.abs(film.pixels.astype(int) - film.whole.astype(int))
        assert len(film.points) == len(film.boxes) == len(film.regions) >= 1
        region = film.regions.any(axis=0)
        assert change[region].mean() > 5 * change[~region].mean()
        assert max(film.shape) == 96 and film.label == ("fractured", "beyond_repair")[index]


def test_a_mask_scaled_down_never_vanishes():
    mask = np.zeros((100, 80), bool)
    mask[41, 37] = True
    assert fitted_mask(mask, (25, 20)).sum() == 1
    np.testing.assert_allclose(mask_points(mask, (25, 20)), [[37.5 / 4 - 0.5, 41.5 / 4 - 0.5]])


def test_stored_films_are_those_with_boxes(tmp_path):
    folder = boxed_dataset(tmp_path / "films", [(0.5, 0.5, 0.2, 0.2), (0.3, 0.6, 0.1, 0.1), (0.5, 0.5, 0.0, 0.0)])
    films = StoredFilms(folder, SIZE)
    assert [films.film(index).name for index in range(len(films))] == ["film0", "film1"]
    assert films.film(0).shape == (64, 48) and films.film(1).label == "beyond_repair"
    assert len(StoredFilms(folder, SIZE, limit=1)) == 1


def test_a_split_without_boxes_is_named(tmp_path):
    folder = boxed_dataset(tmp_path / "films", [(0.5, 0.5, 0.2, 0.2)])
    with pytest.raises(ValueError, match="none of the 1 films of split 'test'"):
        StoredFilms(folder, SIZE, split="test")
    with pytest.raises(ValueError, match="no split 'validation'; it has train, test"):
        StoredFilms(folder, SIZE, split="validation")


# Figures
def film_figures(inside, bend=0.0, contrast=()):
    count = len(inside)
    return FilmFigures(
        np.array(inside, float), np.full(count, float(bend)), np.ones(count), np.array(contrast, float), np.zeros(len(contrast))
    )


@pytest.mark.parametrize(
    ("films", "words"),
    [
        ([film_figures([1, 1, 0.95, 1])] * 3, None),
        ([film_figures([1, 1, 1, 1]), film_figures([1, 1, 1, 0.89])], "in view in 87.5 % of the draws, not 99 %"),
        ([film_figures([1, 1], bend=6)] * 2, "100 % of the draws change an angle by more than 5°"),
        ([film_figures([1, 1], contrast=(0.4, 0.4))] * 3, "contrast"),
    ],
)
def test_a_transform_fails_by_what_it_does_not_keep(films, words):
    found = summarise(transform_of(), films, [f"g{i}" for i in range(len(films))], Criteria(), repeats=50)
    assert found.passes == (words is None)
    assert words is None or words in found.failures[0]


def test_contrast_is_that_of_draws_in_view():
    films = [film_figures([1, 0.2], contrast=(0.9, 0.1)), film_figures([1, 1], contrast=(0.9, np.nan))]
    found = summarise(transform_of(), films, ["a", "b"], Criteria(), repeats=50)
    assert found.looked_at == 2 and found.contrast_low.value == pytest.approx(0.9)


def test_the_interval_of_a_share_comes_from_whole_groups():
    seen = np.zeros((40, 10), bool)
    seen[:36] = True
    wide = share(seen, ["one" if row < 20 else "two" for row in range(40)]).interval
    narrow = share(seen, [str(row) for row in range(40)]).interval
    assert narrow[0] < 0.9 < narrow[1] and wide[0] <= 0.8 and wide[1] == 1.0


def test_where_all_draws_agree_the_interval_is_not_a_point():
    low, high = share(np.ones((30, 100), bool), [str(row) for row in range(30)]).interval
    assert high == pytest.approx(1) and low == pytest.approx(30 / (30 + 1.96**2), abs=1e-3)
    assert wilson(0, 30)[0] == 0


def test_percentiles_rest_on_what_is_used():
    values = np.arange(200.0).reshape(100, 2)
    used = np.ones((100, 2), bool)
    used[:, 1] = False
    middle, low = percentiles(values, used, [str(row) for row in range(100)], (0.5, 0.05))
    assert middle.value == 99 and low.value == pytest.approx(np.quantile(values[:, 0], 0.05))
    assert low.interval[0] <= low.value <= low.interval[1] < middle.interval[0]


def test_a_share_is_never_rounded_to_all_or_nothing():
    assert [percent(value) for value in (1.0, 0.0, 0.999, 0.99996, 0.00004, 0.5)] == [
        "100 %", "0 %", "99.9 %", "99.996 %", "0.004 %", "50 %",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"inside": 0}, {"in_view": 1.2}, {"contrast": -1}, {"bend_degrees": 0}])
def test_criteria_that_cannot_be_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Criteria(**wrong)


# The whole check
@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    places = [(0.1, 0.1, 0.15, 0.1), (0.5, 0.5, 0.2, 0.2), (0.9, 0.5, 0.15, 0.2), (0.4, 0.95, 0.1, 0.1)]
    dataset = boxed_dataset(folder / "films", places)
    recipe = override(load_recipe("bundled"), {"image_size": SIZE, "drawn_size": 96, **ALL_ON})
    out = folder / "out"
    # At 64 px a drawn hairline is one faint pixel wide: resampling alone takes half of it.
    faint = Criteria(contrast=0.25)
    return check_augmentation(
        recipe, [dataset], out, settings=QUICK, criteria=faint, command="hf-bones augment-check", progress=False
    ), folder


def test_the_shipped_policy_passes_and_the_counter_examples_fail(checked):
    found, _ = checked
    assert [each.name for each in found.sets] == ["films, train", "drawn radiographs"]
    assert found.passes and found.counter_examples_fail
    for films in found.sets:
        assert films.policy().in_view.value >= 0.99
        crop, sheared = films.counter_examples()
        assert crop.in_view.value < 0.9
        assert any("angle" in failure for failure in sheared.failures)


def test_a_check_writes_report_data_plot_and_sheets(checked):
    found, folder = checked
    out = folder / "out"
    text = (out / "augment_check.md").read_text(encoding="utf-8")
    assert "The policy passes" in text and "RandomResizedCrop" in text and str(folder) not in text
    data = json.loads((out / "augment_check.json").read_text(encoding="utf-8"))
    assert data["passes"] and data["counter_examples_fail"] and data["augment"]["zoom"] == 2
    assert {row["name"] for row in data["sets"][0]["transforms"]} >= {each.name for each in AUGMENTATIONS}
    for name in ("augment_check.png", *(films.sheet for films in found.sets)):
        with Image.open(out / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


def test_the_same_seed_gives_the_same_figures(checked):
    found, folder = checked
    again = check_augmentation(found.recipe, [folder / "films"], settings=QUICK, progress=False)
    assert [row.in_view for films in again.sets for row in films.transforms] == [
        row.in_view for films in found.sets for row in films.transforms
    ]
    assert again.data_sha256 == found.data_sha256


def test_a_policy_that_loses_breaks_fails_with_the_transform_to_change(tmp_path):
    folder = boxed_dataset(tmp_path / "films", [(0.1, 0.1, 0.1, 0.1), (0.85, 0.85, 0.1, 0.1)])
    out = tmp_path / "out"
    options = ["--drawn", "0", "--draws", "20", "--looks", "1", "--set", f"image_size={SIZE}", "--set", "keep_in_view=false"]
    done = CliRunner().invoke(app, ["augment-check", str(folder), "--out", str(out), "--set", "shift=0.4", *options])
    assert done.exit_code == 1, done.output
    assert "The policy FAILS" in done.output and "shift (± 0.4 of the side) alone" in done.output
    assert not json.loads((out / "augment_check.json").read_text(encoding="utf-8"))["passes"]


def test_the_command_passes_without_a_dataset(tmp_path):
    options = ["--recipe", "dinov2-small", "--drawn", "2", "--draws", "8", "--looks", "1", "--contrast", "0.25"]
    options += ["--set", f"image_size={SIZE}", "--set", "drawn_size=96"]
    done = CliRunner().invoke(app, ["augment-check", "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    assert "The policy passes" in done.output and "Off in this recipe, and not checked: zoom" in done.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--drawn", "0"], "no film to check"),
        (["--set", "shfit=0.1"], "did you mean 'shift'"),
        (["--set", "shift"], "expected KEY=VALUE"),
        (["--set", "augment=false"], "no policy to check"),
        (["--draws", "2", "--looks", "3"], "looks is 3"),
        (["--inside", "0"], "inside is 0"),
        (["--recipe", "bundle"], "bundled"),
    ],
)
def test_wrong_use_is_said_in_one_line(tmp_path, options, words):
    done = CliRunner().invoke(app, ["augment-check", "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 2 and words in done.output


def test_changes_are_read_as_a_recipe_reads_them():
    assert parse_changes(["zoom=2", "keep_in_view=false", "model = a/b"]) == {"zoom": 2, "keep_in_view": False, "model": "a/b"}


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).augment.augment])
def test_the_policy_of_every_shipped_recipe_keeps_a_break_at_the_edge(name):
    recipe = load_recipe(name)
    film = film_with([(0.08, 0.9, 0.12, 0.2)])
    whole = next(each for each in transforms_of(recipe.augment) if each.kind == POLICY)
    figures = measure_film(film, whole, SIZE, film_draws(0, 0, 200), 0)
    assert (figures.inside >= 0.9).mean() >= 0.99 and figures.bend.max() < 0.01


def test_a_recipe_that_does_not_augment_has_no_policy_to_check():
    with pytest.raises(RecipeError, match="augment: false"):
        check_augmentation(Recipe(augment=AugmentConfig(augment=False)))
