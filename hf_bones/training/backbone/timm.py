"""What networks of timm, which come in a wrapper of transformers, call by names of their own: head, blocks, input size, processor.

timm itself is needed only where one is loaded; without it transformers says so.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

MODEL_TYPE = "timm_wrapper"
Channels = tuple[float, float, float]
_BLOCKS = ("blocks", "stages", "layers")


def is_timm(model: PreTrainedModel) -> bool:
    """Whether the network is timm's, in transformers' wrapper."""
    return bool(model.config.model_type == MODEL_TYPE)


def timm_head(model: PreTrainedModel) -> torch.nn.Module:
    """What gives the logits: a linear layer, as a rule."""
    head: torch.nn.Module = model.timm_model.get_classifier()
    return head


def timm_blocks(model: PreTrainedModel) -> torch.nn.Sequential | torch.nn.ModuleList | None:
    """Its blocks or stages, or None where it keeps them in no one place (ResNet)."""
    for name in _BLOCKS:
        module = getattr(model.timm_model, name, None)
        if isinstance(module, (torch.nn.Sequential, torch.nn.ModuleList)) and len(module) > 1:
            return module
    return None


def arguments_with(settings: Any, **more: Any) -> dict[str, Any]:
    """The arguments with which timm builds the network, as its config keeps them, and `more`."""
    return {**(settings.model_args or {}), **more}


def resize_input(model: PreTrainedModel, image_size: int) -> None:
    """Fits position embeddings (resampled) and the grid of patches to `image_size`, in place; nothing for a network that has neither.

    The config keeps the size, so that the checkpoint is built so again.
    """
    resize = getattr(model.timm_model, "set_input_size", None)
    if resize is None:
        return
    resize(img_size=(image_size, image_size))
    model.config.model_args = arguments_with(model.config, img_size=image_size)


def mean_and_std(settings: Any) -> tuple[Channels, Channels] | None:
    """What the weights were trained with, of three channels, where the config says it; a timm repository has no other place for it."""
    told = getattr(settings, "pretrained_cfg", None) or {}
    if "mean" not in told or "std" not in told:
        return None
    (red, green, blue), (red_std, green_std, blue_std) = told["mean"], told["std"]
    return (red, green, blue), (red_std, green_std, blue_std)


def unfreeze_after(model: PreTrainedModel, blocks: torch.nn.Module) -> None:
    """Lets learn what stands behind the blocks, in place: norms, as a rule."""
    inside = {id(parameter) for parameter in blocks.parameters()}
    behind = False
    for parameter in model.parameters():
        if id(parameter) in inside:
            behind = True
        elif behind:
            parameter.requires_grad = True
