"""The network: cutting, freezing, growing, saving. Run: pytest tests/training/backbone/test_model.py"""

import json

import pytest
import torch
from tiny import tiny_checkpoint
from transformers import (
    AutoModelForImageClassification,
    CLIPConfig,
    CLIPForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    HieraConfig,
    HieraForImageClassification,
    SiglipConfig,
    SiglipForImageClassification,
)

from hf_bones.config.recipe import ModelConfig, TrainConfig
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.preprocess import InputSpec, image_processor
from hf_bones.training.backbone.check import check_network
from hf_bones.training.backbone.loading import blocks_of, head_of, load_model, parameter_groups
from hf_bones.training.run.checkpoints import load_weights, round_weights, save_checkpoint


def probabilities(model, size=56):
    torch.manual_seed(1)
    with torch.no_grad():
        return model.eval()(torch.randn(4, 3, size, size)).logits.softmax(dim=1)


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnextv2"])
def test_a_two_class_checkpoint_grows_to_three_and_keeps_what_it_learnt(tmp_path, kind):
    folder = tiny_checkpoint(tmp_path / "two", kind, TWO_CLASS)
    before = probabilities(AutoModelForImageClassification.from_pretrained(folder))
    model, _ = load_model(ModelConfig(model=str(folder), image_size=56), THREE_CLASS)
    after = probabilities(model)
    torch.testing.assert_close(after[:, 0], before[:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after[:, 1] + after[:, 2], before[:, 1], atol=1e-5, rtol=1e-4)
    assert tuple(model.config.id2label.values()) == THREE_CLASS.names


def test_a_grown_checkpoint_is_saved_and_loaded_as_a_plain_classifier(tmp_path):
    model, spec = load_model(ModelConfig(model=str(tiny_checkpoint(tmp_path / "two", "dinov2", TWO_CLASS)), image_size=56), THREE_CLASS)
    save_checkpoint(model, spec, tmp_path / "three")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "three")
    torch.testing.assert_close(probabilities(again), probabilities(model))


def test_a_checkpoint_of_the_same_classes_keeps_its_head_and_another_one_gets_a_new_head(tmp_path):
    folder = tiny_checkpoint(tmp_path / "same")
    kept, _ = load_model(ModelConfig(model=str(folder), image_size=56), THREE_CLASS)
    torch.testing.assert_close(probabilities(kept), probabilities(AutoModelForImageClassification.from_pretrained(folder)))
    bare = tiny_checkpoint(tmp_path / "bare", scheme=None)
    fresh, _ = load_model(ModelConfig(model=str(bare), image_size=56), THREE_CLASS)
    assert head_of(fresh).out_features == 3 and tuple(fresh.config.id2label.values()) == THREE_CLASS.names


def test_cutting_a_network_keeps_its_first_blocks(tmp_path):
    folder = tiny_checkpoint(tmp_path / "deep", blocks=4)
    whole, _ = load_model(ModelConfig(model=str(folder), image_size=56), THREE_CLASS)
    cut, spec = load_model(ModelConfig(model=str(folder), image_size=56, keep_blocks=2), THREE_CLASS)
    assert len(blocks_of(cut)) == 2 and cut.config.num_hidden_layers == 2
    first = dict(blocks_of(whole)[1].named_parameters())
    for name, parameter in blocks_of(cut)[1].named_parameters():
        torch.testing.assert_close(parameter, first[name])
    save_checkpoint(cut, spec, tmp_path / "cut")
    assert len(blocks_of(AutoModelForImageClassification.from_pretrained(tmp_path / "cut"))) == 2


def test_what_the_architecture_cannot_do_is_an_error_that_names_the_key(tmp_path):
    convnext = str(tiny_checkpoint(tmp_path / "c", "convnextv2"))
    vit = str(tiny_checkpoint(tmp_path / "v", "vit"))
    with pytest.raises(ValueError, match="keep_blocks"):
        load_model(ModelConfig(model=convnext, keep_blocks=2), THREE_CLASS)
    with pytest.raises(ValueError, match="keep_blocks: expected 1 to 3"):
        load_model(ModelConfig(model=vit, keep_blocks=9), THREE_CLASS)
    with pytest.raises(ValueError, match="drop_path"):
        load_model(ModelConfig(model=vit, drop_path=0.1), THREE_CLASS)
    with pytest.raises(ValueError, match="trainable"):
        load_model(ModelConfig(model=vit, trainable="some"), THREE_CLASS)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_model(ModelConfig(model=str(tmp_path)), THREE_CLASS)


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnextv2"])
def test_freezing_leaves_the_head_and_the_last_blocks(tmp_path, kind):
    folder = str(tiny_checkpoint(tmp_path / kind, kind))
    head_only, _ = load_model(ModelConfig(model=folder, image_size=56, trainable="head"), THREE_CLASS)
    assert {name for name, p in head_only.named_parameters() if p.requires_grad} == {"classifier.weight", "classifier.bias"}
    last, _ = load_model(ModelConfig(model=folder, image_size=56, trainable="last:1"), THREE_CLASS)
    blocks = blocks_of(last)
    assert all(p.requires_grad for p in blocks[-1].parameters())
    assert not any(p.requires_grad for block in list(blocks)[:-1] for p in block.parameters())
    assert all(p.requires_grad for p in head_of(last).parameters())


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_another_input_size_is_stored_so_that_a_plain_forward_pass_works(tmp_path, kind):
    folder = str(tiny_checkpoint(tmp_path / kind, kind, size=56))
    model, spec = load_model(ModelConfig(model=folder, image_size=84), THREE_CLASS)
    assert spec.size == 84
    save_checkpoint(model, spec, tmp_path / "larger")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "larger")
    torch.testing.assert_close(probabilities(again, 84), probabilities(model, 84))


def other_network(folder, kind):
    """A saved classifier of random weights whose position embeddings are not one token and a square, or are looked up by number."""
    width = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    plain = {**width, "image_size": 64, "patch_size": 16}
    if kind == "hiera":
        sizes = {"patch_size": [7, 7], "patch_stride": [4, 4], "patch_padding": [3, 3], "image_size": [64, 64], "embed_dim": 8}
        stages = {"depths": [1, 1, 1], "num_heads": [1, 2, 4], "query_stride": [2, 2], "num_query_pool": 2}
        model = HieraForImageClassification(HieraConfig(**sizes, **stages))
    elif kind == "siglip":
        model = SiglipForImageClassification(SiglipConfig(vision_config=plain))
    elif kind == "clip":
        model = CLIPForImageClassification(CLIPConfig(vision_config=plain))
    else:
        model = DeiTForImageClassification(DeiTConfig(**plain))
    model.save_pretrained(folder)
    image_processor(InputSpec(64)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["hiera", "siglip", "clip", "deit"])
def test_positions_that_cannot_be_resized_keep_the_network_at_its_own_size(tmp_path, kind):
    folder = other_network(tmp_path / kind, kind)
    model, spec = load_model(ModelConfig(model=folder, image_size=64), THREE_CLASS)
    check_network(model, ModelConfig(model=folder, image_size=64), TrainConfig())
    save_checkpoint(model, spec, tmp_path / "again")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "again")
    torch.testing.assert_close(probabilities(again, 64), probabilities(model, 64))
    with pytest.raises(ValueError, match=rf"^image_size: 96 and model: .*{kind}: .*; set image_size to 64, or choose another"):
        load_model(ModelConfig(model=folder, image_size=96), THREE_CLASS)


@pytest.mark.parametrize(("save_dtype", "limit"), [("float32", 0.0), ("float16", 1e-3), ("float8", 0.05)])
def test_a_smaller_file_says_what_the_rounded_model_says(tmp_path, save_dtype, limit):
    model, spec = load_model(ModelConfig(model=str(tiny_checkpoint(tmp_path / "m", blocks=4)), image_size=56), THREE_CLASS)
    exact = probabilities(model)
    round_weights(model, save_dtype)
    rounded = probabilities(model)
    assert (rounded - exact).abs().max() <= limit
    save_checkpoint(model, spec, tmp_path / "small", save_dtype)
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "small")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    torch.testing.assert_close(probabilities(again), rounded, atol=1e-6, rtol=1e-5)


def test_each_step_of_rounding_halves_the_file(tmp_path):
    model, spec = load_model(ModelConfig(model=str(tiny_checkpoint(tmp_path / "m", blocks=4)), image_size=56), THREE_CLASS)
    sizes = {}
    for save_dtype in ("float32", "float16", "float8"):
        save_checkpoint(model, spec, tmp_path / save_dtype, save_dtype)
        sizes[save_dtype] = (tmp_path / save_dtype / "model.safetensors").stat().st_size
        assert json.loads((tmp_path / save_dtype / "config.json").read_text())["dtype"] == "float32"
    assert sizes["float8"] < 0.8 * sizes["float16"] < 0.8 * 0.6 * sizes["float32"]


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnextv2"])
def test_loading_weights_back_restores_every_one(tmp_path, kind):
    model, _ = load_model(ModelConfig(model=str(tiny_checkpoint(tmp_path / kind, kind)), image_size=56), THREE_CLASS)
    model.save_pretrained(tmp_path / "checkpoint-1")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    load_weights(model, tmp_path / "checkpoint-1")
    torch.testing.assert_close(dict(model.state_dict()), before)


def test_layer_decay_slows_lower_blocks_and_spares_biases_from_weight_decay(tmp_path):
    model, _ = load_model(ModelConfig(model=str(tiny_checkpoint(tmp_path / "m")), image_size=56), THREE_CLASS)
    groups = parameter_groups(model, learning_rate=1e-3, head_learning_rate=1e-2, weight_decay=0.1, layer_decay=0.5)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(rate) == len([name for name in names if not name.endswith("mask_token")])
    of_block = [rate[id(next(iter(block.parameters())))] for block in blocks_of(model)]
    assert of_block == pytest.approx([0.25e-3, 0.5e-3, 1e-3])
    assert rate[id(names["classifier.weight"])] == 1e-2
    assert rate[id(names["dinov2.embeddings.cls_token"])] == pytest.approx(0.125e-3)
    assert rate[id(names["dinov2.layernorm.weight"])] == 1e-3
    assert decay[id(names["classifier.bias"])] == 0 and decay[id(names["dinov2.embeddings.position_embeddings"])] == 0
    assert decay[id(names["classifier.weight"])] == 0.1


def test_from_scratch_takes_only_the_architecture(tmp_path):
    folder = tiny_checkpoint(tmp_path / "m")
    model, spec = load_model(ModelConfig(model=str(folder), from_scratch=True, image_size=84), THREE_CLASS)
    stored = AutoModelForImageClassification.from_pretrained(folder)
    assert spec == InputSpec(84)
    assert not torch.equal(next(model.parameters()), next(stored.parameters()))
