"""Descriptions of pictures that a copy shares: `python -m pytest tests/curation/duplicates/test_canonical.py`."""

import numpy as np
import pytest
from copied_films import film, inverted, mirrored
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hf_bones.curation.duplicates.canonical import (
    PROBES,
    SYMMETRIES,
    fingerprint,
    mirror_and_quarters,
    probe_transforms,
    symmetric,
    symmetry_transform,
    trim_box,
)
from hf_bones.curation.duplicates.registration import sample


def likeness(one, other) -> float:
    return float(one.astype(np.float64) @ other.astype(np.float64))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return film(7)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_the_description_under_a_symmetry_is_that_of_the_mirrored_or_turned_picture(picture, symmetry):
    mirrored_too, quarters = mirror_and_quarters(symmetry)
    other = np.rot90(mirrored(picture) if mirrored_too else picture, -quarters)
    own, moved = fingerprint(picture).probes[:1], fingerprint(np.ascontiguousarray(other)).probes[0]
    assert likeness(symmetric(own.astype(np.float32), symmetry)[0], moved) > 0.99
    thumb = fingerprint(picture).forms[0].thumb.astype(np.float32)
    turned_thumb = np.rot90(mirrored(thumb) if mirrored_too else thumb, -quarters)
    assert np.abs(sample(turned_thumb[None], symmetry_transform(symmetry)[None])[0][0] - thumb).max() < 0.5


def test_an_inverted_picture_is_described_by_the_opposite(picture):
    assert likeness(fingerprint(picture).probes[0], fingerprint(inverted(picture)).probes[0]) < -0.999


def test_the_picture_of_a_crop_or_turn_is_what_its_probe_foretold(picture):
    own, height, width = fingerprint(picture), *picture.shape
    for number, matrix in enumerate(probe_transforms(round(width / height, 3))[:49]):
        left, right = matrix[0, 2] * width, (matrix[0, 0] + matrix[0, 2]) * width
        top, bottom = matrix[1, 2] * height, (matrix[1, 1] + matrix[1, 2]) * height
        crop = picture[round(top) : round(bottom), round(left) : round(right)]
        assert likeness(own.probes[number], fingerprint(crop).probes[0]) > 0.97, number
    for number, (degrees, canvas) in enumerate([(d, c) for d in (-5, -2.5, 2.5, 5) for c in ("same", "grown", "cropped")], start=49):
        other = np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC, expand=canvas == "grown"))
        if canvas == "cropped":
            other = other[round(0.08 * height) : round(0.92 * height), round(0.08 * width) : round(0.92 * width)]
        likest = int(np.argmax(own.probes.astype(np.float64) @ fingerprint(other).probes[0].astype(np.float64)))
        assert likeness(own.probes[number], fingerprint(other).probes[0]) > 0.97
        assert likest >= 49, "a turned picture is likest to a turned one"
    assert len(own.probes) == PROBES == 61


def test_thin_marks_hardly_show_in_a_description(picture):
    marked = picture.copy()
    marked[100:104, 60:160] = 255
    assert likeness(fingerprint(picture).probes[0], fingerprint(marked).probes[0]) > 0.97


def test_a_frame_is_described_and_trimmed(picture):
    framed = np.asarray(ImageOps.expand(Image.fromarray(picture), (30, 18, 12, 24), fill=200))
    own, other = fingerprint(picture), fingerprint(framed)
    assert other.has_frame and len(other.forms) >= 2
    assert likeness(own.probes[0], other.forms[1].description) > 0.99
    assert other.phash == own.phash or own.has_frame


@given(
    st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 255), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_exactly_the_frame_is_trimmed(left, top, right, bottom, grey, seed):
    inside = np.random.default_rng(seed).integers(0, 256, (130, 140), dtype=np.uint8)
    framed = np.full((130 + top + bottom, 140 + left + right), grey, np.uint8)
    framed[top : top + 130, left : left + 140] = inside
    assert trim_box(framed) == (left, top, left + 140, top + 130)


def test_a_blank_picture_has_no_description_and_stays_whole():
    blank = fingerprint(np.full((90, 120), 7, np.uint8))
    assert not np.any(blank.probes[0]) and not any(np.any(form.description) for form in blank.forms)
    assert blank.forms[0].thumb.shape == (128, 128)


def test_the_same_picture_has_the_same_fingerprint(picture):
    one, other = fingerprint(picture), fingerprint(picture.copy())
    assert np.array_equal(one.probes, other.probes) and one.phash == other.phash and len(one.forms) == len(other.forms)
    assert all(np.array_equal(a.thumb, b.thumb) for a, b in zip(one.forms, other.forms, strict=True))
