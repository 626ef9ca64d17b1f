"""What a loaded network cannot do. Run: pytest tests/training/backbone/test_check.py"""

import pytest
from tiny import tiny_checkpoint

from hf_bones.config.recipe import Recipe, RecipeError, TrainConfig, override
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.check import check_network
from hf_bones.training.backbone.loading import load_model


def test_a_network_that_cannot_recompute_its_activations_is_refused_by_key_and_model(tmp_path):
    recipe = override(Recipe(), {"model": str(tiny_checkpoint(tmp_path / "c", "convnextv2")), "image_size": 56})
    model, _ = load_model(recipe.model, THREE_CLASS)
    check_network(model, recipe.model, recipe.training)
    with pytest.raises(RecipeError, match=r"gradient_checkpointing: true and model: .*ConvNextV2ForImageClassification cannot"):
        check_network(model, recipe.model, TrainConfig(gradient_checkpointing=True))
    vit = override(recipe, {"gradient_checkpointing": True, "model": str(tiny_checkpoint(tmp_path / "v", "vit"))})
    check_network(load_model(vit.model, THREE_CLASS)[0], vit.model, vit.training)


@pytest.mark.parametrize(
    ("kind", "size", "fitting"), [("dinov2", 60, "56 or 70"), ("vit", 83, "70 or 84"), ("dinov2", 84, ""), ("convnextv2", 60, "")]
)
def test_a_size_that_patches_do_not_cover_is_refused_with_the_nearest_ones(tmp_path, kind, size, fitting):
    recipe = override(Recipe(), {"model": str(tiny_checkpoint(tmp_path / kind, kind)), "image_size": size})
    model, _ = load_model(recipe.model, THREE_CLASS)
    if not fitting:
        check_network(model, recipe.model, recipe.training)
        return
    with pytest.raises(RecipeError, match=rf"^image_size: {size} and model: .*{kind}: patches of 14 px .*; set image_size to {fitting}$"):
        check_network(model, recipe.model, recipe.training)


def test_a_size_that_patches_do_not_cover_is_refused_of_a_pooled_and_of_a_new_network_too(tmp_path):
    pooled = override(Recipe(), {"model": str(tiny_checkpoint(tmp_path / "v", "vit")), "image_size": 60, "pooling": "max"})
    new = override(Recipe(), {"model": "vit-tiny", "from_scratch": True, "image_size": 60})
    for recipe, fitting in ((pooled, "56 or 70"), (new, "48 or 64")):
        with pytest.raises(RecipeError, match=f"set image_size to {fitting}"):
            check_network(load_model(recipe.model, THREE_CLASS)[0], recipe.model, recipe.training)
