"""What a gate knows an image by: what a network's blocks say of it half way, at three quarters and at the end of one forward pass.

Of a transformer with a token for the whole image that token, else the mean of the patches that are picture and no padding. Hooks take it
from the pass that gives the logits, so it costs no further pass, and any network of blocks or stages has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Floats = npt.NDArray[np.float64]

DEPTHS = (0.5, 0.75, 1.0)  # shares of the blocks; the earlier tell CT and MRI from film, the last a limb from other things


class Watched:
    """What the hooks saw: `features`, for each depth float64 (N, D), of the first forward pass."""

    def __init__(self) -> None:
        self.features: list[Floats] = []


@contextmanager
def watched(model: PreTrainedModel, content: torch.Tensor) -> Iterator[Watched]:
    """Within it, the first forward pass of the model leaves its features.

    content: bool (B, S, S), False where the input is padding. Raises ValueError for a network that has neither blocks nor a linear head.
    """
    from hf_bones.training.backbone.auxiliary import patch_grid

    found = Watched()
    grid = patch_grid(model, content.shape[-1])
    handles = []
    modules = watched_modules(model)
    for place, module in enumerate(modules):

        def keep(_module: Any, inputs: Any, output: Any, place: int = place) -> None:
            if len(found.features) == place:  # a mirrored pass comes after the first, and is not looked at
                found.features.append(_features(output[0] if isinstance(output, tuple) else output, content, grid))

        handles.append(module.register_forward_hook(keep))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def watched_modules(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The blocks at `DEPTHS`, input side first; of a network without a list of blocks what it hands to its classifier's layer."""
    from hf_bones.training.backbone.loading import blocks_of

    try:
        blocks = list(blocks_of(model))
    except ValueError:
        return [model.base_model]
    return [blocks[index] for index in sorted({max(0, round(len(blocks) * depth) - 1) for depth in DEPTHS})]


def _features(output: Any, content: torch.Tensor, grid: int) -> Floats:
    """(B, D) of tokens (B, T, D) or a map (B, D, H, W) or (B, H, W, D): centred, and of spread 1, each image by itself."""
    import torch

    values = output[0] if not isinstance(output, torch.Tensor) else output
    values = values.detach().float()
    if values.ndim == 3 and grid and values.shape[1] > grid * grid:
        pooled = values[:, 0]
    elif values.ndim >= 3:
        pooled = _content_mean(values, content)
    else:
        pooled = values
    centred = pooled - pooled.mean(dim=1, keepdim=True)
    spread = centred.pow(2).mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
    found: Floats = (centred / spread).double().cpu().numpy()
    return found


def _content_mean(values: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """The mean over places that are picture, (B, D)."""
    import torch

    if values.ndim == 4:
        last = values.shape[1] == values.shape[2] != values.shape[3]  # (B, H, W, D): the side that differs is the channels
        places = values if last else values.permute(0, 2, 3, 1)
        height, width = places.shape[1:3]
        places = places.flatten(1, 2)
    else:
        places, height = values, round(values.shape[1] ** 0.5)
        width = height
    if height * width != places.shape[1]:
        return places.mean(dim=1)
    share = torch.nn.functional.adaptive_avg_pool2d(content[:, None].float(), (height, width)).flatten(1)
    return (places * share[..., None]).sum(dim=1) / share.sum(dim=1, keepdim=True).clamp(min=1e-6)


def joined(batches: Sequence[list[Floats]]) -> list[Floats]:
    """The features of several batches, for each depth (N, D)."""
    return [np.concatenate([batch[depth] for batch in batches]) for depth in range(len(batches[0]))]
