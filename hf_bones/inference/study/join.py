"""How the views of one patient's examination, a study, make one answer (`study` in decision.json).

A break hides in one view and shows in another, so a study is answered from all its views: from the mean of their calibrated log
probabilities, or from the view that speaks most for a break. Validation chooses (`evaluation/study_fit.py`). Both leave the classes'
thresholds as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

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
