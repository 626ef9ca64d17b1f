"""Teachers: finished checkpoints that judge the very view that the student sees, at their own input size.

A teacher is asked anew for each augmented view rather than once an image: "Knowledge distillation: A good teacher is patient and
consistent" (Beyer et al., CVPR 2022, arXiv 2106.05237).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils.hub import cached_file

from hf_bones.config.recipe import RecipeError
from hf_bones.labels import LabelScheme
from hf_bones.preprocess import InputSpec, spec_from_processor
from hf_bones.reach import from_hub
from hf_bones.record import public_name, read_json, sha256_file, sha256_rows
from hf_bones.training.backbone.auxiliary import patch_grid, patch_map
from hf_bones.training.backbone.checkpoint_sizes import check_config
from hf_bones.training.backbone.loading import head_labels, head_of, resolve_model
from hf_bones.training.data.on_device import constant

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, eq=False)
class Teacher:
    """A frozen network with its input. `order` gives the place in its head of each class of the scheme, None where it has other classes.

    `sha256` is that of its weights' file (of several: of their names and hashes); `licences` of the rows that it learnt from itself, with
    their numbers, as its record.json has them; `shift` is what was added to its logits, in the scheme's order, for balanced verdicts.
    """

    name: str
    sha256: str
    model: PreTrainedModel
    spec: InputSpec
    order: tuple[int, ...] | None
    licences: dict[str, int]
    shift: tuple[float, ...]

    @property
    def grid(self) -> int:
        """Patches a side of its input, see `patch_grid`."""
        return patch_grid(self.model, self.spec.size)

    def feature_width(self, kind: str) -> int:
        """Numbers in a feature: of `tokens` those of a patch, of `pooled` what the head is given."""
        return head_of(self.model).in_features if kind == "pooled" else hidden_width(self.model)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher says of a batch: `probabilities` (B, C), and `features` (B, F) pooled or (B, H, W, F) of patches, where asked for."""

    probabilities: torch.Tensor | None
    features: torch.Tensor | None


def hidden_width(model: PreTrainedModel) -> int:
    """Channels of the last hidden state. Raises `RecipeError` where the config does not say."""
    config = model.config
    if not getattr(config, "hidden_sizes", None) and not hasattr(config, "hidden_size"):
        raise RecipeError(f"features: tokens and model: {type(model).__name__} shows no hidden states; choose features: pooled")
    return int(config.hidden_sizes[-1] if getattr(config, "hidden_sizes", None) else config.hidden_size)


def load_teacher(name: str, scheme: LabelScheme) -> Teacher:
    """The checkpoint `name` (folder, Hub id or `bundled`), frozen, at its own input size.

    A head without class names teaches features only. Raises `RecipeError` naming `teacher` for a checkpoint that cannot be loaded, that
    ships no processor, or whose classes are not the scheme's.
    """
    try:
        source = resolve_model(name)
        with from_hub(source, "model", "--teacher FOLDER"):
            check_config(AutoConfig.from_pretrained(source).to_dict())
            model = AutoModelForImageClassification.from_pretrained(source, use_safetensors=True, dtype=torch.float32)
            processor, _ = ImageProcessingMixin.get_image_processor_dict(source)
            digest, licences, shift = weights_hash(source), recorded_licences(source), recorded_shift(source)
    except (OSError, ValueError) as error:
        raise RecipeError(f"teacher: {name!r} cannot be loaded: {error}") from error
    spec = spec_from_processor(processor, f"{name}: preprocessor_config.json")
    labels = head_labels(model.config)
    if labels and set(labels) != set(scheme.names):
        raise RecipeError(
            f"teacher: {name!r} tells apart {list(labels)}, but label_scheme {scheme.name!r} has {list(scheme.names)}; "
            "choose a teacher of the same classes, or the scheme that it was trained on"
        )
    model.eval().requires_grad_(False)
    order = tuple(labels.index(label) for label in scheme.names) if labels else None
    return Teacher(name, digest, model, spec, order, licences, tuple(shift.get(label, 0.0) for label in scheme.names))


def weights_hash(source: str) -> str:
    """Hex SHA-256 of a checkpoint's safetensors file in a folder or the Hub's cache; of several, that of their names and hashes."""
    whole = cached_file(source, _WEIGHTS, _raise_exceptions_for_missing_entries=False)
    if whole is not None:
        return sha256_file(Path(whole))
    index = cached_file(source, _INDEX)
    return sha256_rows((part.name, sha256_file(part)) for part in sorted(Path(str(index)).parent.glob("model-*-of-*.safetensors")))


def recorded_licences(source: str) -> dict[str, int]:
    """Licence → rows that a checkpoint was trained on, from its record.json; nothing where it has none."""
    found = _record(source).get("data", {}).get("licences", {})
    return dict(found) if isinstance(found, dict) else {}


def recorded_shift(source: str) -> dict[str, float]:
    """Class → what `balanced_verdicts` added to its logit. A student is taught without it, or it would be added twice."""
    found = _record(source).get("verdict_shift", {})
    return dict(found) if isinstance(found, dict) else {}


def _record(source: str) -> dict[str, Any]:
    record = cached_file(source, "record.json", _raise_exceptions_for_missing_entries=False)
    found = read_json(Path(record)) if record is not None else {}
    return found if isinstance(found, dict) else {}


def teacher_view(pixels: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, student: InputSpec, teacher: InputSpec) -> torch.Tensor:
    """The student's normalised batch (B, C, S, S) as a teacher takes it: (B, 3, T, T) under its own mean and std, padding 0.

    `heights` and `widths` (B,) are the pixels, of S, that each image fills. The same input comes back bit for bit where nothing differs.
    """
    if student == teacher and pixels.shape[1] == 3:
        return pixels
    grey = pixels[:, :1].float() * student.std[0] + student.mean[0]
    side = teacher.size
    if student.size != side:
        grey = torch.nn.functional.interpolate(grey, size=(side, side), mode="bicubic", antialias=side < student.size, align_corners=False)
        grey = grey.clamp(0, 1)
    place = (torch.arange(side, device=pixels.device) + 0.5) * student.size / side
    outside = (place[None, :, None] >= heights[:, None, None]) | (place[None, None, :] >= widths[:, None, None])
    mean = constant(teacher.mean, pixels.device)[None, :, None, None]
    std = constant(teacher.std, pixels.device)[None, :, None, None]
    return ((grey - mean) / std).masked_fill(outside[:, None], 0)


def ask(teacher: Teacher, pixels: torch.Tensor, features: str | None = None) -> Lesson:
    """What a teacher says of its input (B, 3, T, T); `features` is None, `tokens` or `pooled`. No gradients."""
    kept: list[torch.Tensor] = []
    hook: Any = None
    if features == "pooled":
        hook = head_of(teacher.model).register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0]))
    elif features == "tokens":
        hook = teacher.model.base_model.register_forward_hook(lambda _module, _inputs, output: kept.append(output[0]))
    try:
        with torch.no_grad():
            logits = teacher.model(pixel_values=pixels).logits.float()
    finally:
        if hook is not None:
            hook.remove()
    found = None if not kept else kept[0].float() if features == "pooled" else patch_map(kept[0].float(), teacher.grid)
    if teacher.order is None:
        return Lesson(None, found)
    return Lesson((logits[:, list(teacher.order)] - constant(teacher.shift, logits.device)).softmax(dim=1), found)


def mean_probabilities(lessons: Sequence[Lesson]) -> torch.Tensor | None:
    """The average (B, C) over the teachers that know the classes; None where none does."""
    said = [lesson.probabilities for lesson in lessons if lesson.probabilities is not None]
    return torch.stack(said).mean(dim=0) if said else None


def describe_teachers(teachers: Sequence[Teacher]) -> list[dict[str, Any]]:
    """Names, hashes and input sizes for the record."""
    return [{"name": public_name(one.name), "sha256": one.sha256, "size": one.spec.size, "licences": one.licences} for one in teachers]
