"""Heat maps point at what the model looks at. Run: pytest tests/inference/test_explain.py

Each tiny network learns in a few seconds to tell noise with a bright square from plain noise; the map must then peak on the square.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    ConvNextV2Config,
    ConvNextV2ForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersForImageClassification,
    PreTrainedModel,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from hf_bones.inference.explain import class_evidence, to_image_size
from hf_bones.preprocess import InputSpec, fitted_shape

SIZE, SQUARE = 48, 12
TOKENS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIZE, "patch_size": 6, "num_labels": 2}


def dinov2() -> PreTrainedModel:
    return Dinov2ForImageClassification(Dinov2Config(**TOKENS, mlp_ratio=2))


def dinov2_with_registers() -> PreTrainedModel:
    return Dinov2WithRegistersForImageClassification(Dinov2WithRegistersConfig(**TOKENS, mlp_ratio=2, num_register_tokens=4))


def vit() -> PreTrainedModel:
    return ViTForImageClassification(ViTConfig(**TOKENS, intermediate_size=64))


def convnextv2() -> PreTrainedModel:
    return ConvNextV2ForImageClassification(ConvNextV2Config(num_stages=2, hidden_sizes=[16, 32], depths=[1, 1], num_labels=2))


def swin() -> PreTrainedModel:
    return SwinForImageClassification(
        SwinConfig(image_size=SIZE, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=3, num_labels=2)
    )


def squares(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int]]]:
    """Noise images (B, 3, S, S), every second one (label 1) with a bright square, and the square's top-left corner in each."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.3, size=(count, 1, SIZE, SIZE)).astype(np.float32)
    labels = np.arange(count) % 2
    corners = [tuple(int(v) for v in rng.integers(0, SIZE - SQUARE, 2)) for _ in range(count)]
    for image, label, (top, left) in zip(images, labels, corners, strict=True):
        image[0, top : top + SQUARE, left : left + SQUARE] += 2.0 * label
    return torch.from_numpy(images).repeat(1, 3, 1, 1), torch.from_numpy(labels), corners


def trained(model: PreTrainedModel, steps: int = 100) -> PreTrainedModel:
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        images, labels, _ = squares(32, seed=step)
        loss = model(pixel_values=images, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("make", [dinov2, dinov2_with_registers, vit, convnextv2])
def test_the_map_peaks_on_what_makes_the_class(make) -> None:
    torch.manual_seed(0)
    model = trained(make())
    images, labels, corners = squares(64, seed=1000)
    assert (model(pixel_values=images).logits.argmax(1) == labels).float().mean() > 0.95, "the model did not learn its task"
    evidence = class_evidence(model, images, torch.ones(64, dtype=torch.long), torch.ones(64, SIZE, SIZE, dtype=torch.bool)).numpy()
    hits = 0
    for cells, (top, left) in list(zip(evidence, corners, strict=True))[1::2]:
        heat = to_image_size(cells, (SIZE, SIZE), InputSpec(SIZE))
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        hits += top - 3 <= y < top + SQUARE + 3 and left - 3 <= x < left + SQUARE + 3
    assert hits >= 29, f"the peak is on the square in {hits} of 32 images; chance is about 4"


@pytest.mark.parametrize("make", [dinov2, dinov2_with_registers, vit, convnextv2, swin])
def test_padding_gets_no_evidence_and_the_weights_no_gradients(make) -> None:
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    content = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    content[0, :, : SIZE // 2] = True
    content[1, :1] = True  # a sliver, thinner than any cell
    evidence = class_evidence(model, squares(2, 0)[0], torch.tensor([0, 1]), content)
    assert evidence.shape[0] == 2 and evidence.shape[1] == evidence.shape[2]
    assert torch.isfinite(evidence).all() and (evidence >= 0).all()
    assert (evidence[0, :, evidence.shape[2] // 2 :] == 0).all() and (evidence[1, 1:] == 0).all()
    assert evidence.sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_map_covers_the_image_without_its_padding() -> None:
    spec = InputSpec(SIZE)
    height, width = 200, 80
    h, w = fitted_shape(height, width, SIZE)
    evidence = np.zeros((6, 6), dtype=np.float32)
    evidence[5, 1] = 3.0  # 8 px cells: below, second column
    evidence[0, 5] = 50.0  # in the padding, right of the image
    heat = to_image_size(evidence, (height, width), spec)
    assert heat.shape == (height, width) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() == pytest.approx(3, rel=0.1), "in the unit of the evidence: no map is divided by its own maximum"
    np.testing.assert_allclose(to_image_size(2 * evidence, (height, width), spec), 2 * heat, rtol=1e-5)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert y > 0.85 * height and abs(x - 12 / w * width) < 12, "the peak stands at cell (5, 1)"
    assert h == SIZE


def test_a_map_without_evidence_is_black() -> None:
    heat = to_image_size(np.zeros((6, 6), dtype=np.float32), (30, 40), InputSpec(SIZE))
    assert heat.shape == (30, 40) and not heat.any()
