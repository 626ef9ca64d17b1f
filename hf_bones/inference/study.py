"""Several views of one patient's examination, a study, answered together.

A break hides in one view and shows in another, so a study is answered from all its views: from the mean of their calibrated log
probabilities, or from the view that speaks most for a break, as decision.json says (`study`; `hf-bones calibrate` chooses by validation).
Both leave the classes' thresholds as they are. A view that cannot be read, or is no bone radiograph, is left out and said to be.

Not here: which files are one study (`study_lists.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import NOT_A_BONE_XRAY, UNREADABLE, Finding
from hf_bones.inference.verdict import verdict_of
from hf_bones.logits import softmax

Floats = npt.NDArray[np.float64]

MEAN, MOST_ABNORMAL = "mean", "most_abnormal"
_LEAST = 1e-12  # of a probability, before its logarithm


@dataclass(frozen=True)
class StudyJoin:
    """How the views of a study make one answer: `kind` is `mean` or `most_abnormal`; `fitted_on`, counts and figures of the choice."""

    kind: str = MEAN
    fitted_on: dict[str, Any] = field(default_factory=dict)

    KEY: ClassVar[str] = "study"  # in decision.json

    def __post_init__(self) -> None:
        if self.kind not in (MEAN, MOST_ABNORMAL):
            raise ValueError(f"{self.KEY}: kind must be {MEAN!r} or {MOST_ABNORMAL!r}, got {self.kind!r}")

    def joined(self, probabilities: npt.ArrayLike, normal_id: int) -> Floats:
        """Probabilities (C,) of a study from those of its views, (V, C) with V ≥ 1."""
        views = np.asarray(probabilities, dtype=np.float64)
        if self.kind == MOST_ABNORMAL:
            return np.array(views[views[:, normal_id].argmin()])
        whole: Floats = softmax(np.log(np.maximum(views, _LEAST)).mean(axis=0))
        return whole

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "fitted_on": self.fitted_on}


def study_join_from(data: object, where: str) -> StudyJoin | None:
    """The way of joining in decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    if not isinstance(data, Mapping) or "kind" not in data:
        raise ValueError(f"{where}: {StudyJoin.KEY!r} must be null or a mapping with 'kind'")
    try:
        return StudyJoin(str(data["kind"]), dict(data.get("fitted_on") or {}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def study_finding(name: str, views: Sequence[Finding], decision: DecisionRule) -> Finding:
    """One finding from the findings of a study's views, of one checkpoint and in their order; `views` hold them as they are.

    Of a study without a usable view the verdict is that of its views: `not_a_bone_xray` where one was readable, else `unreadable`. One of
    whose usable views half or more are unfamiliar is referred. Raises ValueError where there is no view.
    """
    if not views:
        raise ValueError(f"study {name!r} has no views")
    usable = [view for view in views if view.probabilities and view.verdict not in (UNREADABLE, NOT_A_BONE_XRAY)]
    left_out = tuple(f"{view.source} is left out: {_why(view)}" for view in views if view not in usable)
    whole = replace(
        views[0], source=name, study=name, views=tuple(views), heatmap=None, boxes=(), familiarity=None, reasons=left_out,
        verdict=UNREADABLE, probabilities={}, raw_probabilities={}, prediction_set=(),
    )  # fmt: skip
    if not usable:
        return replace(whole, verdict=NOT_A_BONE_XRAY if any(view.readable for view in views) else UNREADABLE)
    join, names = decision.study or StudyJoin(), decision.scheme.names
    calibrated = join.joined([[view.probabilities[each] for each in names] for view in usable], decision.scheme.normal_id)
    raw = join.joined([[view.raw_probabilities[each] for each in names] for view in usable], decision.scheme.normal_id)
    unfamiliar = sum(view.unfamiliar for view in usable)
    verdict, open_classes, reasons = verdict_of(decision, calibrated, unfamiliar=2 * unfamiliar >= len(usable))
    return replace(
        whole,
        verdict=verdict,
        prediction_set=open_classes,
        reasons=(*reasons, *left_out),
        probabilities={each: float(share) for each, share in zip(names, calibrated, strict=True)},
        raw_probabilities={each: float(share) for each, share in zip(names, raw, strict=True)},
        mirrored=all(view.mirrored for view in usable),
        zoomed=any(view.zoomed for view in usable),
        unfamiliar=2 * unfamiliar >= len(usable),
    )


def _why(view: Finding) -> str:
    return "; ".join(view.reasons) or view.verdict
