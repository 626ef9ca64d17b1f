"""Preprocessing and its processor twin. Run: pytest tests/test_preprocess.py"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_bones.preprocess import IMAGENET_MEAN, InputSpec, fit_to, fitted_shape, image_processor, spec_from_processor, to_input

SPEC = InputSpec(56)


def grey(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([28, 56, 97]))
def test_our_input_is_what_the_saved_processor_gives(height, width, size):
    if max(height, width) > 20 * min(height, width):
        return  # the opener refuses these
    spec = InputSpec(size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    pixels = grey(height, width)
    if min(int(side * min(size / height, size / width)) for side in (height, width)) == 0:
        return
    theirs = image_processor(spec)(Image.fromarray(pixels).convert("RGB"), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(to_input(pixels, spec), theirs, atol=1e-5)


def test_aspect_is_kept_and_the_padding_is_zero():
    out = to_input(np.full((40, 80), 255, np.uint8), SPEC)
    assert out.shape == (3, 56, 56) and out.dtype == np.float32
    assert (out[:, 28:, :] == 0).all()
    np.testing.assert_allclose(out[0, :28, :], (1 - SPEC.mean[0]) / SPEC.std[0], atol=1e-5)


def test_an_image_of_the_right_size_is_not_resampled():
    pixels = grey(56, 30)
    assert fit_to(pixels, 56) is pixels


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(8, 600))
def test_the_fitted_image_fits_and_touches_the_frame(height, width, size):
    fitted = fitted_shape(height, width, size)
    assert min(fitted) >= 1 and size - 1 <= max(fitted) <= size


def test_colour_or_float_images_are_refused_with_a_hint():
    with pytest.raises(ValueError, match="open_image"):
        fit_to(np.zeros((5, 5, 3), np.uint8), 56)
    with pytest.raises(ValueError, match="open_image"):
        fit_to(np.zeros((5, 5), np.float32), 56)


def test_a_spec_survives_saving_the_processor(tmp_path):
    spec = InputSpec(98, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    image_processor(spec).save_pretrained(tmp_path)
    assert spec_from_processor(json.loads((tmp_path / "preprocessor_config.json").read_text())) == spec


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"size": {"height": 384, "width": 384}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 384),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}, 224),
        ({"size": 224}, 224),
    ],
)
def test_stock_processors_give_their_size(config, size):
    spec = spec_from_processor(config)
    assert spec.size == size
    assert spec.mean == ((0.5, 0.5, 0.5) if "image_mean" in config else IMAGENET_MEAN)


def test_a_processor_without_a_size_is_an_error_that_names_its_file():
    with pytest.raises(ValueError, match=r"x/preprocessor_config\.json"):
        spec_from_processor({"size": {}}, "x/preprocessor_config.json")
