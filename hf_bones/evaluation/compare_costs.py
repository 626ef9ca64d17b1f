"""What a model of the comparison costs: weights, megabytes on disk, milliseconds for one image on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hf_bones.evaluation.frozen import Backbone, ImageBytes
from hf_bones.evaluation.resolution_costs import Circumstances, measure_costs
from hf_bones.inference.checkpoint import find_checkpoint
from hf_bones.inference.predictor import BonePredictor


@dataclass(frozen=True)
class ModelCost:
    """`milliseconds` opens and scales one image and passes it through the network; `forward_ms` is the network's part, with its least and
    greatest round. `size` is the side of its input, px; `megabytes` is that of its weight files."""

    size: int
    parameters: int
    megabytes: float
    milliseconds: float
    forward_ms: float
    forward_range: tuple[float, float]


def model_costs(checkpoints: Mapping[str, str], images: Sequence[ImageBytes]) -> tuple[dict[str, ModelCost], Circumstances | None]:
    """The cost of each named checkpoint (folder, Hub id or `bundled`) on the CPU, one image at a time, all models in turn.

    Medians over rounds through all `images`, after one to warm up. All models are in memory at once: a slow moment of the machine then
    falls on all of them.
    """
    if not checkpoints or not images:
        return {}, None
    backbones, sizes = [], []
    for name, checkpoint in checkpoints.items():
        predictor = BonePredictor.from_pretrained(checkpoint, device="cpu")
        backbones.append(Backbone(name, predictor.model, predictor.spec, predictor.spec.size, None, ""))
        sizes.append(sum(path.stat().st_size for path in find_checkpoint(checkpoint).folder.glob("*.safetensors")) / 1e6)
    costs, circumstances = measure_costs(backbones, images, batch_size=1)
    found = {
        backbone.name: ModelCost(
            backbone.spec.size,
            sum(parameter.numel() for parameter in backbone.model.parameters()),
            megabytes,
            cost.milliseconds,
            cost.forward_ms,
            cost.forward_range,
        )
        for backbone, cost, megabytes in zip(backbones, costs, sizes, strict=True)
    }
    return found, circumstances
