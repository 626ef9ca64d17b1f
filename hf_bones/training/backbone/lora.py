"""LoRA: the attention weights stay as they are, and matrices of low rank learn what is added to them.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv 2106.09685; the layers are peft's. They stand in the
network while it trains only. Each checkpoint has the sum of both as plain weights in its `model.safetensors`, which loads like any other
and needs no peft, and the matrices in a file beside it, from which a killed run resumes. The finished network has the sums alone.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer
from transformers.trainer import TRAINING_ARGS_NAME

from hf_bones.config.recipe import ModelConfig, RecipeError

MATRICES = "lora.safetensors"
_ADAPTER = "default"  # peft's name for the one set of matrices
_ATTENTION = {"attention", "attn", "self_attn"}


def attention_projections(model: torch.nn.Module, head: Collection[int] = ()) -> list[str]:
    """Names of the linear layers of the backbone's attention (query, key, value, output) whose weights learn; `head` are ids of others'."""
    found = []
    for name, module in model.named_modules():
        parts = name.split(".")
        in_attention = bool(_ATTENTION & set(parts)) and not any("mlp" in part for part in parts)  # Swin v2 has an MLP of positions there
        if in_attention and isinstance(module, torch.nn.Linear) and module.weight.requires_grad and id(module.weight) not in head:
            found.append(name)
    return found


def add_lora(model: torch.nn.Module, config: ModelConfig, head: Collection[int]) -> None:
    """Puts the matrices beside those attention weights that `trainable` lets learn, in place; then only they and the head learn.

    `head` are the ids of the head's parameters. Raises `RecipeError` where the network has no such attention, or peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise RecipeError(f"lora_rank: {config.lora_rank} needs peft: pip install 'hf-bones[lora]', or set lora_rank to 0") from error
    names = attention_projections(model, head)
    if not names:
        raise RecipeError(
            f"lora_rank: {config.lora_rank} and model: {config.model}: {type(model).__name__} has no attention whose weights learn; set "
            "lora_rank to 0, or choose a transformer such as a ViT, DINOv2 or Swin"
        )
    inject_adapter_in_model(LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=names), model, _ADAPTER)  # type: ignore[arg-type]
    for parameter in model.parameters():  # peft lets its matrices alone learn
        parameter.requires_grad = parameter.requires_grad or id(parameter) in head


def lora_layers(model: torch.nn.Module) -> dict[str, Any]:
    """peft's layers by name; none in a network without them, whether peft is installed or not."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "base_layer") and hasattr(module, "lora_A")}


@torch.no_grad()
def plain_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The network's weights with the matrices added in, under the names of a network without LoRA."""
    layers = lora_layers(model)
    state = {}
    for name, tensor in model.state_dict().items():
        owner, rest = _split(name, layers)
        if owner is None:
            state[name] = tensor
        elif rest == "base_layer.weight":
            state[f"{owner}.weight"] = tensor + layers[owner].get_delta_weight(_ADAPTER)
        elif rest == "base_layer.bias":
            state[f"{owner}.bias"] = tensor
    return state


def save_matrices(model: torch.nn.Module, folder: Path) -> None:
    """Writes the matrices into a checkpoint's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in _matrices(model).items()}, folder / MATRICES)


@torch.no_grad()
def with_matrices(model: torch.nn.Module, plain: dict[str, torch.Tensor], folder: Path) -> dict[str, torch.Tensor]:
    """Plain weights of a checkpoint under the names that `model` has, with the matrices that are in its folder.

    A checkpoint without matrices is one from before they learnt: their product is zero. Without LoRA in the network the weights come back
    as they are. Raises `RecipeError` where the matrices were learnt beside other weights than the network has.
    """
    layers = lora_layers(model)
    if not layers:
        return plain
    mine = model.state_dict()
    learnt = load_file(folder / MATRICES) if (folder / MATRICES).is_file() else None
    state = {name: plain[name] for name in mine if _split(name, layers)[0] is None}
    for name, matrix in _matrices(model).items():
        state[name] = learnt[name] if learnt is not None else torch.zeros_like(matrix) if ".lora_B." in name else matrix
    for name, layer in layers.items():
        if layer.base_layer.bias is not None:
            state[f"{name}.base_layer.bias"] = plain[f"{name}.bias"]
        if learnt is None:
            state[f"{name}.base_layer.weight"] = plain[f"{name}.weight"]
            continue
        # The network's own, which never change, and not the difference of the two, which is a rounding error off.
        base = state[f"{name}.base_layer.weight"] = mine[f"{name}.base_layer.weight"]
        ups, downs = (state[f"{name}.lora_{side}.{_ADAPTER}.weight"].to(base.device) for side in "BA")
        if not torch.allclose(base + layer.scaling[_ADAPTER] * ups @ downs, plain[f"{name}.weight"].to(base.device), atol=1e-4):
            raise RecipeError(
                f"lora_rank and model: the matrices in {folder} were learnt beside other weights of {name}; the model's have changed "
                "since. Name the revision that the run started from, or start over with --resume false"
            )
    return state


def merge_lora(model: torch.nn.Module) -> None:
    """Adds the matrices to the weights they stand beside and takes the layers of LoRA out, in place."""
    for name, layer in lora_layers(model).items():
        layer.merge()
        model.set_submodule(name, layer.get_base_layer())


def _matrices(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    layers = lora_layers(model)
    found = {name: (tensor, *_split(name, layers)) for name, tensor in model.state_dict().items()}
    return {name: tensor for name, (tensor, owner, rest) in found.items() if owner is not None and rest.startswith("lora_")}


def _split(name: str, layers: Collection[str]) -> tuple[str | None, str]:
    """A tensor's name as the LoRA layer that it belongs to (None: to no such layer) and the rest."""
    for part in ("base_layer", "lora_A", "lora_B"):
        owner, found, rest = name.partition(f".{part}.")
        if found and owner in layers:
            return owner, f"{part}.{rest}"
    return None, name


class LoraTrainer(Trainer):
    """A Trainer that saves a network with LoRA as plain weights with the matrices beside them, and any other as the Trainer does."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if not lora_layers(self.model):
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            save_matrices(self.model, folder)
            self.model.save_pretrained(folder, state_dict=plain_state(self.model))
            torch.save(self.args, folder / TRAINING_ARGS_NAME)
