"""Keys that do not go together. Run: pytest tests/training/test_combinations.py"""

import pytest
from tiny import tiny_checkpoint

from hf_bones.config.recipe import Recipe, RecipeError, load_recipe, override, recipe_names
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.combinations import CHOICES, OWN_KEYS, RANGES, RULES, check_combinations, check_network, keys_of, within

# For each rule: what breaks it, and the ways out, each as the message advises.
BROKEN = {
    ("lora_rank", "trainable"): ({"lora_rank": 8, "trainable": "head"}, {"lora_rank": 0}, {"trainable": "last:2"}),
    ("lora_rank", "from_scratch"): ({"lora_rank": 8, "from_scratch": True}, {"lora_rank": 0}, {"from_scratch": False}),
    ("trainable", "from_scratch"): ({"trainable": "last:2", "from_scratch": True}, {"trainable": "all"}, {"from_scratch": False}),
    ("cached_views", "trainable"): ({"cached_views": 2, "trainable": "all"}, {"cached_views": 0}, {"trainable": "last:1"}),
    ("head_epochs", "trainable"): ({"head_epochs": 1, "trainable": "head"}, {"head_epochs": 0}, {"trainable": "all"}),
    ("head_epochs", "epochs"): ({"head_epochs": 5, "epochs": 5}, {"head_epochs": 2}, {"epochs": 6}),
    ("gradient_checkpointing", "trainable"): (
        {"gradient_checkpointing": True, "trainable": "head"},
        {"gradient_checkpointing": False},
        {"trainable": "last:1"},
    ),
    ("layer_decay", "trainable"): ({"layer_decay": 0.8, "trainable": "head"}, {"layer_decay": 1}, {"trainable": "last:1"}),
    ("box_loss", "trainable"): ({"box_loss": 0.5, "trainable": "head"}, {"box_loss": 0}, {"trainable": "last:1"}),
    ("torch_compile", "box_loss"): ({"torch_compile": "whole", "box_loss": 0.5}, {"torch_compile": "blocks"}, {"box_loss": 0}),
    ("loss", "label_smoothing"): ({"loss": "focal", "label_smoothing": 0.1}, {"label_smoothing": 0}, {"loss": "cross_entropy"}),
    ("zoom", "augment"): ({"zoom": 1.5, "augment": False}, {"zoom": 1}, {"augment": True}),
    ("samples_per_epoch", "sampling"): ({"samples_per_epoch": 100}, {"samples_per_epoch": None}, {"sampling": "sqrt"}),
    ("mixed_precision", "cpu"): ({"mixed_precision": "fp16", "cpu": True}, {"mixed_precision": "bf16"}, {"cpu": False}),
    ("probe_views", "augment"): ({"head_start": "probe", "probe_views": 3, "augment": False}, {"probe_views": 1}, {"augment": True}),
    ("balanced_verdicts", "epochs", "head_start"): (
        {"balanced_verdicts": True, "epochs": 0},
        {"balanced_verdicts": False},
        {"head_start": "probe"},
        {"epochs": 1},
    ),
    ("balanced_verdicts", "head_start", "sampling"): (
        {"balanced_verdicts": True, "head_start": "probe", "sampling": "sqrt"},
        {"sampling": "uniform"},
        {"head_start": "random"},
        {"balanced_verdicts": False},
    ),
    ("label_smoothing", "epochs"): ({"label_smoothing": 0.1, "epochs": 0}, {"label_smoothing": 0}, {"epochs": 1}),
    ("early_stopping_patience", "epochs"): (
        {"early_stopping_patience": 3, "epochs": 0},
        {"early_stopping_patience": 0},
        {"epochs": 1},
    ),
    ("drop_path", "epochs"): ({"drop_path": 0.1, "epochs": 0}, {"drop_path": 0}, {"epochs": 1}),
    ("lora_rank", "epochs"): ({"lora_rank": 8, "epochs": 0}, {"lora_rank": 0}, {"epochs": 1}),
    ("extra_heads", "epochs"): ({"extra_heads": ["region"], "epochs": 0}, {"extra_heads": []}, {"epochs": 1}),
    ("loss", "epochs"): ({"loss": "focal", "epochs": 0}, {"loss": "cross_entropy"}, {"epochs": 1}),
    ("box_loss", "epochs"): ({"box_loss": 0.5, "epochs": 0}, {"box_loss": 0}, {"epochs": 1}),
    ("ema_decay", "epochs"): ({"ema_decay": 0.99, "epochs": 0}, {"ema_decay": 0}, {"epochs": 1}),
    ("max_steps", "epochs"): ({"max_steps": 5, "epochs": 0}, {"max_steps": -1}, {"epochs": 1}),
}


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_go_together(name):
    check_combinations(load_recipe(name))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "+".join(rule.keys))
def test_each_rule_names_its_keys_and_its_advice_helps(rule):
    changes, *ways_out = BROKEN[rule.keys]
    with pytest.raises(RecipeError) as error:
        check_combinations(override(Recipe(), changes))
    message = str(error.value)
    assert all(f"{key}: " in message.split("; ")[0] for key in rule.keys) and rule.advice in message
    for way_out in ways_out:
        assert all(key in rule.advice for key in way_out)
        check_combinations(override(Recipe(), changes | way_out))


def test_no_two_rules_are_of_the_same_keys():
    assert len({rule.keys for rule in RULES}) == len(RULES) == len(BROKEN)


@pytest.mark.parametrize("key", RANGES)
def test_a_value_out_of_its_range_is_refused(key):
    low, high = (float(end.replace("∞", "inf")) for end in RANGES[key][1:-1].split(","))
    outside = [low - 1] + ([low] if RANGES[key][0] == "(" else []) + ([high] if RANGES[key][-1] == ")" else [high + 1])
    for value in [*outside, float("nan")]:
        recipe = Recipe()
        stage = next(stage for stage in (recipe.data, recipe.model, recipe.augment, recipe.training) if hasattr(stage, key))
        setattr(stage, key, value)
        with pytest.raises(RecipeError, match=rf"^{key}: expected a number in"):
            check_combinations(recipe)


def test_ends_of_a_range_count_where_the_bracket_says_so():
    assert within(0, "[0, 1)") and not within(1, "[0, 1)")
    assert within(1, "(0, 1]") and not within(0, "(0, 1]")
    assert within(1e9, "[1, ∞)") and not within(float("inf"), "[1, ∞)")


@pytest.mark.parametrize("key", CHOICES)
def test_an_unknown_choice_is_refused_and_the_known_ones_are_named(key):
    other = 2 if key == "input_channels" else "bogus"
    with pytest.raises(RecipeError) as error:
        check_combinations(override(Recipe(), {key: other}))
    assert str(error.value).startswith(f"{key}: expected ") and all(str(choice) in str(error.value) for choice in CHOICES[key])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainable", "last:0", "trainable: expected all, head or last:K, got 'last:0'"),
        ("trainable", "some", "trainable: expected all, head or last:K, got 'some'"),
        ("max_steps", 0, "max_steps: expected a number of steps, or -1"),
        ("loss", "foca", "did you mean 'focal'"),
    ],
)
def test_values_of_a_form_of_their_own(key, value, message):
    with pytest.raises(RecipeError) as error:
        check_combinations(override(Recipe(), {key: value}))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"class_weights": "balanced", "sampling": "balanced"}, ("class_weights: balanced", "sampling: balanced")),
        ({"class_weights": "sqrt", "sampling": "balanced"}, ("class_weights: sqrt", "sampling: balanced")),
        ({"loss": "logit_adjusted"}, ("loss: logit_adjusted", "class_weights: sqrt", "logit_adjustment: 1")),
        (
            {"loss": "logit_adjusted", "class_weights": "none", "sampling": "balanced"},
            ("loss: logit_adjusted", "sampling: balanced", "logit_adjustment: 1"),
        ),
    ],
)
def test_rare_classes_are_not_raised_twice(changes, named):
    with pytest.raises(RecipeError) as error:
        check_combinations(override(Recipe(), changes))
    assert all(key in str(error.value) for key in named) and "or lower another of them" in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "sqrt", "sampling": "sqrt"},
        {"class_weights": "none", "sampling": "balanced"},
        {"loss": "logit_adjusted", "class_weights": "none"},
        {"loss": "logit_adjusted", "class_weights": "sqrt", "logit_adjustment": 0.5},
        {"loss": "logit_adjusted", "class_weights": "none", "logit_adjustment": 1.5},
    ],
)
def test_raising_them_once_in_parts_or_by_one_strong_means_is_allowed(changes):
    check_combinations(override(Recipe(), changes))


def test_rules_of_the_kept_output_are_applied_too():
    with pytest.raises(RecipeError, match="cached_views and torch_compile"):
        check_combinations(override(Recipe(), {"cached_views": 1, "trainable": "last:1", "torch_compile": "whole"}))


@pytest.mark.parametrize("entry", OWN_KEYS)
def test_what_has_a_key_of_its_own_is_not_taken_from_the_trainers_entries(entry):
    recipe = Recipe()
    recipe.trainer = {entry: 1}
    with pytest.raises(RecipeError, match=rf"trainer: {entry}: .* own key {OWN_KEYS[entry]};"):
        check_combinations(recipe)


def test_every_key_of_a_table_is_a_recipes():
    known = vars(keys_of(Recipe()))
    named = {*RANGES, *CHOICES, *OWN_KEYS.values(), *(key for rule in RULES for key in rule.keys)}
    assert named <= set(known)


def test_a_network_that_cannot_recompute_its_activations_is_refused_by_key_and_model(tmp_path):
    recipe = override(Recipe(), {"model": str(tiny_checkpoint(tmp_path / "c", "convnextv2")), "image_size": 56})
    model, _ = load_model(recipe.model, THREE_CLASS)
    check_network(recipe, model)
    with pytest.raises(RecipeError, match=r"gradient_checkpointing: true and model: .*ConvNextV2ForImageClassification cannot"):
        check_network(override(recipe, {"gradient_checkpointing": True}), model)
    vit = override(recipe, {"gradient_checkpointing": True, "model": str(tiny_checkpoint(tmp_path / "v", "vit"))})
    check_network(vit, load_model(vit.model, THREE_CLASS)[0])


@pytest.mark.parametrize(
    ("kind", "size", "fitting"), [("dinov2", 60, "56 or 70"), ("vit", 83, "70 or 84"), ("dinov2", 84, ""), ("convnextv2", 60, "")]
)
def test_a_size_that_patches_do_not_cover_is_refused_with_the_nearest_ones(tmp_path, kind, size, fitting):
    recipe = override(Recipe(), {"model": str(tiny_checkpoint(tmp_path / kind, kind)), "image_size": size})
    model, _ = load_model(recipe.model, THREE_CLASS)
    if not fitting:
        check_network(recipe, model)
        return
    with pytest.raises(RecipeError, match=rf"^image_size: {size} and model: .*{kind}: patches of 14 px .*; set image_size to {fitting}$"):
        check_network(recipe, model)


def test_a_size_that_patches_do_not_cover_is_refused_of_a_pooled_and_of_a_new_network_too(tmp_path):
    pooled = override(Recipe(), {"model": str(tiny_checkpoint(tmp_path / "v", "vit")), "image_size": 60, "pooling": "max"})
    new = override(Recipe(), {"model": "vit-tiny", "from_scratch": True, "image_size": 60})
    for recipe, fitting in ((pooled, "56 or 70"), (new, "48 or 64")):
        with pytest.raises(RecipeError, match=f"set image_size to {fitting}"):
            check_network(recipe, load_model(recipe.model, THREE_CLASS)[0])


def test_a_run_is_refused_before_its_data_is_looked_for(tmp_path, capsys):
    from command_line import main

    given = ["--dataset", str(tmp_path / "none"), "--output_dir", str(tmp_path / "run"), "--lora_rank", "4", "--trainable", "head"]
    assert main(given) == 2
    assert "lora_rank: 4 and trainable: head" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
