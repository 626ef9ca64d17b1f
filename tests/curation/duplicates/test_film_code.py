"""A film is known again by its code after what copies go through; another film is not.

Run: pytest tests/curation/duplicates/test_film_code.py"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hf_bones.curation.duplicates.film_code import BITS, NEAR, differing_bits, film_codes, film_codes_every_way
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.images.opening import open_image


@pytest.fixture(scope="module")
def films() -> list[Image.Image]:
    """Six limbs; the first two are one limb, whole and broken."""
    kinds = [(0, "healthy"), (0, "fractured"), (1, "healthy"), (2, "healthy"), (3, "healthy"), (4, "healthy")]
    return [Image.fromarray(draw_radiograph(seed, label, size=300).pixels) for seed, label in kinds]


def half(film: Image.Image) -> Image.Image:
    return film.resize((film.width // 2, film.height // 2), Image.Resampling.BICUBIC)


COPIES = {
    "half the size": half,
    "three times the size": lambda film: film.resize((3 * film.width, 3 * film.height), Image.Resampling.BICUBIC),
    "mirrored": lambda film: half(film.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "turned by a quarter": lambda film: half(film.transpose(Image.Transpose.ROTATE_270)),
    "inverted": lambda film: half(film.point(lambda grey: 255 - grey)),
}


def jpeg(film: Image.Image) -> np.ndarray:
    stream = io.BytesIO()
    film.save(stream, "JPEG", quality=80)
    return open_image(stream.getvalue()).pixels


def bits_between(film: Image.Image, pixels: np.ndarray) -> int:
    return int(differing_bits(film_codes(np.asarray(film)), film_codes_every_way(pixels)).min(initial=BITS))


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_near(films, change):
    assert max(bits_between(film, jpeg(change(film))) for film in films[1:3]) <= NEAR


def test_a_frame_does_not_hide_a_film(films):
    film = films[2]
    framed = Image.new("L", (film.width + 60, film.height + 60))
    framed.paste(film, (30, 30))
    assert bits_between(film, np.asarray(framed)) <= NEAR


def test_other_limbs_are_far(films):
    between = [bits_between(film, np.asarray(other)) for film in films[1:] for other in films[1:] if film is not other]
    assert min(between) > 1.5 * NEAR


def test_a_picture_that_shows_nothing_has_no_code():
    assert film_codes(np.full((80, 60), 90, np.uint8)).shape == (0, 4)
    assert differing_bits(np.zeros((2, 4), np.uint64), np.zeros((0, 4), np.uint64)).tolist() == [BITS, BITS]


def test_bits_are_counted_and_the_opposite_is_the_same_picture_inverted():
    code = np.array([[1, 2, 3, 4]], np.uint64)
    assert differing_bits(code, code ^ np.array([[7, 0, 0, 1]], np.uint64)).tolist() == [4]
    assert differing_bits(code, ~code).tolist() == [0]


def test_a_code_made_elsewhere_can_be_compared_with_one_made_here():
    ramp = np.add.outer(np.arange(64), 3 * np.arange(48) % 70).astype(np.uint8) * 2
    written = np.array([[0x09B019FEF1C8A41B, 0xD1DC7CD6D8A3D8A9, 0xFE0B9FFED57F653C, 0x0D853A36E6C5CF29]], np.uint64)
    assert differing_bits(film_codes(ramp)[:1], written) <= 3, "a rounding elsewhere may turn a bit; a new code needs a new VERSION"
