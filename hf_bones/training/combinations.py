"""Keys of a recipe that do not go together, values out of range and unknown choices: refused before anything is loaded.

Here are the rules that a recipe alone decides, and `check_network` for what the loaded network cannot do. Rules about
the data, the machine and single features stand with these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from transformers import PreTrainedModel

from hf_bones.config.recipe import Recipe, RecipeError, nearest
from hf_bones.training.cached_views.fill import check_keys

RANGES = {
    "max_train_rows": "[1, ∞)",
    "drawn_images": "[0, ∞)",
    "drawn_validation_images": "[0, ∞)",
    "drop_path": "[0, 1)",
    "image_size": "[1, ∞)",
    "lora_rank": "[0, ∞)",
    "lora_alpha": "(0, ∞)",
    "rotation_degrees": "[0, 180]",
    "scale": "[0, 1)",
    "shift": "[0, 1)",
    "horizontal_flip": "[0, 1]",
    "vertical_flip": "[0, 1]",
    "gamma": "[0, ∞)",
    "contrast": "[0, 1]",
    "brightness": "[0, 1]",
    "zoom": "[1, ∞)",
    "zoom_probability": "[0, 1]",
    "epochs": "[0, ∞)",
    "learning_rate": "(0, ∞)",
    "head_learning_rate": "(0, ∞)",
    "probe_c": "(0, ∞)",
    "probe_views": "[1, ∞)",
    "layer_decay": "(0, 1]",
    "weight_decay": "[0, ∞)",
    "warmup": "[0, 1)",
    "batch_size": "[1, ∞)",
    "gradient_accumulation_steps": "[1, ∞)",
    "eval_batch_size": "[1, ∞)",
    "samples_per_epoch": "[1, ∞)",
    "label_smoothing": "[0, 1)",
    "focal_gamma": "[0, ∞)",
    "logit_adjustment": "[0, ∞)",
    "box_loss": "[0, ∞)",
    "extra_head_loss": "[0, ∞)",
    "ema_decay": "[0, 1)",
    "head_epochs": "[0, ∞)",
    "cached_views": "[0, ∞)",
    "early_stopping_patience": "[0, ∞)",
    "evaluations_per_epoch": "[1, ∞)",
    "data_loader_workers": "[0, ∞)",
    "processes": "[1, ∞)",
}
"""Key → the interval that its value lies in; an empty key is not looked at."""

CHOICES: dict[str, tuple[Any, ...]] = {
    "pooling": ("own", "cls", "mean", "cls+mean", "max", "attention"),
    "input_channels": (3, 1),
    "head_start": ("random", "probe"),
    "class_weights": ("none", "sqrt", "balanced"),
    "sampling": ("uniform", "sqrt", "balanced"),
    "loss": ("cross_entropy", "focal", "logit_adjusted"),
    "torch_compile": ("off", "blocks", "whole"),
    "mixed_precision": ("auto", "no", "bf16", "fp16"),
    "save_dtype": ("float32", "float16", "float8"),
}

OWN_KEYS = {
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "label_smoothing_factor": "label_smoothing",
    "num_train_epochs": "epochs",
    "max_steps": "max_steps",
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
}
"""Entries of `trainer:` that the run would not heed, or only in part → the recipe's key for them."""


@dataclass(frozen=True)
class Rule:
    """Two keys (or more), when their values do not go together, why, and what to choose. `broken` reads the recipe's keys by name."""

    keys: tuple[str, ...]
    broken: Callable[[Any], bool]
    advice: str


def _needs_steps(key: str, used: Callable[[Any], bool], without: str) -> Rule:
    return Rule(
        (key, "epochs"), lambda r: used(r) and r.epochs == 0, f"no step is taken in which it would count; {without}, or raise epochs"
    )


RULES = (
    Rule(
        ("lora_rank", "trainable"),
        lambda r: r.lora_rank > 0 and r.trainable == "head",
        "LoRA changes the backbone, which is to stay as it is; set lora_rank to 0, or trainable to all or last:K",
    ),
    Rule(
        ("lora_rank", "from_scratch"),
        lambda r: r.lora_rank > 0 and r.from_scratch,
        "LoRA leaves the weights as they are, here random ones; set lora_rank to 0, or from_scratch to false",
    ),
    Rule(
        ("trainable", "from_scratch"),
        lambda r: r.trainable != "all" and r.from_scratch,
        "frozen weights would stay random; set trainable to all, or from_scratch to false",
    ),
    Rule(
        ("cached_views", "trainable"),
        lambda r: r.cached_views > 0 and r.trainable == "all",
        "nothing is frozen whose output could be kept; set cached_views to 0, or trainable to head or last:K",
    ),
    Rule(
        ("head_epochs", "trainable"),
        lambda r: r.head_epochs > 0 and r.trainable == "head",
        "only the head learns in both stages; set head_epochs to 0, or trainable to all or last:K",
    ),
    Rule(
        ("head_epochs", "epochs"),
        lambda r: r.head_epochs > 0 and r.head_epochs >= r.epochs,
        "epochs counts both stages, and none is left for the second; lower head_epochs or raise epochs",
    ),
    Rule(
        ("gradient_checkpointing", "trainable"),
        lambda r: r.gradient_checkpointing and r.trainable == "head",
        "a frozen backbone keeps no activations; set gradient_checkpointing to false, or trainable to all or last:K",
    ),
    Rule(
        ("layer_decay", "trainable"),
        lambda r: r.layer_decay != 1 and r.trainable == "head",
        "only the head learns, at a rate of its own; set layer_decay to 1, or trainable to all or last:K",
    ),
    Rule(
        ("box_loss", "trainable"),
        lambda r: r.box_loss > 0 and r.trainable == "head",
        "the boxes would teach only a layer that is thrown away; set box_loss to 0, or trainable to all or last:K",
    ),
    Rule(
        ("torch_compile", "box_loss"),
        lambda r: r.torch_compile == "whole" and r.box_loss > 0,
        "compiled as a whole, the network does not show its patches; set torch_compile to blocks or off, or box_loss to 0",
    ),
    Rule(
        ("loss", "label_smoothing"),
        lambda r: r.loss == "focal" and r.label_smoothing > 0,
        "smoothing asks for doubt where focal loss stops asking; set label_smoothing to 0, or loss to cross_entropy",
    ),
    Rule(
        ("zoom", "augment"),
        lambda r: r.zoom > 1 and not r.augment,
        "the crops are part of the augmentation; set zoom to 1, or augment to true",
    ),
    Rule(
        ("samples_per_epoch", "sampling"),
        lambda r: r.samples_per_epoch is not None and r.sampling == "uniform",
        "uniform sampling sees every row once an epoch; leave samples_per_epoch empty, or set sampling to balanced or sqrt",
    ),
    Rule(
        ("mixed_precision", "cpu"),
        lambda r: r.mixed_precision == "fp16" and r.cpu,
        "fp16 needs a GPU; set mixed_precision to no or bf16, or cpu to false",
    ),
    Rule(
        ("probe_views", "augment"),
        lambda r: r.head_start == "probe" and r.probe_views > 1 and not r.augment,
        "without augmentation all views are the same; set probe_views to 1, or augment to true",
    ),
    Rule(
        ("balanced_verdicts", "epochs", "head_start"),
        lambda r: r.balanced_verdicts and r.epochs == 0 and r.head_start == "random",
        "nothing is learnt whose frequencies could be taken out; set balanced_verdicts to false, or head_start to probe, or raise epochs",
    ),
    Rule(
        ("balanced_verdicts", "head_start", "sampling"),
        lambda r: r.balanced_verdicts and r.epochs > 0 and r.head_start == "probe" and r.sampling != "uniform",
        "the fitted head has seen each row once, the trained one as sampling draws them, and either may be what is kept; set sampling to "
        "uniform and raise rare classes by class_weights, or head_start to random, or balanced_verdicts to false",
    ),
    _needs_steps("lora_rank", lambda r: r.lora_rank > 0, "set lora_rank to 0"),
    _needs_steps("extra_heads", lambda r: bool(r.extra_heads), "set extra_heads to []"),
    _needs_steps("loss", lambda r: r.loss != "cross_entropy", "set loss to cross_entropy"),
    _needs_steps("box_loss", lambda r: r.box_loss > 0, "set box_loss to 0"),
    _needs_steps("ema_decay", lambda r: r.ema_decay > 0, "set ema_decay to 0"),
    _needs_steps("label_smoothing", lambda r: r.label_smoothing > 0, "set label_smoothing to 0"),
    _needs_steps("early_stopping_patience", lambda r: r.early_stopping_patience > 0, "set early_stopping_patience to 0"),
    _needs_steps("drop_path", lambda r: r.drop_path > 0, "set drop_path to 0"),
    _needs_steps("max_steps", lambda r: r.max_steps > 0, "set max_steps to -1"),
)


def check_combinations(recipe: Recipe) -> None:
    """Raises `RecipeError` for a value out of range, an unknown choice, or keys that do not go together, naming each and what to choose."""
    values = keys_of(recipe)
    for key, interval in RANGES.items():
        value = getattr(values, key)
        if value is not None and not within(value, interval):
            raise RecipeError(f"{key}: expected a number in {interval}, got {value}")
    for key, known in CHOICES.items():
        if getattr(values, key) not in known:
            expected = f"{', '.join(map(str, known[:-1]))} or {known[-1]}"
            raise RecipeError(
                f"{key}: expected {expected}, got {getattr(values, key)!r}{nearest(str(getattr(values, key)), map(str, known))}"
            )
    if not re.fullmatch(r"all|head|last:[1-9]\d*", values.trainable):
        raise RecipeError(f"trainable: expected all, head or last:K, got {values.trainable!r}")
    if values.max_steps != -1 and values.max_steps < 1:
        raise RecipeError(f"max_steps: expected a number of steps, or -1 to leave it to epochs, got {values.max_steps}")
    for rule in RULES:
        if rule.broken(values):
            raise RecipeError(f"{_said(values, rule.keys)}: {rule.advice}")
    _check_balance(values)
    if recipe.training.cached_views:
        check_keys(recipe)
    for entry, key in OWN_KEYS.items():
        if entry in recipe.trainer:
            raise RecipeError(f"trainer: {entry}: a run goes by the recipe's own key {key}; set that, and take {entry} out of trainer")


def check_network(recipe: Recipe, model: PreTrainedModel) -> None:
    """Raises `RecipeError` naming both keys for what the loaded network cannot do."""
    if recipe.training.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise RecipeError(
            f"gradient_checkpointing: true and model: {recipe.model.model}: {type(model).__name__} cannot compute its activations again; "
            "set gradient_checkpointing to false, or take less memory by a smaller batch_size and more gradient_accumulation_steps"
        )
    size, patch = recipe.model.image_size, _patch_size(model)
    if patch and size % patch:
        below = size // patch * patch
        nearest_sizes = f"{below} or {below + patch}" if below else str(patch)
        raise RecipeError(
            f"image_size: {size} and model: {recipe.model.model}: patches of {patch} px would leave a margin of {size - below} px unseen; "
            f"set image_size to {nearest_sizes}"
        )


def _patch_size(model: PreTrainedModel) -> int | None:
    """Side of the patches that the network has a table of positions for, px; None where it has no such table, and any size will do."""
    for module in model.modules():
        side = getattr(getattr(module, "patch_embeddings", None), "patch_size", None)
        if side is not None and isinstance(getattr(module, "position_embeddings", None), torch.nn.Parameter):
            return int(side[0] if isinstance(side, (tuple, list)) else side)
    return None


def keys_of(recipe: Recipe) -> SimpleNamespace:
    """The recipe's keys by name, without the stages that they stand in."""
    stages = (recipe.data, recipe.model, recipe.augment, recipe.training)
    return SimpleNamespace(**{key: value for stage in stages for key, value in vars(stage).items()})


def within(value: float, interval: str) -> bool:
    """Whether a number lies in an interval such as "[0, 1)"."""
    low, high = (float(end.replace("∞", "inf")) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    return above and below and not math.isnan(value)


def _check_balance(values: SimpleNamespace) -> None:
    """Rare classes are raised by loss weights, by sampling or by the loss. Together they are to make up for frequency once, not more."""
    powers = {"none": 0.0, "uniform": 0.0, "sqrt": 0.5, "balanced": 1.0}
    raised = {"class_weights": powers[values.class_weights], "sampling": powers[values.sampling]}
    if values.loss == "logit_adjusted":
        raised["logit_adjustment"] = values.logit_adjustment
    raised = {key: power for key, power in raised.items() if power}
    if len(raised) > 1 and sum(raised.values()) > 1 + 1e-9:
        loss = ("loss",) if "logit_adjustment" in raised else ()
        weights = "set class_weights to none" if "class_weights" in raised else "set sampling to uniform"
        raise RecipeError(
            f"{_said(values, (*loss, *raised))}: rare classes are raised by frequency to the power of "
            f"{' + '.join(f'{power:g}' for power in raised.values())}, more than evens them out; {weights}, or lower another of them"
        )


def _said(values: SimpleNamespace, keys: tuple[str, ...]) -> str:
    return " and ".join(f"{key}: {_yaml(getattr(values, key))}" for key in keys)


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
