"""What the head sees: halves of a plain classifier, and poolings of our own. Run: pytest tests/training/backbone/test_pooling.py"""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import main
from PIL import Image
from small_run import arguments
from tiny import bar_picture, tiny_checkpoint
from transformers import AutoModelForImageClassification, Dinov2ForImageClassification, pipeline

from hf_bones.config.recipe import ModelConfig, RecipeError
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.preprocess import stack_inputs
from hf_bones.record import read_json
from hf_bones.training.backbone.loading import blocks_of, head_of, head_parameters, load_model, parameter_groups
from hf_bones.training.backbone.pooling import PooledClassifier, TokenPooling
from hf_bones.training.run.checkpoints import load_weights, save_checkpoint


def loaded(ground: Path, kind: str, pooling: str, **more):
    return load_model(ModelConfig(model=str(ground / kind), image_size=56, pooling=pooling, **more), THREE_CLASS)


def logits(model, size=56, channels=3):
    torch.manual_seed(1)
    with torch.no_grad():
        return model.eval()(pixel_values=torch.randn(4, channels, size, size)).logits


def seen_by_head(model, pixels):
    kept = []
    hook = head_of(model).register_forward_hook(lambda _module, inputs, _output: kept.append(inputs[0]))
    with torch.no_grad():
        model.eval()(pixel_values=pixels)
    hook.remove()
    return kept[0]


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_the_head_sees_what_the_key_says(ground, kind):
    pixels = torch.randn(2, 3, 56, 56)
    plain, _ = loaded(ground, kind, "own")
    with torch.no_grad():
        tokens = plain.eval().base_model(pixels)[0]
    cls, patches = tokens[:, 0], tokens[:, 1:]
    nothing = torch.zeros_like(cls)
    wanted = {
        "mean": patches.mean(dim=1),
        "max": patches.max(dim=1).values,
        "attention": patches.mean(dim=1),  # before it has learnt anything
        "cls": cls,
        "cls+mean": torch.cat([cls, patches.mean(dim=1)], dim=1),
    }
    if kind == "dinov2":  # its own head has room for both; of the half that it is not to see it sees zeros
        wanted |= {"cls": torch.cat([cls, nothing], dim=1), "mean": torch.cat([nothing, patches.mean(dim=1)], dim=1)}
    for pooling, features in wanted.items():
        model, _ = loaded(ground, kind, pooling)
        torch.testing.assert_close(
            seen_by_head(model, pixels), features, atol=1e-5, rtol=1e-5, msg=lambda text, name=pooling: f"{name}: {text}"
        )


def test_attention_looks_where_its_query_points():
    pooling = TokenPooling("attention", 4, prefix=1)
    tokens = torch.zeros(1, 6, 4)
    tokens[0, 3] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    tokens[0, 0] = 100  # no patch
    with torch.no_grad():
        pooling.query.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    torch.testing.assert_close(pooling(tokens), tokens[:, 3])
    with torch.no_grad():
        pooling.query.zero_()
    torch.testing.assert_close(pooling(tokens), tokens[:, 3] / 5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean", "own"])
def test_dinov2_with_half_of_its_head_is_a_plain_checkpoint(ground, tmp_path, pooling):
    model, spec = loaded(ground, "dinov2", pooling)
    assert type(model) is Dinov2ForImageClassification
    # However it learns, the unseen half stays at zero: no gradient comes to it, and decay of zero is zero.
    optimiser = torch.optim.AdamW(parameter_groups(model, 1e-2, 1e-2, 0.1, 1.0))
    for _ in range(3):
        torch.nn.functional.cross_entropy(
            model.train()(pixel_values=torch.randn(6, 3, 56, 56)).logits, torch.tensor([0, 1, 2] * 2)
        ).backward()
        optimiser.step()
        optimiser.zero_grad()
    first, second = head_of(model).weight.chunk(2, dim=1)
    assert bool((first == 0).all()) is (pooling == "mean") and bool((second == 0).all()) is (pooling == "cls")
    save_checkpoint(model, spec, tmp_path / "saved")
    assert "hf_bones" not in (tmp_path / "saved" / "config.json").read_text()
    again = Dinov2ForImageClassification.from_pretrained(tmp_path / "saved")
    torch.testing.assert_close(logits(again), logits(model))


@pytest.mark.parametrize(("kind", "pooling"), [("dinov2", "max"), ("dinov2", "attention"), ("vit", "mean"), ("vit", "cls+mean")])
def test_a_pooling_of_ours_is_saved_and_loaded_whole(ground, tmp_path, kind, pooling):
    model, spec = loaded(ground, kind, pooling)
    assert isinstance(model, PooledClassifier)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    for save_dtype, atol in (("float32", 1e-6), ("float16", 1e-2)):
        folder = tmp_path / save_dtype
        save_checkpoint(model, spec, folder, save_dtype)
        again, loading = AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True)
        assert isinstance(again, PooledClassifier) and not loading["missing_keys"] and not loading["unexpected_keys"]
        torch.testing.assert_close(logits(again), logits(model), atol=atol, rtol=1e-3)
        assert again.config._attn_implementation == again.backbone.config._attn_implementation == "sdpa"
    assert tuple(again.config.id2label.values()) == THREE_CLASS.names
    assert not list((tmp_path / "float32").glob("*.py")), "no code travels with a checkpoint"
    load_weights(again, tmp_path / "float32")
    torch.testing.assert_close(logits(again), logits(model), atol=1e-6, rtol=1e-5)


def test_it_goes_on_from_a_checkpoint_of_the_same_pooling_and_refuses_another(ground, tmp_path):
    model, spec = loaded(ground, "dinov2", "attention")
    save_checkpoint(model, spec, tmp_path / "first")
    for pooling in ("own", "attention"):
        again, _ = load_model(ModelConfig(model=str(tmp_path / "first"), image_size=84, pooling=pooling, keep_blocks=2), THREE_CLASS)
        assert isinstance(again, PooledClassifier) and len(blocks_of(again)) == 2
        torch.testing.assert_close(head_of(again).weight, head_of(model).weight)
        save_checkpoint(again, spec, tmp_path / "second")
        reread = AutoModelForImageClassification.from_pretrained(tmp_path / "second")
        torch.testing.assert_close(logits(reread, 84), logits(again, 84))
    with pytest.raises(RecipeError, match=r"pooling: max and model: .* was trained with pooling: attention"):
        load_model(ModelConfig(model=str(tmp_path / "first"), pooling="max"), THREE_CLASS)


@pytest.mark.parametrize(
    ("kind", "pooling"), [("convnextv2", "max"), ("convnextv2", "cls"), ("convnextv2", "attention"), ("dinov2", "average")]
)
def test_what_a_network_cannot_pool_is_an_error_that_names_the_keys(ground, kind, pooling):
    with pytest.raises(RecipeError, match="pooling: expected own, cls" if pooling == "average" else rf"pooling: {pooling} and model: "):
        loaded(ground, kind, pooling)


def test_a_networks_own_pooling_is_taken_by_its_name_too(ground):
    for kind, own in (("convnextv2", "mean"), ("vit", "cls"), ("dinov2", "cls+mean")):
        torch.testing.assert_close(logits(loaded(ground, kind, own)[0]), logits(loaded(ground, kind, "own")[0]))


def test_the_query_learns_with_the_head_at_its_rate_and_nothing_else_does(ground):
    model, _ = loaded(ground, "dinov2", "attention", trainable="head")
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"pooling.query", "classifier.weight", "classifier.bias"}
    assert head_parameters(model) == {id(p) for p in model.parameters() if p.requires_grad}
    groups = parameter_groups(model, 1e-4, 1e-2, 0.1, 0.5)
    assert {group["lr"] for group in groups} == {1e-2}
    torch.nn.functional.cross_entropy(model(pixel_values=torch.randn(3, 3, 56, 56)).logits, torch.tensor([0, 1, 2])).backward()
    assert model.pooling.query.grad.abs().sum() > 0
    last, _ = loaded(ground, "dinov2", "max", trainable="last:1")
    frozen = {name.split(".")[0:4][-1] for name, p in last.named_parameters() if "layer." in name and not p.requires_grad}
    assert len(blocks_of(last)) == 3 and frozen == {"0", "1"}
    assert all(p.requires_grad for p in last.backbone.layernorm.parameters())


def test_one_channel_in_training_is_three_on_disk(ground, tmp_path):
    model, spec = loaded(ground, "dinov2", "max", input_channels=1)
    torch.manual_seed(1)
    grey = torch.randn(4, 1, 56, 56)
    save_checkpoint(model, spec, tmp_path / "saved")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "saved")
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(grey.repeat(1, 3, 1, 1)).logits, model.eval()(grey).logits, atol=1e-5, rtol=1e-4)


def test_a_two_class_head_on_half_of_the_features_grows_to_three(ground, tmp_path):
    folder = tiny_checkpoint(tmp_path / "two", "dinov2", TWO_CLASS)
    model, _ = load_model(ModelConfig(model=str(folder), image_size=56, pooling="cls"), THREE_CLASS)
    assert head_of(model).out_features == 3 and not head_of(model).weight[:, 32:].any()


def test_a_run_with_attention_on_kept_tokens_is_predicted_with_and_says_what_it_needs(ground, tmp_path, caplog):
    output = tmp_path / "run"
    more = ("--pooling", "attention", "--trainable", "head", "--cached_views", "1", "--head_start", "random", "--augment", "false")
    with caplog.at_level(logging.WARNING):
        assert main(arguments(ground, output, *more, "--head_learning_rate", "3e-2")) == 0
    assert "loads only where hf_bones is installed" in caplog.text
    about = read_json(next((output / "kept").glob("*/about.json")))
    assert about["shape"] == [17, 32], "the tokens are kept, since the query learns"
    model = AutoModelForImageClassification.from_pretrained(output).eval()
    assert model.pooling.query.abs().sum() > 0
    predictor = BonePredictor.from_pretrained(output)
    finding = predictor.predict(bar_picture(1, 5), heatmap=True)[0]
    assert finding.heatmap is not None and finding.heatmap.max() > 0
    with torch.no_grad():
        raw = model(pixel_values=torch.from_numpy(stack_inputs([bar_picture(1, 5)], predictor.spec))).logits.softmax(dim=1)[0]
    np.testing.assert_allclose(list(finding.raw_probabilities.values()), raw.numpy(), atol=1e-4)
    card = (output / "README.md").read_text()
    assert "import hf_bones.training.backbone.pooling" in card and "attention" in card


def test_a_plain_pipeline_loads_it_where_hf_bones_pooling_is_imported(ground, tmp_path):
    model, spec = loaded(ground, "dinov2", "max")
    save_checkpoint(model, spec, tmp_path / "saved")
    Image.fromarray(bar_picture(1, 5)).save(tmp_path / "film.png")
    answer = pipeline("image-classification", model=str(tmp_path / "saved"))(str(tmp_path / "film.png"), top_k=3)
    with torch.no_grad():
        mine = model.eval()(pixel_values=torch.from_numpy(stack_inputs([bar_picture(1, 5)], spec))).logits.softmax(dim=1)[0]
    assert {row["label"] for row in answer} == set(THREE_CLASS.names)
    np.testing.assert_allclose(sorted(row["score"] for row in answer), sorted(mine.tolist()), atol=1e-4)
