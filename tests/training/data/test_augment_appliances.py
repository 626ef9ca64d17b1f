"""Casts and metal drawn onto films. Run: pytest tests/training/data/test_augment_appliances.py"""

import dataclasses

import numpy as np
import pytest
import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.augment import BatchImages, augment_batch, augmentation_draw, named_draws, policy_without_any
from hf_bones.training.data.augment.limb import CELLS, distance, find_limbs

STILL = policy_without_any()
SIZE, LEFT, RIGHT, BONE = 192, 70, 120, (90, 102)  # px: the limb's edges and its bone, from top to bottom of the film


def limb_films(count: int) -> torch.Tensor:
    """A forearm of flesh with one bone, straight down a dark film, (B, 1, S, S)."""
    grey = torch.full((count, 1, SIZE, SIZE), 0.08)
    grey[:, :, :, LEFT:RIGHT] = 0.35
    grey[:, :, :, BONE[0] : BONE[1]] = 0.65
    return torch.nn.functional.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)


def drawn(count: int, seed: int = 0, **chosen: float) -> dict[str, torch.Tensor]:
    draws = named_draws(torch.from_numpy(np.stack([augmentation_draw(seed, place) for place in range(count)])))
    return draws | {name: torch.full((count,), float(value)) for name, value in chosen.items()}


def told(count: int, *, healthy: bool, boxes: list[list[float]] | None = None) -> BatchImages:
    sides = torch.full((count,), SIZE)
    yes = torch.ones(count, dtype=torch.bool)
    return BatchImages(sides, sides, torch.tensor([boxes or [[0.0] * 4]] * count), yes, yes if healthy else ~yes)


def with_drawn(policy: AugmentConfig, draws: dict[str, torch.Tensor], images: BatchImages | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Films before and after, (B, S, S)."""
    grey = limb_films(len(draws["cast"]))
    sides = torch.full((len(grey),), SIZE)
    return grey[:, 0], augment_batch(grey, sides, sides, draws, policy, None, images)[:, 0]


def test_distances_are_those_of_scipy():
    from scipy.ndimage import distance_transform_edt

    mask = torch.nn.functional.interpolate(torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(1)), size=(40, 40))[:, 0] > 0.3
    theirs = np.stack([distance_transform_edt(np.pad(each.numpy(), 40, constant_values=True))[40:-40, 40:-40] for each in mask])
    torch.testing.assert_close(distance(mask, 12), torch.from_numpy(theirs).float().clamp(max=12))


def test_the_limb_is_found_where_it_is():
    sides = torch.full((2,), SIZE)
    limbs = find_limbs(limb_films(2), BatchImages.without_boxes(sides, sides), torch.tensor([0.1, 0.9]))
    assert limbs.found.all()
    row = limbs.inside[0, CELLS // 2]
    across = (torch.arange(CELLS) + 0.5) * SIZE / CELLS
    assert across[row > 0].min() == pytest.approx(LEFT, abs=4) and across[row > 0].max() == pytest.approx(RIGHT, abs=4)
    assert across[limbs.bone[0, CELLS // 2].argmax()] == pytest.approx(sum(BONE) / 2, abs=4)


def test_a_film_without_a_limb_stays_as_it_is():
    grey = torch.full((3, 1, SIZE, SIZE), 0.4)
    sides = torch.full((3,), SIZE)
    policy = dataclasses.replace(STILL, cast=1, metal_healthy=1, cast_healthy=1)
    out = augment_batch(grey, sides, sides, drawn(3), policy, None, told(3, healthy=True))
    torch.testing.assert_close(out, grey, atol=1e-3, rtol=0)


def test_a_cast_brightens_the_skin_line_and_leaves_the_ground():
    before, after = with_drawn(dataclasses.replace(STILL, cast=1), drawn(8, cast_kind=0.9, cast_start=0.8, cast_end=0.8), None)
    rise = (after - before)[:, 40:150].mean(dim=(0, 1))
    assert rise.min() > -1e-3
    skin = max(rise[LEFT - 6 : LEFT + 2].max(), rise[RIGHT - 2 : RIGHT + 6].max())
    assert skin > 0.25 and rise[BONE[0] : BONE[1]].mean() < 0.5 * skin and rise[: LEFT - 30].max() < 0.01


def test_a_splint_lies_on_one_side():
    before, after = with_drawn(dataclasses.replace(STILL, cast=1), drawn(8, cast_kind=0.1, cast_start=0.8, cast_end=0.8), None)
    rise = (after - before)[:, 40:150].mean(dim=1)
    left, right = rise[:, LEFT - 8 : LEFT + 4].amax(dim=1), rise[:, RIGHT - 4 : RIGHT + 8].amax(dim=1)
    assert (torch.maximum(left, right) > 0.25).all() and (torch.minimum(left, right) < 0.05).all()


def test_metal_lies_along_the_bone_and_is_nearly_white():
    before, after = with_drawn(dataclasses.replace(STILL, metal_healthy=1), drawn(20, metal_kind=0.6), told(20, healthy=True))
    place = after - before > 0.2
    assert (place.flatten(1).any(dim=1)).float().mean() > 0.8
    columns = place.any(dim=1).nonzero()[:, 1].float()
    assert columns.mean() == pytest.approx(sum(BONE) / 2, abs=6) and after[place].mean() > 0.8


def test_metal_covers_no_box_and_is_left_out_where_a_break_may_lie_anywhere():
    box = [0.5, 0.4, 0.1, 0.1]
    policy = dataclasses.replace(STILL, metal=1)
    before, after = with_drawn(policy, drawn(40), told(40, healthy=False, boxes=[box]))
    x = y = (torch.arange(SIZE) + 0.5) / SIZE
    inside = ((y - box[1]).abs() < 0.05)[:, None] & ((x - box[0]).abs() < 0.05)[None, :]
    torch.testing.assert_close(after[:, inside], before[:, inside], atol=1e-4, rtol=0)
    assert ((after - before) > 0.2).flatten(1).any(dim=1).any()
    before, after = with_drawn(policy, drawn(40), None)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_healthy_and_broken_films_have_rates_of_their_own():
    policy = dataclasses.replace(STILL, cast=0.1, cast_healthy=0.8)
    for healthy, rate in ((True, 0.8), (False, 0.1)):
        before, after = with_drawn(policy, drawn(100), told(100, healthy=healthy))
        assert ((after - before) > 0.1).flatten(1).any(dim=1).float().mean() == pytest.approx(rate, abs=0.12)
