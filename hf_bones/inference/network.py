"""A checkpoint's network: loading it, and what one forward pass gives: logits, and of a patch head the logits of the patches.

torch and transformers are imported inside the functions, so that a command line that only checks its arguments stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_bones.inference import checkpoint as files

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

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


def load_patch_head(checkpoint: files.Checkpoint, model: PreTrainedModel, *, needed: bool = False) -> PatchHead | None:
    """The patch head beside the weights, None where there is none. Raises `CheckpointError` for one that is not of this network, and for
    one that is missing where it is `needed`."""
    from hf_bones.training.backbone.patch_head import read_patch_head

    try:
        head = read_patch_head(checkpoint.folder)
    except ValueError as error:
        raise files.CheckpointError(f"{checkpoint.name}: {error}; take the file away, or train again with box_loss") from error
    if head is None:
        if needed:
            raise files.CheckpointError(
                f"{checkpoint.name}: decision.json asks the patches in every answer, but {files.PATCH_HEAD_FILE}, which does so, is "
                "missing; fetch it with the rest of the checkpoint"
            )
        return None
    widths = getattr(model.config, "hidden_sizes", None)
    width = widths[-1] if widths else getattr(model.config, "hidden_size", None)
    if model.base_model is model or len(head.weight) != width:
        raise files.CheckpointError(
            f"{checkpoint.name}: {files.PATCH_HEAD_FILE} is for patches of {len(head.weight)} numbers, but {type(model).__name__} has "
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
    """In one pass, the network's logits, float32 (B, C), and those of the patches, float32 (B, H, W); −inf where a patch is padding.

    inputs: (B, 3, S, S) as the model takes them. content: bool (B, S, S), False where the input is padding. A patch counts when half of
    it is content; of a sliver thinner than half a patch, its fullest patches do.
    """
    import torch

    from hf_bones.training.backbone.auxiliary import last_patches

    with torch.inference_mode():
        whole, patches = last_patches(model, inputs)
        logits = patches @ torch.as_tensor(head.weight, device=patches.device) + head.bias
        share = torch.nn.functional.adaptive_avg_pool2d(content[:, None].float(), (logits.shape[1], logits.shape[2]))[:, 0]
        inside = share >= share.amax(dim=(1, 2), keepdim=True).clamp(max=0.5)
        return whole, logits.masked_fill(~inside, float("-inf"))


def content_mask(shapes: list[tuple[int, int]], size: int, device: torch.device) -> torch.Tensor:
    """Where the inputs of images of these heights and widths hold picture and no padding, bool (B, `size`, `size`)."""
    import torch

    mask = torch.zeros(len(shapes), size, size, dtype=torch.bool, device=device)
    for own, (height, width) in zip(mask, shapes, strict=True):
        own[:height, :width] = True
    return mask
