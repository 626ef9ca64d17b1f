"""Heat maps: where on a radiograph the model sees the signs of a class.

For each position of the last feature map (patch tokens, or cells of a convolutional map) the map shows the first-order estimate of how
much the log-odds of the class would fall if that position looked like the average of the image:

    relu( sum over channels of  gradient × (feature − mean feature of the image) )

This is gradient × activation at one layer (HiResCAM, Draelos & Carin 2020, arXiv 2011.08891; for a head on the mean of the map the same
as Grad-CAM, Selvaraju et al. 2017, arXiv 1610.02391), with the image's own mean as the reference: without it, the large components that
all patch tokens of a ViT share drown the map.

Plain ViTs (DINOv2, with registers or without) and convolutional networks are tested to point at the cause of a class; networks with
windowed attention (Swin) get a map too, but a poor one.

Not here: whether a map can be trusted. It is a picture of the model, not a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hf_bones.inference.network import content_mask
from hf_bones.preprocess import InputSpec, fitted_shape, stack_inputs

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


# Heat maps keep every layer's activations for the backward pass; a few images at a time bound the memory.
HEATMAP_BATCH = 4


def heat_maps(model: PreTrainedModel, spec: InputSpec, pixels: Sequence[np.ndarray], targets: Sequence[int]) -> list[np.ndarray]:
    """Heat maps, float32 (H, W) in [0, 1], of opened images, uint8 (H, W), each for its target class id."""
    import torch

    maps: list[np.ndarray] = []
    for start in range(0, len(pixels), HEATMAP_BATCH):
        part = pixels[start : start + HEATMAP_BATCH]
        inputs = torch.from_numpy(stack_inputs(part, spec)).to(model.device)
        content = content_mask([fitted_shape(image.shape[0], image.shape[1], spec.size) for image in part], spec.size, inputs.device)
        wanted = torch.tensor(targets[start : start + HEATMAP_BATCH], device=inputs.device)
        evidence = class_evidence(model, inputs, wanted, content).cpu().numpy()
        maps += [to_image_size(cells, image.shape, spec) for cells, image in zip(evidence, part, strict=True)]
    return maps


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
    """Evidence (h, w) on the square model input → float32 (H, W) in [0, 1] on an image of `shape`, its padding cut off.

    The largest value is 1, whatever the probability: the map says where, not how sure. All zero when nothing speaks for the class.
    """
    square = Image.fromarray(evidence.astype(np.float32)).resize((spec.size, spec.size), Image.Resampling.BILINEAR)
    height, width = fitted_shape(*shape, spec.size)
    fitted = square.crop((0, 0, width, height)).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    heat = np.maximum(np.asarray(fitted, dtype=np.float32), 0)
    peak = float(heat.max())
    return heat / peak if peak > 0 else heat


def overlay(pixels: np.ndarray, heatmap: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """A heat map over a grey image: uint8 (H, W), float (H, W) in [0, 1] → uint8 (H, W, 3).

    Cold areas keep the grey of the image; warm ones go from red to yellow, at most `strength` (0–1) of colour, so that the bone stays
    visible. Raises ValueError when the shapes differ.
    """
    if pixels.shape != heatmap.shape or pixels.ndim != 2:
        raise ValueError(f"image {pixels.shape} and heat map {heatmap.shape} must be two-dimensional and of the same shape")
    heat = np.clip(heatmap, 0, 1).astype(np.float32)
    colour = np.stack([np.full_like(heat, 255), 255 * np.clip(2 * heat - 0.8, 0, 1), np.zeros_like(heat)], axis=-1)
    alpha = (strength * heat)[..., None]
    return (pixels[..., None] * (1 - alpha) + colour * alpha).round().astype(np.uint8)
