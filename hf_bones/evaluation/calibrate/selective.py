"""What refusing buys: the error among the films that are decided, as more of the doubtful ones are referred, over all and class by class.

Films are refused by their confidence, the largest calibrated probability, the least first (El-Yaniv and Wiener, "On the Foundations of
Noise-free Selective Classification", JMLR 2010). Sets and thresholds play no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_bones.metrics.figures import Floats, Ints

SHOWN = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Curves over N steps, the step i deciding the i + 1 most confident films.

    coverage (N,): share of all films decided. risk (N,): share of these that are wrong. class_coverage, class_risk: the same among the
    films of each class (NaN: of no film). area: mean of risk over all steps.
    """

    coverage: Floats
    risk: Floats
    class_coverage: dict[str, Floats]
    class_risk: dict[str, Floats]
    area: float

    def at(self, coverage: float) -> int:
        """The step that decides at least this share of all films, and no more films than it takes."""
        return int(np.searchsorted(self.coverage, coverage - 1e-9))


def risk_coverage(probabilities: Floats, labels: Ints, names: Sequence[str]) -> RiskCoverage:
    """The curves of calibrated probabilities (N, C) for labels (N,), N ≥ 1."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    truth, wrong = labels[order], (probabilities.argmax(axis=1) != labels)[order]
    steps = np.arange(1, len(labels) + 1)
    covered: dict[str, Floats] = {}
    risks: dict[str, Floats] = {}
    for index, name in enumerate(names):
        own = truth == index
        decided = own.cumsum()
        covered[name] = decided / own.sum() if own.any() else np.full(len(labels), np.nan)
        risks[name] = np.divide((own & wrong).cumsum(), decided, out=np.full(len(labels), np.nan), where=decided > 0)
    risk = wrong.cumsum() / steps
    return RiskCoverage(steps / len(labels), risk, covered, risks, float(risk.mean()))
