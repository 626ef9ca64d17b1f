"""What the loaded network of a recipe cannot do: refused before its first step."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from hf_bones.config.recipe import ModelConfig, RecipeError, TrainConfig


def check_network(model: PreTrainedModel, config: ModelConfig, training: TrainConfig) -> None:
    """Raises `RecipeError` naming both keys for what the loaded network cannot do."""
    if training.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise RecipeError(
            f"gradient_checkpointing: true and model: {config.model}: {type(model).__name__} cannot compute its activations again; "
            "set gradient_checkpointing to false, or take less memory by a smaller batch_size and more gradient_accumulation_steps"
        )
    size, patch = config.image_size, _patch_size(model)
    if patch and size % patch:
        below = size // patch * patch
        nearest_sizes = f"{below} or {below + patch}" if below else str(patch)
        raise RecipeError(
            f"image_size: {size} and model: {config.model}: patches of {patch} px would leave a margin of {size - below} px unseen; "
            f"set image_size to {nearest_sizes}"
        )


def _patch_size(model: PreTrainedModel) -> int | None:
    """Side of the patches that the network has a table of positions for, px; None where it has no such table, and any size will do."""
    for module in model.modules():
        side = getattr(getattr(module, "patch_embeddings", None), "patch_size", None)
        if side is not None and isinstance(getattr(module, "position_embeddings", None), torch.nn.Parameter):
            return int(side[0] if isinstance(side, (tuple, list)) else side)
    return None
