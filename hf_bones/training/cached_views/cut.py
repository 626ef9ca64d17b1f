"""The frozen part of a network by itself: where it ends, running it alone, and running only what lies above it.

With `trainable: head` or `last:K` everything below the first part that learns gives the same output for the same pixels in every epoch.
`fill.py` keeps that output on disk; here the network learns from there. The modules stay those of the whole network, so
optimiser, averaging, checkpoints and several processes see nothing of it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from hf_bones.config.recipe import RecipeError
from hf_bones.training.backbone.loading import blocks_of, head_modules, head_of


@dataclass(frozen=True)
class NetworkCut:
    """Where the frozen part ends: at the input of block `first` of the module list `blocks`, or, without blocks, of the head.

    A head whose pooling learns begins with that.
    """

    blocks: str
    first: int

    def __str__(self) -> str:
        return f"block {self.first} of {self.blocks}" if self.blocks else "the head"


class _Reached(Exception):  # noqa: N818 - it stops a forward pass where enough is known
    def __init__(self, kept: torch.Tensor) -> None:
        self.kept = kept


class _Handover(torch.nn.Module):
    """Stands where the frozen blocks were and hands on what they gave, whatever it is given."""

    def __init__(self, kept: torch.Tensor, as_tuple: bool) -> None:
        super().__init__()
        self.kept, self.as_tuple = kept, as_tuple

    def forward(self, *_arguments: Any, **_more: Any) -> Any:
        return (self.kept,) if self.as_tuple else self.kept


def find_cut(model: PreTrainedModel, trainable: str) -> NetworkCut:
    """Where the part that `trainable` leaves frozen ends. Raises `RecipeError` naming the keys where there is no such part."""
    if trainable == "head":
        head_of(model)
        return NetworkCut("", 0)
    if not trainable.startswith("last:"):
        raise RecipeError(
            f"cached_views and trainable: {trainable}: nothing is frozen, so nothing can be kept; set trainable to head or last:K"
        )
    try:
        blocks = blocks_of(model)
    except ValueError as error:
        raise RecipeError(f"cached_views and model: {error}") from error
    name = next(name for name, module in model.named_modules() if module is blocks)
    return NetworkCut(name, len(blocks) - int(trainable.partition(":")[2]))


def frozen_output(model: PreTrainedModel, cut: NetworkCut, pixel_values: torch.Tensor) -> torch.Tensor:
    """What the frozen part gives for (B, C, S, S): hidden states (B, T, D) or a map (B, D, H, W), or features (B, F)."""

    def stop(_module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        raise _Reached(arguments[0] if arguments else keywords["hidden_states"])

    entry = model.get_submodule(f"{cut.blocks}.{cut.first}") if cut.blocks else head_modules(model)[-1 if _pooling_learns(model) else 0]
    hook = entry.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        type(model).forward(model, pixel_values=pixel_values)
    except _Reached as reached:
        return reached.kept
    finally:
        hook.remove()
    raise RecipeError(f"cached_views and model: {type(model).__name__} never comes to {cut}; set cached_views to 0")


def _pooling_learns(model: PreTrainedModel) -> bool:
    return any(True for module in head_modules(model)[1:] for _ in module.parameters())


def run_above(model: PreTrainedModel, cut: NetworkCut, kept: torch.Tensor, size: int, as_tuple: bool = False, **more: Any) -> Any:
    """The network's output from cached views; gradients reach what lies above only.

    The network's own forward pass runs with one blank image of `size` px, and the cached views take over where the frozen blocks stood.
    """
    kept = kept.to(head_of(model).weight.dtype)
    if not cut.blocks:
        return ImageClassifierOutput(logits=model.classify(kept) if _pooling_learns(model) else head_of(model)(kept))
    with _without_frozen_blocks(model, cut, _Handover(kept, as_tuple)):
        blank = torch.zeros(1, getattr(model.config, "num_channels", 3), size, size, device=kept.device)
        return type(model).forward(model, pixel_values=blank, **more)


@contextmanager
def _without_frozen_blocks(model: PreTrainedModel, cut: NetworkCut, handover: _Handover) -> Iterator[None]:
    owner, _, name = cut.blocks.rpartition(".")
    siblings = model.get_submodule(owner)._modules
    whole: Any = siblings[name]
    above = [handover, *list(whole)[cut.first :]]
    siblings[name] = torch.nn.Sequential(*above) if isinstance(whole, torch.nn.Sequential) else torch.nn.ModuleList(above)
    try:
        yield
    finally:
        siblings[name] = whole


def start_at_cut(model: PreTrainedModel, cut: NetworkCut, pixel_values: torch.Tensor) -> torch.Tensor:
    """Lets `model(kept=…)` run only what lies above the cut; `model(pixel_values=…)` stays as it was.

    Returns what the frozen part gives for `pixel_values` (B, C, S, S), after comparing both ways on them. Raises `RecipeError` where the
    network cannot be cut there, or says something else when it is.
    """
    size = pixel_values.shape[-1]
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            as_tuple = _gives_tuples(model, cut, pixel_values)
            whole = type(model).forward(model, pixel_values=pixel_values).logits
            kept = frozen_output(model, cut, pixel_values)
            above = run_above(model, cut, kept, size, as_tuple).logits
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        raise RecipeError(
            f"cached_views and model: {type(model).__name__} cannot be cut at {cut} ({error}); set cached_views to 0"
        ) from error
    finally:
        model.train(was_training)
    if not torch.allclose(whole, above, rtol=1e-3, atol=1e-3):
        raise RecipeError(
            f"cached_views and model: cut at {cut}, {type(model).__name__} says something else ({(whole - above).abs().max():.2g} off); "
            "set cached_views to 0"
        )

    def forward(self: PreTrainedModel, kept: torch.Tensor | None = None, pixel_values: torch.Tensor | None = None, **more: Any) -> Any:
        if kept is None:
            return type(self).forward(self, pixel_values=pixel_values, **more)
        return run_above(self, cut, kept, size, as_tuple, **more)

    model.forward = types.MethodType(forward, model)  # on this one network; a copy of it (averaged weights) gets its own
    return kept


def _gives_tuples(model: PreTrainedModel, cut: NetworkCut, pixel_values: torch.Tensor) -> bool:
    """Whether a block gives its hidden states inside a tuple."""
    if not cut.blocks:
        return False
    seen: list[bool] = []
    block = model.get_submodule(f"{cut.blocks}.{cut.first}")
    hook = block.register_forward_hook(lambda _module, _inputs, output: seen.append(isinstance(output, tuple)))
    try:
        type(model).forward(model, pixel_values=pixel_values[:1])
    finally:
        hook.remove()
    return seen[0]
