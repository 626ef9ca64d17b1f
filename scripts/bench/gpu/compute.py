"""What the device can do: a matrix product's speed, the arithmetic of a network, and its steps with the data already there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from step_timing import now
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel, Trainer

from hf_bones.config.recipe import AugmentConfig
from hf_bones.preprocess import InputSpec
from hf_bones.training.data.batches import batch_to_input

# Dense bf16 on the tensor cores, FLOP/s, from NVIDIA's data sheets (the SXM cards).
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


def peak_of(device_name: str) -> float | None:
    """The card's peak in FLOP/s, None where the table above does not have it."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)


def matmul_ceiling(device: torch.device, side: int) -> float:
    """FLOP/s of a bf16 product of two square matrices of random numbers: what is within reach in practice."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: a @ b, warm=3, timed=10)


def flops_per_image(model: PreTrainedModel, size: int, device: torch.device) -> float:
    """FLOPs of a forward and backward pass, an image: three times those of the forward pass.

    The backward pass takes twice the forward's. It is not counted itself, since torch's counter knows no grouped convolutions there: those
    of ConvNeXt count 97 times their work. Attention is counted as the matrix products that it consists of.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.to(device)(pixel_values=torch.zeros(1, 3, size, size, device=device))
    return 3.0 * counter.get_total_flops()


def resident_step(trainer: Trainer, batch: int, size: int, timed: int) -> float:
    """Seconds of a training step of a trainer that has trained, on one batch that stays on the device."""
    model, optimiser = trainer.model.train(), trainer.optimizer
    pixels = torch.randn(batch, 3, size, size, device=trainer.args.device)
    labels = torch.arange(batch, device=trainer.args.device) % model.config.num_labels

    def step() -> None:
        model(pixel_values=pixels, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return seconds_of(step, warm=3, timed=timed)


def forward_seconds(model: PreTrainedModel, batch: int, size: int, device: torch.device, timed: int) -> float:
    """Seconds of a forward pass alone, weights and activations in bf16."""
    network = model.to(device, torch.bfloat16).eval()
    pixels = torch.randn(batch, 3, size, size, device=device, dtype=torch.bfloat16)
    with torch.inference_mode():
        return seconds_of(lambda: network(pixel_values=pixels), warm=3, timed=timed)


def input_seconds(batch: Mapping[str, torch.Tensor], spec: InputSpec, policy: AugmentConfig | None, device: torch.device) -> float:
    """Seconds in which a collated batch that is on the device becomes model input there, augmented where a policy is given."""
    there = {key: value.to(device) for key, value in batch.items()}
    return seconds_of(lambda: batch_to_input(there, spec, policy), warm=3, timed=10)


def seconds_of(work: Callable[[], Any], warm: int, timed: int) -> float:
    """Mean seconds of one call."""
    for _ in range(warm):
        work()
    started = now()
    for _ in range(timed):
        work()
    return (now() - started) / timed
