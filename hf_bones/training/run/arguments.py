"""transformers' TrainingArguments from a recipe: batches over devices, precision, rhythm of validation and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from transformers import TrainingArguments

from hf_bones.config.recipe import RecipeError, TrainConfig, nearest
from hf_bones.training.processes import on_cpu


def training_arguments(config: TrainConfig, entries: Mapping[str, Any], images_per_epoch: int) -> TrainingArguments:
    """transformers' TrainingArguments for a run; `entries` of the recipe's `trainer:` win.

    Raises `RecipeError` naming an unknown or clashing key.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    devices = max(1, torch.cuda.device_count()) if world == 1 and not config.cpu else world
    if config.batch_size % devices:
        raise RecipeError(f"batch_size: {config.batch_size} images cannot be split evenly over {devices} devices; choose a multiple")
    steps = max(1, images_per_epoch // config.batch_size // config.gradient_accumulation_steps)
    settings: dict[str, Any] = {
        "output_dir": config.output_dir,
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps,
        "per_device_train_batch_size": config.batch_size // devices,
        "per_device_eval_batch_size": config.eval_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "lr_scheduler_type": "cosine",
        "warmup_steps": config.warmup,
        "seed": config.seed,
        "data_seed": config.seed,
        "dataloader_num_workers": config.data_loader_workers,
        "dataloader_persistent_workers": config.data_loader_workers > 0,
        "dataloader_pin_memory": torch.cuda.is_available() and not config.cpu,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "logging_strategy": "steps",
        "logging_steps": max(1, steps // 10),
        "save_total_limit": 2,
        "eval_on_start": config.head_start == "probe",
        "load_best_model_at_end": True,
        "metric_for_best_model": "selection",
        "greater_is_better": True,
        "report_to": "none",  # `report_to` has trackers of ours (tracking.py)
        "logging_nan_inf_filter": False,  # which would show the mean of earlier losses in place of a NaN
        "use_cpu": on_cpu(config),
        "ddp_find_unused_parameters": False,
        "torch_compile": config.torch_compile == "whole",
        "accelerator_config": {"non_blocking": torch.cuda.is_available() and not config.cpu},  # from pinned memory, see above
        **_precision(config),
        **_recomputation(config),
    }
    if config.evaluations_per_epoch > 1 or 0 < config.max_steps < steps:
        every = max(1, steps // config.evaluations_per_epoch)
        every = min(every, config.max_steps) if config.max_steps > 0 else every
        settings |= {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": every, "save_steps": every}
    known = set(TrainingArguments.__dataclass_fields__)
    for key in entries:
        if key not in known:
            raise RecipeError(f"trainer: TrainingArguments has no field {key!r}{nearest(key, known)}")
    return TrainingArguments(**{**settings, **entries})


def _recomputation(config: TrainConfig) -> dict[str, Any]:
    if not config.gradient_checkpointing:
        return {}
    named = "activation_checkpointing" if "activation_checkpointing" in TrainingArguments.__dataclass_fields__ else "gradient_checkpointing"
    return {named: True, f"{named}_kwargs": {"use_reentrant": False}}


def _precision(config: TrainConfig) -> dict[str, bool]:
    choice = config.mixed_precision
    gpu = torch.cuda.is_available() and not config.cpu
    if choice == "auto":
        choice = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if gpu else "no"
    if choice == "fp16" and not gpu:  # with `cpu: true` it is refused by the rules
        raise RecipeError("mixed_precision: fp16 needs a GPU, and this machine has none; choose no or bf16")
    return {"bf16": choice == "bf16", "fp16": choice == "fp16"}
