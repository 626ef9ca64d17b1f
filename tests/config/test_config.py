"""Recipes and overrides. Run: pytest tests/config/test_config.py"""

import dataclasses

import pytest
from command_line import parse_recipe

from hf_bones.collect.recipe import FetchSettings, LicenceSettings, load_collect_recipe
from hf_bones.config.fields import REMOVED, within
from hf_bones.config.loading import parse_json, parse_yaml
from hf_bones.config.recipe import STAGES, Recipe, RecipeError, SearchConfig, load_recipe, override, recipe_from_dict, recipe_names
from hf_bones.curation.recipe import CheckSettings, DedupSettings, OpinionSettings, SplitSettings, load_curate_recipe
from hf_bones.labels import load_scheme

CURATE_STAGES = (CheckSettings, DedupSettings, SplitSettings, OpinionSettings)
COLLECT_STAGES = (FetchSettings, LicenceSettings)


def test_the_promised_recipes_ship():
    assert {"quickstart", "bundled", "vit-base", "convnextv2-tiny", "convnextv2-atto", "dinov2-small"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_says_what_it_is(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert len(recipe.description) > 20


def test_every_field_has_help_and_no_two_stages_share_a_key():
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
        ({"augment": {"augment": 1}}, "expected true or false"),
        ({"augment": {"shear": 5}}, "unknown key 'shear'"),
        ({"data": {"train_licences": "CC0"}}, "list of words"),
        ({"training": 3}, "training: expected a mapping"),
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


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [("name: a\ntraining:\n  epochs: 1\n  epochs: 2\n", 4, "epochs"), ("data: {}\nmodel: {}\ndata: {}\n", 3, "data")],
)
def test_a_key_given_twice_is_named_with_its_line(tmp_path, text, line, key):
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    for load in (load_recipe, load_curate_recipe, load_collect_recipe, load_scheme):
        with pytest.raises(ValueError, match=rf"twice\.yaml: line {line}: key '{key}' is given twice"):
            load(path)


def test_merged_keys_of_yaml_may_be_given_again():
    found = parse_yaml("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\n", "my.yaml")
    assert found["own"] == {"a": 1, "b": 3}


def test_a_removed_key_is_ignored_with_a_warning_that_names_it(caplog):
    recipe = recipe_from_dict({"distill": {"teacher_size": 448, "temperature": 3}}, "old.yaml")
    assert recipe.distill.temperature == 3
    assert "old.yaml: distill.teacher_size is ignored" in caplog.text
    with pytest.raises(RecipeError, match="unknown key 'teacher_size'"):
        override(recipe, {"teacher_size": 448})


def test_removed_keys_are_no_keys():
    assert not set(REMOVED) & {field.name for kind in STAGES.values() for field in dataclasses.fields(kind)}


KEYS = [(kind, key) for kind in (*STAGES.values(), SearchConfig, *CURATE_STAGES, *COLLECT_STAGES) for key in dataclasses.fields(kind)]
RANGED = [(kind, key.name, key.metadata["within"]) for kind, key in KEYS if key.metadata.get("within")]
CHOSEN = [(kind, key.name, key.metadata["choices"]) for kind, key in KEYS if key.metadata.get("choices") and not key.metadata["within"]]


@pytest.mark.parametrize(("kind", "key", "interval"), RANGED)
def test_a_value_out_of_its_range_is_refused(kind, key, interval):
    low, high = (float(end.replace("∞", "inf")) for end in interval[1:-1].split(","))
    outside = [low - 1.5] + ([low] if interval[0] == "(" else []) + ([high] if interval[-1] == ")" else [high + 1] * (high < float("inf")))
    for value in [*outside, float("nan")]:
        with pytest.raises(RecipeError, match=rf"^{key}: expected .*a number in"):
            kind(**{key: [value] if key == "strengths" else value})


@pytest.mark.parametrize(("kind", "key", "choices"), CHOSEN)
def test_an_unknown_choice_is_refused_and_the_known_ones_are_named(kind, key, choices):
    other = 2 if key == "input_channels" else "bogus"
    with pytest.raises(RecipeError) as error:
        kind(**{key: [other] if key == "extra_heads" else other})
    assert str(error.value).startswith(f"{key}: expected ") and all(str(choice) in str(error.value) for choice in choices)


def test_ends_of_a_range_count_where_the_bracket_says_so():
    assert within(0, "[0, 1)") and not within(1, "[0, 1)")
    assert within(1, "(0, 1]") and not within(0, "(0, 1]")
    assert within(1e9, "[1, ∞)") and not within(float("inf"), "[1, ∞)")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainable", "last:0", "trainable: expected all, head or last:K, got 'last:0'"),
        ("trainable", "some", "trainable: expected all, head or last:K, got 'some'"),
        ("max_steps", 0, "max_steps: expected -1 or a number in [1, ∞)"),
        ("loss", "foca", "did you mean 'focal'"),
        ("report_to", "tensorbord", "report_to: expected none, trackio or tensorboard, got 'tensorbord'; did you mean 'tensorboard'"),
        ("extra_heads", ["bone"], "extra_heads: expected subtype or region, got 'bone'"),
    ],
)
def test_a_refusal_names_what_is_wanted_and_the_nearest(key, value, message):
    with pytest.raises(RecipeError) as error:
        override(Recipe(), {key: value})
    assert message in str(error.value)


def test_values_with_a_range_or_choices_are_right_at_its_ends():
    assert override(Recipe(), {"trainable": "last:12"}).model.trainable == "last:12"
    assert override(Recipe(), {"max_steps": 1}).training.max_steps == 1


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


@pytest.mark.parametrize("text", ["[" * 20_000, "- " * 5_000 + "a", "a: " + "{b: " * 5_000])
def test_yaml_nested_without_end_is_a_sentence(text):
    with pytest.raises(RecipeError, match=r"mine\.yaml: it is nested too deeply"):
        parse_yaml(text, "mine.yaml")


def test_aliases_that_stand_for_gigabytes_are_refused_and_others_read():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(RecipeError, match=r"its aliases .* stand for more than 1,000,000 values"):
        parse_yaml(bomb, "mine.yaml")
    with pytest.raises(RecipeError, match="stand for more"):
        parse_yaml("a: &a [*a]", "mine.yaml")
    assert parse_yaml("a: &a {b: 1}\nc: {<<: *a, d: 2}", "mine.yaml") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}
    assert parse_yaml("", "mine.yaml") is None


def test_json_nested_without_end_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
