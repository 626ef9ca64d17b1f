"""Heat maps: where on a radiograph the model sees the signs of a class.

For each position of the last feature map (patch tokens, or cells of a convolutional map) the map shows the first-order estimate of how
much the log-odds of the class would fall if that position looked like the average of the image:

    relu( sum over channels of  gradient × (feature − mean feature of the image) )

in log odds, over the temperature, so that the numbers of two films compare (`heat.py` has the scale).

This is gradient × activation at one layer (HiResCAM, Draelos & Carin 2020, arXiv 2011.08891; for a head on the mean of the map the same
as Grad-CAM, Selvaraju et al. 2017, arXiv 1610.02391), with the image's own mean as the reference: without it, the large components that
all patch tokens of a ViT share drown the map.

Plain ViTs (DINOv2, with registers or without) and convolutional networks are tested to point at the cause of a class; networks with
windowed attention (Swin) get a map too, but a poor one.

A checkpoint with a fitted scale has maps of what its patch head says instead (`patch_heat`).

Not here: whether a map can be trusted (`evaluation/places/heat.py` measures it). It is a picture of the model, not a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hf_bones.inference.heat import HeatScale
from hf_bones.inference.network import content_mask
from hf_bones.preprocess import InputSpec, fitted_shape, stack_inputs

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


# Heat maps keep every layer's activations for the backward pass; a few images at a time bound the memory.
HEATMAP_BATCH = 4


def heat_maps(
    model: PreTrainedModel,
    spec: InputSpec,
    pixels: Sequence[np.ndarray],
    targets: Sequence[int] | None,
    *,
    normal_id: int,
    temperature: float,
) -> list[np.ndarray]:
    """Heat maps, float32 (H, W), ≥ 0, of opened images, uint8 (H, W), in log odds over the temperature.

    targets: a class id for each image; by default the likeliest other than `normal_id`.
    """
    import torch

    maps: list[np.ndarray] = []
    for start in range(0, len(pixels), HEATMAP_BATCH):
        part = pixels[start : start + HEATMAP_BATCH]
        inputs = torch.from_numpy(stack_inputs(part, spec)).to(model.device)
        content = content_mask([fitted_shape(image.shape[0], image.shape[1], spec.size) for image in part], spec.size, inputs.device)
        if targets is None:
            with torch.inference_mode():
                own = likeliest_abnormal(model(pixel_values=inputs).logits.float().cpu().numpy(), normal_id)
        else:
            own = list(targets[start : start + HEATMAP_BATCH])
        wanted = torch.tensor(own, device=inputs.device)
        evidence = class_evidence(model, inputs, wanted, content).cpu().numpy() / temperature
        maps += [to_image_size(cells, image.shape, spec) for cells, image in zip(evidence, part, strict=True)]
    return maps


def likeliest_abnormal(outputs: np.ndarray, normal_id: int) -> list[int]:
    """Of logits (N, C), the id of the highest class other than the normal one."""
    return [int(index) for index in np.where(np.arange(outputs.shape[1]) == normal_id, -np.inf, outputs).argmax(axis=1)]


def patch_heat(scale: HeatScale, spec: InputSpec, pixels: Sequence[np.ndarray], patches: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Heat maps, float32 (H, W) in [0, 1], of opened images, uint8 (H, W), from the patch logits (h, w) of each."""
    return [to_image_size(scale.cells(logits), image.shape, spec) for logits, image in zip(patches, pixels, strict=True)]


def class_evidence(model: PreTrainedModel, inputs: torch.Tensor, targets: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """Evidence for one class an image, on the grid of the model's last feature map.

    inputs: (B, 3, S, S) as the model takes them. targets: (B,) class ids. content: bool (B, S, S), False where the input is padding.
    Returns float32 (B, h, w), ≥ 0, with 0 on padding. The model must be in eval mode; its weights get no gradients.
    Raises ValueError when the model gives no hidden states that the logits depend on.
    """
    import torch

    with torch.enable_grad():
        output = model(pixel_values=inputs.detach().clone().requires_grad_(True), output_hidden_states=True)
        if not output.hidden_states:
            raise ValueError(f"{type(model).__name__} returns no hidden states; heat maps need them")
        features = _feature_map(output.hidden_states)
        others = output.logits.float().scatter(1, targets[:, None], float("-inf"))
        log_odds = output.logits.float().gather(1, targets[:, None])[:, 0] - others.logsumexp(dim=1)
        (gradient,) = torch.autograd.grad(log_odds.sum(), features, allow_unused=True)
    if gradient is None:
        raise ValueError(f"the logits of {type(model).__name__} do not depend on its hidden states; heat maps need that")
    values, slopes = _grid(features.detach().float(), model, inputs), _grid(gradient.float(), model, inputs)
    cells = (values.shape[2], values.shape[3])
    share = torch.nn.functional.adaptive_avg_pool2d(content[:, None].float(), cells)
    inside = share >= share.amax(dim=(2, 3), keepdim=True).clamp(max=0.5)  # of a sliver thinner than half a cell, its fullest cells
    weight = inside / inside.sum(dim=(2, 3), keepdim=True)
    mean = (values * weight).sum(dim=(2, 3), keepdim=True)
    return ((slopes * (values - mean)).sum(dim=1).relu() * inside[:, 0]).detach()


def _feature_map(hidden_states: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The last hidden state at which every position can still move the logits.

    A map (B, C, H, W) is pooled over all positions, so the last one serves. Of tokens (B, T, C) a head may read only the first, so the
    input of the last block is taken: there, the other tokens still act through attention.
    """
    last = hidden_states[-1]
    if last.ndim == 3 and len(hidden_states) > 1 and hidden_states[-2].shape == last.shape:
        return hidden_states[-2]
    return last


def _grid(features: torch.Tensor, model: PreTrainedModel, inputs: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) from a convolutional map, or from tokens (B, T, C) without the leading class and register tokens."""
    if features.ndim == 4:
        return features
    count = features.shape[1]
    patch = getattr(model.config, "patch_size", None)
    side = inputs.shape[-1] // patch if isinstance(patch, int) else 0
    if not 0 <= count - side * side <= 16 or side == 0:  # merged patches (Swin): the largest square that fits
        side = int(count**0.5)
    return features[:, count - side * side :].transpose(1, 2).reshape(features.shape[0], -1, side, side)


def to_image_size(evidence: np.ndarray, shape: tuple[int, int], spec: InputSpec) -> np.ndarray:
    """Evidence (h, w) on the square model input → float32 (H, W), ≥ 0, in the same unit on an image of `shape`, its padding cut off."""
    square = Image.fromarray(evidence.astype(np.float32)).resize((spec.size, spec.size), Image.Resampling.BILINEAR)
    height, width = fitted_shape(*shape, spec.size)
    fitted = square.crop((0, 0, width, height)).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.maximum(np.asarray(fitted, dtype=np.float32), 0)
