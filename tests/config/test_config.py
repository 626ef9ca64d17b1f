"""Recipes and overrides. Run: pytest tests/config/test_config.py"""

import pytest
from command_line import parse_recipe

from hf_bones.config.recipe import STAGES, RecipeError, load_recipe, override, recipe_from_dict, recipe_names


def test_the_promised_recipes_ship():
    assert {"quickstart", "bundled", "vit-base", "convnextv2-tiny", "convnextv2-atto", "dinov2-small"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_says_what_it_is(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert len(recipe.description) > 20


def test_every_field_has_help_and_no_two_stages_share_a_key():
    import dataclasses

    fields = [field for kind in STAGES.values() for field in dataclasses.fields(kind)]
    assert all(field.metadata.get("help") for field in fields)
    assert len({field.name for field in fields}) == len(fields)


def test_an_override_reaches_its_stage_and_leaves_the_original_alone():
    recipe = load_recipe("quickstart")
    changed = override(recipe, {"learning_rate": 1e-3, "image_size": 336})
    assert changed.training.learning_rate == 1e-3
    assert changed.model.image_size == 336
    assert recipe.model.image_size == 224


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"traning": {}}, "did you mean 'training'"),
        ({"training": {"lerning_rate": 1}}, "did you mean 'learning_rate'"),
        ({"training": {"epochs": "many"}}, r"training\.epochs: expected float"),
        ({"model": {"image_size": 224.5}}, r"model\.image_size: expected int"),
        ({"augment": {"augment": 1}}, "expected bool"),
        ({"augment": {"shear": 5}}, "unknown key 'shear'"),
        ({"data": {"train_licences": "CC0"}}, "list of words"),
        ({"training": 3}, "must be a mapping"),
    ],
)
def test_a_bad_recipe_names_the_key_and_what_is_wanted(data, message):
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict(data, "my.yaml")


def test_yaml_numbers_in_scientific_notation_are_numbers():
    assert recipe_from_dict({"training": {"learning_rate": "5e-5"}}).training.learning_rate == 5e-5


def test_an_empty_optional_is_none_and_an_optional_number_is_checked():
    assert recipe_from_dict({"model": {"keep_blocks": None}}).model.keep_blocks is None
    with pytest.raises(RecipeError, match="keep_blocks"):
        recipe_from_dict({"model": {"keep_blocks": "four"}})


def test_a_recipe_file_that_is_not_there_names_the_shipped_ones():
    with pytest.raises(RecipeError, match="did you mean 'quickstart'"):
        load_recipe("quikstart")


def test_a_recipe_file_that_is_not_yaml_is_named(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1")
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        load_recipe(path)


def test_a_list_given_bare_is_empty_and_other_lists_stay_the_recipes():
    recipe = parse_recipe(["--recipe", "bundled", "--train_licences", "--teacher_probabilities", "--epochs", "2"])
    assert recipe.data.train_licences == [] and recipe.distill.teacher_probabilities == [] and recipe.training.epochs == 2
    assert parse_recipe(["--recipe", "bundled"]).data.train_licences == ["CC-BY-4.0", "CC0-1.0"]
    assert parse_recipe(["--recipe", "bundled", "--train_licences", "CC0-1.0"]).data.train_licences == ["CC0-1.0"]


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_takes_any_data_and_says_nothing_of_it(name):
    data = load_recipe(name).data
    assert data.attribution == [] and data.label_noise == ""
    assert data.train_licences == (["CC-BY-4.0", "CC0-1.0"] if name == "bundled" else [])
