"""FSDP: a network whose weights, gradients and optimiser state are split over processes, for one that is too large for each of them.

accelerate's FSDP2 does the splitting (`recipes/accelerate/fsdp.yaml`). Here is which modules it splits one by one, how whole checkpoints
are read into split weights, and how the whole network is put together again. Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully
Sharded Data Parallel", VLDB 2023, arXiv 2304.11277.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, Trainer

from hf_bones.config.recipe import RecipeError
from hf_bones.training.backbone.auxiliary import NAME
from hf_bones.training.backbone.loading import blocks_of

SPLIT_OPTIMISER = "optimizer.bin"  # in checkpoints of FSDP; others have optimizer.pt


def prepare_sharding(trainer: Trainer, resume_from: Path | None) -> bool:
    """Gets a Trainer that was started under FSDP ready for it, and says whether it was; leaves any other alone. Call it before training.

    Raises `RecipeError` for settings of the launch that do not go with FSDP, each by name, and for a checkpoint of the other kind.
    """
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is None and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise RecipeError(
            "distributed_type: FSDP splits networks over GPUs; on these processes accelerate would silently train whole copies. "
            "Use the launch configuration multi_cpu.yaml, or gpu.yaml for a single GPU"
        )
    if resume_from is not None and (resume_from / SPLIT_OPTIMISER).is_file() != (plugin is not None):
        was, now = ("with", "without") if plugin is None else ("without", "with")
        raise RecipeError(
            f"output_dir: {resume_from} was saved {was} FSDP and cannot be resumed {now} it; use the same launch configuration again, "
            "or start over with --resume false"
        )
    if plugin is not None:
        _check_settings(plugin)
        # transformers' own list has the embeddings too, whose patch projection accelerate then splits a second time, which fails.
        plugin.transformer_cls_names_to_wrap = sorted({type(block).__name__ for block in blocks_of(trainer.model)})
        try:
            trainer.model.get_input_embeddings()
        except NotImplementedError:  # accelerate asks all networks, and convolutional ones have none
            trainer.model.get_input_embeddings = lambda: None
    return plugin is not None


def _check_settings(plugin: Any) -> None:
    wanted = {
        "fsdp_version": (plugin.fsdp_version == 2, "2"),
        "fsdp_auto_wrap_policy": (
            getattr(plugin.auto_wrap_policy, "__name__", "") == "transformer_auto_wrap_policy",
            "TRANSFORMER_BASED_WRAP",
        ),
        "fsdp_state_dict_type": ("FULL" in str(plugin.state_dict_type), "FULL_STATE_DICT, which everyone can load"),
        "fsdp_cpu_ram_efficient_loading": (not plugin.cpu_ram_efficient_loading, "false: each process prepares the network by itself"),
        "fsdp_activation_checkpointing": (not plugin.activation_checkpointing, "false; the recipe has gradient_checkpointing for it"),
    }
    for key, (holds, value) in wanted.items():
        if not holds:
            raise RecipeError(f"{key}: must be {value}; `hf-bones accelerate-config fsdp` prints where a configuration is that works")


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether weights of the network are split over processes."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def local_part(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor, sharing its memory: all of it, where it is not split."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def read_state(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Reads whole weights into a network, in place, split or not; every weight must be there. Call it in all processes."""
    if is_sharded(model):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

        set_model_state_dict(model, dict(state), options=StateDictOptions(full_state_dict=True))
    else:
        model.load_state_dict(state)


def whole_model(model: PreTrainedModel, make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """The network in one piece, on the CPU of the first process, in a new one that `make()` builds; others get `model` back.

    The further heads of training are left out. Call it in all processes. A network that is not split comes back as it is.
    """
    if not is_sharded(model):
        return model
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if distributed.get_rank() != 0:
        return model
    whole = make()
    whole.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith(f"{NAME}.")})
    return whole.eval()
