"""A checkpoint's network: loading it, and what one forward pass gives: logits, and of a patch head the logits of the patches.

torch and transformers are imported inside the functions, so that a command line that only checks its arguments stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_bones.inference import checkpoint as files

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from hf_bones.inference.decision import DecisionRule
    from hf_bones.training.backbone.patch_head import PatchHead


def load_network(checkpoint: files.Checkpoint) -> PreTrainedModel:
    """The network of a complete checkpoint, in float32 on the CPU. Raises `CheckpointError` naming it and what to do."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    import hf_bones.training.backbone.pooling  # noqa: F401 - lets transformers know the classifiers that are ours
    from hf_bones.training.backbone.checkpoint_sizes import CheckpointSizeError, check_sizes

    try:
        if checkpoint.name != files.BUNDLED:
            check_sizes(checkpoint.folder)
    except CheckpointSizeError as error:
        raise files.CheckpointError(f"{checkpoint.name}: {error}; nothing was built from it. Ask its author for another") from error

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # one line of "Loading weights" a command says nothing
    try:
        model, loading = AutoModelForImageClassification.from_pretrained(
            checkpoint.folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
    # The last three: what values of the wrong kind in a stranger's config make transformers stumble over.
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError, TypeError, AttributeError, IndexError) as error:
        said = " ".join(str(error).split())[:400]
        raise files.CheckpointError(f"{checkpoint.name}: transformers cannot load it as an image classifier: {said}") from error
    finally:
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(loading["missing_keys"]):
        raise files.CheckpointError(
            f"{checkpoint.name}: no weights for {', '.join(missing[:4])}, so its answers would be random; "
            "it is a backbone, not a trained classifier: train it first (`hf-bones train --model ...`)"
        )
    return model


def load_heads(checkpoint: files.Checkpoint, model: PreTrainedModel, decision: DecisionRule) -> dict[str, PatchHead | None]:
    """`patch_head`, where there is one, and `box_head`, where decision.json asks it. Raises `CheckpointError` as `load_patch_head`."""
    needed = decision.patches is not None or (decision.has_places and not decision.has_box_head)
    box_head = load_patch_head(checkpoint, model, needed=True, name=files.BOX_HEAD_FILE) if decision.has_box_head else None
    return {"patch_head": load_patch_head(checkpoint, model, needed=needed), "box_head": box_head}


def load_patch_head(
    checkpoint: files.Checkpoint, model: PreTrainedModel, *, needed: bool = False, name: str = files.PATCH_HEAD_FILE
) -> PatchHead | None:
    """The patch head `name` beside the weights, None where there is none. Raises `CheckpointError` for one that is not of this network, and
    for one that is missing where it is `needed`."""
    from hf_bones.training.backbone.patch_head import read_patch_head

    try:
        head = read_patch_head(checkpoint.folder, name)
    except ValueError as error:
        raise files.CheckpointError(f"{checkpoint.name}: {error}; take the file away, or train again with box_loss") from error
    if head is None:
        if needed:
            raise files.CheckpointError(
                f"{checkpoint.name}: decision.json asks the patches in every answer, but {name}, which does so, is "
                "missing; fetch it with the rest of the checkpoint"
            )
        return None
    widths = getattr(model.config, "hidden_sizes", None)
    width = widths[-1] if widths else getattr(model.config, "hidden_size", None)
    if model.base_model is model or len(head.weight) != width:
        raise files.CheckpointError(
            f"{checkpoint.name}: {name} is for patches of {len(head.weight)} numbers, but {type(model).__name__} has "
            f"{width}; take away the file, which belongs to another checkpoint"
        )
    return head


def best_device() -> str:
    """A GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def patch_logits(model: PreTrainedModel, head: PatchHead, inputs: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """What a patch head says of each patch of the last hidden state, float32 (B, H, W); −inf where a patch is padding."""
    return logits_and_patches(model, head, inputs, content)[1]


def logits_and_patches(
    model: PreTrainedModel, head: PatchHead, inputs: torch.Tensor, content: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """In one pass, the network's logits, float32 (B, C), and those of the patches, float32 (B, H, W); −inf where a patch is padding."""
    logits, (patches,) = logits_of_heads(model, [head], inputs, content)
    return logits, patches


def logits_of_heads(
    model: PreTrainedModel, heads: Sequence[PatchHead], inputs: torch.Tensor, content: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """In one pass, the network's logits, float32 (B, C), and what each patch head says, float32 (B, H, W); −inf where a patch is padding.

    inputs: (B, 3, S, S) as the model takes them. content: bool (B, S, S), False where the input is padding. A patch counts when half of
    it is content; of a sliver thinner than half a patch, its fullest patches do.
    """
    import torch

    from hf_bones.training.backbone.auxiliary import last_patches

    with torch.inference_mode():
        whole, patches = last_patches(model, inputs)
        share = torch.nn.functional.adaptive_avg_pool2d(content[:, None].float(), (patches.shape[1], patches.shape[2]))[:, 0]
        outside = share < share.amax(dim=(1, 2), keepdim=True).clamp(max=0.5)
        said = [patches @ torch.as_tensor(head.weight, device=patches.device) + head.bias for head in heads]
        return whole, [logits.masked_fill(outside, float("-inf")) for logits in said]


def plain_logits(model: PreTrainedModel, inputs: torch.Tensor) -> torch.Tensor:
    """The network's logits alone, float32 (B, C)."""
    import torch

    with torch.inference_mode():
        logits: torch.Tensor = model(pixel_values=inputs).logits.float()
        return logits


def content_mask(shapes: list[tuple[int, int]], size: int, device: torch.device) -> torch.Tensor:
    """Where the inputs of images of these heights and widths hold picture and no padding, bool (B, `size`, `size`)."""
    import torch

    mask = torch.zeros(len(shapes), size, size, dtype=torch.bool, device=device)
    for own, (height, width) in zip(mask, shapes, strict=True):
        own[:height, :width] = True
    return mask
