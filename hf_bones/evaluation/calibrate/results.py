"""What a calibration fitted and found, apart from who fits and who writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_bones.evaluation.calibrate.figures import Change, ReliabilityBin
from hf_bones.evaluation.calibrate.recipe import CalibrateRecipe
from hf_bones.evaluation.calibrate.selective import RiskCoverage
from hf_bones.evaluation.decision_curve import DecisionCurve
from hf_bones.inference.decision import DecisionRule
from hf_bones.metrics.decisions import ClassDecisions
from hf_bones.metrics.figures import Floats, Ints

MODEL = "act on the model's P(abnormal)"  # its name in the decision curve


@dataclass(frozen=True, eq=False)
class CalibratedRows:
    """N labelled films and what the network says of them.

    joined (N, C): logits as `DecisionRule.joined` gives them. before (N, C): probabilities as the checkpoint gave them until now.
    labels (N,), groups (N,): rows of a group are never on both sides of a fold. heads: answers out of fold over train and validation, where
    they were asked for (`heads.HeadAnswers`).
    """

    joined: Floats
    before: Floats
    labels: Ints
    groups: list[str]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A new decision rule and its measures on the rows that it was fitted on.

    method: `temperature` or `vector`. probabilities (N, C): out of fold. conformal_thresholds: before costs moved the normal class's.
    changes: figures before and after. by_chance: the ECE that would be within chance of none. reliability: before and after, by class.
    notes: what is to be said of it.
    """

    decision: DecisionRule
    method: str
    losses: dict[str, float]
    probabilities: Floats
    conformal_thresholds: dict[str, float]
    changes: dict[str, Change]
    by_chance: float
    reliability: dict[str, dict[str, list[ReliabilityBin]]]
    decisions: list[ClassDecisions]
    risk: RiskCoverage
    curve: DecisionCurve
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Calibration:
    """What `hf-bones calibrate` did: the folder that holds the checkpoint, the rows, the fit, and what is said of both.

    dataset, split, dataset_sha256: where the rows are from. left_out: reason → rows. replaced: `vector`, `thresholds`, `conformal` and
    `temperature` as they were before.
    """

    folder: Path
    checkpoint: str
    dataset: str
    split: str
    dataset_sha256: str
    recipe: CalibrateRecipe
    rows: CalibratedRows
    fitted: Fitted
    left_out: Mapping[str, int] = field(default_factory=dict)
    replaced: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
