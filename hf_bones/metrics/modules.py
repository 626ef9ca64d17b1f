"""`evaluate.Metric` modules that come with the package: nothing is downloaded and nothing is left on disk.

`load_metric("auroc_abnormal").compute(predictions=probability_rows, references=class_indices)` works as `evaluate.load` does,
without the Hub. Rows may be fed bit by bit through `add_batch`; modules combine through `evaluate.combine([load_metric(…), …])`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np
from datasets import Features, List, Value

from hf_bones.labels import SHIPPED_SCHEMES
from hf_bones.metrics.figures import SPECIFICITY, classification_metrics

_INPUTS = """
Args:
    predictions: (N, C) probabilities, each row summing to 1.
    references: (N,) class indices.
    names: C class names; by default those of the shipped scheme with C classes, else class_0, class_1, ….
    normal_id: index of the class that means "nothing found" (default 0).
    specificity: share of normal rows kept at or below the threshold of the fixed-specificity figures (default 0.85).
Returns:
    dict of figure → float or int; NaN where the rows do not define the figure.
"""


class RadiographMetrics(evaluate.Metric):
    """Every figure of `classification_metrics`. Subclasses keep the keys that start with one of their `keys`."""

    keys: tuple[str, ...] = ("",)

    def __init__(
        self,
        config_name: str | None = None,
        *,
        cache_dir: str | None = None,
        num_process: int = 1,
        process_id: int = 0,
        experiment_id: str | None = None,
    ) -> None:
        """Rows stay in memory unless `cache_dir` is given; several processes need one that they share."""
        if num_process > 1 and cache_dir is None:
            raise ValueError(f"num_process is {num_process}: the processes need a cache_dir that they share")
        with tempfile.TemporaryDirectory(prefix="hf-bones-metric-") as scratch:
            # evaluate makes its folder even for rows kept in memory; ours is gone when this block ends.
            super().__init__(
                config_name=config_name,
                keep_in_memory=cache_dir is None,
                cache_dir=cache_dir or scratch,
                num_process=num_process,
                process_id=process_id,
                experiment_id=experiment_id,
            )

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=_INPUTS,
            features=Features({"predictions": List(Value("float64")), "references": Value("int64")}),
        )

    def _compute(
        self,
        *,
        predictions: Sequence[Sequence[float]],
        references: Sequence[int],
        names: Sequence[str] | None = None,
        normal_id: int = 0,
        specificity: float = SPECIFICITY,
    ) -> dict[str, Any]:
        rows = np.asarray(predictions, dtype=np.float64)
        given = names if names is not None else _default_names(rows.shape[-1])
        figures = classification_metrics(np.asarray(references, dtype=np.int64), rows, given, normal_id, specificity)
        return {key: value for key, value in figures.items() if key.startswith(self.keys)}


class Accuracy(RadiographMetrics):
    """Share of rows whose largest probability is the true class."""

    keys = ("accuracy",)


class BalancedAccuracy(RadiographMetrics):
    """Mean of the classes' sensitivities."""

    keys = ("balanced_accuracy",)


class MacroF1(RadiographMetrics):
    """Mean of the classes' F1 scores."""

    keys = ("macro_f1",)


class AurocAbnormal(RadiographMetrics):
    """Area under the ROC curve of 1 − P(normal) for abnormal against normal."""

    keys = ("auroc_abnormal",)


class AurocOneVsRest(RadiographMetrics):
    """Area under the ROC curve of each class against the rest, and their mean."""

    keys = ("auroc_ovr_",)


class SensitivitySpecificity(RadiographMetrics):
    """Sensitivity and specificity of each class by predicted class, with the counts behind them."""

    keys = ("sensitivity_", "specificity_", "support_", "correct_", "predicted_")

    def _compute(self, **arguments: Any) -> dict[str, Any]:
        return {key: value for key, value in super()._compute(**arguments).items() if "_at_specificity_" not in key}


class SensitivityAtSpecificity(RadiographMetrics):
    """Sensitivity to abnormal rows, and to each abnormal class, at the threshold that keeps the asked specificity."""

    keys = ("sensitivity_", "caught_", "threshold_", "achieved_", "support_")

    def _compute(self, **arguments: Any) -> dict[str, Any]:
        figures = super()._compute(**arguments)
        return {key: value for key, value in figures.items() if "specificity_" in key or key.startswith("support_")}


class CohenKappa(RadiographMetrics):
    """Agreement of prediction and truth beyond chance (unweighted)."""

    keys = ("cohen_kappa",)


class CalibrationError(RadiographMetrics):
    """Expected calibration error of the top label, 15 bins of equal width."""

    keys = ("ece",)


class BrierScore(RadiographMetrics):
    """Multi-class Brier score, in [0, 2]."""

    keys = ("brier",)


METRICS: dict[str, type[RadiographMetrics]] = {
    "radiograph_metrics": RadiographMetrics,
    "accuracy": Accuracy,
    "balanced_accuracy": BalancedAccuracy,
    "macro_f1": MacroF1,
    "auroc_abnormal": AurocAbnormal,
    "auroc_one_vs_rest": AurocOneVsRest,
    "sensitivity_specificity": SensitivitySpecificity,
    "sensitivity_at_specificity": SensitivityAtSpecificity,
    "cohen_kappa": CohenKappa,
    "ece": CalibrationError,
    "brier": BrierScore,
}


def load_metric(name: str) -> RadiographMetrics:
    """A fresh metric module by name, as `evaluate.load` gives one, without a network. Raises ValueError naming the known ones."""
    if name not in METRICS:
        raise ValueError(f"no metric named {name!r}; there are: {', '.join(METRICS)}")
    return METRICS[name]()


def _default_names(count: int) -> tuple[str, ...]:
    for scheme in SHIPPED_SCHEMES.values():
        if len(scheme.names) == count:
            return scheme.names
    return tuple(f"class_{index}" for index in range(count))
