"""What a comparison found, apart from who makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hf_bones.evaluation.compare.costs import ModelCost
from hf_bones.evaluation.compare.figures import Difference, Part, SeedFigures
from hf_bones.evaluation.compare.runs import Failure
from hf_bones.evaluation.compare.scores import Scores
from hf_bones.evaluation.report.baselines import FOREST, MAJORITY
from hf_bones.evaluation.report.figures import Figure, Resampling
from hf_bones.evaluation.resolution.costs import CostSetup as Clockwork
from hf_bones.evaluation.seen import SeenRows
from hf_bones.labels import LabelScheme

RECIPE, CHECKPOINT, BASELINE = "recipe", "checkpoint", "baseline"


ABOUT = {MAJORITY: "the shares of the classes, whatever the image", FOREST: "a forest on size, brightness and borders; sees no bone"}


@dataclass(frozen=True, eq=False)
class Contender:
    """What stands in one row, before it has figures: its checkpoints or baseline, and the scores of each of its finished `seeds`.

    `wanted` seeds were asked for. `seen`: which of the shown rows and which of the validation rows its checkpoint had before.
    """

    name: str
    kind: str
    description: str
    seeds: tuple[int, ...]
    wanted: int
    checkpoint: str | None  # the first seed's; where it comes from elsewhere, that one
    minutes: float | None
    scores: tuple[Scores, ...]
    seen: tuple[SeenRows, SeenRows] | None = None


@dataclass(frozen=True)
class SeenBefore:
    """How many rows of a split, or of one source of it, a checkpoint had before, and AUROC(abnormal) without them (None: none is left).

    `words` are "" where it had none, and where nobody knows (not `known`).
    """

    split: str
    known: bool
    learnt: int
    chosen: int
    rows: int
    words: str
    without: Figure | None


@dataclass(frozen=True, eq=False)
class Standing:
    """A row of the leaderboard.

    `selection` and `validation` are of the validation rows, `shown` of the parts of the shown split, the one to read first standing first.
    `gap` is AUROC(abnormal) on rows learnt from less that on validation, mean over the seeds. `seen`: of the shown rows, read in the part
    to read first, and of the validation rows; nothing of a baseline.
    """

    rank: int
    contender: Contender
    selection: Figure
    validation: SeedFigures
    shown: tuple[SeedFigures, ...]
    train_auroc: float | None
    gap: float | None
    cost: ModelCost | None
    looks: int | None
    seen: tuple[SeenBefore, ...] = ()

    @property
    def name(self) -> str:
        return self.contender.name


@dataclass(frozen=True)
class Neighbours:
    """Two that follow each other in the ranking: how far they are apart in the selection score and in AUROC(abnormal) of the shown part."""

    first: str
    second: str
    on_validation: Difference
    on_shown: Difference


@dataclass(frozen=True, eq=False)
class Comparison:
    """All of a leaderboard. `settings` are the recipe keys that differ between the recipes."""

    dataset: str
    split: str
    validation: Part
    parts: tuple[Part, ...]
    validation_sha256: str
    shown_sha256: str
    licences: tuple[str, ...]
    scheme: LabelScheme
    seeds: tuple[int, ...]
    standings: tuple[Standing, ...]
    neighbours: tuple[Neighbours, ...]
    failures: tuple[Failure, ...]
    settings: Mapping[str, Mapping[str, object]]
    clockwork: Clockwork | None
    specificity: float
    resampling: Resampling
    train_images: int
    command: str
