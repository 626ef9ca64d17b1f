"""Recipes: one YAML file is one whole run, read into a dataclass per stage.

Every field has a line of help, which becomes the `--help` of `scripts/train.py` and `hf-bones train`. An unknown key is an error that
names the nearest known one. Values given on the command line win over the recipe's, the recipe's over the defaults here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from hf_bones.config.fields import RecipeError, dataclass_from_dict, nearest, option
from hf_bones.config.search_space import SearchConfig, search_from_dict

__all__ = [
    "STAGES",
    "AugmentConfig",
    "DataConfig",
    "DistillConfig",
    "ModelConfig",
    "Recipe",
    "RecipeError",
    "SearchConfig",
    "TrainConfig",
    "dataclass_from_dict",
    "launch_config",
    "load_recipe",
    "nearest",
    "option",
    "override",
    "read_recipe",
    "recipe_from_dict",
    "recipe_names",
]


@dataclass
class DataConfig:
    """Which images to train on."""

    dataset: str = option("", "Folder that `hf-bones build` wrote, or a Hub dataset id. Empty: drawn radiographs only.")
    label_scheme: str = option("three-class", "`three-class`, `two-class`, or a YAML file of your own classes.")
    train_licences: list[str] = field(
        default_factory=list, metadata={"help": "Train and validate only on rows with these licences (SPDX ids); empty means every row."}
    )
    dataset_id: str | None = option(None, "Hub id of the data, for the card, where `dataset` is a folder.")
    attribution: list[str] = field(
        default_factory=list,
        metadata={"help": "Sentences that licences ask for, for record and card; those of FracAtlas, GRAZPEDWRI-DX and MURA are known."},
    )
    label_noise: str = option("", "A sentence on how far the labels agree, for the card; that on grades of FracAtlas is known.")
    drawn_images: int = option(0, "Drawn radiographs added to the training rows, a third of them of each class.")
    drawn_validation_images: int = option(0, "Drawn radiographs for validation, used where `dataset` is empty.")
    drawn_size: int = option(320, "Long side of the drawn radiographs, px.")
    use_arrays: bool = option(True, "Read images from the array cache of `dataset` (`hf-bones cache`), where it has one for `image_size`.")
    arrays_dir: str = option("", "Folder of the array caches, where `hf-bones cache` was given `--out`.")
    streaming: bool = option(
        False, "Read the images of `dataset` (a Hub id or a folder of Parquet shards) as they are needed, without a copy of all of it."
    )
    stream_row_groups: int = option(32, "Streaming: row groups that batches are drawn from at a time; more mix better and take more disk.")
    stream_gb: float = option(20.0, "Streaming: GB of disk for row groups; what fits stays for later epochs and runs.")
    stream_dir: str = option("", "Streaming: folder for them, on a disk of each machine; empty: beside the caches of `datasets`.")
    max_train_rows: int | None = option(None, "Keep only this many training rows, stratified by label (for trials).")


@dataclass
class ModelConfig:
    """Which network, and how much of it learns."""

    model: str = option("bundled", "Hub id, folder of a checkpoint, or `bundled` (the model inside this package).")
    revision: str | None = option(None, "Branch, tag or commit of a Hub model.")
    base_model_id: str | None = option(None, "Hub id that the weights come from, for the card, where `model` is a folder.")
    from_scratch: bool = option(False, "Take only the architecture of `model` and start from random weights.")
    keep_blocks: int | None = option(None, "Keep only the first N transformer blocks of the backbone (a smaller, faster model).")
    trainable: str = option("all", "`all`, `head`, or `last:K` (head, final norm and the last K blocks or stages).")
    drop_path: float = option(0.0, "Stochastic depth rate in [0, 1), where the architecture has it.")
    image_size: int = option(224, "Side of the square model input, px; the long side of the image is scaled to it.")
    pooling: str = option(
        "own", "What the head sees: `own` (as the architecture has it), `cls`, `mean`, `cls+mean`, `max` or `attention` over the patches."
    )
    input_channels: int = option(3, "Channels that training computes with: 3, or 1 (patch embedding summed over RGB; saved with three).")
    lora_rank: int = option(0, "Rank of LoRA matrices on the attention weights (extra `lora`); 0 trains the weights themselves.")
    lora_alpha: float = option(16.0, "LoRA's scale, divided by `lora_rank`.")
    extra_heads: list[str] = field(
        default_factory=list, metadata={"help": "Further heads, reported apart: `subtype` and `region`, where the dataset has the columns."}
    )


@dataclass
class AugmentConfig:
    """Random changes to a training image that keep its label. There is no shear, on purpose: it can mimic displacement."""

    augment: bool = option(True, "Augment training batches on the device.")
    rotation_degrees: float = option(15.0, "Rotation drawn from ± this many degrees.")
    scale: float = option(0.1, "Isotropic scale drawn from 1 ± this.")
    shift: float = option(0.05, "Shift drawn from ± this share of the side, in x and y.")
    horizontal_flip: float = option(0.5, "Probability of a mirror image.")
    vertical_flip: float = option(0.0, "Probability of turning it upside down.")
    gamma: float = option(0.2, "Gamma drawn from 1/(1+g) … 1+g.")
    contrast: float = option(0.2, "Contrast factor drawn from 1 ± this.")
    brightness: float = option(0.1, "Brightness added, drawn from ± this (of the [0, 1] range).")
    zoom: float = option(
        1.0, "Largest enlargement by a crop; known fracture boxes stay in view, and abnormal films without a box are left whole."
    )
    zoom_probability: float = option(0.5, "Probability of such a crop, where `zoom` is over 1.")
    keep_in_view: bool = option(
        True, "Move an image back as far as its known fracture boxes need to stay in view after rotation, scale and shift."
    )


@dataclass
class TrainConfig:
    """How the fine-tuning goes. Anything else that TrainingArguments knows stands under `trainer:` in the recipe."""

    output_dir: str = option("runs/latest", "Folder for the checkpoint, curves and record.json.")
    epochs: float = option(
        10.0, "Passes over the training rows (or over `samples_per_epoch`); 0 with `head_start: probe` leaves the backbone frozen."
    )
    max_steps: int = option(-1, "Stop after this many optimiser steps; -1 leaves it to `epochs`.")
    learning_rate: float = option(5e-5, "Peak learning rate of the backbone.")
    head_learning_rate: float | None = option(None, "Peak learning rate of the new head; empty: ten times `learning_rate`.")
    head_start: str = option("random", "`random`, or `probe`: start from logistic regression on the frozen backbone's features.")
    probe_c: float = option(1e-3, "Inverse regularisation of that regression (on standardised features).")
    probe_views: int = option(1, "Views of each training image that the regression sees: itself, then augmented ones.")
    layer_decay: float = option(1.0, "Each block below the top learns at this factor of the one above; 1 turns it off.")
    weight_decay: float = option(0.05, "AdamW weight decay; none on biases, norms, tokens and position embeddings.")
    warmup: float = option(0.1, "Share of the steps spent warming up; cosine decay after it.")
    batch_size: int = option(16, "Images per optimiser step over all processes, before accumulation.")
    gradient_accumulation_steps: int = option(1, "Batches summed before each optimiser step.")
    eval_batch_size: int = option(32, "Images per forward pass in evaluation, per process.")
    class_weights: str = option("sqrt", "Loss weights by class frequency: `none`, `sqrt` or `balanced`.")
    sampling: str = option("uniform", "`uniform`; `balanced`: classes equally often; `sqrt`: by the square root of frequency.")
    samples_per_epoch: int | None = option(None, "With `balanced` or `sqrt` sampling, images drawn an epoch; empty: as many as rows.")
    label_smoothing: float = option(0.0, "Label smoothing in [0, 1).")
    loss: str = option("cross_entropy", "`cross_entropy`, `focal` or `logit_adjusted` (class frequencies added to the logits in training).")
    focal_gamma: float = option(2.0, "Focal loss: how strongly well classified images are discounted; 0 is cross-entropy.")
    logit_adjustment: float = option(1.0, "Logit-adjusted loss: factor on the log frequencies.")
    balanced_verdicts: bool = option(False, "After training, shift the head's biases: verdicts then hold all classes for equally frequent.")
    box_loss: float = option(
        0.0, "Weight of a second loss that asks each patch whether a fracture box covers it; its head is left out of the checkpoint."
    )
    extra_head_loss: float = option(0.3, "Weight of the loss of each of `extra_heads`.")
    ema_decay: float = option(0.0, "Decay a step of the averaged weights, which are validated and kept; 0 keeps the trained weights.")
    head_epochs: float = option(0.0, "First stage of a two-stage run: epochs in which only the head learns.")
    cached_views: int = option(
        0, "Compute the frozen part once, for this many augmented views of each image, and train the rest on its kept output; 0: anew."
    )
    cached_dtype: str = option("float16", "Type of that kept output: `float16`, or `float32` for twice the disk.")
    cached_dir: str = option("", "Folder of that kept output, where several runs are to share it; empty: in `output_dir`.")
    gradient_checkpointing: bool = option(False, "Compute activations again in the backward pass: less memory, about a third more time.")
    torch_compile: str = option("off", "`off`, `blocks` (the repeated blocks: compiles in seconds) or `whole`.")
    mixed_precision: str = option("auto", "`auto` (bf16 where the GPU has it, else fp16 on a GPU, none on a CPU), `no`, `bf16` or `fp16`.")
    early_stopping_patience: int = option(0, "Stop after this many evaluations without a better score; 0 turns it off.")
    evaluations_per_epoch: int = option(1, "Validations and checkpoints in each epoch.")
    seed: int = option(0, "Seed of everything random.")
    data_loader_workers: int = option(0, "Processes that decode images; 0 decodes in the training process.")
    resume: bool = option(True, "Go on from the last complete checkpoint in `output_dir`, if it is of the same recipe.")
    processes: int | None = option(None, "Stop unless the run has this many processes (one CPU or GPU each).")
    cpu: bool = option(False, "Stay on the CPU even where there is a GPU.")
    save_dtype: str = option(
        "float32", "Type of the weights on disk: `float32`, `float16` or `float8` (e4m3 in the blocks); loaded as float32."
    )
    report_to: str = option("none", "`none`, `trackio` or `tensorboard` (extra `track`); either stays on this machine.")
    spike_factor: float = option(2.0, "End a run whose training loss stays over this many times its running median; 0 turns it off.")
    spike_logs: int = option(5, "Logs in a row (there are ten an epoch) over which it must stay there.")
    skipped_steps: int = option(30, "End a run in fp16 after this many steps in a row whose gradients overflowed; 0 turns it off.")
    push_to_hub: str | None = option(None, "Hub id to push the finished checkpoint to (private unless the repo exists).")


@dataclass
class DistillConfig:
    """What a small network (`model`) learns from larger ones beside the labels. Without a teacher there is no distillation."""

    teacher: list[str] = field(
        default_factory=list,
        metadata={"help": "Checkpoint folders, Hub ids or `bundled`; the probabilities of several are averaged. None: no distillation."},
    )
    teacher_probabilities: list[str] = field(
        default_factory=list,
        metadata={
            "help": "npz or parquet files of probabilities by image SHA-256, averaged (out-of-fold ones, say); used before `teacher`'s."
        },
    )
    missing_probabilities: str = option(
        "error", "An image that those files lack: `error`, `teacher` (which is then asked) or `labels` (only its label teaches)."
    )
    teacher_size: int | None = option(None, "Input side of the teachers, px, to which the student's view is scaled; empty: each one's own.")
    temperature: float = option(2.0, "Temperature at which the student's probabilities are drawn to the teacher's; over 1 softens both.")
    label_weight: float = option(0.5, "Weight of the loss of the labels, in [0, 1]; the teacher's probabilities have what is left.")
    feature_weight: float = option(0.0, "Weight of the loss that draws the student's features, through a projection, to the `teacher`s'.")
    features: str = option("tokens", "Which features: `tokens` (the map of patches) or `pooled` (what the head sees).")
    feature_loss: str = option("cosine", "`cosine` (1 - cosine) or `mse` (against features of mean 0 and variance 1).")
    unlabelled: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folders of radiographs without labels, or datasets whose training rows are taken as such; the teacher labels them."
        },
    )
    unlabelled_licences: list[str] = field(
        default_factory=list,
        metadata={"help": "Licence (SPDX id) of each folder in `unlabelled`, in that order; wanted where `train_licences` is set."},
    )
    with_baseline: bool = option(False, "Also train the same network from the labels alone, for as many steps, and compare the two.")

    @property
    def is_on(self) -> bool:
        return self != DistillConfig()


@dataclass
class Recipe:
    """One whole run. `trainer` holds further `transformers.TrainingArguments` fields by name, `search` what `--search` may change."""

    name: str = "custom"
    description: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    trainer: dict[str, Any] = field(default_factory=dict)
    search: SearchConfig | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without distillation and search where there are none."""
        data = dataclasses.asdict(self)
        if not self.distill.is_on:
            del data["distill"]
        if self.search is None:
            del data["search"]
        return data


STAGES: dict[str, type] = {
    "data": DataConfig, "model": ModelConfig, "augment": AugmentConfig, "training": TrainConfig, "distill": DistillConfig,
}  # fmt: skip
KEYS = ("name", "description", *STAGES, "trainer", "search")


def recipe_names(kind: str = "") -> list[str]:
    """Names of the recipes that ship with the package: those of training, or of a `kind` that has a folder of its own."""
    folder = _shipped(kind)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _shipped(kind: str) -> Traversable:
    folder = resources.files("hf_bones") / "recipes"
    return folder / kind if kind else folder


def launch_config(name: str) -> tuple[Path, str]:
    """The file of a launch configuration for `accelerate launch --config_file`, and for which machine it is (its first comment).

    Raises `RecipeError` naming those that there are.
    """
    known = recipe_names("accelerate")
    if name not in known:
        raise RecipeError(f"launch configuration {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    path = Path(str(_shipped("accelerate") / f"{name}.yaml"))
    with path.open(encoding="utf-8") as stream:
        return path, stream.readline().lstrip("# ").rstrip()


def read_recipe(name_or_path: str | Path, kind: str = "") -> tuple[Any, str, Path | None]:
    """What the YAML of a recipe holds, how to call it in messages, and the folder of a file (None for a shipped one).

    Raises `RecipeError` naming the file, or the nearest shipped name.
    """
    text, path, folder = str(name_or_path), Path(name_or_path), None
    if path.is_file():
        source, folder = text, path.parent
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{source}: cannot be read ({error})") from error
    elif text in (known := recipe_names(kind)):
        source, content = f"recipe {text!r}", (_shipped(kind) / f"{text}.yaml").read_text(encoding="utf-8")
    else:
        raise RecipeError(f"recipe {text!r} is neither a file nor one of: {', '.join(known)}{nearest(text, known)}")
    try:
        return yaml.safe_load(content), source, folder
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from error


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, _ = read_recipe(name_or_path)
    if not isinstance(data, Mapping):
        raise RecipeError(f"{source}: a recipe is a mapping with some of: {', '.join(KEYS)}")
    return recipe_from_dict(data, source)


def recipe_from_dict(data: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """A `Recipe` from plain data, each value checked against its field's type."""
    recipe = Recipe()
    for key, value in data.items():
        if key not in KEYS:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), KEYS)}; known: {', '.join(KEYS)}")
        if key in STAGES:
            if not isinstance(value, Mapping):
                raise RecipeError(f"{source}: {key!r} must be a mapping of {STAGES[key].__name__} fields")
            setattr(recipe, key, dataclass_from_dict(STAGES[key], value, f"{source}: {key}"))
        elif key == "trainer":
            if not isinstance(value, Mapping):
                raise RecipeError(f"{source}: 'trainer' must be a mapping of TrainingArguments fields")
            recipe.trainer = dict(value)
        elif key == "search":
            recipe.search = search_from_dict(value, STAGES.values(), f"{source}: search")
        else:
            setattr(recipe, key, str(value).strip())
    return recipe


def override(recipe: Recipe, changes: Mapping[str, Any], source: str = "command line") -> Recipe:
    """A copy of `recipe` with flat `key: value` changes, each put into the stage that has the key."""
    data = recipe.as_dict()
    owner = {f.name: stage for stage, kind in STAGES.items() for f in dataclasses.fields(kind)}
    for key, value in changes.items():
        if key not in owner:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(key, owner)}")
        data.setdefault(owner[key], {})[key] = value
    return recipe_from_dict(data, source)
