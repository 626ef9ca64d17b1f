"""Augmentation on the batch. Run: pytest tests/training/data/test_augment.py"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bones.config.recipe import AugmentConfig
from hf_bones.preprocess import InputSpec, normalise
from hf_bones.training.data.augment import DRAWS, affine_matrices, augment_batch, augmentation_draw, named_draws, policy_without_any, warp
from hf_bones.training.data.batches import batch_to_input, collate

STILL = policy_without_any()
SPEC = InputSpec(48)


def batch(count: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(seed)
    shapes = [(48, 30), (20, 48), (48, 48)]
    rows = [
        {
            "pixels": random.integers(0, 256, shapes[index % 3], dtype=np.uint8),
            "label": index % 3,
            "draw": augmentation_draw(seed, index),
        }
        for index in range(count)
    ]
    return collate(rows, SPEC.size)


def test_without_a_policy_a_batch_is_what_preprocessing_gives():
    made = batch()
    out = batch_to_input(made, SPEC)
    for index in range(3):
        height, width = int(made["heights"][index]), int(made["widths"][index])
        np.testing.assert_allclose(out[index], normalise(made["grey"][index, 0, :height, :width].numpy(), SPEC), atol=1e-6)


def test_a_policy_of_zeros_changes_nothing():
    made = batch()
    torch.testing.assert_close(batch_to_input(made, SPEC, STILL), batch_to_input(made, SPEC), atol=2e-4, rtol=0)


def test_padding_is_zero_after_augmentation():
    made = batch()
    out = batch_to_input(made, SPEC, AugmentConfig())
    for index in range(3):
        assert (out[index, :, int(made["heights"][index]) :, :] == 0).all()
        assert (out[index, :, :, int(made["widths"][index]) :] == 0).all()


def test_the_same_draw_gives_the_same_image_whatever_batch_it_is_in():
    made = batch(6)
    together = batch_to_input(made, SPEC, AugmentConfig())
    alone = batch_to_input({key: value[4:5] for key, value in made.items()}, SPEC, AugmentConfig())
    torch.testing.assert_close(together[4:5], alone, atol=1e-5, rtol=1e-5)


def test_draws_differ_by_position_and_repeat_by_seed():
    assert (augmentation_draw(0, 5) == augmentation_draw(0, 5)).all()
    assert (augmentation_draw(0, 5) != augmentation_draw(0, 6)).any()
    assert (augmentation_draw(0, 5) != augmentation_draw(1, 5)).any()


def test_the_numbers_of_an_image_are_those_of_earlier_runs():
    drawn = dict(zip(DRAWS, augmentation_draw(3, 5), strict=True))
    found = np.random.default_rng([3, 5]).random(13, dtype=np.float32)
    assert [drawn[name] for name in ("rotation", "shift_y", "horizontal_flip", "contrast", "zoom", "zoom_y")] == found[
        [0, 3, 4, 7, 9, 12]
    ].tolist()


@settings(max_examples=50)
@given(
    st.lists(st.floats(0, 0.9999), min_size=len(DRAWS), max_size=len(DRAWS)),
    st.floats(0, 90),
    st.floats(0, 0.3),
    st.floats(0, 1),
)
def test_there_is_never_any_shear(numbers, rotation, scale, flip):
    policy = AugmentConfig(rotation_degrees=rotation, scale=scale, horizontal_flip=flip, vertical_flip=flip)
    matrix = affine_matrices(named_draws(torch.tensor([numbers])), torch.tensor([40.0]), torch.tensor([30.0]), policy)[0, :, :2].double()
    product = matrix @ matrix.T
    # A similarity: columns orthogonal and of one length, so angles and proportions survive.
    assert product[0, 1].abs() < 1e-5
    assert product[0, 0] == pytest.approx(product[1, 1].item(), abs=1e-5)
    assert 1 - scale - 1e-5 <= product[0, 0].sqrt() <= 1 + scale + 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.tuples(st.integers(20, 60), st.integers(20, 60)))
def test_images_move_as_kornia_moves_them(seed, sides):
    kornia = pytest.importorskip("kornia")
    random = torch.Generator().manual_seed(seed)
    height, width = sides
    # Smooth ones: where a place to read at falls on the very edge, rounding decides whether a neighbour counts.
    grey = torch.nn.functional.interpolate(torch.rand(3, 1, 5, 5, generator=random), size=sides, mode="bicubic").clamp(0, 1)
    policy = AugmentConfig(rotation_degrees=40, scale=0.3, shift=0.2, vertical_flip=0.5)
    matrices = affine_matrices(
        named_draws(torch.rand(3, len(DRAWS), generator=random)), torch.full((3,), float(height)), torch.full((3,), float(width)), policy
    )
    theirs = kornia.geometry.transform.warp_affine(grey, matrices, dsize=sides, mode="bilinear", padding_mode="zeros", align_corners=True)
    torch.testing.assert_close(warp(grey, matrices), theirs, atol=1e-3, rtol=0)


def test_the_mirror_keeps_the_image_inside_its_own_frame():
    grey = torch.zeros(1, 1, 48, 48)
    grey[0, 0, :, :5] = 1
    draws = named_draws(torch.full((1, len(DRAWS)), 0.5)) | {"horizontal_flip": torch.zeros(1)}
    policy = AugmentConfig(**{**vars(STILL), "horizontal_flip": 0.5})
    out = augment_batch(grey, torch.tensor([48]), torch.tensor([30]), draws, policy)
    assert out[0, 0, 10, 25:30].min() > 0.99 and out[0, 0, 10, :25].max() < 0.01


def test_a_rotation_turns_about_the_centre_of_the_unpadded_image():
    grey = torch.zeros(1, 1, 49, 49)
    grey[0, 0, 24, 14] = 1  # the centre of a 29-wide image
    draws = named_draws(torch.full((1, len(DRAWS)), 0.5)) | {"rotation": torch.full((1,), 0.999)}
    policy = AugmentConfig(**{**vars(STILL), "rotation_degrees": 90})
    out = augment_batch(grey, torch.tensor([49]), torch.tensor([29]), draws, policy)
    assert out[0, 0].argmax().item() == 24 * 49 + 14


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_values_stay_in_range(seed):
    made = batch(3, seed)
    out = augment_batch(made["grey"].float() / 255, made["heights"], made["widths"], named_draws(made["draws"]), AugmentConfig())
    assert out.min() >= 0 and out.max() <= 1 and torch.isfinite(out).all()


@settings(max_examples=50)
@given(
    st.lists(st.floats(0, 0.9999), min_size=len(DRAWS), max_size=len(DRAWS)),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.01, 0.5)),
    st.booleans(),
)
def test_known_boxes_stay_in_the_frame_and_nothing_else_moves(numbers, box, known):
    policy = AugmentConfig(rotation_degrees=20, scale=0.2, shift=0.3, vertical_flip=0.5)
    heights, widths = torch.tensor([48.0]), torch.tensor([30.0])
    boxes = torch.tensor([[box if known else (0.0, 0.0, 0.0, 0.0)]])
    draws = named_draws(torch.tensor([numbers]))
    free = affine_matrices(draws, heights, widths, policy)
    held = affine_matrices(draws, heights, widths, policy, boxes, torch.tensor([known]))
    torch.testing.assert_close(held[..., :2], free[..., :2])
    if not known:
        torch.testing.assert_close(held, free)
        return
    cx, cy, w, h = box
    x, y = np.clip([cx - w / 2, cx + w / 2], 0, 1) * 30 - 0.5, np.clip([cy - h / 2, cy + h / 2], 0, 1) * 48 - 0.5
    corners = torch.tensor([[a, b, 1.0] for a in x for b in y], dtype=torch.float32)
    moved = corners @ held[0].T + 0.5
    size = moved.amax(dim=0) - moved.amin(dim=0)
    for axis, side in enumerate((30, 48)):
        if size[axis] <= side:
            assert moved[:, axis].min() > -1e-3 and moved[:, axis].max() < side + 1e-3
        else:
            assert (moved[:, axis].max() + moved[:, axis].min()) / 2 == pytest.approx(side / 2, abs=1e-3)
    if bool(((corners @ free[0].T + 0.5 > 1e-3) & (corners @ free[0].T + 0.5 < torch.tensor([30, 48]) - 1e-3)).all()):
        torch.testing.assert_close(held, free, atol=1e-4, rtol=0)


def test_a_policy_may_let_a_known_box_leave():
    policy = AugmentConfig(**{**vars(STILL), "shift": 0.5, "keep_in_view": False})
    draws = named_draws(torch.full((1, len(DRAWS)), 0.999))
    boxes = torch.tensor([[[0.9, 0.9, 0.1, 0.1]]])
    sides = torch.tensor([48.0]), torch.tensor([30.0])
    torch.testing.assert_close(affine_matrices(draws, *sides, policy, boxes, torch.tensor([True])), affine_matrices(draws, *sides, policy))
