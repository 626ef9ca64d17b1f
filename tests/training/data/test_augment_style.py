"""Films made to look like those of other systems. Run: pytest tests/training/data/test_augment_style.py"""

import dataclasses
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_bones.config.augment import FULL_STYLE
from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.augment import (
    AUGMENTATIONS,
    DRAWS,
    BatchImages,
    affine_matrices,
    appliances,
    augment_batch,
    augmentation_draw,
    detail,
    named_draws,
    neutral_draw,
    overlays,
    policy_without_any,
    tone,
)
from hf_bones.training.data.augment.overlays import OUTER_MARGIN

STILL = policy_without_any()
SIZE = 64
SIDES = ((64, 40), (30, 64), (64, 64))


def alone(key: str, value: float | None = None) -> AugmentConfig:
    """A policy that makes one change of style in each image."""
    return dataclasses.replace(STILL, style_probability=1, **{key: FULL_STYLE[key] if value is None else value})


def films(count: int = 3, size: int = SIZE, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smooth random films of several shapes in [0, 1], padded with 0, and their heights and widths."""
    random = torch.Generator().manual_seed(seed)
    grey = torch.zeros(count, 1, size, size)
    sides = [SIDES[index % len(SIDES)] for index in range(count)]
    for index, (height, width) in enumerate(sides):
        coarse = torch.rand(1, 1, height // 4, width // 4, generator=random)
        grey[index, :, :height, :width] = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]
    return grey, torch.tensor([each[0] for each in sides]), torch.tensor([each[1] for each in sides])


def drawn(count: int = 3, seed: int = 0, **chosen: float) -> dict[str, torch.Tensor]:
    draws = named_draws(torch.from_numpy(np.stack([augmentation_draw(seed, place) for place in range(count)])))
    return draws | {name: torch.full((count,), float(value)) for name, value in chosen.items()}


def known(heights: torch.Tensor, widths: torch.Tensor, boxes: torch.Tensor, *, healthy: bool = False) -> BatchImages:
    yes = torch.ones(len(heights), dtype=torch.bool)
    return BatchImages(heights, widths, boxes, yes, yes if healthy else ~yes)


def changed(policy: AugmentConfig, draws: dict[str, torch.Tensor], images: BatchImages | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    grey, heights, widths = films()
    return grey, augment_batch(grey, heights, widths, draws, policy, None, images)


# The keys
def test_style_scales_each_strength_that_has_none_of_its_own():
    policy = AugmentConfig(style=0.5, blur=0.2, jpeg=0)
    assert policy.strength("blur") == 0.2 and policy.strength("jpeg") == 0
    assert policy.strength("noise") == FULL_STYLE["noise"] / 2
    on = {each.name for each in AUGMENTATIONS if each.is_on(policy)}
    assert set(FULL_STYLE) - on == {"jpeg"}
    assert not set(FULL_STYLE) & {each.name for each in AUGMENTATIONS if each.is_on(AugmentConfig())}
    assert not set(FULL_STYLE) & {each.name for each in AUGMENTATIONS if each.is_on(AugmentConfig(style=1, style_probability=0))}


def test_healthy_films_have_the_rate_of_all_unless_they_have_their_own():
    assert AugmentConfig(cast=0.1).strength("cast_healthy") == 0.1
    assert AugmentConfig(cast=0.1, cast_healthy=0.3).strength("cast_healthy") == 0.3


def test_a_neutral_draw_changes_nothing():
    draws = named_draws(torch.from_numpy(neutral_draw()).repeat(3, 1))
    policy = dataclasses.replace(STILL, style=1.0, style_probability=0.999, invert=0.999, **dict.fromkeys(FULL_STYLE))
    grey, out = changed(policy, draws)
    for before, after, (height, width) in zip(grey, out, SIDES, strict=True):
        torch.testing.assert_close(after[:, :height, :width], before[:, :height, :width], atol=1e-4, rtol=0)


@pytest.mark.parametrize("key", [key for key in FULL_STYLE if key != "noise"])
def test_padding_plays_no_part(key):
    grey, heights, widths = films()
    wider = torch.nn.functional.pad(grey, (0, 24, 0, 24), value=0.9)
    for index, (height, width) in enumerate(SIDES):
        wider[index, :, height:] = wider[index, :, :, width:] = 0.9
    # The same but for rounding, which may fall the other way at the steps of JPEG and of histograms.
    draws = drawn()
    images = known(heights, widths, torch.zeros(3, 1, 4), healthy=True)
    moved = []
    narrow, wide = (augment_batch(each, heights, widths, draws, alone(key), None, images) for each in (grey, wider))
    for one, other, before, (height, width) in zip(narrow, wide, grey, SIDES, strict=True):
        apart = (one - other[:, :SIZE, :SIZE]).abs()[:, : height - 1, : width - 1]
        assert (apart > 1e-3).float().mean() < 0.01 and apart.max() < 0.05
        moved.append(float((one - before).abs()[:, :height, :width].max()))
    assert max(moved) > 0.05


def test_one_image_is_changed_alike_whatever_batch_it_is_in_and_on_either_kind_of_device(monkeypatch):
    policy = AugmentConfig(style=1, style_probability=0.6, invert=0.5, cast=0.7, metal=0.7, zoom=2)
    grey, heights, widths = films(6)
    draws = drawn(6, seed=3)
    images = known(heights, widths, torch.zeros(6, 1, 4), healthy=True)
    matrices = affine_matrices(draws, heights.float(), widths.float(), policy)
    whole = augment_batch(grey, heights, widths, draws, policy, matrices, images)
    assert torch.isfinite(whole).all() and whole.min() >= 0 and whole.max() <= 1
    part = {name: value[4:5] for name, value in draws.items()}
    one = augment_batch(grey[4:5], heights[4:5], widths[4:5], part, policy, None, images.of(slice(4, 5)))
    torch.testing.assert_close(whole[4:5], one, atol=2e-2, rtol=0)
    assert ((whole[4:5] - one).abs() < 1e-4).float().mean() > 0.99  # a rounding step of JPEG may fall the other way

    def of_all(grey, chosen, change):  # as on a GPU, where the host does not ask which images are chosen
        return torch.where(chosen[:, None, None, None], change(grey, slice(None)), grey)

    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(augment_batch(grey, heights, widths, draws, policy, matrices, images), whole)
    for module in (appliances, detail, overlays, tone):
        monkeypatch.setattr(module, "of_some", of_all)
    torch.testing.assert_close(augment_batch(grey, heights, widths, draws, policy, None, images), whole, atol=2e-2, rtol=0)


# Fine detail
def test_jpeg_is_what_pillow_makes_of_it():
    grey, heights, widths = films()
    out = augment_batch(grey, heights, widths, drawn(jpeg_quality=0.999), alone("jpeg", 80))
    picture = Image.fromarray((grey[2, 0] * 255).round().byte().numpy())
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=20)
    theirs = torch.from_numpy(np.asarray(Image.open(file)).astype(np.float32))
    assert ((out[2, 0] * 255) - theirs).abs().mean() < 1 < (theirs - grey[2, 0] * 255).abs().mean()


def test_resampling_by_two_is_a_mean_of_four_and_a_linear_way_up():
    grey, heights, widths = films()
    out = augment_batch(grey, heights, widths, drawn(resample_factor=1), alone("resample", 1.0))
    coarse = torch.nn.functional.avg_pool2d(grey[2:], 2)
    fine = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(out[2:], fine, atol=1e-4, rtol=0)


def test_a_blur_spreads_light_and_an_unsharp_mask_gathers_it():
    grey = torch.full((3, 1, SIZE, SIZE), 0.2)
    grey[:, 0, 32, 32] = 0.6
    sides = torch.full((3,), SIZE)
    soft = augment_batch(grey, sides, sides, drawn(blur_sigma=0.999), alone("blur", 1.0))
    torch.testing.assert_close(soft.sum(), grey.sum(), atol=0.05, rtol=0)
    assert soft[0, 0, 32, 32] == pytest.approx(0.2 + 0.4 / (2 * np.pi), abs=0.01)  # 1 / (2 π σ²) at σ = 1
    sharp = augment_batch(grey, sides, sides, drawn(sharpen_amount=0.5), alone("sharpen", 1.0))
    assert sharp[0, 0, 32, 32] > 0.7 and sharp[0, 0, 32, 34] < 0.2


def test_noise_has_the_spread_that_was_drawn():
    grey = torch.full((3, 1, SIZE, SIZE), 0.5)
    sides = torch.full((3,), SIZE)
    out = augment_batch(grey, sides, sides, drawn(noise_deviation=0.5), alone("noise", 0.1))
    assert out.std() == pytest.approx(0.05 * 0.7, rel=0.05) and out.mean() == pytest.approx(0.5, abs=2e-3)
    assert (out[0] - out[1]).std() > 0.04  # each image has its own


# Histograms
def test_a_stretch_turns_the_share_that_was_drawn_black_and_white():
    grey, heights, widths = films()
    out = augment_batch(grey, heights, widths, drawn(stretch_share=0.999), alone("stretch", 0.05))
    for after, (height, width) in zip(out[:, 0], SIDES, strict=True):
        film = after[:height, :width]
        assert 0.03 < (film <= 0).float().mean() < 0.07 and 0.03 < (film >= 1).float().mean() < 0.07


def test_clahe_raises_faint_detail():
    grey = torch.full((3, 1, SIZE, SIZE), 0.1)
    grey[:, :, 20:40, 20:40] += 0.04 * torch.rand(3, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    sides = torch.full((3,), SIZE)
    out = augment_batch(grey, sides, sides, drawn(clahe_share=0.999), alone("clahe", 1.0))
    assert out[:, :, 22:38, 22:38].std() > 2 * grey[:, :, 22:38, 22:38].std()


def test_polarity_is_turned_round_where_it_is_drawn():
    grey, out = changed(dataclasses.replace(STILL, invert=0.5), drawn() | {"invert": torch.tensor([0.4, 0.6, 0.1])})
    torch.testing.assert_close(out[0, :, :64, :40], 1 - grey[0, :, :64, :40], atol=1e-4, rtol=0)
    torch.testing.assert_close(out[1, :, :30], grey[1, :, :30], atol=1e-4, rtol=0)


# Overlays
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.02, 0.6), st.floats(0.02, 0.6)),
    st.sampled_from(SIDES),
    st.booleans(),
)
def test_overlays_cover_no_known_box_and_keep_to_the_margin_of_films_without(seed, box, sides, is_known):
    height, width = sides
    grey = torch.full((8, 1, SIZE, SIZE), 0.5)
    heights, widths = torch.full((8,), height), torch.full((8,), width)
    images = known(heights, widths, torch.tensor([[box]] * 8)) if is_known else None
    policy = dataclasses.replace(STILL, style_probability=1, collimation=0.45, markers=0.2)
    out = augment_batch(grey, heights, widths, drawn(8, seed), policy, None, images)[:, 0, :height, :width]
    x, y = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    if is_known:
        free = ((x - box[0]).abs() < box[2] / 2)[None, :] & ((y - box[1]).abs() < box[3] / 2)[:, None]
    else:
        inner = (OUTER_MARGIN, 1 - OUTER_MARGIN)
        free = ((x > inner[0]) & (x < inner[1]))[None, :] & ((y > inner[0]) & (y < inner[1]))[:, None]
    assert ((out - 0.5).abs() < 1e-3)[:, free].all()


def test_healthy_films_get_borders_and_markers():
    grey, heights, widths = films(30)
    images = known(heights, widths, torch.zeros(30, 1, 4), healthy=True)
    for key in ("collimation", "markers"):
        out = augment_batch(grey, heights, widths, drawn(30), alone(key, 0.2), None, images)
        told = torch.tensor([(a - b).abs()[:, :h, :w].max() > 0.05 for a, b, h, w in zip(grey, out, heights, widths, strict=True)])
        assert told.float().mean() > 0.6


def test_there_are_as_many_numbers_as_names():
    assert len(set(DRAWS)) == len(DRAWS) == len(augmentation_draw(0, 0))
