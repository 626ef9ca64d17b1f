"""Where a film stands in a picture of a screen: `python -m pytest tests/curation/duplicates/test_film_boxes.py`."""

import numpy as np
import pytest
from copied_films import film, on_a_screen
from PIL import Image, ImageDraw

from hf_bones.curation.duplicates.film_boxes import film_boxes, in_common


def black_viewer(picture: np.ndarray, scale: float) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A light window whose black middle shows the film, and where."""
    image = Image.fromarray(picture)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    window = Image.new("L", (2 * image.width, image.height + 120), 230)
    draw = ImageDraw.Draw(window)
    draw.rectangle((60, 50, window.width - 40, window.height - 20), 0)
    for place in range(5):
        draw.rectangle((10 + 40 * place, 8, 40 + 40 * place, 38), 90)
    left, top = 60 + (window.width - 100 - image.width) // 2, 70
    window.paste(image, (left, top))
    return np.asarray(window), (left, top, left + image.width, top + image.height)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_film_in_a_window_is_found(seed):
    picture = film(seed)
    height, width = picture.shape
    assert max(in_common(box, (70, 52, 70 + width, 52 + height)) for box in film_boxes(on_a_screen(picture))) > 0.95


@pytest.mark.parametrize("scale", [0.8, 1.5])
def test_a_film_on_black_in_a_window_is_found(scale):
    bright = np.maximum(film(6), 40)  # its own ground is not the viewer's black
    window, box = black_viewer(bright, scale)
    assert max(in_common(found, box) for found in film_boxes(window)) > 0.95


def test_boxes_are_few_inside_the_picture_and_unlike_each_other():
    for seed in range(4):
        window, _ = black_viewer(film(seed), 1.0)
        boxes = film_boxes(window)
        assert 1 <= len(boxes) <= 3
        for place, (left, top, right, bottom) in enumerate(boxes):
            assert 0 <= left < right <= window.shape[1] and 0 <= top < bottom <= window.shape[0]
            assert all(in_common(boxes[place], other) < 0.85 for other in boxes[:place])


@pytest.mark.parametrize("shape", [(90, 120), (33, 4000), (20, 20), (600, 500)])
def test_nothing_is_found_in_a_blank_picture_or_in_noise(shape):
    assert film_boxes(np.full(shape, 7, np.uint8)) == []
    assert film_boxes(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)) == []
