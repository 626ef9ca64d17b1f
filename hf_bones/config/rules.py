"""Keys of a training recipe that do not go together: refused before anything is loaded.

Here are the rules that a recipe alone decides. What the loaded network cannot do is in `training/backbone/check.py`; rules about the data
and the machine stand with these, ranges and choices of single keys beside the keys (`stages.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hf_bones.config.fields import RecipeError
from hf_bones.config.recipe import STAGES, Recipe

OWN_KEYS = {
    "learning_rate": "learning_rate", "weight_decay": "weight_decay", "label_smoothing_factor": "label_smoothing",
    "num_train_epochs": "epochs", "max_steps": "max_steps", "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
}  # fmt: skip
"""Entries of `trainer:` that the run would not heed, or only in part → the recipe's key for them."""


@dataclass(frozen=True)
class KeyRule:
    """Keys, when their values do not go together, why, and what to choose. `broken` reads the recipe's keys by name.

    A rule with a `run` ("distill", "search" or "fsdp") is for runs of that kind alone.
    """

    keys: tuple[str, ...]
    broken: Callable[[Any], bool]
    advice: str
    run: str = ""


def _needs_steps(key: str, used: Callable[[Any], bool], without: str) -> KeyRule:
    advice = f"no step is taken in which it would count; {without}, or raise epochs"
    return KeyRule((key, "epochs"), lambda r: used(r) and r.epochs == 0, advice)


def _needs_augment(key: str) -> KeyRule:
    advice = f"it is part of the augmentation; set {key} to 0, or augment to true"
    return KeyRule((key, "augment"), lambda r: getattr(r, key) > 0 and not r.augment, advice)


def _teaches(r: Any) -> bool:
    return bool(r.teacher or r.teacher_probabilities)


_RAISED = {"none": 0.0, "uniform": 0.0, "sqrt": 0.5, "balanced": 1.0, "source": 1.0}
"""Power of the frequency of classes by which `class_weights` and `sampling` raise rare ones; `logit_adjustment` is such a power itself.
`source` draws by the square root and takes the other half out in its loss."""


def _raised_over_one(r: Any, *more: float) -> bool:
    powers = [power for power in (_RAISED[r.class_weights], _RAISED[r.sampling], *more) if power]
    return len(powers) > 1 and sum(powers) > 1 + 1e-9


_EVENED_OUT = (
    "rare classes are raised by more than what evens them out; set class_weights to none or sampling to uniform, or lower another of them"
)
_TEACHER = ("teacher", "teacher_probabilities")
_WHOLE = "needs the whole network in each process, which distributed_type: FSDP splits"

RULES = (
    KeyRule(("lora_rank", "trainable"), lambda r: r.lora_rank > 0 and r.trainable == "head",
         "LoRA changes the backbone, which is to stay as it is; set lora_rank to 0, or trainable to all or last:K"),
    KeyRule(("lora_rank", "from_scratch"), lambda r: r.lora_rank > 0 and r.from_scratch,
         "LoRA leaves the weights as they are, here random ones; set lora_rank to 0, or from_scratch to false"),
    KeyRule(("trainable", "from_scratch"), lambda r: r.trainable != "all" and r.from_scratch,
         "frozen weights would stay random; set trainable to all, or from_scratch to false"),
    KeyRule(("head_epochs", "trainable"), lambda r: r.head_epochs > 0 and r.trainable == "head",
         "only the head learns in both stages; set head_epochs to 0, or trainable to all or last:K"),
    KeyRule(("head_epochs", "epochs"), lambda r: r.head_epochs > 0 and r.head_epochs >= r.epochs,
         "epochs counts both stages, and none is left for the second; lower head_epochs or raise epochs"),
    KeyRule(("gradient_checkpointing", "trainable"), lambda r: r.gradient_checkpointing and r.trainable == "head",
         "a frozen backbone keeps no activations; set gradient_checkpointing to false, or trainable to all or last:K"),
    KeyRule(("layer_decay", "trainable"), lambda r: r.layer_decay != 1 and r.trainable == "head",
         "only the head learns, at a rate of its own; set layer_decay to 1, or trainable to all or last:K"),
    KeyRule(("box_loss", "trainable", "cached_views"), lambda r: r.box_loss > 0 and r.trainable == "head" and r.cached_views > 0,
         "what is kept for the head alone holds no patches; set cached_views or box_loss to 0, or trainable to last:K"),
    KeyRule(("join_patches", "box_loss", "patch_head"), lambda r: r.join_patches and r.box_loss == 0 and r.patch_head == "trained",
         "nothing asks the patches; raise box_loss, set patch_head to fitted, or set join_patches to false"),
    KeyRule(("second_look", "box_loss", "patch_head"), lambda r: r.second_look and r.box_loss == 0 and r.patch_head == "trained",
         "nothing asks the patches; raise box_loss, set patch_head to fitted, or set second_look to false"),
    KeyRule(("torch_compile", "box_loss"), lambda r: r.torch_compile == "whole" and r.box_loss > 0,
         "compiled as a whole, the network does not show its patches; set torch_compile to blocks or off, or box_loss to 0"),
    KeyRule(("loss", "label_smoothing"), lambda r: r.loss == "focal" and r.label_smoothing > 0,
         "smoothing asks for doubt where focal loss stops asking; set label_smoothing to 0, or loss to cross_entropy"),
    KeyRule(("zoom", "augment"), lambda r: r.zoom > 1 and not r.augment,
         "the crops are part of the augmentation; set zoom to 1, or augment to true"),
    *(_needs_augment(key) for key in ("style", "invert", "cast", "metal")),
    KeyRule(("tile_probability", "augment"), lambda r: r.tile_probability > 0 and not r.augment,
         "tiles are part of the augmentation; set tile_probability to 0, or augment to true"),
    KeyRule(("tile_probability", "keep_in_view"), lambda r: r.tile_probability > 0 and not r.keep_in_view,
         "a tile with a break needs the break in view; set tile_probability to 0, or keep_in_view to true"),
    KeyRule(("samples_per_epoch", "sampling"), lambda r: r.samples_per_epoch is not None and r.sampling == "uniform",
         "uniform sampling sees every row once an epoch; leave samples_per_epoch empty, or set sampling to balanced, sqrt or source"),
    KeyRule(("mixed_precision", "cpu"), lambda r: r.mixed_precision == "fp16" and r.cpu,
         "fp16 needs a GPU; set mixed_precision to no or bf16, or cpu to false"),
    KeyRule(("probe_views", "augment"), lambda r: r.head_start == "probe" and r.probe_views > 1 and not r.augment,
         "without augmentation all views are the same; set probe_views to 1, or augment to true"),
    KeyRule(("verdict_copies", "balanced_verdicts"), lambda r: r.verdict_copies > 0 and not r.balanced_verdicts,
         "no shift is asked for that could be fitted; set verdict_copies to 0, or balanced_verdicts to true"),
    KeyRule(("verdict_copies", "augment"), lambda r: r.verdict_copies > 0 and not r.augment,
         "without augmentation all copies are the same; set verdict_copies to 0, or augment to true"),
    KeyRule(("verdict_copies", "streaming"), lambda r: r.verdict_copies > 0 and r.streaming,
         "copies are of rows that are read more than once; set verdict_copies to 0, or streaming to false"),
    KeyRule(("balanced_verdicts", "epochs", "head_start"), lambda r: r.balanced_verdicts and r.epochs == 0 and r.head_start == "random",
         "nothing is learnt whose frequencies could be taken out; set balanced_verdicts to false, or head_start to probe, or raise epochs"),
    KeyRule(("balanced_verdicts", "head_start", "sampling"),
         lambda r: r.balanced_verdicts and r.epochs > 0 and r.head_start == "probe" and r.sampling != "uniform",
         "the fitted head has seen each row once, the trained one as sampling draws them, and either may be what is kept; set sampling to "
         "uniform and raise rare classes by class_weights, or head_start to random, or balanced_verdicts to false"),
    KeyRule(("head_start", "sampling"), lambda r: r.head_start == "probe" and r.sampling == "source",
         "the head is fitted to each row once, whatever its source; set head_start to random (a head alone trains in little time on "
         "cached_views), or sampling to uniform"),
    KeyRule(("loss", "sampling"), lambda r: r.loss != "cross_entropy" and r.sampling == "source",
         "this sampling has a loss of its own, cross-entropy that is told the frequencies of classes in each source; set loss to "
         "cross_entropy, or sampling to uniform"),
    KeyRule(("class_weights", "sampling"), lambda r: r.loss != "logit_adjusted" and _raised_over_one(r), _EVENED_OUT),
    KeyRule(("loss", "logit_adjustment", "class_weights", "sampling"),
         lambda r: r.loss == "logit_adjusted" and _raised_over_one(r, r.logit_adjustment), _EVENED_OUT),
    KeyRule(("cached_views", "trainable"), lambda r: r.cached_views > 0 and r.trainable == "all",
         "nothing is frozen whose output could be kept; set cached_views to 0, or trainable to head or last:K"),
    KeyRule(("cached_views", "augment"), lambda r: r.cached_views > 1 and not r.augment,
         "without augmentation all views are the same; set cached_views to 1, or augment to true"),
    KeyRule(("cached_views", "lora_rank"), lambda r: r.cached_views > 0 and r.lora_rank > 0,
         "LoRA does not work on cached views; set cached_views or lora_rank to 0"),
    KeyRule(("cached_views", "streaming"), lambda r: r.cached_views > 0 and r.streaming,
         "cached views are of rows that come back in each epoch; set cached_views to 0, or streaming to false"),
    KeyRule(("cached_views", "torch_compile"), lambda r: r.cached_views > 0 and r.torch_compile == "whole",
         "the network runs in parts; set cached_views to 0, or torch_compile to blocks or off"),
    KeyRule(("probe_views", "cached_views"), lambda r: r.head_start == "probe" and 0 < r.cached_views < r.probe_views,
         "the head is fitted to cached views; lower probe_views or raise cached_views"),
    KeyRule(("streaming", "dataset"), lambda r: r.streaming and not r.dataset,
         "streaming needs a Hub id or a folder of Parquet shards; name one as dataset, or set streaming to false"),
    KeyRule(("broken_copies", "streaming"), lambda r: r.broken_copies > 0 and r.streaming,
         "copies are made before training, of films that are at hand; set broken_copies to 0, or streaming to false"),
    KeyRule(("streaming", "sampling"), lambda r: r.streaming and r.sampling != "uniform",
         "rows drawn from everywhere would be read many times over; set sampling to uniform and use class_weights or loss: logit_adjusted, "
         "or streaming to false"),
    KeyRule(("streaming", "max_train_rows"), lambda r: r.streaming and r.max_train_rows is not None,
         "a sample of rows lies in all row groups; leave max_train_rows empty and use max_steps, or set streaming to false"),
    KeyRule(("without_sources", "unlabelled"), lambda r: bool(r.without_sources and r.unlabelled),
         "nobody looks at the source of images without labels; set without_sources to [] or unlabelled to []"),
    _needs_steps("lora_rank", lambda r: r.lora_rank > 0, "set lora_rank to 0"),
    _needs_steps("extra_heads", lambda r: bool(r.extra_heads), "set extra_heads to []"),
    _needs_steps("loss", lambda r: r.loss != "cross_entropy", "set loss to cross_entropy"),
    _needs_steps("box_loss", lambda r: r.box_loss > 0, "set box_loss to 0"),
    _needs_steps("ema_decay", lambda r: r.ema_decay > 0, "set ema_decay to 0"),
    _needs_steps("label_smoothing", lambda r: r.label_smoothing > 0, "set label_smoothing to 0"),
    _needs_steps("choose_by", lambda r: r.choose_by != "validation", "set choose_by to validation"),
    _needs_steps("early_stopping_patience", lambda r: r.early_stopping_patience > 0, "set early_stopping_patience to 0"),
    _needs_steps("drop_path", lambda r: r.drop_path > 0, "set drop_path to 0"),
    _needs_steps("max_steps", lambda r: r.max_steps > 0, "set max_steps to -1"),
    KeyRule(_TEACHER, lambda r: not _teaches(r), "there is no teacher; name checkpoints in teacher, or files in teacher_probabilities",
         run="distill"),
    KeyRule(("label_weight", "feature_weight"), lambda r: r.label_weight == 1 and r.feature_weight == 0,
         "the teacher has no say; lower label_weight or raise feature_weight", run="distill"),
    KeyRule(("feature_weight", "teacher"), lambda r: r.feature_weight > 0 and not r.teacher,
         "features come from a checkpoint; name one in teacher, or set feature_weight to 0", run="distill"),
    KeyRule(("missing_probabilities", "teacher"), lambda r: r.missing_probabilities == "teacher" and not r.teacher,
         "no checkpoint can be asked; name one in teacher, or set missing_probabilities to error or labels", run="distill"),
    KeyRule(("feature_weight", "trainable"), lambda r: r.feature_weight > 0 and r.trainable == "head",
         "features would teach only a projection that is thrown away; set feature_weight to 0, or trainable to all or last:K",
         run="distill"),
    KeyRule((*_TEACHER, "epochs"), lambda r: r.epochs == 0, "no step is left to learn from a teacher; raise epochs", run="distill"),
    KeyRule((*_TEACHER, "streaming"), lambda r: r.streaming, "what teaches an image is looked up by its row; set streaming to false",
         run="distill"),
    KeyRule((*_TEACHER, "cached_views"), lambda r: r.cached_views > 0,
         "a teacher looks at each new view, which cached views do not have; set cached_views to 0", run="distill"),
    KeyRule((*_TEACHER, "sampling"), lambda r: r.sampling == "source",
         "a teacher's probabilities hold the frequencies of classes that this sampling takes out of the logits; set sampling to "
         "balanced, sqrt or uniform", run="distill"),
    KeyRule(("choose_by",), lambda r: r.choose_by != "validation",
         "trials are ranked by the selection score and its standard error; set choose_by to validation", run="search"),
    KeyRule(("space",), lambda r: not r.space, "a search needs keys, as in search: {space: {weight_decay: {low: 0.01, high: 0.2}}}",
         run="search"),
    KeyRule(("push_to_hub",), lambda r: bool(r.push_to_hub),
         "a search pushes nothing; leave push_to_hub empty, and push the best trial with hf-bones push", run="search"),
    KeyRule(("epochs",), lambda r: r.epochs == 0, "nothing is trained; start it on one GPU, without distributed_type: FSDP", run="fsdp"),
    KeyRule(("cached_views",), lambda r: r.cached_views > 0, f"it {_WHOLE}; set cached_views to 0", run="fsdp"),
    KeyRule(("extra_heads",), lambda r: bool(r.extra_heads), f"their figures are taken by a pass that {_WHOLE}; set extra_heads to []",
         run="fsdp"),
    KeyRule(("lora_rank",), lambda r: r.lora_rank > 0, "it has not been tried with distributed_type: FSDP; set lora_rank to 0", run="fsdp"),
    KeyRule(("torch_compile",), lambda r: r.torch_compile == "whole",
         "the splitting of distributed_type: FSDP cannot be seen through; set torch_compile to blocks or off", run="fsdp"),
)  # fmt: skip


def check_rules(recipe: Recipe, run: str = "") -> None:
    """Raises `RecipeError` for keys that do not go together, naming each and what to choose.

    `run` is the kind of run, "search" or "fsdp" for one; "distill" also holds for every recipe with something under `distill:`.
    """
    values, runs = keys_of(vars(recipe)), {"", run, *(["distill"] if recipe.distill.is_on else [])}
    for rule in RULES:
        if rule.run in runs and rule.broken(values):
            said = " and ".join(f"{key}: {_yaml(getattr(values, key))}" for key in rule.keys)
            raise RecipeError(f"{said}: {rule.advice}")
    for entry, key in OWN_KEYS.items():
        if entry in recipe.trainer:
            raise RecipeError(f"trainer: {entry}: a run goes by the recipe's own key {key}; set that, and take {entry} out of trainer")


def keys_of(stages: Mapping[str, Any]) -> SimpleNamespace:
    """A recipe's keys by name, from its stages by name; `space` is that of its search."""
    keys = {key: value for stage in STAGES for key, value in vars(stages[stage]).items()}
    return SimpleNamespace(**keys, space=stages["search"].space if stages["search"] else {})


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
