"""What the advice on resolution rests on, apart from who measures it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.evaluation.resolution.shapes import Letterboxing, SizeClusters
from hf_bones.metrics.figures import Ints

if TYPE_CHECKING:
    from hf_bones.evaluation.resolution.costs import Cost, CostSetup
    from hf_bones.evaluation.resolution.measure import Choice, SizeFigures


@dataclass(frozen=True, eq=False)
class Shapes:
    """What the headers say. `sizes` (N, 2) width, height of the upright images that can be read; `refused` counts the others by reason."""

    sizes: Ints
    refused: Counter[str]
    clusters: SizeClusters
    aspects: dict[int, float]
    candidates: tuple[Letterboxing, ...]


@dataclass(frozen=True, eq=False)
class SizeMeasurements:
    """What cross-validation and the clock say. `asked` maps each size that the network took to the one asked for.

    `rows` counts the images by class; `seconds` is what features, heads, comparison and costs took, in whichever run that was.
    """

    model: str
    asked: dict[int, int]
    figures: tuple[SizeFigures, ...]
    costs: tuple[Cost, ...]
    circumstances: CostSetup
    choice: Choice
    rows: dict[str, int]
    groups: int
    settings: OpinionSettings
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Resolution:
    """All of it, as it stands in report.md and resolution.json."""

    data: str
    data_sha256: str
    licences: tuple[str, ...]
    shapes: Shapes
    measured: SizeMeasurements | None
