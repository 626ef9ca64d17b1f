"""What an image costs at each size: milliseconds to prepare and to pass through the network, megabytes while it does.

Measured on a small sample, sizes in turn, so that a slow moment of the machine falls on all of them; not taken from the long run over
all images, whose time is also that of whatever else the machine did.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from hf_bones.evaluation.opinions.frozen import BATCH_SIZE, Backbone, ImageBytes
from hf_bones.images.opening import open_image
from hf_bones.preprocess import to_input


@dataclass(frozen=True)
class Cost:
    """An image's cost at one size. Milliseconds are medians over the repeats, with the least and the greatest repeat beside them.

    `prepare_ms` opens, scales and normalises one image on one core; `forward_ms` is its share of a forward pass. `input_mb` is the input
    tensor; `forward_mb` the most that the activations of a forward pass hold at a time, beside it; `training_mb` what fine-tuning the
    whole network keeps of an image for the backward pass.
    """

    size: int
    prepare_ms: float
    forward_ms: float
    forward_range: tuple[float, float]
    input_mb: float
    forward_mb: float
    training_mb: float

    @property
    def milliseconds(self) -> float:
        return self.prepare_ms + self.forward_ms


@dataclass(frozen=True)
class CostSetup:
    """How costs were measured. `processor_share` is what the process got of its threads' time in the forward passes: near 1 when nobody
    else was at work on the machine; NaN on a GPU."""

    images: int
    batch_size: int
    repeats: int
    device: str
    threads: int
    cores: int
    processor_share: float


def measure_costs(
    backbones: Sequence[Backbone], images: Sequence[ImageBytes], *, batch_size: int = BATCH_SIZE, repeats: int = 5
) -> tuple[list[Cost], CostSetup]:
    """The cost at each backbone's size, from `images` that can all be opened; each pass is made once more, first, to warm up."""
    bodies = [read() for read in images]
    prepare = np.zeros((len(backbones), repeats + 1))
    forward = np.zeros((len(backbones), repeats + 1))
    worked = 0.0
    for repeat in range(repeats + 1):
        for place, backbone in enumerate(backbones):
            began = time.perf_counter()
            inputs = [to_input(open_image(body).pixels, backbone.spec) for body in bodies]
            prepare[place, repeat] = time.perf_counter() - began
            busy = time.process_time()
            forward[place, repeat] = _forward_seconds(backbone, inputs, batch_size)
            worked += time.process_time() - busy
    device, threads = next(backbones[0].model.parameters()).device, torch.get_num_threads()
    share = worked / (forward.sum() * threads) if device.type == "cpu" else float("nan")
    prepare, forward = prepare[:, 1:] * 1000 / len(bodies), forward[:, 1:] * 1000 / len(bodies)
    costs = [
        Cost(
            backbone.spec.size,
            float(np.median(prepare[place])),
            float(np.median(forward[place])),
            (float(forward[place].min()), float(forward[place].max())),
            3 * backbone.spec.size**2 * 4 / 1e6,
            forward_megabytes(backbone),
            training_megabytes(backbone),
        )
        for place, backbone in enumerate(backbones)
    ]
    return costs, CostSetup(len(bodies), batch_size, repeats, str(device), threads, os.cpu_count() or 1, min(float(share), 1.0))


def _forward_seconds(backbone: Backbone, inputs: Sequence[np.ndarray], batch_size: int) -> float:
    device = next(backbone.model.parameters()).device
    batches = [torch.from_numpy(np.stack(inputs[start : start + batch_size])).to(device) for start in range(0, len(inputs), batch_size)]
    _wait(device)
    began = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            backbone.model(pixel_values=batch)
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forward_megabytes(backbone: Backbone) -> float:
    """The greatest sum of live activations in a forward pass of one image, MB, from the allocations that torch's profiler reports."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it tells standard error of each start and stop
    device = next(backbone.model.parameters()).device
    image = torch.zeros(1, 3, backbone.spec.size, backbone.spec.size, device=device)
    on_gpu = device.type == "cuda"
    with torch.inference_mode():
        backbone.model(pixel_values=image)
        with profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])], profile_memory=True, acc_events=True
        ) as profiler:
            backbone.model(pixel_values=image)
    # What an operator allocates stands in its own row, what is freed between operators in rows called [memory].
    changes = [
        (
            event.time_range.start if event.name == "[memory]" else event.time_range.end,
            event.self_device_memory_usage if on_gpu else event.self_cpu_memory_usage,
        )
        for event in profiler.events() or ()
    ]
    return float(max(np.cumsum([change for _, change in sorted(changes)]), default=0.0)) / 1e6


def training_megabytes(backbone: Backbone) -> float:
    """What autograd keeps of one image for the backward pass when every weight learns, MB; the weights themselves do not count."""
    device = next(backbone.model.parameters()).device
    learning = [(parameter, parameter.requires_grad) for parameter in backbone.model.parameters()]
    own = {parameter.untyped_storage().data_ptr() for parameter, _ in learning}
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # a freed tensor's address may be given to another one

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    try:
        for parameter, _ in learning:
            parameter.requires_grad = True
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            image = torch.zeros(1, 3, backbone.spec.size, backbone.spec.size, device=device)
            backbone.model(pixel_values=image)
    finally:
        for parameter, learns in learning:
            parameter.requires_grad = learns
    return sum(kept.values()) / 1e6
