"""What the classifier's linear layer sees of a network's last hidden state: the CLS token, the mean, the maximum, or a learnt average.

A fracture is small: a mean over all patches washes it out, a maximum or a learnt weighting need not. Where the architecture's own
classifier can say it (DINOv2's sees CLS beside the mean: one half is held at zero), the checkpoint stays a plain one of transformers.
Anything else is a `PooledClassifier`, which loads without remote code wherever this module has been imported.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageClassification, Dinov2Config, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from hf_bones.config.recipe import RecipeError

log = logging.getLogger(__name__)

MODEL_TYPE = "hf_bones_pooled"
_CLS_BESIDE_MEAN = ("dinov2", "dinov2_with_registers")  # the own head sees [CLS, mean of the patches]
_CLS_ALONE = ("vit", "deit")
_MEAN_ALONE = ("convnext", "convnextv2")


class TokenPooling(torch.nn.Module):
    """Hidden states (B, T, D), of which the first `prefix` are no patches, to what the head sees: (B, D), or (B, 2 D) for `cls+mean`.

    `attention` is one learnt query: softmax over the patches of its scaled product with each, then their average with these weights
    (Bahdanau et al. 2015 and since; one head, no projections). The query starts at zero, which is the mean.
    """

    def __init__(self, kind: str, width: int, prefix: int) -> None:
        super().__init__()
        self.kind, self.prefix = kind, prefix
        self.query = torch.nn.Parameter(torch.zeros(width)) if kind == "attention" else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        patches = tokens[:, self.prefix :]
        if self.query is not None:
            weights = (patches @ self.query / tokens.shape[-1] ** 0.5).softmax(dim=1)
            return torch.einsum("bt,btd->bd", weights, patches)
        if self.kind == "max":
            return patches.amax(dim=1)
        if self.kind == "cls":
            return tokens[:, 0]
        mean = patches.mean(dim=1)
        return mean if self.kind == "mean" else torch.cat([tokens[:, 0], mean], dim=1)


def _of_the_backbone(key: str) -> Any:
    """A property of `PooledConfig` that its backbone's config keeps."""
    return property(lambda config: getattr(config.backbone_config, key), lambda config, value: setattr(config.backbone_config, key, value))


class PooledConfig(PreTrainedConfig):
    """A backbone's config, which pooling stands on it, and how many of its tokens come before the patches."""

    model_type = MODEL_TYPE
    sub_configs = {"backbone_config": AutoConfig}  # noqa: RUF012 - read by transformers from the class

    def __init__(
        self, backbone_config: PreTrainedConfig | dict[str, Any] | None = None, pooling: str = "attention", prefix: int = 1, **more: Any
    ) -> None:
        if isinstance(backbone_config, dict):
            backbone_config = AutoConfig.for_model(**backbone_config)
        self.backbone_config: Any = Dinov2Config() if backbone_config is None else backbone_config
        self.pooling, self.prefix = pooling, prefix
        super().__init__(**more)

    # What the rest of the code asks of any network's config; it is kept in the backbone's.
    image_size = _of_the_backbone("image_size")
    num_channels = _of_the_backbone("num_channels")
    patch_size = _of_the_backbone("patch_size")
    hidden_size = _of_the_backbone("hidden_size")
    num_hidden_layers = _of_the_backbone("num_hidden_layers")


class PooledClassifier(PreTrainedModel):
    """A backbone of transformers, a pooling over its tokens and a linear layer."""

    config_class = PooledConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: PooledConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        # By way of the classifier: the base model alone would bring a pooler of its own, which nothing trains.
        self.backbone = AutoModelForImageClassification.from_config(config.backbone_config).base_model
        self.pooling = TokenPooling(config.pooling, config.hidden_size, config.prefix)
        self.classifier = torch.nn.Linear(config.hidden_size * (2 if config.pooling == "cls+mean" else 1), config.num_labels)
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.trunc_normal_(module.weight, std=0.02)
            torch.nn.init.zeros_(module.bias)
        elif isinstance(module, TokenPooling) and module.query is not None:
            torch.nn.init.zeros_(module.query)

    def classify(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) from the backbone's last hidden state (B, T, D)."""
        logits: torch.Tensor = self.classifier(self.pooling(tokens))
        return logits

    def forward(self, pixel_values: torch.Tensor | None = None, **more: Any) -> ImageClassifierOutput:
        output = self.backbone(pixel_values, **more)
        return ImageClassifierOutput(
            logits=self.classify(output.last_hidden_state),
            hidden_states=getattr(output, "hidden_states", None),
            attentions=getattr(output, "attentions", None),
        )


AutoConfig.register(MODEL_TYPE, PooledConfig, exist_ok=True)
AutoModelForImageClassification.register(PooledConfig, PooledClassifier, exist_ok=True)


class SeenHalf:
    """Before the head: sets to zero the half of its input that it is not to see, so that the weights on it get no gradient either."""

    def __init__(self, first: bool) -> None:
        self.first = first

    def __call__(self, _head: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        seen, unseen = inputs[0].chunk(2, dim=-1) if self.first else inputs[0].chunk(2, dim=-1)[::-1]
        halves = (seen, torch.zeros_like(unseen))
        return (torch.cat(halves if self.first else halves[::-1], dim=-1), *inputs[1:])


def with_pooling(model: PreTrainedModel, pooling: str, name: str) -> PreTrainedModel:
    """The network with what its head is to see: itself, changed in place, or a `PooledClassifier` on its backbone with a new head.

    Raises `RecipeError` naming `pooling` and `model` (called `name`) where the network has no such tokens.
    """
    kind = model.config.model_type
    if kind == MODEL_TYPE:
        if pooling not in ("own", model.config.pooling):
            raise RecipeError(
                f"pooling: {pooling} and model: {name!r} was trained with pooling: {model.config.pooling}; start from its backbone"
            )
        return model
    own = "cls+mean" if kind in _CLS_BESIDE_MEAN else "cls" if kind in _CLS_ALONE else "mean" if kind in _MEAN_ALONE else ""
    if pooling in ("own", own):
        return model
    if kind in _CLS_BESIDE_MEAN and pooling in ("cls", "mean"):
        _see_half(model.classifier, first=pooling == "cls")
        return model
    pooled = PooledClassifier(
        PooledConfig(
            backbone_config=model.config,
            pooling=pooling,
            prefix=_tokens_before_patches(model, pooling, name),
            id2label=model.config.id2label,
            label2id=model.config.label2id,
        )
    )
    pooled.backbone = model.base_model
    if int(os.environ.get("RANK", "0")) == 0:
        log.warning(
            "pooling: %s is not a pooling that transformers' own %s has: the checkpoint loads only where hf_bones is installed",
            pooling,
            kind,
        )
    return pooled


def _see_half(head: torch.nn.Linear, first: bool) -> None:
    """Holds at zero the weights of a head on one half of its input; loaded without us, the checkpoint says the same."""
    half = head.in_features // 2
    with torch.no_grad():
        head.weight[:, half:] *= not first
        head.weight[:, :half] *= first
    head.register_forward_pre_hook(SeenHalf(first))


def _tokens_before_patches(model: PreTrainedModel, pooling: str, name: str) -> int:
    """How many tokens precede the patches in the last hidden state, found on a blank image."""
    size, patch = getattr(model.config, "image_size", None), getattr(model.config, "patch_size", None)
    size, patch = (value[0] if isinstance(value, (list, tuple)) else value for value in (size, patch))
    if size and patch and model.base_model is not model:
        blank = torch.zeros(1, getattr(model.config, "num_channels", 3), size, size)
        with torch.no_grad():
            tokens = model.base_model(blank)[0]
        prefix = tokens.shape[1] - (size // patch) ** 2 if tokens.ndim == 3 else -1
        if prefix >= (1 if "cls" in pooling else 0) and tokens.shape[-1] == model.config.hidden_size:
            return prefix
    raise RecipeError(f"pooling: {pooling} and model: {name!r}: {type(model).__name__} gives no such tokens; set pooling to own")
