"""Steps of the fine-tuning ladder, each by a few real steps of a tiny network: `pytest tests/training/test_ladder.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import bar_picture, tiny_checkpoint
from transformers import AutoModelForImageClassification

from hf_bones.config.recipe import ModelConfig, Recipe, RecipeError, override
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, to_input
from hf_bones.training.backbone.loading import compile_blocks, load_model
from hf_bones.training.backbone.one_channel import one_channel_spec, patch_embedding
from hf_bones.training.build import extra_heads, make_trainer
from hf_bones.training.data.batches import Boxes
from hf_bones.training.data.row_table import Rows
from hf_bones.training.run.checkpoints import save_checkpoint
from hf_bones.training.trainer import train

SIZE = 56


class Bars:
    """Bar pictures; each bar beyond the first is a break with a box."""

    def __init__(self, count: int, start: int) -> None:
        self.count, self.start = count, start

    def __len__(self) -> int:
        return self.count

    def pixels(self, row: int) -> np.ndarray:
        return bar_picture(row % 3, self.start + row)

    def boxes(self, row: int) -> Boxes | None:
        return [[0.5, (12 + 18 * bar) / 64, 1.0, 8 / 64] for bar in range(1, row % 3 + 1)]


def bar_rows(count: int, start: int) -> Rows:
    return Rows(
        sources=[Bars(count, start)],
        labels=[row % 3 for row in range(count)],
        groups=[f"g{start + row}" for row in range(count)],
        licences=["CC0-1.0"] * count,
        origins=["bars"] * count,
        hashes=[f"{start + row:064x}" for row in range(count)],
        synthetic=[True] * count,
        subtypes=["", "hairline", "crushed"] * (count // 3),
        regions=["hand", "leg", ""] * (count // 3),
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("network") / "dinov2")


def recipe_of(network: Path, output: Path, **changes: object) -> Recipe:
    fixed = {
        "model": str(network), "image_size": SIZE, "epochs": 2, "batch_size": 6, "learning_rate": 1e-3, "cpu": True,
        "output_dir": str(output), "class_weights": "none",
    }  # fmt: skip
    return override(Recipe(), {**fixed, **changes})


def trained(network: Path, output: Path, **changes: object):  # type: ignore[no-untyped-def]
    return train(recipe_of(network, output, **changes), rows=(bar_rows(24, 0), bar_rows(12, 500)))


def test_one_channel_is_the_same_function_of_grey_images(network: Path) -> None:
    three, spec = load_model(ModelConfig(str(network), image_size=SIZE), THREE_CLASS)
    one, grey = load_model(ModelConfig(str(network), image_size=SIZE, input_channels=1), THREE_CLASS)
    one.classifier.load_state_dict(three.classifier.state_dict())
    assert grey == one_channel_spec(spec) and len(set(grey.mean)) == 1
    pixels = torch.from_numpy(to_input(bar_picture(1, 3), grey))[None]
    assert patch_embedding(one)[1].in_channels == 1
    with torch.no_grad():
        assert torch.allclose(one.eval()(pixels[:, :1]).logits, three.eval()(pixels).logits, atol=1e-5)


def test_a_network_trained_on_one_channel_is_saved_with_three(network: Path, tmp_path: Path) -> None:
    done = trained(network, tmp_path / "run", input_channels=1, epochs=1)
    save_checkpoint(done.model, done.spec, tmp_path / "done")
    plain = AutoModelForImageClassification.from_pretrained(tmp_path / "done").eval()
    assert plain.config.num_channels == 3
    pixels = torch.from_numpy(to_input(bar_picture(2, 7), done.spec))[None]
    with torch.no_grad():
        assert torch.allclose(plain(pixels).logits, done.model.eval()(pixels[:, :1]).logits, atol=1e-5)
    before = load_file(network / "model.safetensors")
    after = load_file(tmp_path / "done" / "model.safetensors")
    name = next(name for name in before if name.endswith("projection.weight"))
    assert not torch.allclose(before[name].sum(dim=1), after[name].sum(dim=1), atol=1e-6)  # it learnt


def test_one_channel_of_a_network_that_has_no_rgb_input_is_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "convnext", "convnextv2")
    model, _ = load_model(ModelConfig(str(folder), image_size=64, input_channels=1), THREE_CLASS)
    assert model(torch.zeros(1, 1, 64, 64)).logits.shape == (1, 3)
    model.save_pretrained(tmp_path / "grey")
    with pytest.raises(ValueError, match=r"input_channels: .* has 1 input channels, expected 3"):
        load_model(ModelConfig(str(tmp_path / "grey"), image_size=64, input_channels=1), THREE_CLASS)


def test_only_the_head_learns_in_the_first_stage(network: Path, tmp_path: Path) -> None:
    recipe = recipe_of(network, tmp_path / "run", head_epochs=1, epochs=3)
    model, spec = load_model(recipe.model, THREE_CLASS)
    trainer = make_trainer(recipe, model, spec, THREE_CLASS, bar_rows(24, 0), bar_rows(12, 500))
    trainer.create_optimizer()
    schedule = trainer.create_scheduler(12)
    head = {id(p) for p in model.classifier.parameters()}
    in_head = [all(id(p) in head for p in group["params"]) for group in trainer.optimizer.param_groups]
    rates = []
    for _ in range(12):
        rates.append(schedule.get_last_lr())
        trainer.optimizer.step()
        schedule.step()
    table = np.array(rates)
    backbone, own = table[:, [not each for each in in_head]], table[:, in_head]
    assert (backbone[:4] == 0).all() and (backbone[5:11] > 0).all()  # a third of the steps, then a warm-up from 0
    assert (own[1:11] > 0).all() and backbone.max() == pytest.approx(1e-3, rel=0.05)


def test_the_backbone_is_as_it_was_after_a_first_stage(network: Path, tmp_path: Path) -> None:
    done = trained(network, tmp_path / "run", head_epochs=1.0, epochs=1.25, learning_rate=1e-9, head_learning_rate=1e-2, weight_decay=0.5)
    before, after = load_file(network / "model.safetensors"), done.model.state_dict()
    name = next(name for name in after if name.endswith("fc1.weight"))
    assert torch.allclose(before[next(key for key in before if key.endswith("0.mlp.fc1.weight"))], after[name], atol=1e-6)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_recomputed_activations_give_the_same_weights(network: Path, tmp_path: Path) -> None:
    plain = trained(network, tmp_path / "plain", epochs=1).model.state_dict()
    again = trained(network, tmp_path / "again", epochs=1, gradient_checkpointing=True).model.state_dict()
    assert all(torch.allclose(plain[name], again[name], atol=1e-5) for name in plain)


def test_extra_heads_are_reported_apart(network: Path, tmp_path: Path) -> None:
    done = trained(network, tmp_path / "run", extra_heads=["subtype", "region"], box_loss=0.5, zoom=1.5, epochs=6)
    heads = done.metrics["heads"]
    assert heads["region"]["n"] == 8 and set(heads["region"]["recall"]) == {"hand", "leg"}
    assert heads["subtype"]["n"] == 8 and 0 <= heads["subtype"]["balanced_accuracy"] <= 1
    save_checkpoint(done.model, done.spec, tmp_path / "done")
    AutoModelForImageClassification.from_pretrained(tmp_path / "done")


def test_the_box_loss_teaches_patches_where_the_breaks_are(network: Path, tmp_path: Path) -> None:
    recipe = recipe_of(network, tmp_path / "run", box_loss=2.0, epochs=40, augment=False, learning_rate=3e-3)
    recipe.trainer = {"load_best_model_at_end": False, "save_strategy": "no", "eval_strategy": "no"}  # the last weights, not the best
    model = train(recipe, rows=(bar_rows(24, 0), bar_rows(12, 500))).model.train()
    pixels = torch.from_numpy(np.stack([to_input(bar_picture(1, 900 + seed), InputSpec(SIZE)) for seed in range(8)]))
    with torch.no_grad():
        logits = model(pixel_values=pixels)["patch_logits"]
    rows = logits[:, :, :3].mean(dim=(0, 2))  # 64 px of height are 4 rows of patches; the second bar lies in rows 1 and 2
    assert rows[1:3].max() > rows[3] + 0.5


@pytest.mark.parametrize("heads, message", [(["bone"], "extra_heads: 'bone' is none of"), (["region"], "hold 1 kinds of region")])
def test_heads_that_the_rows_cannot_teach_are_refused(heads: list[str], message: str) -> None:
    rows = replace(bar_rows(6, 0), regions=["hand"] * 6)
    with pytest.raises(RecipeError, match=message):
        extra_heads(heads, rows)


def test_compiled_blocks_compute_what_plain_ones_do(network: Path) -> None:
    model, spec = load_model(ModelConfig(str(network), image_size=SIZE), THREE_CLASS)
    pixels = torch.from_numpy(to_input(bar_picture(0, 1), spec))[None]
    plain = model.train()(pixels).logits
    compile_blocks(model)
    compiled = model(pixels).logits
    assert torch.allclose(plain, compiled, atol=1e-5)
    assert torch.allclose(model.eval()(pixels).logits, plain, atol=1e-5)
    compiled.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
