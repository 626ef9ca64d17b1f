"""Keys that do not go together. Run: pytest tests/config/test_rules.py"""

import pytest

from hf_bones.config.recipe import Recipe, RecipeError, load_recipe, override, recipe_from_dict, recipe_names
from hf_bones.config.rules import OWN_KEYS, RULES, check_rules, keys_of

# For each rule: what breaks it, and the ways out, each as the message advises.
KEPT = {"cached_views": 1, "trainable": "last:1"}
TAUGHT = {"teacher": ["x"]}
SEARCHED = {"search": {"space": {"weight_decay": {"low": 0.01, "high": 0.2}}}}
BROKEN = {
    ("space",): ({},),
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
    ("box_loss", "trainable", "cached_views"): (
        {"box_loss": 0.5, "trainable": "head", "cached_views": 1},
        {"box_loss": 0},
        {"trainable": "last:1"},
        {"cached_views": 0},
    ),
    ("join_patches", "box_loss", "patch_head"): (
        {"join_patches": True},
        {"join_patches": False},
        {"box_loss": 0.5},
        {"patch_head": "fitted"},
    ),
    ("second_look", "box_loss", "patch_head"): ({"second_look": True}, {"second_look": False}, {"box_loss": 0.5}, {"patch_head": "fitted"}),
    ("torch_compile", "box_loss"): ({"torch_compile": "whole", "box_loss": 0.5}, {"torch_compile": "blocks"}, {"box_loss": 0}),
    ("loss", "label_smoothing"): ({"loss": "focal", "label_smoothing": 0.1}, {"label_smoothing": 0}, {"loss": "cross_entropy"}),
    ("zoom", "augment"): ({"zoom": 1.5, "augment": False}, {"zoom": 1}, {"augment": True}),
    ("style", "augment"): ({"style": 0.5, "augment": False}, {"style": 0}, {"augment": True}),
    ("invert", "augment"): ({"invert": 0.5, "augment": False}, {"invert": 0}, {"augment": True}),
    ("cast", "augment"): ({"cast": 0.1, "augment": False}, {"cast": 0}, {"augment": True}),
    ("metal", "augment"): ({"metal": 0.1, "augment": False}, {"metal": 0}, {"augment": True}),
    ("tile_probability", "augment"): ({"tile_probability": 0.5, "augment": False}, {"tile_probability": 0}, {"augment": True}),
    ("tile_probability", "keep_in_view"): (
        {"tile_probability": 0.5, "keep_in_view": False},
        {"tile_probability": 0},
        {"keep_in_view": True},
    ),
    ("samples_per_epoch", "sampling"): ({"samples_per_epoch": 100}, {"samples_per_epoch": None}, {"sampling": "sqrt"}),
    ("mixed_precision", "cpu"): ({"mixed_precision": "fp16", "cpu": True}, {"mixed_precision": "bf16"}, {"cpu": False}),
    ("probe_views", "augment"): ({"head_start": "probe", "probe_views": 3, "augment": False}, {"probe_views": 1}, {"augment": True}),
    ("broken_copies", "streaming"): (
        {"broken_copies": 9, "streaming": True, "dataset": "someone/bones"},
        {"broken_copies": 0},
        {"streaming": False},
    ),
    ("verdict_copies", "balanced_verdicts"): ({"verdict_copies": 2}, {"verdict_copies": 0}, {"balanced_verdicts": True}),
    ("verdict_copies", "augment"): (
        {"verdict_copies": 2, "balanced_verdicts": True, "augment": False},
        {"verdict_copies": 0},
        {"augment": True},
    ),
    ("verdict_copies", "streaming"): (
        {"verdict_copies": 2, "balanced_verdicts": True, "streaming": True, "dataset": "x/y"},
        {"verdict_copies": 0},
        {"streaming": False},
    ),
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
    ("head_start", "sampling"): (
        {"head_start": "probe", "sampling": "source", "class_weights": "none"},
        {"head_start": "random"},
        {"sampling": "uniform"},
    ),
    ("loss", "sampling"): (
        {"loss": "focal", "sampling": "source", "class_weights": "none"},
        {"loss": "cross_entropy"},
        {"sampling": "uniform"},
    ),
    ("class_weights", "sampling"): (
        {"class_weights": "balanced", "sampling": "balanced"},
        {"class_weights": "none"},
        {"sampling": "uniform"},
    ),
    ("loss", "logit_adjustment", "class_weights", "sampling"): (
        {"loss": "logit_adjusted", "sampling": "uniform", "class_weights": "sqrt"},
        {"class_weights": "none"},
    ),
    ("cached_views", "augment"): ({**KEPT, "cached_views": 3, "augment": False}, {"cached_views": 1}, {"augment": True}),
    ("cached_views", "lora_rank"): ({**KEPT, "lora_rank": 4}, {"cached_views": 0}, {"lora_rank": 0}),
    ("cached_views", "streaming"): ({**KEPT, "streaming": True, "dataset": "x"}, {"cached_views": 0}, {"streaming": False}),
    ("cached_views", "torch_compile"): ({**KEPT, "torch_compile": "whole"}, {"cached_views": 0}, {"torch_compile": "blocks"}),
    ("probe_views", "cached_views"): ({**KEPT, "head_start": "probe", "probe_views": 2}, {"probe_views": 1}, {"cached_views": 2}),
    ("streaming", "dataset"): ({"streaming": True}, {"dataset": "x"}, {"streaming": False}),
    ("streaming", "sampling"): (
        {"streaming": True, "dataset": "x", "sampling": "sqrt"},
        {"sampling": "uniform"},
        {"streaming": False},
    ),
    ("streaming", "max_train_rows"): (
        {"streaming": True, "dataset": "x", "max_train_rows": 9},
        {"max_train_rows": None},
        {"streaming": False},
    ),
    ("without_sources", "unlabelled"): (
        {**TAUGHT, "without_sources": ["web"], "unlabelled": ["more"]},
        {"without_sources": []},
        {"unlabelled": []},
    ),
    ("teacher", "teacher_probabilities"): ({}, {"teacher": ["x"]}, {"teacher_probabilities": ["x.npz"]}),
    ("label_weight", "feature_weight"): ({**TAUGHT, "label_weight": 1}, {"label_weight": 0.5}, {"feature_weight": 1}),
    ("feature_weight", "teacher"): (
        {"teacher_probabilities": ["x.npz"], "feature_weight": 1},
        {"teacher": ["x"]},
        {"feature_weight": 0},
    ),
    ("missing_probabilities", "teacher"): (
        {"teacher_probabilities": ["x.npz"], "missing_probabilities": "teacher"},
        {"teacher": ["x"]},
        {"missing_probabilities": "labels"},
    ),
    ("feature_weight", "trainable"): ({**TAUGHT, "feature_weight": 1, "trainable": "head"}, {"feature_weight": 0}, {"trainable": "last:1"}),
    ("teacher", "teacher_probabilities", "epochs"): ({**TAUGHT, "epochs": 0}, {"epochs": 1}),
    ("teacher", "teacher_probabilities", "streaming"): ({**TAUGHT, "streaming": True, "dataset": "x"}, {"streaming": False}),
    ("teacher", "teacher_probabilities", "cached_views"): ({**TAUGHT, **KEPT}, {"cached_views": 0}),
    ("teacher", "teacher_probabilities", "sampling"): (
        {**TAUGHT, "sampling": "source", "class_weights": "none"},
        {"sampling": "balanced"},
    ),
    ("choose_by",): ({"choose_by": "worst_source"}, {"choose_by": "validation"}),
    ("push_to_hub",): ({"push_to_hub": "me/it"}, {"push_to_hub": None}),
    ("epochs",): ({"epochs": 0},),
    ("cached_views",): (KEPT, {"cached_views": 0}),
    ("extra_heads",): ({"extra_heads": ["region"]}, {"extra_heads": []}),
    ("lora_rank",): ({"lora_rank": 4}, {"lora_rank": 0}),
    ("torch_compile",): ({"torch_compile": "whole"}, {"torch_compile": "blocks"}),
    ("label_smoothing", "epochs"): ({"label_smoothing": 0.1, "epochs": 0}, {"label_smoothing": 0}, {"epochs": 1}),
    ("choose_by", "epochs"): ({"choose_by": "worst_source", "epochs": 0}, {"choose_by": "validation"}, {"epochs": 1}),
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
    check_rules(load_recipe(name))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "+".join(rule.keys))
def test_each_rule_names_its_keys_and_its_advice_helps(rule):
    changes, *ways_out = BROKEN[rule.keys]
    start = recipe_from_dict(SEARCHED) if rule.run == "search" and rule.keys != ("space",) else Recipe()
    with pytest.raises(RecipeError) as error:
        check_rules(override(start, changes), rule.run)
    message = str(error.value)
    assert all(f"{key}: " in message.split("; ")[0] for key in rule.keys) and rule.advice in message
    for way_out in ways_out:
        assert all(key in rule.advice for key in way_out)
        check_rules(override(start, changes | way_out), rule.run)


def test_rules_of_one_kind_of_run_are_for_it_alone():
    check_rules(override(Recipe(), {"push_to_hub": "me/it", "epochs": 0}))
    with pytest.raises(RecipeError, match="there is no teacher"):  # something under distill: is a distillation
        check_rules(override(Recipe(), {"temperature": 3.0}))


def test_no_two_rules_are_of_the_same_keys():
    assert len({rule.keys for rule in RULES}) == len(RULES) == len(BROKEN)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"class_weights": "balanced", "sampling": "balanced"}, ("class_weights: balanced", "sampling: balanced")),
        ({"class_weights": "sqrt", "sampling": "source"}, ("class_weights: sqrt", "sampling: source")),
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
        check_rules(override(Recipe(), changes))
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
    check_rules(override(Recipe(), changes))


@pytest.mark.parametrize("entry", OWN_KEYS)
def test_what_has_a_key_of_its_own_is_not_taken_from_the_trainers_entries(entry):
    recipe = Recipe()
    recipe.trainer = {entry: 1}
    with pytest.raises(RecipeError, match=rf"trainer: {entry}: .* own key {OWN_KEYS[entry]};"):
        check_rules(recipe)


def test_every_key_of_a_table_is_a_recipes():
    known = vars(keys_of(vars(Recipe())))
    named = {*OWN_KEYS.values(), *(key for rule in RULES for key in rule.keys)}
    assert named <= set(known)


def test_a_run_is_refused_before_its_data_is_looked_for(tmp_path, capsys):
    from command_line import main

    given = ["--dataset", str(tmp_path / "none"), "--output_dir", str(tmp_path / "run"), "--lora_rank", "4", "--trainable", "head"]
    assert main(given) == 2
    assert "lora_rank: 4 and trainable: head" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
