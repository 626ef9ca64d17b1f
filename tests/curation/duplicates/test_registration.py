"""Laying two pictures on each other: `python -m pytest tests/curation/duplicates/test_registration.py`."""

import numpy as np
import pytest
from copied_films import film
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_bones.curation.duplicates import registration
from hf_bones.curation.duplicates.canonical import fingerprint
from hf_bones.curation.duplicates.registration import LEVELS, align, compose, inverse, judge, normalised, sample, starts

UNMOVED = np.array([[[1.0, 0, 0], [0, 1, 0]]])


def lay(one, other, start=UNMOVED, sign=1.0, framed=False):
    """The registration of two thumbs from `start`, through all levels."""
    transform, signs, reached = start, np.array([sign], np.float32), None
    for level in range(len(LEVELS)):
        planes = normalised(one, level)[None], normalised(other, level)[None]
        transform, reached = align(*planes, transform, signs, level)
    return judge(one[None], other[None], transform, signs, reached, np.array([0]), np.ones((1, 2)), np.array([framed]))


@pytest.fixture(scope="module")
def thumb():
    return fingerprint(film(5)).forms[0].thumb


@pytest.mark.parametrize(("shift", "scale", "degrees"), [(0.03, 1.0, 0), (-0.02, 0.95, 0), (0.0, 1.04, 1.5), (0.02, 1.0, -2)])
def test_a_moved_picture_is_laid_back_to_within_a_pixel(thumb, shift, scale, degrees):
    turn = np.radians(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    truth = np.column_stack([linear, 0.5 - linear @ (0.5, 0.5) + shift])[None]
    moved, _ = sample(thumb[None].astype(np.float32), truth)
    found = lay(thumb, np.rint(moved[0]).astype(np.uint8))
    corners = np.array([[0.2, 0.8, 0.2, 0.8], [0.2, 0.2, 0.8, 0.8], [1, 1, 1, 1]])
    error = np.abs(found.transform[0] @ corners - truth[0] @ corners).max() * LEVELS[-1]
    assert error < 1.0 and found.coarse[0] > 0.9 and found.likeness[0] > 0.9
    assert found.turn[0] == pytest.approx(degrees, abs=0.3) and found.stretch[0] < 1.02


def test_different_films_do_not_agree(thumb):
    for seed in (6, 8, 9):
        found = lay(thumb, fingerprint(film(seed)).forms[0].thumb)
        assert found.coarse[0] < 0.7 and found.likeness[0] < 0.8


def test_an_inverted_picture_agrees_under_the_other_sign(thumb):
    assert lay(thumb, 255 - thumb, sign=-1.0).coarse[0] > 0.99
    assert lay(thumb, 255 - thumb, sign=1.0).coarse[0] < 0.5


def test_a_mark_spoils_its_own_place_only(thumb):
    marked = thumb.copy()
    marked[50:62, 40:90] = 255
    found = lay(thumb, marked)
    assert 0.6 < found.agreement[0] < 1.0 and found.likeness[0] > 0.97


def test_two_frames_do_not_make_two_films_one(thumb):
    one, other = thumb.copy(), fingerprint(film(6)).forms[0].thumb.copy()
    for picture in (one, other):
        for edge in (picture[:18], picture[-18:], picture[:, :18], picture[:, -18:]):
            edge[:] = 255
    found = lay(one, other, framed=True)
    assert found.coarse[0] < 0.7 and found.likeness[0] < 0.8


def test_a_flat_picture_has_no_texture_to_agree_in():
    flat = np.full((128, 128), 90, np.uint8)
    assert lay(flat, flat).textured[0] == 0 and lay(flat, flat).agreement[0] == 0


def test_probes_say_where_a_mirrored_crop_lies():
    aspects, probes = np.array([1.0, 1.0]), np.array([0, 24])  # the whole, and 8 % off all four sides
    whole, crop = starts(aspects, probes, np.array([1, 0]))
    assert np.allclose(whole @ (0.25, 0.5, 1), (0.75, 0.5)) and np.allclose(crop @ (0, 0, 1), (0.08, 0.08))


@settings(max_examples=30)
@given(st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6))
def test_a_map_and_its_inverse_do_nothing(numbers):
    matrix = np.array(numbers).reshape(1, 2, 3) + UNMOVED
    assert np.allclose(compose(matrix, inverse(matrix)), UNMOVED, atol=1e-6)


def test_many_pairs_at_once_give_what_each_gives_alone(thumb):
    others = [np.asarray(Image.fromarray(thumb).rotate(degrees, Image.Resampling.BILINEAR)) for degrees in (0, 1, 2)]
    planes = [np.stack([normalised(picture, 1) for picture in some]) for some in ([thumb] * 3, others)]
    many, reached = align(*planes, np.repeat(UNMOVED, 3, axis=0), np.ones(3, np.float32), 1)
    for number in range(3):
        one, alone = align(planes[0][number : number + 1], planes[1][number : number + 1], UNMOVED, np.ones(1, np.float32), 1)
        assert np.allclose(many[number], one[0], atol=1e-5) and reached[number] == pytest.approx(float(alone[0]), abs=1e-5)
    assert registration.LEVELS == (32, 64, 128)
