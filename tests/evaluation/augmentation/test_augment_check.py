"""Does augmentation keep the break? Run: python -m pytest tests/evaluation/augmentation/test_augment_check.py"""

import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.cli.measure import parse_changes
from hf_bones.config.recipe import AugmentConfig, Recipe, RecipeError, load_recipe, override, recipe_names
from hf_bones.evaluation.augmentation.check import check_augmentation
from hf_bones.evaluation.augmentation.choices import Settings
from hf_bones.evaluation.augmentation.films import (
    BrokenFilm,
    DrawnFilms,
    StoredFilms,
    box_points,
    box_region,
    fitted_mask,
    inside_boxes,
    mask_points,
)
from hf_bones.evaluation.augmentation.measure import (
    Criteria,
    FilmFigures,
    kept_contrast,
    measure_film,
    moved_region,
    percent,
    percentiles,
    share,
    share_inside,
    summarise,
    wilson,
)
from hf_bones.evaluation.augmentation.transforms import (
    BLIND,
    COUNTER_EXAMPLES,
    PARTS,
    POLICY,
    STILL,
    PolicyTransform,
    film_draws,
    growth,
    is_on,
    most_bend,
    random_resized_crop,
    shear,
    transforms_of,
)
from hf_bones.labels import THREE_CLASS

SIZE = 64
QUICK = Settings(drawn=4, draws=20, looks=2, sheet_films=1, repeats=50)
CROP, SHEAR = COUNTER_EXAMPLES


def transform_of(**changes) -> PolicyTransform:
    return PolicyTransform("one", "", POLICY, dataclasses.replace(STILL, **changes))


def film_with(boxes, shape=(64, 48), seed=0) -> BrokenFilm:
    """A film of noise whose breaks are boxes, at the training size."""
    kept = inside_boxes(boxes)
    pixels = np.random.default_rng(seed).integers(60, 200, shape, dtype=np.uint8)
    regions = np.stack([box_region(box, shape) for box in kept])
    return BrokenFilm(f"film {seed}", f"group {seed}", "fractured", pixels, kept, tuple(box_points(box, shape) for box in kept), regions)


def boxed_dataset(folder, places, size=(80, 60)):
    """A dataset of patchwork films with a box each at `places`, and one healthy film without any."""
    from datasets import Dataset, DatasetDict

    from hf_bones.dataset.schema import bone_features

    rows = []
    for index, box in enumerate([*places, None]):
        stream = io.BytesIO()
        patches = np.random.default_rng(index).integers(40, 200, (size[0] // 5, size[1] // 5), dtype=np.uint8)
        Image.fromarray(np.kron(patches, np.ones((5, 5), np.uint8))).save(stream, "PNG")
        rows.append(
            {
                "image": {"bytes": stream.getvalue(), "path": None},
                "label": 0 if box is None else 1 + index % 2,
                "subtype": "",
                "group": f"g{index}",
                "source": "patches",
                "region": "hand",
                "view": "frontal",
                "licence": "CC0-1.0",
                "sha256": f"{index:064x}",
                "boxes": [] if box is None else [list(box)],
                "severity": float("nan"),
                "synthetic": True,
                "image_id": f"film{index}",
            }
        )
    part = Dataset.from_list(rows, features=bone_features(THREE_CLASS.names))
    DatasetDict(train=part, test=part.select([len(rows) - 1])).save_to_disk(str(folder))
    return folder


# The transforms


def test_every_key_of_a_policy_belongs_to_a_transform_that_is_checked():
    keys = {field.name for field in dataclasses.fields(AugmentConfig)}
    assert {key for part in PARTS.values() for key in part} | {"augment", "keep_in_view"} == keys


def test_a_transform_alone_turns_everything_else_off():
    found = {each.name: each for each in transforms_of(AugmentConfig(zoom=2))}
    assert set(PARTS) < set(found)
    assert found["scale"].policy == dataclasses.replace(STILL, scale=0.1)
    assert found["whole policy"].policy == AugmentConfig(zoom=2)


def test_what_a_policy_turns_off_is_not_looked_at():
    names = [each.name for each in transforms_of(AugmentConfig(rotation_degrees=0, zoom=3, zoom_probability=0))]
    assert "rotation" not in names and "zoom" not in names and "scale" in names
    assert not is_on(STILL, "flips") and is_on(AugmentConfig(horizontal_flip=0, vertical_flip=0.1), "flips")


def test_there_is_a_row_for_films_without_boxes_only_where_boxes_make_a_difference():
    assert [each.kind for each in transforms_of(AugmentConfig())].count(BLIND) == 1
    assert BLIND not in [each.kind for each in transforms_of(AugmentConfig(keep_in_view=False))]


@settings(max_examples=60)
@given(st.floats(-180, 180), st.floats(0.2, 3), st.floats(-60, 60), st.booleans())
def test_the_change_of_angles_is_the_most_that_any_pair_of_lines_shows(turn, scale, slant, mirrored):
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    linear = (
        scale * np.array([[c, -s], [s, c]]) @ np.array([[1, np.tan(np.radians(slant))], [0, 1]]) @ np.diag([-1.0 if mirrored else 1, 1])
    )
    directions = np.radians(np.arange(0, 180, 1.0))
    lines = np.stack([np.cos(directions), np.sin(directions)])
    moved = linear @ lines

    def between(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=0)
        return np.degrees(np.arccos((unit.T @ unit).clip(-1, 1)))

    seen = np.abs(between(moved) - between(lines)).max()
    said = float(most_bend(np.hstack([linear, np.zeros((2, 1))])[None])[0])
    assert seen <= said + 1e-3 and said <= seen + 2.5  # lines a degree apart find nearly the most


def test_rotations_mirrors_and_isotropic_scale_change_no_angle():
    film = film_with([(0.5, 0.5, 0.2, 0.2)])
    policy = PolicyTransform("whole", "", POLICY, AugmentConfig(vertical_flip=0.5, zoom=2))
    maps = policy.matrices(film, SIZE, film_draws(0, 0, 200)).numpy().astype(np.float64)
    assert most_bend(maps).max() < 1e-3
    assert 0.89 < growth(maps).min() < 0.95 and 1.5 < growth(maps).max() < 2.21


def test_a_shear_of_twenty_degrees_bends_angles_by_up_to_as_much():
    numbers = np.zeros((2, 22))
    numbers[1, 0] = 0.5
    steepest, none = shear((64, 48), SIZE, numbers)
    assert most_bend(steepest[None])[0] == pytest.approx(2 * np.degrees(np.arctan(np.tan(np.radians(20)) / 2)))
    np.testing.assert_allclose(none, [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(steepest @ [23.5, 31.5, 1], [23.5, 31.5])  # about the centre


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([(64, 48), (20, 64), (64, 64), (64, 5)]))
def test_a_random_crop_is_a_window_of_the_image_that_fills_the_square(seed, shape):
    maps = random_resized_crop(shape, SIZE, np.random.default_rng(seed).random((30, 22)))
    width, height = SIZE / maps[:, 0, 0], SIZE / maps[:, 1, 1]
    left, top = (-0.5 - maps[:, 0, 2]) / maps[:, 0, 0] + 0.5, (-0.5 - maps[:, 1, 2]) / maps[:, 1, 1] + 0.5
    assert (left > -1e-6).all() and (left + width < shape[1] + 1e-6).all()
    assert (top > -1e-6).all() and (top + height < shape[0] + 1e-6).all()
    if shape == (64, 64):
        share_of_area = width * height / (shape[0] * shape[1])
        assert share_of_area.min() > 0.06 and (width / height).min() > 0.6 and (width / height).max() < 1.6


# In view


def test_boxes_are_cut_off_at_the_edge_and_empty_ones_left_out():
    boxes = inside_boxes([(0.0, 0.5, 0.2, 0.2), (0.5, 0.5, 0.0, 0.3), (1.4, 0.5, 0.2, 0.2), (0.3, 0.3, 0.1, 0.1)])
    np.testing.assert_allclose(boxes, [(0.05, 0.5, 0.1, 0.2), (0.3, 0.3, 0.1, 0.1)], atol=1e-6)


def test_the_share_in_view_is_that_of_the_boxs_area():
    points = box_points(np.array([0.5, 0.5, 0.25, 0.25]), (64, 64))  # 24 to 40 px
    moves = np.array([[[1, 0, x], [0, 1, 0]] for x in (0, 20, 24, 28, 32, 40, -28)], dtype=float)
    np.testing.assert_allclose(share_inside(points, moves, (64, 64)), [1, 1, 1, 0.75, 0.5, 0, 0.75])


@pytest.mark.parametrize("transform", [transform_of(rotation_degrees=40, scale=0.3, shift=0.4, keep_in_view=False), CROP, SHEAR])
def test_where_the_break_goes_is_where_its_pixels_go(transform):
    # A film that is black but for its break: the light that is left in the picture is the share that is in view.
    film = film_with([(0.6, 0.7, 0.3, 0.2)], shape=(64, 48))
    film = dataclasses.replace(film, pixels=np.where(film.regions[0], 255, 0).astype(np.uint8))
    draws = film_draws(1, 0, 40)
    matrices = transform.matrices(film, SIZE, draws)
    maps = matrices.numpy().astype(np.float64)
    height, width = transform.frame(film, SIZE)
    grey = torch.zeros(40, 1, SIZE, SIZE)
    grey[:, 0, :64, :48] = torch.from_numpy(film.pixels / np.float32(255))
    after = transform.pictures(grey, film, draws, matrices)[:, 0, :height, :width].numpy()
    light = after.sum(axis=(1, 2)) / (film.regions.sum() * growth(maps) ** 2)
    np.testing.assert_allclose(light, share_inside(film.points[0], maps, (height, width)), atol=0.12)
    for each, picture in zip(maps, after, strict=True):
        place = moved_region(film.regions[0], each, (height, width))
        assert len(place[0]) == 0 or picture[place].mean() > 0.8
        lit = np.zeros((height, width), bool)
        lit[place] = True
        assert picture[~lit].sum() <= 0.35 * max(picture.sum(), 40)


def test_a_break_at_the_edge_leaves_the_frame_unless_it_is_moved_back():
    film = film_with([(0.06, 0.06, 0.1, 0.1)])
    loose, held = (transform_of(shift=0.1, keep_in_view=held) for held in (False, True))
    draws = film_draws(0, 0, 100)
    assert 0.1 < (measure_film(film, loose, SIZE, draws, 0).inside >= 0.9).mean() < 0.6
    assert (measure_film(film, held, SIZE, draws, 0).inside == 1).all()
    blind = dataclasses.replace(held, boxes_known=False)
    np.testing.assert_allclose(measure_film(film, blind, SIZE, draws, 0).inside, measure_film(film, loose, SIZE, draws, 0).inside)


def test_of_several_breaks_the_one_that_fares_worst_counts():
    both = film_with([(0.5, 0.5, 0.1, 0.1), (0.05, 0.05, 0.1, 0.1)])
    edge = film_with([(0.05, 0.05, 0.1, 0.1)])
    transform, draws = transform_of(shift=0.2, keep_in_view=False), film_draws(0, 0, 50)
    np.testing.assert_allclose(measure_film(both, transform, SIZE, draws, 0).inside, measure_film(edge, transform, SIZE, draws, 0).inside)


def test_the_zoom_of_training_keeps_its_boxes():
    film = film_with([(0.2, 0.8, 0.1, 0.05), (0.7, 0.3, 0.1, 0.1)])
    figures = measure_film(film, transform_of(zoom=3, zoom_probability=1), SIZE, film_draws(0, 0, 100), 0)
    assert (figures.inside == 1).all() and figures.growth.max() > 1.3


# Contrast


def test_what_changes_nothing_keeps_all_contrast():
    film = film_with([(0.5, 0.5, 0.3, 0.3)])
    figures = measure_film(film, transform_of(), SIZE, film_draws(0, 0, 3), 3)
    np.testing.assert_allclose(figures.contrast, 1, atol=2e-3)
    assert (figures.clipped == 0).all()


def test_a_contrast_factor_is_what_is_measured():
    film = film_with([(0.5, 0.5, 0.3, 0.3)])
    transform, draws = transform_of(contrast=0.5), film_draws(0, 0, 4)
    contrast, clipped = kept_contrast(film, transform, SIZE, draws, transform.matrices(film, SIZE, draws))
    factors = 1 + (draws.policy[:, 7].numpy() * 2 - 1) * 0.5
    dim = factors < 1
    np.testing.assert_allclose(contrast[dim], factors[dim], rtol=5e-3)
    assert (clipped[dim] == 0).all()


def test_brightness_that_turns_the_break_white_takes_its_contrast():
    film = film_with([(0.5, 0.5, 0.3, 0.3)])
    film = dataclasses.replace(film, pixels=(film.pixels // 2 + 130).clip(0, 255).astype(np.uint8))
    draws = film_draws(0, 0, 1)
    draws.policy[:, 8] = 1
    contrast, clipped = kept_contrast(film, transform_of(brightness=0.9), SIZE, draws, transform_of().matrices(film, SIZE, draws))
    assert contrast[0] == pytest.approx(0, abs=1e-3) and clipped[0] == pytest.approx(1)


def test_of_a_drawn_break_only_what_the_break_changes_counts():
    # The same film with and without a faint line: loud noise round it does not pass for contrast.
    film = film_with([(0.5, 0.5, 0.3, 0.1)])
    line = box_region(np.array([0.5, 0.5, 0.3, 0.04]), film.shape)
    drawn = dataclasses.replace(film, whole=film.pixels, pixels=np.where(line, film.pixels - 20, film.pixels).astype(np.uint8))
    figures = measure_film(drawn, transform_of(contrast=0.5), SIZE, film_draws(0, 0, 8), 8)
    factors = 1 + (film_draws(0, 0, 8).policy[:, 7].numpy() * 2 - 1) * 0.5
    np.testing.assert_allclose(figures.contrast[factors < 1], factors[factors < 1], rtol=1e-2)


def test_a_break_without_any_contrast_is_left_out():
    film = film_with([(0.5, 0.5, 0.3, 0.3)])
    flat = dataclasses.replace(film, pixels=np.full(film.shape, 90, np.uint8))
    assert np.isnan(measure_film(flat, transform_of(gamma=0.5), SIZE, film_draws(0, 0, 2), 2).contrast).all()


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
        "100 %",
        "0 %",
        "99.9 %",
        "99.996 %",
        "0.004 %",
        "50 %",
    ]


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
    recipe = override(load_recipe("bundled"), {"image_size": SIZE, "drawn_size": 96, "zoom": 2})
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
    assert {row["name"] for row in data["sets"][0]["transforms"]} >= set(PARTS)
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
    options = [
        "--recipe",
        "dinov2-small",
        "--drawn",
        "2",
        "--draws",
        "8",
        "--looks",
        "1",
        "--set",
        f"image_size={SIZE}",
        "--set",
        "drawn_size=96",
    ]
    options += ["--contrast", "0.25"]
    done = CliRunner().invoke(app, ["augment-check", "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    assert "The policy passes" in done.output and "Off in this recipe, and not looked at: zoom." in done.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--drawn", "0"], "no film to look at"),
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
