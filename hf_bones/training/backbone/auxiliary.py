"""Further heads that train beside the classifier and are no part of the finished classifier.

`box_loss`: a linear layer asks each patch token whether a fracture box covers it, so that the backbone learns where breaks are, not only
that there is one; it is kept in a file of its own (`patch_head.py`). `extra_heads`: linear layers on what the classifier sees, for
subtype and region, reported apart.

The heads are a submodule of the network (`auxiliary`), so that optimiser, averaging, checkpoints and several processes treat their weights
like all others; `save_checkpoint` drops them, and what is left loads as a plain classifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from hf_bones.config.recipe import RecipeError, TrainConfig
from hf_bones.training.backbone.loading import head_of
from hf_bones.training.backbone.patch_head import PatchHead

NAME = "auxiliary"
PATCH_LOGITS = "patch_logits"
UNKNOWN = -1  # label of an extra head where a row has none


class AuxiliaryHeads(torch.nn.Module):
    """Reads a network's last hidden state and its pooled features during a training forward pass, and adds logits to its output."""

    def __init__(self, width: int, pooled_width: int, classes: Mapping[str, int], boxes: bool) -> None:
        super().__init__()
        self.patch = torch.nn.Linear(width, 1) if boxes else None
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(pooled_width, count) for name, count in classes.items()})
        self.patch_has_learnt = False  # in the run that made the checkpoint it starts from
        self.seen: dict[str, torch.Tensor] = {}
        for layer in self.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.trunc_normal_(layer.weight, std=0.02)
                torch.nn.init.zeros_(layer.bias)
        if self.patch is not None:  # breaks are rare: starting from even odds, the first steps would only learn that
            torch.nn.init.constant_(self.patch.bias, -4.0)

    def add_logits(self, output: Any, grid: int) -> Any:
        """The network's output with `patch_logits` (B, H, W) and one `NAME_logits` (B, C) for each extra head."""
        if self.patch is not None:
            output[PATCH_LOGITS] = self.patch(patch_map(self.seen["tokens"], grid))[..., 0]
        for name, head in self.heads.items():
            output[f"{name}_logits"] = head(self.seen["pooled"])
        self.seen.clear()
        return output


def patch_map(tokens: torch.Tensor, grid: int) -> torch.Tensor:
    """Last hidden states as a map (B, H, W, D): of a transformer (B, T, D), whose last grid² tokens are the patches, or (B, D, H, W)."""
    if tokens.ndim == 4:
        return tokens.permute(0, 2, 3, 1)
    return tokens[:, -grid * grid :].unflatten(1, (grid, grid))


def patch_grid(model: PreTrainedModel, size: int) -> int:
    """Patches a side of an input of `size` px; 0 for a network without patches, whose last hidden state is a map already."""
    patch = getattr(model.config, "patch_size", None)
    patch = patch[0] if isinstance(patch, (list, tuple)) else patch
    return size // patch if patch else 0


def last_patches(model: PreTrainedModel, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's logits (B, C) and the patches of its last hidden state (B, H, W, D), both float32, of inputs (B, channels, S, S)."""
    seen: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        seen.append(output[0])

    hook = model.base_model.register_forward_hook(keep)
    try:
        logits = model(pixel_values=inputs).logits.float()
    finally:
        hook.remove()
    return logits, patch_map(seen[0].float(), patch_grid(model, inputs.shape[-1]))


def attach_auxiliary(model: PreTrainedModel, image_size: int, classes: Mapping[str, int], boxes: bool) -> None:
    """Gives the network its further heads, in place. Raises `RecipeError` naming the keys where its hidden states cannot be read."""
    base = model.base_model
    if base is model or not (hasattr(model.config, "hidden_size") or hasattr(model.config, "hidden_sizes")):
        raise RecipeError(f"box_loss, extra_heads: {type(model).__name__} shows no hidden states; set box_loss to 0 and extra_heads to []")
    width = model.config.hidden_sizes[-1] if getattr(model.config, "hidden_sizes", None) else model.config.hidden_size
    grid = patch_grid(model, image_size)
    heads = AuxiliaryHeads(width, head_of(model).in_features, classes, boxes)
    setattr(model, NAME, heads)

    def keep_tokens(_module: Any, _inputs: Any, output: Any) -> None:
        heads.seen["tokens"] = output[0]

    def keep_pooled(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        heads.seen["pooled"] = inputs[0]

    def add(module: Any, _inputs: Any, output: Any) -> Any:
        return heads.add_logits(output, grid) if module.training else output

    if boxes:
        base.register_forward_hook(keep_tokens)
    if classes:
        head_of(model).register_forward_pre_hook(keep_pooled)
    model.register_forward_hook(add)


def start_patch_head(model: PreTrainedModel, head: PatchHead) -> None:
    """Puts the patch head of the checkpoint that a run starts from into the network, in place; one of another width is left."""
    heads: AuxiliaryHeads = getattr(model, NAME)
    if heads.patch is None or heads.patch.in_features != len(head.weight):
        return
    with torch.no_grad():
        heads.patch.weight.copy_(torch.from_numpy(head.weight)[None])
        heads.patch.bias.fill_(head.bias)
    heads.patch_has_learnt = True


def trained_patch_head(model: PreTrainedModel, steps: bool = True) -> PatchHead | None:
    """The patch head of a network in training; None where it has none, or one that never learnt, the network having taken no `steps`.

    Under FSDP, call it in all processes.
    """
    heads: AuxiliaryHeads | None = getattr(model, NAME, None)
    if heads is None or heads.patch is None or not (steps or heads.patch_has_learnt):
        return None
    both = (heads.patch.weight, heads.patch.bias)
    weight, bias = ((each.full_tensor() if isinstance(each, DTensor) else each).detach().float().cpu().numpy() for each in both)
    return PatchHead(weight[0], float(bias[0]))


def detached_state(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The network's weights without those of the further heads."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(f"{NAME}.")}


def box_cover(
    boxes: torch.Tensor, matrices: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, grid: int, size: int
) -> torch.Tensor:
    """How much of each patch the boxes cover after augmentation, (B, grid, grid) in {0, 1/4 … 1}.

    `boxes` (B, K, 4) are (cx, cy, w, h) in [0, 1] of the unpadded images of `heights` × `widths` px (rows of zero size are no boxes);
    `matrices` (B, 2, 3) map source to destination pixels. Four points a patch are taken back to the source and asked whether they lie in
    a box, which is exact under rotation; boxes are widened by half the distance between points, so that none falls between them. Points in
    the padding are in none: a tile may leave a box beyond its edge.
    """
    step = size / (2 * grid)
    line = (torch.arange(2 * grid, device=boxes.device, dtype=boxes.dtype) + 0.5) * step - 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten()])  # (2, Q)
    turn, move = matrices[:, :, :2], matrices[:, :, 2:]
    source = torch.linalg.solve(turn, points[None] - move)  # (B, 2, Q)
    sides = torch.stack([widths, heights], dim=1).to(boxes.dtype)[:, None]  # (B, 1, 2)
    centre, half = boxes[..., :2] * sides, boxes[..., 2:] * sides / 2 + step / 2
    away = (source.transpose(1, 2)[:, None] - centre[:, :, None]).abs()  # (B, K, Q, 2)
    real = (boxes[..., 2:] > 0).all(dim=-1)
    on_film = (points.T[None] <= sides + (step - 1) / 2).all(dim=-1)  # (B, Q), as wide beyond the edge as boxes are made
    inside = ((away <= half[:, :, None]).all(dim=-1) & real[..., None]).any(dim=1) & on_film
    return torch.nn.functional.avg_pool2d(inside.to(boxes.dtype).unflatten(1, (2 * grid, 2 * grid))[:, None], 2)[:, 0]


def box_loss(patch_logits: torch.Tensor, cover: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Summed over the images whose boxes are `known` (B,): cross-entropy of patches in a box and of those outside, each averaged.

    Averaged apart, since a break fills two of a thousand patches. `patch_logits` and `cover` are (B, H, W).
    """
    each = torch.nn.functional.binary_cross_entropy_with_logits(patch_logits.float(), (cover > 0).float(), reduction="none").flatten(1)
    inside = cover.flatten(1)
    outside = (inside == 0).float()
    positive = (each * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1e-6)
    negative = (each * outside).sum(dim=1) / outside.sum(dim=1).clamp(min=1e-6)
    total: torch.Tensor = ((positive + negative) * known).sum()
    return total


def label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy summed over the images that have a label; `labels` (B,) is `UNKNOWN` for the others."""
    return torch.nn.functional.cross_entropy(logits.float(), labels, ignore_index=UNKNOWN, reduction="sum")


def further_losses(
    outputs: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor], size: int, config: TrainConfig
) -> dict[str, torch.Tensor]:
    """Losses of the further heads by name, weighted, each summed over the images of a batch of `size` px; of those that have targets."""
    losses: dict[str, torch.Tensor] = {}
    if "boxes" in targets and PATCH_LOGITS in outputs:
        logits = outputs[PATCH_LOGITS]
        place = (targets["boxes"], targets["matrices"], targets["heights"], targets["widths"])
        cover = box_cover(*place, grid=logits.shape[-1], size=size)
        losses["box"] = config.box_loss * box_loss(logits, cover, targets["boxes_known"])
    for key, labels in targets.items():
        if key.endswith("_label"):
            name = key.removesuffix("_label")
            losses[name] = config.extra_head_loss * label_loss(outputs[f"{name}_logits"], labels)
    return losses


def head_figures(
    model: PreTrainedModel, features: np.ndarray, labels: Mapping[str, np.ndarray], names: Mapping[str, list[str]]
) -> dict[str, Any]:
    """What the extra heads get right: for each its accuracy, balanced accuracy, recall by class and the number of rows that have a label.

    `features` (N, F) is what the classifier sees; `labels` (N,) by head, `UNKNOWN` where a row has none.
    """
    from sklearn.metrics import balanced_accuracy_score, recall_score

    figures: dict[str, Any] = {}
    for name, head in getattr(model, NAME).heads.items():
        known = labels[name] != UNKNOWN
        truth = labels[name][known]
        if not len(truth):
            figures[name] = {"n": 0}
            continue
        with torch.no_grad():
            guess = head(torch.from_numpy(features[known]).to(head.weight.device)).argmax(dim=1).cpu().numpy()
        present = sorted(set(truth.tolist()))
        recalls = recall_score(truth, guess, labels=present, average=None, zero_division=0)
        figures[name] = {
            "n": len(truth),
            "accuracy": float((truth == guess).mean()),
            "balanced_accuracy": float(balanced_accuracy_score(truth, guess)),
            "majority_accuracy": float(np.bincount(truth).max() / len(truth)),
            "recall": {
                names[name][label]: [float(recall), int((truth == label).sum())] for label, recall in zip(present, recalls, strict=True)
            },
        }
    return figures
