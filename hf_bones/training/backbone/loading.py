"""The network: loading any image-classification checkpoint, cutting it to its first blocks, choosing what learns, growing its head."""

from __future__ import annotations

import logging
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.image_processing_base import ImageProcessingMixin

from hf_bones.config.recipe import ModelConfig
from hf_bones.labels import LabelScheme
from hf_bones.preprocess import InputSpec, spec_from_processor
from hf_bones.reach import from_hub
from hf_bones.training.backbone.checkpoint_sizes import check_config
from hf_bones.training.backbone.one_channel import one_channel_spec, to_one_channel
from hf_bones.training.backbone.pooling import TokenPooling, with_pooling
from hf_bones.training.backbone.resizing import resize_network
from hf_bones.training.backbone.timm import MODEL_TYPE as TIMM
from hf_bones.training.backbone.timm import arguments_with, is_timm, mean_and_std, timm_blocks, timm_head, unfreeze_after

log = logging.getLogger(__name__)

# Weights that are looked up, not multiplied with; the last three are timm's names.
_NOT_DECAYED = ("position_embeddings", "cls_token", "mask_token", "register_tokens", "pos_embed", "reg_token", "dist_token")


def resolve_model(name: str) -> str:
    """What to hand to `from_pretrained`: the package's own folder for `bundled` and for an architecture that ships, else `name` as it is.

    Raises FileNotFoundError when a path-like name or the bundled folder holds no config.json.
    """
    if name == "bundled":
        folder = Path(str(resources.files("hf_bones") / "checkpoint"))
    elif name in architecture_names():
        folder = Path(str(_architectures() / name))
    elif Path(name).is_dir() or name.startswith((".", "/", "~")):
        folder = Path(name).expanduser()
    else:
        return name
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"model {name!r}: {folder} holds no config.json; give a checkpoint folder or a Hub id")
    return str(folder)


def architecture_names() -> list[str]:
    """Networks that ship as a config alone, without weights: names for `model` together with `from_scratch`."""
    return sorted(entry.name for entry in _architectures().iterdir() if entry.is_dir())


def _architectures() -> Traversable:
    return resources.files("hf_bones") / "recipes" / "architectures"


def load_model(config: ModelConfig, scheme: LabelScheme) -> tuple[PreTrainedModel, InputSpec]:
    """The model with a head for `scheme`, float32, and the input it expects.

    A checkpoint that already classifies into some of the scheme's labels keeps those rows of its head (`grow_head`); any other head is
    replaced by a new one. Weights are read from safetensors only, and no remote code runs.

    Raises ValueError naming the recipe key for a combination that the architecture cannot do, and as `from_hub`.
    """
    with from_hub(resolve_model(config.model), "model", "--model FOLDER"):
        return _load(config, scheme)


def _load(config: ModelConfig, scheme: LabelScheme) -> tuple[PreTrainedModel, InputSpec]:
    source = resolve_model(config.model)
    if not config.from_scratch and config.model in architecture_names():
        raise ValueError(f"model: {config.model!r} ships as an architecture, without weights; set from_scratch: true, or name a checkpoint")
    settings = _settings(source, config)
    check_config(settings.to_dict())
    old_labels = head_labels(settings)
    backbone = getattr(settings, "backbone_config", None) or settings
    for key, value in _depth_settings(backbone, config).items():
        setattr(backbone, key, value)
    kept_head = bool(old_labels) and set(old_labels) <= set(scheme.names) and not config.from_scratch
    if not kept_head:
        _name_classes(settings, scheme)
    settings.dtype = torch.float32
    if config.from_scratch:
        settings.image_size = config.image_size
        model = AutoModelForImageClassification.from_config(settings)
    else:
        model = AutoModelForImageClassification.from_pretrained(
            source,
            config=settings,
            revision=config.revision,
            use_safetensors=True,
            ignore_mismatched_sizes=not kept_head,
            dtype=torch.float32,
        )
    if is_timm(model) or not config.from_scratch:
        resize_network(model, config.image_size)
    if kept_head and tuple(old_labels) != scheme.names:
        grow_head(model, scheme)
    model = with_pooling(model, config.pooling, config.model)
    freeze(model, config.trainable)
    spec = _input_spec(source, config, settings)
    if config.input_channels == 1:
        to_one_channel(model)
        spec = one_channel_spec(spec)
    return model, spec


def _settings(source: str, config: ModelConfig) -> Any:
    try:
        return AutoConfig.from_pretrained(source, revision=config.revision)
    except (RecursionError, TypeError, AttributeError, KeyError) as error:  # a stranger's config, nested without end or of wrong kinds
        raise ValueError(
            f"model: the config.json of {config.model!r} cannot be read ({type(error).__name__}: {str(error)[:200]})"
        ) from error


def _name_classes(settings: Any, scheme: LabelScheme) -> None:
    settings.id2label, settings.label2id = scheme.id2label, scheme.label2id
    settings.num_labels = len(scheme.names)
    if settings.model_type == TIMM:
        settings.label_names = list(scheme.names)  # what its config.json keeps instead


def head_labels(settings: Any) -> tuple[str, ...]:
    """Label names of a checkpoint's head in order, or () where they are only placeholders such as LABEL_0."""
    names = tuple(settings.id2label[index] for index in sorted(settings.id2label))
    return () if all(name.startswith("LABEL_") for name in names) else names


def _depth_settings(settings: Any, config: ModelConfig) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if config.keep_blocks is not None:
        depth = getattr(settings, "num_hidden_layers", None)
        if depth is None or hasattr(settings, "depths"):
            raise ValueError(f"keep_blocks: {settings.model_type} has stages of different widths; only plain transformers can be cut")
        if not 1 <= config.keep_blocks <= depth:
            raise ValueError(f"keep_blocks: expected 1 to {depth} for {config.model!r}, got {config.keep_blocks}")
        extra["num_hidden_layers"] = config.keep_blocks
        if hasattr(settings, "stage_names"):
            names = ["stem", *(f"stage{index}" for index in range(1, config.keep_blocks + 1))]
            extra |= {"stage_names": names, "_out_features": names[-1:], "_out_indices": [config.keep_blocks]}
    # Set where it is 0, too: a checkpoint that was trained with it says so in its config.
    if settings.model_type == TIMM:
        if config.drop_path or "drop_path_rate" in (settings.model_args or {}):
            extra["model_args"] = arguments_with(settings, drop_path_rate=config.drop_path)
    elif hasattr(settings, "drop_path_rate"):
        extra["drop_path_rate"] = config.drop_path
    elif config.drop_path:
        raise ValueError(f"drop_path: {settings.model_type} has no stochastic depth; set drop_path to 0")
    return extra


def _input_spec(source: str, config: ModelConfig, settings: Any) -> InputSpec:
    """The training size with the checkpoint's own mean and std, ImageNet's where it ships no processor."""
    try:
        processor, _ = ImageProcessingMixin.get_image_processor_dict(source, revision=config.revision)
    except OSError:
        if told := mean_and_std(settings):
            return InputSpec(config.image_size, *told)
        log.warning("%s has no preprocessor_config.json: normalising with ImageNet's mean and std", config.model)
        return InputSpec(config.image_size)
    found = spec_from_processor(processor, f"{config.model}: preprocessor_config.json")
    return InputSpec(config.image_size, found.mean, found.std)


def head_of(model: PreTrainedModel) -> torch.nn.Linear:
    """The final linear layer. Raises ValueError where the classifier is something else."""
    head = timm_head(model) if is_timm(model) else getattr(model, "classifier", None)
    if isinstance(head, torch.nn.Sequential):  # ResNet flattens first
        head = head[-1]
    if not isinstance(head, torch.nn.Linear):
        raise ValueError(f"{type(model).__name__}: its classifier is not a linear layer; this step needs one")
    return head


def head_parameters(model: PreTrainedModel) -> set[int]:
    """Ids of the weights that start anew and learn at the head's rate: the head's and its pooling's, and those of heads beside it."""
    further = getattr(model, "auxiliary", None)
    return {id(p) for module in (*head_modules(model), further) if module is not None for p in module.parameters()}


def head_modules(model: PreTrainedModel) -> list[torch.nn.Module]:
    """What learns with `trainable: head`: the final linear layer, and the pooling before it where that is one of ours."""
    pooling = getattr(model, "pooling", None)
    return [head_of(model), pooling] if isinstance(pooling, TokenPooling) else [head_of(model)]


def grow_head(model: PreTrainedModel, scheme: LabelScheme) -> None:
    """Gives the head one output per class of `scheme`, in place, keeping what it learnt.

    Rows of labels that it has are copied. The new abnormal classes and the last old abnormal one start as equal shares of that old
    one: same weights, bias lowered by log(shares). Softmax then gives every other class, P(healthy) above all, exactly the probability
    it had, and fine-tuning starts from there.

    Raises ValueError when the old head has a label that the scheme lacks, or no abnormal class to split.
    """
    old_names = head_labels(model.config)
    missing = sorted(set(old_names) - set(scheme.names))
    if missing:
        raise ValueError(f"label_scheme: {scheme.name!r} lacks {missing}, which the checkpoint predicts")
    head = head_of(model)
    old_abnormal = [name for name in old_names if name != scheme.normal]
    if not old_abnormal:
        raise ValueError("label_scheme: the checkpoint has no abnormal class to grow from")
    split = max(old_abnormal, key=scheme.names.index)
    sharing = [name for name in scheme.names if name not in old_names or name == split]
    grown = torch.nn.Linear(head.in_features, len(scheme.names), device=head.weight.device, dtype=head.weight.dtype)
    with torch.no_grad():
        for index, name in enumerate(scheme.names):
            source = old_names.index(split if name in sharing else name)
            grown.weight[index] = head.weight[source]
            grown.bias[index] = head.bias[source]
            if name in sharing:
                grown.bias[index] -= torch.log(torch.tensor(float(len(sharing))))
    model.set_submodule(next(name for name, module in model.named_modules() if module is head), grown)
    _name_classes(model.config, scheme)
    model.num_labels = len(scheme.names)


def blocks_of(model: PreTrainedModel) -> torch.nn.ModuleList | torch.nn.Sequential:
    """The backbone's blocks or stages, input side first: the outermost module list that holds the most weights."""
    if is_timm(model) and (blocks := timm_blocks(model)) is not None:
        return blocks
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList) and len(module) > 1]
    outer = [(name, module) for name, module in lists if not any(name.startswith(f"{other}.") for other, _ in lists if other != name)]
    if not outer:
        raise ValueError(f"{type(model).__name__}: no list of blocks found; use trainable: all or head")
    return max((module for _, module in outer), key=lambda module: sum(p.numel() for p in module.parameters()))


def compile_blocks(model: PreTrainedModel) -> None:
    """Compiles the forward pass of each block, in place, for training alone; blocks of one kind share the compiled code.

    Validation comes in batches of other sizes and without gradients, each of which would be compiled anew for a few passes.
    """
    for block in blocks_of(model):
        plain = block.forward
        compiled = torch.compile(plain, dynamic=False)  # stages of a ConvNeXt differ in shape, and shapes left open do not compile

        def forward(*inputs: Any, plain: Any = plain, compiled: Any = compiled, block: torch.nn.Module = block, **named: Any) -> Any:
            return (compiled if block.training else plain)(*inputs, **named)

        block.forward = forward


def freeze(model: PreTrainedModel, trainable: str) -> None:
    """Sets which weights learn: `all`, `head`, or `last:K` (head, what follows the blocks, and the last K blocks or stages)."""
    for name, parameter in model.named_parameters():
        if name.endswith("mask_token"):
            # Only masked pre-training uses it; left learning, it stops training on several processes for want of a gradient.
            parameter.requires_grad = False
    if trainable == "all":
        return
    kind, _, count = trainable.partition(":")
    model.requires_grad_(False)
    for module in head_modules(model):
        module.requires_grad_(True)
    if kind == "last":
        blocks = blocks_of(model)
        if int(count) > len(blocks):
            raise ValueError(f"trainable: {trainable!r} but {type(model).__name__} has {len(blocks)} blocks")
        for block in list(blocks)[-int(count) :]:
            block.requires_grad_(True)
        if is_timm(model):
            unfreeze_after(model, blocks)
        for name, module in model.named_modules():
            if name.endswith(("layernorm", "layer_norm")) and name.count(".") == 1:
                module.requires_grad_(True)


def parameter_groups(
    model: PreTrainedModel, learning_rate: float, head_learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Optimiser groups: layer-wise learning rates (Clark et al. 2020, Bao et al. 2022), no decay on biases, norms, tokens, positions."""
    blocks = blocks_of(model) if layer_decay != 1 else torch.nn.ModuleList()
    depth = {id(p): index for index, block in enumerate(blocks) for p in block.parameters()}
    head = head_parameters(model)
    seen_blocks = False
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        seen_blocks = seen_blocks or id(parameter) in depth
        if not parameter.requires_grad:
            continue
        if id(parameter) in head:
            rate = head_learning_rate
        else:
            above = len(blocks) - depth[id(parameter)] - 1 if id(parameter) in depth else (0 if seen_blocks else len(blocks))
            rate = learning_rate * layer_decay**above
        plain = parameter.ndim == 1 or name.endswith(_NOT_DECAYED)
        groups.setdefault((rate, 0.0 if plain else weight_decay), []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]
