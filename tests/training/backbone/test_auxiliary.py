"""Further heads: where boxes land after augmentation, what their losses are, and that the finished checkpoint is a plain classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny import tiny_checkpoint
from transformers import AutoModelForImageClassification

from hf_bones.config.recipe import AugmentConfig, ModelConfig, RecipeError
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.auxiliary import UNKNOWN, attach_auxiliary, box_cover, box_loss, head_figures, label_loss, patch_map
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.data.augment import DRAWS, affine_matrices, augment_batch, augmentation_draw, named_draws
from hf_bones.training.data.batches import TrainingRows, batch_matrices, collate
from hf_bones.training.run.checkpoints import load_weights, save_checkpoint

SIZE, GRID = 56, 4
WIDE = AugmentConfig(
    rotation_degrees=30, scale=0.2, shift=0.1, vertical_flip=0.5, gamma=0, contrast=0, brightness=0, zoom=3, zoom_probability=0.8
)


def batch_of(count: int, boxes: list[list[float]] | None = None) -> dict[str, torch.Tensor]:
    """`count` films of 112 × 84 px in a square of 112, bright in the box (0.6, 0.3, 0.2, 0.15) alone."""
    return {
        "grey": torch.zeros(count, 1, 112, 112),
        "heights": torch.full((count,), 112.0),
        "widths": torch.full((count,), 84.0),
        "draws": torch.from_numpy(np.stack([augmentation_draw(0, place) for place in range(count)])),
        "boxes": torch.tensor([boxes or [[0.6, 0.3, 0.2, 0.15], [0, 0, 0, 0]]]).float().expand(count, -1, -1),
        "boxes_known": torch.ones(count, dtype=torch.bool),
    }


def painted(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    grey = batch["grey"].clone()
    grey[:, :, 25:42, 42:59] = 1.0  # rows 0.225…0.375 of 112, columns 0.5…0.7 of 84
    return grey


def test_the_cover_of_an_unchanged_film_is_where_the_box_is() -> None:
    batch = batch_of(1)
    cover = box_cover(batch["boxes"], torch.eye(2, 3)[None], batch["heights"], batch["widths"], grid=8, size=112)[0]
    assert set(torch.nonzero(cover)[:, 0].tolist()) <= {1, 2, 3}  # 14 px a patch: rows 25–42 are patches 1–2, widened by half a point
    assert cover[2, 3] == 1 and cover[2, 6] == 0 and cover[6].sum() == 0


def test_the_cover_follows_rotation_flips_and_zoom() -> None:
    batch = batch_of(200)
    matrices = affine_matrices(named_draws(batch["draws"]), batch["heights"], batch["widths"], WIDE, batch["boxes"], batch["boxes_known"])
    warped = augment_batch(painted(batch), batch["heights"], batch["widths"], named_draws(batch["draws"]), WIDE, matrices)
    cover = box_cover(batch["boxes"], matrices, batch["heights"], batch["widths"], grid=28, size=112)
    bright = torch.nn.functional.avg_pool2d(warped, 4)[:, 0]
    assert ((bright > 0.6) & (cover == 0)).sum() == 0  # every patch that the box fills is found
    assert ((bright == 0) & (cover == 1)).sum() <= 0.02 * (cover == 1).sum()  # and next to none beside it


def test_a_zoom_enlarges_and_keeps_every_box_in_view() -> None:
    batch = batch_of(500, [[0.6, 0.3, 0.2, 0.15], [0.2, 0.8, 0.1, 0.1]])
    policy = AugmentConfig(rotation_degrees=0, scale=0, shift=0, horizontal_flip=0, zoom=4, zoom_probability=0.7)
    matrices = affine_matrices(named_draws(batch["draws"]), batch["heights"], batch["widths"], policy, batch["boxes"], batch["boxes_known"])
    factors = matrices[:, 0, 0]
    assert factors.max() > 1.3 and (factors == 1).float().mean() == pytest.approx(0.3, abs=0.07)
    for cx, cy, w, h in ((0.6, 0.3, 0.2, 0.15), (0.2, 0.8, 0.1, 0.1)):
        for x, y in ((cx - w / 2, cy - h / 2), (cx + w / 2, cy + h / 2)):
            landed = (matrices @ torch.tensor([x * 84, y * 112, 1.0])[:, None])[..., 0]
            assert (landed > -0.01).all() and (landed < torch.tensor([84.01, 112.01])).all()


def test_films_whose_breaks_nobody_marked_are_not_zoomed_and_whole_bones_are() -> None:
    batch = batch_of(200, [[0, 0, 0, 0]])
    policy = AugmentConfig(rotation_degrees=0, scale=0, shift=0, horizontal_flip=0, zoom=2, zoom_probability=1)
    known = affine_matrices(named_draws(batch["draws"]), batch["heights"], batch["widths"], policy, batch["boxes"], batch["boxes_known"])
    unknown = affine_matrices(named_draws(batch["draws"]), batch["heights"], batch["widths"], policy, batch["boxes"], ~batch["boxes_known"])
    assert torch.allclose(unknown, torch.eye(2, 3).expand(200, 2, 3), atol=1e-4)
    assert known[:, 0, 0].min() >= 1 and known[:, 0, 0].max() > 1.8


def test_the_box_loss_is_least_where_the_patches_know_and_ignores_films_without_boxes() -> None:
    cover = torch.zeros(2, GRID, GRID)
    cover[0, 1, 2] = 1
    right = torch.where(cover > 0, 6.0, -6.0)
    known = torch.tensor([True, True])
    assert box_loss(right, cover, known) < 0.02 < box_loss(torch.zeros_like(right), cover, known)
    assert box_loss(-right, cover, torch.tensor([False, False])) == 0
    one_patch = -torch.nn.functional.logsigmoid(torch.tensor(-1.0)) - torch.nn.functional.logsigmoid(torch.tensor(1.0))
    by_hand = box_loss(torch.full((1, GRID, GRID), -1.0), cover[:1], known[:1])
    assert by_hand == pytest.approx(float(one_patch), abs=1e-5)


def test_labels_that_a_row_lacks_add_nothing() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    only_first = label_loss(logits, torch.tensor([0, UNKNOWN]))
    assert only_first == pytest.approx(float(torch.log1p(torch.exp(torch.tensor(-2.0)))), abs=1e-6)


def test_rows_hand_on_boxes_and_extra_labels() -> None:
    class Source:
        def __len__(self) -> int:
            return 2

        def pixels(self, row: int) -> np.ndarray:
            return np.zeros((20, 10), np.uint8)

        def boxes(self, row: int) -> list[list[float]] | None:
            return [[0.5, 0.5, 0.1, 0.1]] if row else None

    rows = TrainingRows([Source()], np.zeros(2), 32, 0, with_boxes=True, extra_labels={"region": np.array([3, UNKNOWN])})
    batch = collate(rows.__getitems__([0, 1]), 32)
    assert batch["boxes_known"].tolist() == [False, True]
    assert batch["boxes"].shape == (2, 1, 4) and batch["boxes"][1, 0, 0] == 0.5
    assert batch["region_label"].tolist() == [3, UNKNOWN]
    assert batch["draws"].shape == (2, len(DRAWS))
    assert torch.equal(batch_matrices(batch, None), torch.eye(2, 3).expand(2, 2, 3))


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnextv2"])
def test_heads_add_logits_in_training_only_and_are_gone_from_the_checkpoint(kind, tmp_path) -> None:  # type: ignore[no-untyped-def]
    model, spec = load_model(ModelConfig(str(tiny_checkpoint(tmp_path / "tiny", kind)), image_size=SIZE), THREE_CLASS)
    attach_auxiliary(model, SIZE, {"region": 5}, boxes=True)
    pixels = torch.randn(2, 3, SIZE, SIZE)
    output = model.train()(pixel_values=pixels)
    assert output["region_logits"].shape == (2, 5)
    assert output["patch_logits"].ndim == 3 and output["patch_logits"].shape[0] == 2
    assert list(model.eval()(pixel_values=pixels).keys()) == ["logits"]
    save_checkpoint(model, spec, tmp_path / "done")
    with safe_open(tmp_path / "done" / "model.safetensors", framework="pt") as file:
        assert not [name for name in file.keys() if "auxiliary" in name]  # noqa: SIM118
    plain = AutoModelForImageClassification.from_pretrained(tmp_path / "done").eval()
    assert torch.allclose(plain(pixels).logits, model(pixel_values=pixels).logits, atol=1e-6)


def test_a_checkpoint_of_a_run_gives_the_heads_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = tiny_checkpoint(tmp_path / "tiny")
    model, _ = load_model(ModelConfig(str(folder), image_size=SIZE), THREE_CLASS)
    attach_auxiliary(model, SIZE, {"region": 5}, boxes=True)
    model.save_pretrained(tmp_path / "checkpoint-1")
    other, _ = load_model(ModelConfig(str(folder), image_size=SIZE), THREE_CLASS)
    attach_auxiliary(other, SIZE, {"region": 5}, boxes=True)
    load_weights(other, tmp_path / "checkpoint-1")
    mine, theirs = model.state_dict(), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert any(name.startswith("auxiliary.heads") for name in mine)


def test_a_patch_map_reads_rows_first() -> None:
    tokens = torch.arange(17.0)[None, :, None]  # a class token, then 16 patches
    assert patch_map(tokens, 4)[0, 1, 2, 0] == 1 + 4 + 2
    assert patch_map(torch.zeros(1, 8, 2, 3), 0).shape == (1, 2, 3, 8)


def test_a_network_without_hidden_states_is_refused() -> None:
    from transformers import PreTrainedConfig, PreTrainedModel

    class Bare(PreTrainedModel):
        config_class = PreTrainedConfig

    with pytest.raises(RecipeError, match=r"box_loss, extra_heads.*Bare"):
        attach_auxiliary(Bare(PreTrainedConfig()), SIZE, {}, boxes=True)


def test_figures_of_the_heads_count_only_rows_with_a_label(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model, _ = load_model(ModelConfig(str(tiny_checkpoint(tmp_path / "tiny")), image_size=SIZE), THREE_CLASS)
    attach_auxiliary(model, SIZE, {"region": 2, "subtype": 3}, boxes=False)
    head = model.auxiliary.heads["region"]
    with torch.no_grad():
        head.weight.zero_()
        head.weight[1, 0] = 1.0
        head.bias.zero_()
    features = np.zeros((4, head.in_features), np.float32)
    features[:, 0] = [-1, 1, 1, 1]
    labels = {"region": np.array([0, 1, 0, UNKNOWN]), "subtype": np.full(4, UNKNOWN)}
    figures = head_figures(model, features, labels, {"region": ["hand", "leg"], "subtype": ["a", "b", "c"]})
    assert figures["region"]["n"] == 3 and figures["region"]["accuracy"] == pytest.approx(2 / 3)
    assert figures["region"]["recall"] == {"hand": [0.5, 2], "leg": [1.0, 1]}
    assert figures["subtype"] == {"n": 0}
