"""Networks that ship without weights. Run: pytest tests/training/backbone/test_architectures.py"""

import numpy as np
import pytest
import torch

from hf_bones.config.recipe import ModelConfig, load_recipe, recipe_names
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.training.backbone.loading import architecture_names, grow_head, head_of, load_model
from hf_bones.training.run.checkpoints import save_checkpoint


@pytest.mark.parametrize("name", architecture_names())
def test_an_architecture_is_made_with_random_weights_saved_and_read_as_a_plain_classifier(name, tmp_path):
    config = ModelConfig(model=name, from_scratch=True, image_size=64)
    torch.manual_seed(0)
    model, spec = load_model(config, THREE_CLASS)
    torch.manual_seed(1)
    other, _ = load_model(config, THREE_CLASS)
    assert not torch.equal(head_of(model).weight, head_of(other).weight)
    save_checkpoint(model, spec, tmp_path / name)
    predictor = BonePredictor.from_pretrained(tmp_path / name, device="cpu")
    picture = np.random.default_rng(0).integers(0, 255, (80, 60), dtype=np.uint8)
    finding = predictor.predict(picture, heatmap=True)[0]
    assert predictor.spec.size == 64 and finding.heatmap is not None and finding.heatmap.shape == picture.shape
    assert tuple(finding.probabilities or {}) == THREE_CLASS.names


def test_an_architecture_without_from_scratch_has_nothing_to_start_from():
    with pytest.raises(ValueError, match="from_scratch: true"):
        load_model(ModelConfig(model="small-cnn"), THREE_CLASS)


def test_the_head_of_a_residual_network_grows_as_others_do():
    model, _ = load_model(ModelConfig(model="small-cnn", from_scratch=True, image_size=64), TWO_CLASS)
    model.eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = model(pixels).logits.softmax(dim=1)
        grow_head(model, THREE_CLASS)
        after = model(pixels).logits.softmax(dim=1)
    torch.testing.assert_close(after[:, 0], before[:, 0], atol=1e-5, rtol=1e-4)
    assert after.shape == (2, 3) and head_of(model).out_features == 3


def test_recipes_from_scratch_name_an_architecture_that_ships_or_a_hub_id():
    recipes = [load_recipe(name) for name in recipe_names()]
    scratch = {recipe.name: recipe.model.model for recipe in recipes if recipe.model.from_scratch}
    assert set(scratch) >= {"small-cnn", "small-cnn-grey", "small-cnn-regularised", "convnextv2-atto-scratch", "vit-tiny-scratch"}
    assert all(model in architecture_names() or "/" in model for model in scratch.values())


def test_grey_against_rgb_differs_in_nothing_else():
    grey, rgb = load_recipe("small-cnn-grey").as_dict(), load_recipe("small-cnn").as_dict()
    assert grey["model"].pop("input_channels") == 1 and rgb["model"].pop("input_channels") == 3
    grey["training"].pop("output_dir"), rgb["training"].pop("output_dir")
    assert all(grey[stage] == rgb[stage] for stage in ("data", "model", "augment", "training"))
