"""LoRA. Run: pytest tests/training/backbone/test_lora.py"""

import sys
from pathlib import Path

import pytest
import small_run
import torch
from command_line import main, parse_recipe
from safetensors.torch import load_file, save_file
from small_run import StopAt, last_step
from tiny import tiny_checkpoint
from transformers import AutoModelForImageClassification, SwinConfig, SwinForImageClassification

from hf_bones.config.recipe import ModelConfig, RecipeError
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.loading import head_parameters, load_model, parameter_groups
from hf_bones.training.backbone.lora import MATRICES, add_lora, attention_projections, lora_layers, merge_lora, plain_state
from hf_bones.training.run.checkpoints import load_weights
from hf_bones.training.trainer import train


def arguments(smaller: Path, output: Path, *more: str) -> list[str]:
    lora = ("--learning_rate", "1e-2", "--lora_rank", "2", "--lora_alpha", "4")
    return small_run.arguments(smaller, output, "--head_start", "random", "--epochs", "3", *lora, *more)


def with_lora(folder: Path, **values):
    config = ModelConfig(**{"model": str(folder), "image_size": 56, "lora_rank": 2, **values})
    model, _ = load_model(config, THREE_CLASS)
    add_lora(model, config, head_parameters(model))
    return model


def moved(model):
    """The network after its matrices have learnt something."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return model.eval()


def logits_of(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.randn(4, 3, 56, 56, generator=torch.Generator().manual_seed(1))).logits


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_the_matrices_stand_beside_the_attention_and_learn_with_the_head_alone(tmp_path, kind):
    folder = tiny_checkpoint(tmp_path / kind, kind)
    plain, _ = load_model(ModelConfig(model=str(folder), image_size=56), THREE_CLASS)
    model = with_lora(folder)
    torch.testing.assert_close(logits_of(model), logits_of(plain), atol=1e-6, rtol=0)
    assert len(lora_layers(model)) == 3 * 4
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all(".lora_" in name or name.startswith("classifier.") for name in learning)
    assert len(learning) == 3 * 4 * 2 + 2


def test_they_stand_only_where_trainable_lets_the_weights_learn(tmp_path):
    model = with_lora(tiny_checkpoint(tmp_path / "v", "vit"), trainable="last:1")
    assert len(lora_layers(model)) == 4 and all(".2." in name for name in lora_layers(model))


def test_swins_windows_have_attention_too_and_its_downsampling_is_left_alone():
    network = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2}
    names = attention_projections(SwinForImageClassification(SwinConfig(**network)))
    assert len(names) == 2 * 4 and all(".attention." in name for name in names)


def test_learning_rates_by_layer_reach_the_matrices(tmp_path):
    model = with_lora(tiny_checkpoint(tmp_path / "v", "vit"))
    groups = parameter_groups(model, 1e-3, 1e-2, 0.05, 0.5)
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    rates = [rate[id(layer.lora_A["default"].weight)] for layer in lora_layers(model).values()]
    assert rates == pytest.approx([2.5e-4] * 4 + [5e-4] * 4 + [1e-3] * 4)
    assert rate[id(model.classifier.weight)] == pytest.approx(1e-2)


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_merged_it_says_the_same_as_a_plain_classifier(tmp_path, kind):
    folder = tiny_checkpoint(tmp_path / kind, kind)
    model = moved(with_lora(folder))
    before, names = logits_of(model), set(load_model(ModelConfig(model=str(folder), image_size=56), THREE_CLASS)[0].state_dict())
    model.save_pretrained(tmp_path / "plain", state_dict=plain_state(model))
    torch.testing.assert_close(logits_of(AutoModelForImageClassification.from_pretrained(tmp_path / "plain")), before, atol=1e-5, rtol=1e-4)
    merge_lora(model)
    assert set(model.state_dict()) == names and not lora_layers(model)
    torch.testing.assert_close(logits_of(model), before, atol=1e-5, rtol=1e-4)


def test_a_network_without_attention_is_refused_by_key_and_model(tmp_path):
    folder = tiny_checkpoint(tmp_path / "c", "convnextv2")
    with pytest.raises(RecipeError, match=r"lora_rank: 2 and model: .*ConvNextV2ForImageClassification has no attention"):
        with_lora(folder)


def test_without_peft_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RecipeError, match=r"lora_rank: 2 needs peft: pip install 'hf-bones\[lora\]'"):
        with_lora(tiny_checkpoint(tmp_path / "v", "vit"))


def test_a_finished_run_is_a_plain_checkpoint_whose_attention_learnt_and_whose_rest_did_not(smaller, tmp_path):
    trained = train(parse_recipe(arguments(smaller, tmp_path / "run")))
    plain = load_file(last_step(tmp_path / "run") / "model.safetensors")
    start = load_file(smaller / "start" / "model.safetensors")
    assert plain.keys() == start.keys() and not lora_layers(trained.model)
    changed = {name for name in plain if not torch.equal(plain[name], start[name])}
    assert {name for name in changed if not name.startswith("classifier.")} == {
        name for name in plain if ".attention." in name and name.endswith("weight")
    }
    assert sum(entry["eval_loss"] for entry in trained.history if entry.get("step") == 12 and "eval_loss" in entry) < 1.0
    best = AutoModelForImageClassification.from_pretrained(trained_folder(trained, tmp_path / "run"))
    torch.testing.assert_close(logits_of(trained.model), logits_of(best), atol=1e-5, rtol=1e-4)


def trained_folder(trained, output: Path) -> Path:
    scores = {entry["step"]: entry["eval_selection"] for entry in trained.history if "eval_selection" in entry}
    return output / f"checkpoint-{max(scores, key=scores.__getitem__)}"


@pytest.mark.parametrize("more", [("--ema_decay", "0.6"), ("--head_start", "probe")], ids=["averaged", "probe"])
def test_a_run_cut_off_between_checkpoints_resumes_to_the_same_weights(smaller, tmp_path, more):
    whole, output = tmp_path / "whole", tmp_path / "run"
    options = ("--evaluations_per_epoch", "2", "--epochs", "2", *more)
    assert main(arguments(smaller, whole, *options)) == 0

    with pytest.raises(KeyboardInterrupt):
        train(parse_recipe(arguments(smaller, output, *options)), callbacks=[StopAt(7)])
    assert last_step(output).name == "checkpoint-6"
    assert main(arguments(smaller, output, *options)) == 0
    for place in (last_step(whole).name, "."):
        mine, theirs = (load_file(folder / place / "model.safetensors") for folder in (output, whole))
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_start_without_matrices_is_read_with_a_product_of_zero(tmp_path):
    folder = tiny_checkpoint(tmp_path / "v", "vit")
    model = moved(with_lora(folder))
    load_weights(model, folder)
    torch.testing.assert_close(logits_of(model), logits_of(AutoModelForImageClassification.from_pretrained(folder)), atol=1e-6, rtol=0)


def test_matrices_learnt_beside_other_weights_are_not_put_beside_these(tmp_path):
    folder = tiny_checkpoint(tmp_path / "v", "vit")
    model = moved(with_lora(folder))
    saved = tmp_path / "checkpoint-1"
    model.save_pretrained(saved, state_dict=plain_state(model))
    save_file({name: tensor for name, tensor in model.state_dict().items() if ".lora_" in name}, saved / MATRICES)
    load_weights(moved(with_lora(folder)), saved)
    other = with_lora(folder)
    with torch.no_grad():
        next(iter(lora_layers(other).values())).base_layer.weight.add_(0.01)
    with pytest.raises(RecipeError, match=r"lora_rank and model: .* other weights"):
        load_weights(other, saved)
