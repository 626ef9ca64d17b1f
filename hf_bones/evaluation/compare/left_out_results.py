"""What a leave-one-source-out comparison finds: sources that were held out, recipes on each of them."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.evaluation.compare.runs import Failure
from hf_bones.evaluation.compare.scores import SplitRows
from hf_bones.evaluation.report.figures import Figure, Resampling
from hf_bones.metrics.figures import Floats


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A source that is held out: its rows, and how many more of its films share a group with another source and are not scored."""

    name: str
    rows: SplitRows
    shared: int


@dataclass(frozen=True, eq=False)
class SourceResult:
    """One recipe on one source that it has not seen, mean over its seeds.

    `score` is the mean of recall and specificity, those that rest on `MIN_ROWS` films or more; of a source with one class, that one. None
    where neither does. `draws` (R,) are its resamples. `knew`: the weights that the recipe starts from have learnt from the source.
    """

    source: str
    seeds: int
    normal: int
    abnormal: int
    recall: Figure
    specificity: Figure
    auroc: Figure
    score: float | None
    interval: tuple[float, float] | None
    draws: Floats
    knew: bool


@dataclass(frozen=True, eq=False)
class RecipeResult:
    """One recipe on all sources: `mean` of the scores of the sources that have one, and the lowest of them (`worst`, a source)."""

    name: str
    sources: tuple[SourceResult, ...]
    mean: float | None
    interval: tuple[float, float] | None
    worst: str | None
    minutes: float

    def of(self, source: str | None) -> SourceResult | None:
        return next((each for each in self.sources if each.source == source), None)


@dataclass(frozen=True, eq=False)
class LeftOutComparison:
    """What a leave-one-source-out comparison found, the recipe with the highest mean first."""

    dataset: str
    held_out: tuple[HeldOut, ...]
    results: tuple[RecipeResult, ...]
    failures: tuple[Failure, ...]
    normal: str
    seeds: tuple[int, ...]
    licences: tuple[str, ...]
    resampling: Resampling
    command: str
