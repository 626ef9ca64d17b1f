"""What a transform does to a break: angles, share in view, contrast. Run: pytest tests/evaluation/augmentation/test_break_in_view.py"""

import dataclasses

import numpy as np
import pytest
import torch
from broken_films import ALL_ON, SIZE, film_with, transform_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bones.config.recipe import AugmentConfig
from hf_bones.evaluation.augmentation.films import box_points, box_region, inside_boxes
from hf_bones.evaluation.augmentation.measure import kept_contrast, measure_film, moved_region, share_inside
from hf_bones.evaluation.augmentation.transforms import (
    BLIND,
    COUNTER_EXAMPLES,
    POLICY,
    STILL,
    PolicyTransform,
    film_draws,
    growth,
    most_bend,
    random_resized_crop,
    shear,
    transforms_of,
)
from hf_bones.training.data.augment import AUGMENTATIONS, named_draws

CROP, SHEAR = COUNTER_EXAMPLES


# The transforms
def test_every_key_of_a_policy_belongs_to_a_transform_that_is_checked():
    keys = {field.name for field in dataclasses.fields(AugmentConfig)}
    assert {key for each in AUGMENTATIONS for key in each.off} | {"augment", "keep_in_view", "style"} == keys


def test_a_transform_alone_turns_everything_else_off():
    policy = AugmentConfig(**ALL_ON)
    found = {each.name: each for each in transforms_of(policy)}
    assert {each.name for each in AUGMENTATIONS} < set(found)
    assert found["scale"].policy == dataclasses.replace(STILL, scale=0.1)
    assert found["whole policy"].policy == policy


def test_what_a_policy_turns_off_is_not_looked_at():
    names = [each.name for each in transforms_of(AugmentConfig(rotation_degrees=0, zoom=3, zoom_probability=0))]
    assert "rotation" not in names and "zoom" not in names and "scale" in names
    flips = next(each for each in AUGMENTATIONS if each.name == "flips")
    assert not flips.is_on(STILL) and flips.is_on(AugmentConfig(horizontal_flip=0, vertical_flip=0.1))


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
    factors = 1 + (named_draws(draws.policy)["contrast"].numpy() * 2 - 1) * 0.5
    dim = factors < 1
    np.testing.assert_allclose(contrast[dim], factors[dim], rtol=5e-3)
    assert (clipped[dim] == 0).all()


def test_brightness_that_turns_the_break_white_takes_its_contrast():
    film = film_with([(0.5, 0.5, 0.3, 0.3)])
    film = dataclasses.replace(film, pixels=(film.pixels // 2 + 130).clip(0, 255).astype(np.uint8))
    draws = film_draws(0, 0, 1)
    named_draws(draws.policy)["brightness"].fill_(1)
    contrast, clipped = kept_contrast(film, transform_of(brightness=0.9), SIZE, draws, transform_of().matrices(film, SIZE, draws))
    assert contrast[0] == pytest.approx(0, abs=1e-3) and clipped[0] == pytest.approx(1)


def test_of_a_drawn_break_only_what_the_break_changes_counts():
    # The same film with and without a faint line: loud noise round it does not pass for contrast.
    film = film_with([(0.5, 0.5, 0.3, 0.1)])
    line = box_region(np.array([0.5, 0.5, 0.3, 0.04]), film.shape)
    drawn = dataclasses.replace(film, whole=film.pixels, pixels=np.where(line, film.pixels - 20, film.pixels).astype(np.uint8))
    figures = measure_film(drawn, transform_of(contrast=0.5), SIZE, film_draws(0, 0, 8), 8)
    factors = 1 + (named_draws(film_draws(0, 0, 8).policy)["contrast"].numpy() * 2 - 1) * 0.5
    np.testing.assert_allclose(figures.contrast[factors < 1], factors[factors < 1], rtol=1e-2)


def test_a_break_without_any_contrast_is_left_out():
    film = film_with([(0.5, 0.5, 0.3, 0.3)])
    flat = dataclasses.replace(film, pixels=np.full(film.shape, 90, np.uint8))
    assert np.isnan(measure_film(flat, transform_of(gamma=0.5), SIZE, film_draws(0, 0, 2), 2).contrast).all()
