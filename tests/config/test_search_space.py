"""The search space of a recipe is read with types. Run: pytest tests/config/test_search_space.py"""

import dataclasses

import pytest

from hf_bones.config.recipe import STAGES, RecipeError, load_recipe, override, recipe_from_dict, recipe_names
from hf_bones.config.search_space import NOT_SEARCHED, Range


def space(**keys):
    return recipe_from_dict({"search": {"space": keys}}, "my.yaml").search.space


def test_ranges_and_choices_take_the_types_of_their_keys():
    found = space(
        learning_rate={"low": "1e-5", "high": 1e-3, "log": True},  # YAML reads 1e-5 as text
        batch_size={"low": 8, "high": 32, "step": 8},
        label_smoothing={"low": 0, "high": 0.2},
        keep_blocks={"choices": [None, 8, 10]},
        trainable={"choices": ["head", "last:2"]},
        augment={"choices": [True, False]},
    )
    assert found["learning_rate"] == Range(1e-5, 1e-3, True)
    assert found["batch_size"] == Range(8, 32, step=8)
    assert (type(found["batch_size"].low), type(found["label_smoothing"].low)) == (int, float)
    assert found["keep_blocks"].choices == (None, 8, 10)
    assert found["augment"].choices == (True, False)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"trails": 3}, r"my\.yaml: search: unknown key 'trails'; did you mean 'trials'"),
        ({"trials": 0}, r"search\.trials: expected a number in \[1, ∞\)"),
        ({"trials": "many"}, r"search\.trials: expected int"),
        ({"prune_after": 0}, r"prune_after: expected a number in \[1"),
        ([1], "search: expected a mapping"),
        ({"space": {"lerning_rate": {"low": 0, "high": 1}}}, r"search\.space: 'lerning_rate' is not a key.*did you mean 'learning_rate'"),
        ({"space": {"learning_rate": [1e-5, 1e-3]}}, r"learning_rate: expected \{low: …, high: …\} or \{choices"),
        ({"space": {"learning_rate": {"lo": 1e-5, "high": 1}}}, "unknown key 'lo'; did you mean 'low'"),
        ({"space": {"learning_rate": {"low": 1e-5}}}, "high missing"),
        ({"space": {"learning_rate": {"low": 1e-3, "high": 1e-5}}}, "must be under high"),
        ({"space": {"learning_rate": {"low": 0, "high": 1, "log": True}}}, "log needs a low over 0"),
        ({"space": {"learning_rate": {"low": "little", "high": 1}}}, r"learning_rate\.low: expected float"),
        ({"space": {"batch_size": {"low": 8, "high": 16.5}}}, r"batch_size\.high: expected int"),
        ({"space": {"batch_size": {"low": 8, "high": 64, "log": True, "step": 8}}}, "goes without log"),
        ({"space": {"trainable": {"low": 1, "high": 2}}}, "a str is searched over by"),
        ({"space": {"trainable": {"choices": ["head", 2]}}}, r"choices\[1\]: expected str"),
        ({"space": {"trainable": {"choices": ["head"]}}}, "two values or more"),
        ({"space": {"trainable": {"choices": ["head", "head"]}}}, "is given twice"),
        ({"space": {"learning_rate": {"choices": [1e-4, 1e-3], "log": True}}}, "choices go without log"),
        ({"space": {"train_licences": {"choices": ["CC0", "CC-BY"]}}}, "every trial must be scored on the same validation rows"),
        ({"space": {"drop_path": {"low": 0, "high": 1}}}, r"space\.drop_path: expected a number in \[0, 1\)"),
        ({"space": {"pooling": {"choices": ["max", "maxx"]}}}, r"space\.pooling: expected own.*did you mean 'max'"),
        ({"space": {"seed": {"low": 0, "high": 9}}}, "seed cannot be searched over: .* luck"),
        ({"space": {"extra_heads": {"choices": ["subtype", "region"]}}}, "a list cannot be searched over"),
    ],
)
def test_a_slip_names_the_key_and_what_is_wanted(search, message):
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict({"search": search}, "my.yaml")


def test_a_space_survives_an_override_and_plain_data():
    recipe = recipe_from_dict({"search": {"trials": 7, "space": {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}}})
    assert override(recipe, {"epochs": 3}).search == recipe.search
    assert recipe_from_dict(recipe.as_dict()) == recipe
    assert "search" not in load_recipe("quickstart").as_dict()


def test_whether_a_value_lies_within():
    steps = Range(0.0, 0.3, step=0.1)
    assert steps.holds(0.1) and steps.holds(0.2) and steps.holds(0.3) and not steps.holds(0.15) and not steps.holds(0.4)
    assert Range(1, 8).holds(8) and not Range(1, 8).holds(None) and not Range(0, 8).holds(True)
    assert Range(choices=(None, 8)).holds(None)


def test_keys_that_cannot_be_searched_over_are_keys():
    assert set(NOT_SEARCHED) <= {field.name for stage in STAGES.values() for field in dataclasses.fields(stage)}


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).search])
def test_a_shipped_recipe_lies_in_its_own_space(name):
    recipe = load_recipe(name)
    own = {key: value for stage in STAGES for key, value in vars(getattr(recipe, stage)).items()}
    assert all(values.holds(own[key]) for key, values in recipe.search.space.items())
    assert len(recipe.search.space) >= 3
