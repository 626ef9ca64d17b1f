"""A network that takes one grey channel instead of three equal ones, and back again for the checkpoint."""

from __future__ import annotations

import copy

import torch
from transformers import PreTrainedModel

from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.timm import is_timm


def one_channel_spec(spec: InputSpec) -> InputSpec:
    """The same input normalised alike in all channels, so that three equal channels stay equal and their weights can be summed."""
    return InputSpec(spec.size, (sum(spec.mean) / 3,) * 3, (sum(spec.std) / 3,) * 3)


def patch_embedding(model: PreTrainedModel) -> tuple[str, torch.nn.Conv2d]:
    """Name and module of the first convolution, which reads the pixels. Raises ValueError where there is none."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            return name, module
    raise ValueError(f"input_channels: {type(model).__name__} reads its pixels by no convolution; set input_channels to 3")


def to_one_channel(model: PreTrainedModel) -> None:
    """Makes the network take one grey channel, in place: weights summed over RGB, which on three equal channels is the same function."""
    if is_timm(model):
        raise ValueError("input_channels: 1 and model: a network of timm is built by its config, which says three; set input_channels to 3")
    name, three = patch_embedding(model)
    if three.in_channels != 3 or three.groups != 1:
        raise ValueError(f"input_channels: {name} of {type(model).__name__} has {three.in_channels} input channels, expected 3")
    one = copy.deepcopy(three)
    one.in_channels = 1
    one.weight = torch.nn.Parameter(three.weight.detach().sum(dim=1, keepdim=True), requires_grad=three.weight.requires_grad)
    model.set_submodule(name, one)
    for module in model.modules():
        if getattr(module, "num_channels", None) == 3:
            module.num_channels = 1
    model.config.num_channels = 1


def three_channel_state(model: PreTrainedModel, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of a network that takes one channel, as those of the same function of three equal channels."""
    name, one = patch_embedding(model)
    if one.in_channels != 1:
        return state
    key = f"{name}.weight"
    return {**state, key: state[key].repeat(1, 3, 1, 1) / 3}
