"""Features as lessons: the student's, through a projection that it learns beside them, are drawn to a teacher's.

The projections stand among the heads that train beside the network (`training/backbone/auxiliary.py`), so that optimiser, averaging,
checkpoints and several processes know their weights, and the finished checkpoint leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from hf_bones.training.backbone.auxiliary import NAME, attach_auxiliary, patch_grid, patch_map
from hf_bones.training.backbone.loading import head_of
from hf_bones.training.distill.teacher import Teacher, hidden_width


def projected_key(number: int) -> str:
    """Where the student's output has its features as projected for teacher `number`."""
    return f"projected_{number}"


def attach_projections(model: PreTrainedModel, size: int, teachers: Sequence[Teacher], kind: str) -> None:
    """Gives the student a linear layer for each teacher, in place; in training its output then holds `projected_key(number)` of each.

    These are (B, H, W, F) of patches (`kind` tokens) or (B, F) of what the head is given (pooled), F being the teacher's width.
    Raises `RecipeError` for a network whose hidden states cannot be read.
    """
    if not hasattr(model, NAME):
        attach_auxiliary(model, size, {}, boxes=False)
    width = head_of(model).in_features if kind == "pooled" else hidden_width(model)
    layers = torch.nn.ModuleList(torch.nn.Linear(width, teacher.feature_width(kind)) for teacher in teachers)
    getattr(model, NAME).projections = layers
    grid, seen = patch_grid(model, size), {}

    def keep_tokens(_module: Any, _inputs: Any, output: Any) -> None:
        seen["features"] = patch_map(output[0], grid)

    def keep_pooled(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        seen["features"] = inputs[0]

    def add(module: Any, _inputs: Any, output: Any) -> Any:
        features = seen.pop("features")
        if module.training:
            for number, layer in enumerate(layers):
                output[projected_key(number)] = layer(features)
        return output

    if kind == "pooled":
        head_of(model).register_forward_pre_hook(keep_pooled)
    else:
        model.base_model.register_forward_hook(keep_tokens)
    model.register_forward_hook(add)


def feature_distance(projected: torch.Tensor, wanted: torch.Tensor, kind: str) -> torch.Tensor:
    """How far features (…, F) are from a teacher's, (…): 1 - cosine, or the mean squared difference.

    The teacher's are first brought to mean 0 and variance 1 over F, so that no channel's size rules and the weight means the same for
    every teacher.
    """
    wanted = torch.nn.functional.layer_norm(wanted.float(), wanted.shape[-1:])
    if kind == "cosine":
        return 1 - torch.nn.functional.cosine_similarity(projected.float(), wanted, dim=-1)
    return (projected.float() - wanted).square().mean(dim=-1)


def match_grid(features: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A teacher's map (B, H, W, F) on the student's grid, that of `like` (B, h, w, …); pooled features (B, F) as they are."""
    if features.ndim == 2 or features.shape[1:3] == like.shape[1:3]:
        return features
    moved = torch.nn.functional.interpolate(
        features.permute(0, 3, 1, 2), size=tuple(like.shape[1:3]), mode="bilinear", antialias=True, align_corners=False
    )
    return moved.permute(0, 2, 3, 1)


def mean_over_image(distance: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, size: int) -> torch.Tensor:
    """The distance of each image, (B,): of a map (B, H, W) the mean over patches whose centre is in the image and not in the padding.

    `heights` and `widths` (B,) are the pixels, of `size`, that an image fills.
    """
    if distance.ndim == 1:
        return distance
    rows, columns = ((torch.arange(count, device=distance.device) + 0.5) * size / count for count in distance.shape[1:])
    inside = (rows[None, :, None] < heights[:, None, None]) & (columns[None, None, :] < widths[:, None, None])
    return (distance * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
