"""Breaks drawn into films of whole bones. Run: pytest tests/dataset/drawn/test_onto_film.py"""

import numpy as np
import pytest
from scipy import ndimage

from hf_bones.dataset.drawn.onto_film import SIDE, break_film
from hf_bones.dataset.drawn.radiograph import draw_radiograph


def shaft(side: int = SIDE, seed: int = 0) -> np.ndarray:
    """One oblique bright shaft in a darker limb, with grain."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, : side * 3 // 4] * (SIDE / side)
    away = np.abs((x - 170) - 0.15 * (y - 220))
    film = 20 + 50 * (away < 110) + 80 * (away < 14)
    return (
        (ndimage.gaussian_filter(film.astype(np.float32), 1.5 * side / SIDE) + random.normal(0, 1, film.shape))
        .clip(0, 255)
        .astype(np.uint8)
    )


def inside(film: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    height, width = film.shape
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    return (np.abs(y - box[1]) <= box[3] / 2)[:, None] & (np.abs(x - box[0]) <= box[2] / 2)[None]


@pytest.mark.parametrize("seed", range(8))
def test_a_break_lies_across_the_bone_and_in_its_box(seed):
    film = shaft(seed=seed)
    before = film.copy()
    broken = break_film(film, np.random.default_rng(seed))
    assert broken is not None and broken.pixels.shape == film.shape and broken.pixels.dtype == np.uint8
    assert (film == before).all(), "the film itself stays whole"
    cx, cy, width, height = broken.box
    assert 0.02 < width < 0.4 and 0.01 < height < 0.3
    assert abs((cx * film.shape[1] - 170) - 0.15 * (cy * SIDE - 220)) < 30, "on the shaft"
    change = np.abs(broken.pixels.astype(int) - film)
    box = inside(film, broken.box)
    assert change[box].max() > 12 and (change > 4).sum() >= 12
    assert change[box].mean() > 3 * change[~box].mean()
    assert (change == 0).mean() > 0.8, "what is far from the break stays as it was"


def test_the_same_numbers_break_a_film_the_same_way():
    film = shaft()
    one, again, other = (break_film(film, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.box == again.box and (one.pixels == again.pixels).all()
    assert (one.pixels != other.pixels).any()


def test_a_film_of_half_the_size_has_a_break_of_half_the_size():
    small, large = (np.array([break_film(shaft(side), np.random.default_rng(n)).box[2:] for n in range(8)]) for side in (SIDE // 2, SIDE))
    assert np.median(large, axis=0) == pytest.approx(np.median(small, axis=0), rel=0.4)


@pytest.mark.parametrize(
    "film",
    [
        np.full((200, 150), 90, dtype=np.uint8),
        np.random.default_rng(0).integers(0, 10, (200, 150), dtype=np.uint8),
        np.zeros((9, 448), np.uint8),
    ],
    ids=["flat", "noise", "sliver"],
)
def test_where_there_is_no_bone_nothing_is_broken(film):
    assert break_film(film, np.random.default_rng(0)) is None


def test_bones_of_drawn_limbs_are_found():
    films = [draw_radiograph(seed, "healthy", size=320).pixels for seed in range(6)]
    assert sum(break_film(film, np.random.default_rng(0)) is not None for film in films) >= 5
