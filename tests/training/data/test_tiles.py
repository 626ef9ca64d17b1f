"""Tiles: what a window of a film is labelled, against its boxes by brute force. Run: pytest tests/training/data/test_tiles.py"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import box_cover
from hf_bones.training.data import tiles
from hf_bones.training.data.augment import augmentation_draw, policy_without_any
from hf_bones.training.data.batches import batch_matrices, batch_tiles, batch_to_input, collate, labels_in_view

SIZE, NORMAL = 96, 0
ALWAYS = AugmentConfig(tile_probability=1.0, tile_scale=3.0, zoom=2.5, zoom_probability=1.0, vertical_flip=0.5, rotation_degrees=20)
ALONE = dataclasses.replace(policy_without_any(), tile_probability=1.0, tile_scale=3.0)


def batch_of(count: int, boxes: list[list[float]] | None, label: int = 1, shape: tuple[int, int] = (96, 72), seed: int = 0):  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    rows = [
        {
            "pixels": random.integers(80, 200, shape, dtype=np.uint8),
            "label": label,
            "draw": augmentation_draw(seed, place),
            "boxes": boxes,
        }
        for place in range(count)
    ]
    return collate(rows, SIZE)


def shares_in_frame(batch: dict[str, torch.Tensor], matrices: torch.Tensor) -> np.ndarray:
    """(B, K): the share of each box that is within the frame, by 40 × 40 points of it."""
    height, width = int(batch["heights"][0]), int(batch["widths"][0])
    line = (np.arange(40) + 0.5) / 40 - 0.5
    found = []
    for cx, cy, w, h in batch["boxes"][0].tolist():
        x, y = np.meshgrid((cx + line * w) * width - 0.5, (cy + line * h) * height - 0.5)
        points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        moved = matrices.numpy().astype(np.float64) @ points + 0.5  # (B, 2, P)
        inside = (moved >= 0).all(axis=1) & (moved[:, 0] <= width) & (moved[:, 1] <= height)
        found.append(inside.mean(axis=1))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("policy", [ALWAYS, ALONE], ids=["whole policy", "tiles alone"])
@pytest.mark.parametrize("boxes", [[[0.3, 0.4, 0.2, 0.1]], [[0.25, 0.2, 0.1, 0.08], [0.7, 0.8, 0.15, 0.1], [0.6, 0.3, 0.05, 0.05]]])
def test_a_tile_has_the_films_label_where_it_holds_a_break_and_is_healthy_where_it_holds_none(policy, boxes) -> None:  # type: ignore[no-untyped-def]
    batch = batch_of(600, boxes)
    matrices = batch_matrices(batch, policy)
    labels = labels_in_view(batch, matrices, policy, NORMAL).numpy()
    shares = shares_in_frame(batch, matrices)
    assert (shares[labels == 1].max(axis=1) > 0.99).all(), "a tile called broken holds the whole of a box"
    assert (shares[labels == 0] == 0).all(), "no part of any box is in a tile that is called healthy"
    assert 0.4 < (labels == 0).mean() < 0.6
    growth = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()
    assert growth.min() > 1.75 and growth.max() < 3.35, "twice to three times, and the policy's own scale; no zoom on top"


def test_windows_lie_everywhere_and_within_the_film() -> None:
    batch = batch_of(400, [], label=0)
    matrices = batch_matrices(batch, ALONE)
    factor = matrices[:, 0, 0]
    corner = (-matrices[:, :, 2] - 0.5) / factor[:, None] + 0.5  # where the frame's corner comes from
    window = torch.tensor([72.0, 96.0]) / factor[:, None]
    assert (corner > -0.01).all() and (corner + window < torch.tensor([72.01, 96.01])).all()
    assert corner.min() < 2 and (corner + window).amax(dim=0)[1] > 94
    assert (labels_in_view(batch, matrices, ALONE, NORMAL) == 0).all()


def test_a_film_whose_breaks_nobody_marked_is_left_whole_and_so_is_one_without_a_label() -> None:
    batch = batch_of(50, None, label=2)
    assert torch.equal(batch_matrices(batch, ALONE), torch.eye(2, 3).expand(50, 2, 3))
    chosen = batch_tiles(batch, ALONE)
    assert chosen is not None and not chosen.any()
    assert (labels_in_view(batch, batch_matrices(batch, ALONE), ALONE, NORMAL) == 2).all()


def test_a_break_too_large_for_a_window_is_held_by_a_larger_one_and_one_that_fills_the_film_by_the_film() -> None:
    batch = batch_of(200, [[0.5, 0.5, 0.7, 0.7]])
    matrices = batch_matrices(batch, ALONE)
    assert (shares_in_frame(batch, matrices) > 0.99).all() and (matrices[:, 0, 0] >= 1).all() and matrices[:, 0, 0].max() < 1.43
    assert (labels_in_view(batch, matrices, ALONE, NORMAL) == 1).all()
    whole = batch_of(20, [[0.5, 0.5, 1.0, 1.0]])
    torch.testing.assert_close(batch_matrices(whole, ALONE), torch.eye(2, 3).expand(20, 2, 3), atol=1e-4, rtol=0)


def test_a_probability_is_a_share_of_the_images_and_the_others_keep_their_zoom() -> None:
    policy = dataclasses.replace(policy_without_any(), tile_probability=0.3, tile_scale=3, zoom=1.5, zoom_probability=1)
    batch = batch_of(1000, [[0.4, 0.5, 0.05, 0.05]])
    chosen = batch_tiles(batch, policy)
    assert chosen is not None and 0.25 < chosen.float().mean() < 0.35
    matrices = batch_matrices(batch, policy)
    assert matrices[~chosen, 0, 0].max() <= 1.5 < 1.99 < matrices[chosen, 0, 0].min()
    assert (labels_in_view(batch, matrices, policy, NORMAL)[~chosen] == 1).all()
    off = dataclasses.replace(policy, tile_probability=0)
    assert batch_tiles(batch, off) is None and torch.equal(labels_in_view(batch, matrices, off, NORMAL), batch["labels"])


def test_a_tile_is_not_mere_background() -> None:
    """A bright limb down the left fifth of a black film."""
    batch = batch_of(300, [], label=0)
    batch["grey"].zero_()
    batch["grey"][:, :, :96, 4:18] = 200
    light = batch_to_input(batch, InputSpec(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ALONE)[:, 0, :96, :72].mean(dim=(1, 2))
    blind = {key: value for key, value in batch.items() if key != "grey"}
    unseen = batch_matrices(blind, ALONE)  # as if nothing were known of the pixels
    dark = batch_to_input(batch, InputSpec(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ALONE, unseen)[:, 0, :96, :72].mean(dim=(1, 2))
    mean = 200 / 255 * 14 / 72
    assert (light > 0.3 * mean).all() and (dark < 0.3 * mean).float().mean() > 0.3
    assert tiles.brightness(batch["grey"], batch["heights"], batch["widths"])[0].mean() == pytest.approx(200 * 14 / 72, rel=0.15)


def test_patches_are_asked_for_the_break_only_where_the_tile_holds_it() -> None:
    batch = batch_of(300, [[0.3, 0.4, 0.2, 0.1]])
    matrices = batch_matrices(batch, ALWAYS)
    labels = labels_in_view(batch, matrices, ALWAYS, NORMAL)
    cover = box_cover(batch["boxes"], matrices, batch["heights"].float(), batch["widths"].float(), grid=24, size=SIZE)
    covered = cover.flatten(1).sum(dim=1)
    assert (covered[labels == 0] == 0).all() and (covered[labels == 1] > 0).all()


def test_a_tile_rests_on_its_own_draw_alone() -> None:
    batch = batch_of(8, [[0.3, 0.4, 0.2, 0.1]])
    one = {key: value[5:6] for key, value in batch.items()}
    torch.testing.assert_close(batch_matrices(one, ALWAYS), batch_matrices(batch, ALWAYS)[5:6])
