"""A network at another image size than its checkpoint's: position embeddings interpolated once, and stored so."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from hf_bones.training.backbone.timm import is_timm, resize_input


def resize_network(model: PreTrainedModel, image_size: int) -> None:
    """Makes the network take images of `image_size` px, in place."""
    if is_timm(model):
        resize_input(model, image_size)
    else:
        resize_position_embeddings(model, image_size)


def resize_position_embeddings(model: PreTrainedModel, image_size: int) -> None:
    """Interpolates square position embeddings (bicubic, as DINOv2 does) to `image_size`, in place, and stores them so.

    Stored at the training size, plain `pipeline` needs no special flag, and a small model carries no table for 518 px. Does nothing for
    a network without position embeddings. Raises ValueError for one whose table is not one token and a square of patches, or is looked
    up by number (CLIP, SigLIP), at any size but its own.
    """
    for module in model.modules():
        table: Any = getattr(module, "position_embeddings", None)
        patches: Any = getattr(module, "patch_embeddings", None)
        by_number = isinstance(getattr(module, "position_embedding", None), torch.nn.Embedding)
        if not by_number and (not isinstance(table, torch.nn.Parameter) or patches is None):
            continue
        side = getattr(patches, "patch_size", None)  # Hiera's patches overlap and have none
        old = 0 if by_number else round((table.shape[1] - 1) ** 0.5)
        if by_number or side is None or old * old != table.shape[1] - 1:
            own = getattr(module if by_number else patches, "image_size", None)
            sides = set(own) if isinstance(own, (tuple, list)) else {own}
            if sides == {image_size}:
                return  # with the config as it is: Hiera's says a pair
            fitting = f"set image_size to {sides.pop()}, or " if own and len(sides) == 1 else ""
            raise ValueError(
                f"image_size: {image_size} and model: {model.name_or_path}: the position embeddings of {type(model).__name__} are not "
                f"interpolated; {fitting}choose another model"
            )
        grid = image_size // (side[0] if isinstance(side, (tuple, list)) else side)
        if grid != old:
            square = table[:, 1:].detach().reshape(1, old, old, -1).permute(0, 3, 1, 2)
            square = torch.nn.functional.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
            resized = torch.cat([table[:, :1].detach(), square.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)], dim=1)
            module.position_embeddings = torch.nn.Parameter(resized)
        patches.num_patches = grid * grid
        module.image_size = patches.image_size = (image_size, image_size)
    if hasattr(model.config, "image_size"):
        model.config.image_size = image_size
