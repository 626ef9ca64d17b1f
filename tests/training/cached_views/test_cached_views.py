"""Kept output of a frozen backbone gives what the images give. Run: pytest tests/training/cached_views/test_cached_views.py"""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import main
from kept_output import PLAIN, kept_rows, recipe_of
from small_run import arguments, assert_same_weights, last_step, weights
from transformers import AutoModelForImageClassification
from two_processes import run_two

from hf_bones.config.recipe import RecipeError
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import stack_inputs
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.cached_views import cut as cut_module
from hf_bones.training.cached_views import fill as fill_module
from hf_bones.training.cached_views.cut import NetworkCut, find_cut, frozen_output, start_at_cut
from hf_bones.training.cached_views.rows import CachedViewRows, collate_cached_views
from hf_bones.training.data.batches import batch_matrices, batch_tiles, batch_to_input, collate, labels_in_view
from hf_bones.training.data.rows import training_rows
from hf_bones.training.start import view_labels
from hf_bones.training.trainer import train


def trained(ground: Path, output: Path, *more: str) -> dict[str, torch.Tensor]:
    return train(recipe_of(ground, output, *more)).model.state_dict()


assert_close = partial(torch.testing.assert_close, rtol=0)


@pytest.mark.parametrize(
    ("kind", "trainable", "more"),
    [
        ("dinov2", "head", ()),
        ("dinov2", "head", ("--pooling", "attention")),
        ("dinov2", "last:1", ()),
        ("dinov2", "last:3", ("--gradient_checkpointing", "true")),
        ("vit", "last:2", ("--pooling", "max")),
        ("convnextv2", "last:2", ()),
    ],
)
def test_training_on_kept_output_gives_the_weights_of_training_on_the_images(ground, tmp_path, kind, trainable, more):
    same = ("--model", str(ground / kind), "--trainable", trainable, *more)
    images = trained(ground, tmp_path / "images", *same)
    exact = trained(ground, tmp_path / "exact", *same, "--cached_views", "1", "--cached_dtype", "float32")
    assert_close(images, exact, atol=1e-6)
    if (kind, trainable) == ("dinov2", "last:1"):
        half = trained(ground, tmp_path / "half", *same, "--cached_views", "1")
        assert_close(images, half, atol=5e-3)
        assert any(not torch.equal(exact[name], half[name]) for name in exact), "it was not kept in half precision"


def test_the_frozen_part_is_computed_once_for_all_epochs(ground, tmp_path, monkeypatch):
    rows = []

    def counted(model, cut, pixel_values):
        rows.append(len(pixel_values))
        return frozen_output(model, cut, pixel_values)

    monkeypatch.setattr(fill_module, "frozen_output", counted)
    trained(ground, tmp_path / "run", "--trainable", "head", "--epochs", "3", "--augment", "true", "--cached_views", "2")
    assert sum(rows) == 2 * 48 + 18


def test_view_0_is_the_image_and_the_others_are_its_augmentations(ground, tmp_path):
    more = ("--augment", "true", "--cached_views", "3", "--cached_dtype", "float32", "--trainable", "last:1")
    trainer, recipe, before = kept_rows(ground, tmp_path, *more)
    kept, model, row = trainer.train_dataset, trainer.model, 5
    for view in range(3):
        batch = collate([before[(row, view * len(before) + row)]], 56)
        pixels = batch_to_input(batch, trainer.spec, recipe.augment if view else None)
        with torch.no_grad():
            expected = frozen_output(model.eval(), find_cut(model, "last:1"), pixels)[0]
        torch.testing.assert_close(torch.from_numpy(kept.of_view(view)[row]["kept"].copy()), expected, atol=1e-5, rtol=1e-5)
    assert not np.allclose(kept.of_view(0)[row]["kept"], kept.of_view(1)[row]["kept"], atol=1e-2)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_a_rows_views_take_turns_over_the_epochs_and_a_batch_mixes_them(ground, tmp_path, sampling):
    more = ("--augment", "true", "--cached_views", "3", "--trainable", "head", "--sampling", sampling)
    trainer, _, _ = kept_rows(ground, tmp_path, *more)
    seen: dict[int, list[int]] = {}
    for epoch in range(6):
        trainer.sampler.set_epoch(epoch)
        keys = list(trainer.sampler)
        views = [trainer.train_dataset.view_at(*key) for key in keys]
        assert all(len(set(views[start : start + 8])) > 1 for start in range(0, 48, 8))
        for (row, _), view in zip(keys, views, strict=True):
            seen.setdefault(row, []).append(view)
    if sampling == "uniform":
        assert all(sorted(views) == [0, 0, 1, 1, 2, 2] for views in seen.values())
    assert np.bincount([view for views in seen.values() for view in views]).tolist() == [96, 96, 96]


def test_a_network_that_cannot_be_cut_is_said_so(ground):
    model, _ = load_model(recipe_of(ground, Path("x"), "--trainable", "last:1").model, THREE_CLASS)
    cut = find_cut(model, "last:1")
    assert cut == NetworkCut("dinov2.encoder.layer", 2)
    pixels = torch.randn(2, 3, 56, 56)

    class Reminder(torch.nn.Module):
        """A block that looks at the frozen part's input from aside."""

        def __init__(self, block, source):
            super().__init__()
            self.block = block
            source.register_forward_hook(lambda _module, _inputs, output: setattr(self, "seen", output.mean()))

        def forward(self, hidden_states, *arguments, **more):
            return self.block(hidden_states, *arguments, **more) * self.seen

    layers = model.dinov2.encoder.layer
    layers[2] = Reminder(layers[2], model.dinov2.embeddings)
    with pytest.raises(RecipeError, match=r"cached_views and model: cut at block 2 .* says something else"):
        start_at_cut(model, cut, pixels)
    layers[2] = torch.nn.Bilinear(32, 32, 32)
    with pytest.raises(RecipeError, match="cached_views and model: Dinov2ForImageClassification cannot be cut at block 2"):
        start_at_cut(model, cut, pixels)


def test_a_whole_network_is_left_as_it_was_after_each_step(ground):
    model, _ = load_model(recipe_of(ground, Path("x"), "--trainable", "last:1").model, THREE_CLASS)
    before, pixels = list(model.state_dict()), torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        whole = model(pixel_values=pixels).logits
        kept = start_at_cut(model, find_cut(model, "last:1"), pixels)
        torch.testing.assert_close(model(kept=kept).logits, whole, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(pixel_values=pixels).logits, whole)
    assert list(model.state_dict()) == before and len(model.dinov2.encoder.layer) == 3
    with (
        pytest.raises(RuntimeError),
        cut_module._without_frozen_blocks(model, NetworkCut("dinov2.encoder.layer", 2), cut_module._Handover(kept, False)),
    ):
        raise RuntimeError
    assert len(model.dinov2.encoder.layer) == 3


def boxed_bars(ground, folder):
    """The bars, with a box in each picture that is not healthy."""
    from datasets import DatasetDict, load_from_disk

    dataset = load_from_disk(str(ground / "dataset"))
    boxed = DatasetDict(
        {
            split: rows.map(
                lambda row, index: {
                    "boxes": [[0.5, 0.3, 0.4, 0.2]] if row["label"] else [],
                    "region": "hand" if index % 2 else "foot",
                },
                with_indices=True,
            )
            for split, rows in dataset.items()
        }
    )
    boxed.save_to_disk(str(folder))


def test_box_loss_and_extra_heads_learn_from_kept_output_as_from_images(ground, tmp_path):
    boxed_bars(ground, tmp_path / "boxed")
    same = (
        "--dataset",
        str(tmp_path / "boxed"),
        "--trainable",
        "last:1",
        "--box_loss",
        "1",
        "--extra_heads",
        "region",
        "--ema_decay",
        "0.9",
    )
    images = train(recipe_of(ground, tmp_path / "images", *same))
    kept = train(recipe_of(ground, tmp_path / "kept", *same, "--cached_views", "1", "--cached_dtype", "float32"))
    assert_close(images.model.state_dict(), kept.model.state_dict(), atol=1e-6)
    assert images.metrics["heads"] == kept.metrics["heads"]
    without = train(recipe_of(ground, tmp_path / "none", *same, "--box_loss", "0"))
    assert any(not torch.equal(without.model.state_dict()[name], kept.model.state_dict()[name]) for name in without.model.state_dict())

    more = (*same, "--augment", "true", "--cached_views", "2")
    trainer, recipe, before = kept_rows(ground, tmp_path / "views", *more, heads={"region": 2})
    for view, policy in ((0, None), (1, recipe.augment)):
        expected = collate([before[(row, view * len(before) + row)] for row in range(4)], 56)
        keys = [(row, 48 * ((view - row) % 2)) for row in range(4)]
        assert [trainer.train_dataset.view_at(*key) for key in keys] == [view] * 4
        batch = collate_cached_views([trainer.train_dataset[key] for key in keys])
        torch.testing.assert_close(batch_matrices(batch, recipe.augment), batch_matrices(expected, policy))
        for key in ("heights", "widths", "boxes", "boxes_known", "labels", "region_label"):
            torch.testing.assert_close(batch[key], expected[key])


def test_a_kept_tile_has_the_label_and_the_place_that_it_had_as_an_image(ground, tmp_path):
    boxed_bars(ground, tmp_path / "boxed")
    same = ("--dataset", str(tmp_path / "boxed"), "--trainable", "last:1", "--augment", "true", "--tile_probability", "0.8")
    trainer, recipe, before = kept_rows(ground, tmp_path / "views", *same, "--box_loss", "1", "--cached_views", "2", heads={"region": 2})
    count, policy = len(before), recipe.augment
    images = collate([before[(row, count + row)] for row in range(count)], 56)
    kept = collate_cached_views([trainer.train_dataset[row, count * ((1 - row) % 2)] for row in range(count)])  # each in its second view
    matrices = batch_matrices(images, policy)
    torch.testing.assert_close(batch_matrices(kept, policy), matrices)
    labels = labels_in_view(images, matrices, policy, 0)
    assert torch.equal(labels_in_view(kept, matrices, policy, 0), labels)
    assert 3 < (labels != images["labels"]).sum() < 30 and (labels[images["labels"] == 0] == 0).all()
    assert np.array_equal(view_labels(trainer.train_dataset, 1, policy, 0), labels.numpy())
    assert np.array_equal(view_labels(trainer.train_dataset, 0, policy, 0), before.labels)
    # What the losses take in training
    trainer.model.train()
    inputs = trainer.network_inputs(kept)
    assert torch.equal(inputs["labels"], labels) and torch.equal(inputs["tiles"], batch_tiles(images, policy))
    assert inputs["tiles"][labels != images["labels"]].all() and not inputs["tiles"].all()


def test_the_fitted_head_is_the_same_from_kept_features(ground, tmp_path):
    probe = ("--head_start", "probe", "--trainable", "head", "--epochs", "0", "--augment", "true", "--probe_views", "2")
    images = trained(ground, tmp_path / "images", *probe)
    kept = trained(ground, tmp_path / "kept", *probe, "--cached_views", "2", "--cached_dtype", "float32")
    assert_close(images, kept, atol=1e-4)


def test_a_run_on_kept_output_is_resumed_and_ends_with_a_plain_checkpoint(ground, tmp_path):
    same = ("--trainable", "last:1", "--cached_views", "2", "--augment", "true", "--epochs", "3", "--ema_decay", "0.9")
    whole = tmp_path / "whole"
    result = train(recipe_of(ground, whole, *same))
    copy = shutil.copytree(whole, tmp_path / "copy")
    shutil.rmtree(last_step(copy))
    assert main(arguments(ground, copy, *PLAIN, *same)) == 0
    model = AutoModelForImageClassification.from_pretrained(copy).eval()
    assert type(model).__name__ == "Dinov2ForImageClassification"
    assert_close(model.state_dict(), result.model.state_dict(), atol=1e-6)
    # Whoever loads it and gives it the images themselves hears what was validated on cached views.
    _, validation = training_rows(recipe_of(ground, whole).data, THREE_CLASS, 0, 56)
    pixels = stack_inputs([validation.sources[0].pixels(row) for row in range(18)], result.spec)
    with torch.no_grad():
        logits = model(pixel_values=torch.from_numpy(pixels)).logits.numpy()
    np.testing.assert_allclose(result.logits, logits, atol=2e-2)


@pytest.mark.slow
def test_two_processes_share_the_pass_and_reach_what_one_does(ground, tmp_path, monkeypatch):
    same = (*PLAIN, "--trainable", "last:1", "--cached_views", "1")
    for code, printed in run_two(main, (arguments(ground, tmp_path / "two", *same, "--processes", "2"),), tmp_path / "printed"):
        assert code == 0, printed[-3000:]
    assert main(arguments(ground, tmp_path / "one", *same)) == 0
    assert_same_weights(tmp_path / "one", tmp_path / "two", atol=2e-4)
    assert weights(tmp_path / "one").keys() == weights(tmp_path / "two").keys()


def test_kept_rows_are_read_by_loader_workers_too(ground, tmp_path):
    trainer, _, _ = kept_rows(ground, tmp_path, "--trainable", "last:1", "--cached_views", "1")
    rows: CachedViewRows = trainer.train_dataset
    read = [
        torch.cat(
            [
                batch["kept"]
                for batch in torch.utils.data.DataLoader(rows, batch_size=16, collate_fn=collate_cached_views, num_workers=count)
            ]
        )
        for count in (0, 2)
    ]
    assert torch.equal(read[0], read[1]) and read[0].shape == (48, 17, 32)
