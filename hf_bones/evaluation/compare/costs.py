"""What a model of the comparison costs: weights, megabytes on disk, milliseconds for one image on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_bones.dataset.schema import image_bytes
from hf_bones.evaluation.compare.scores import SplitRows
from hf_bones.evaluation.opinions.frozen import Backbone, ImageBytes
from hf_bones.evaluation.resolution.costs import CostSetup, measure_costs
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.inference.checkpoint import find_checkpoint
from hf_bones.inference.predictor import BonePredictor

_COST_IMAGES = 16  # images that the milliseconds are measured on


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


def model_costs(checkpoints: Mapping[str, str], images: Sequence[ImageBytes]) -> tuple[dict[str, ModelCost], CostSetup | None]:
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


def cost_images(rows: SplitRows) -> list[ImageBytes]:
    """Readers of a few images of the split, spread over it, for the clock."""
    from datasets import Image

    part = rows.part.select_columns("image").cast_column("image", Image(decode=False))
    found: list[ImageBytes] = []
    for row in np.linspace(0, len(part) - 1, min(_COST_IMAGES, len(part))).astype(int).tolist():
        body = image_bytes(part[row]["image"])
        try:
            open_image(body)
        except ImageRefusedError:
            continue
        found.append(lambda body=body: body)  # type: ignore[misc]
    return found
