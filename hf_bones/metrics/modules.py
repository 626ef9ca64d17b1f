"""`evaluate.Metric` modules that come with the package: the Trainer's `compute_metrics` and `hf-bones evaluate` compute with them.

`load_metric("auroc_abnormal").compute(predictions=probability_rows, references=class_indices)` works as `evaluate.load` does, without
the Hub: nothing is downloaded and nothing is left on disk. Rows may be fed bit by bit through `add_batch`; modules combine through
`evaluate.combine([load_metric(…), …])`. Intervals come from `metrics/intervals.py`: a thousand resamples are a few matrix products
there, over the same `weighted_figures` that the modules call once.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import evaluate
import numpy as np
from datasets import Features, List, Value

from hf_bones.labels import SHIPPED_SCHEMES, LabelScheme
from hf_bones.logits import softmax
from hf_bones.metrics.by_source import abnormal_log_odds, figures_by_source, named_sources, worst_source
from hf_bones.metrics.figures import SPECIFICITY, Floats, classification_metrics, selection_score
from hf_bones.metrics.headlines import TRAINING

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

ALL, VALIDATION = "radiograph_metrics", "validation_scores"
# Module → what it is, and which keys of `classification_metrics` (and "selection", the selection score) it gives.
METRICS: dict[str, tuple[str, str]] = {
    ALL: ("Every figure of `classification_metrics`.", "(?!selection$).*"),
    VALIDATION: (
        "What training logs of each validation: the selection score first.",
        "|".join(("selection", *TRAINING)),
    ),
    "accuracy": ("Share of rows whose largest probability is the true class.", "accuracy"),
    "balanced_accuracy": ("Mean of the classes' sensitivities.", "balanced_accuracy"),
    "macro_f1": ("Mean of the classes' F1 scores.", "macro_f1"),
    "auroc_abnormal": ("Area under the ROC curve of 1 − P(normal) for abnormal against normal.", "auroc_abnormal"),
    "auroc_one_vs_rest": ("Area under the ROC curve of each class against the rest, and their mean.", "auroc_ovr_.*"),
    "sensitivity_specificity": (
        "Sensitivity and specificity of each class by predicted class, with the counts behind them.",
        "(sensitivity|specificity|support|correct|predicted)_(?!.*_at_specificity_).*",
    ),
    "sensitivity_at_specificity": (
        "Sensitivity to abnormal rows, and to each abnormal class, at the threshold that keeps the asked specificity.",
        "support_.*|(sensitivity|caught|threshold|achieved)_(.*_)?specificity_.*",
    ),
    "cohen_kappa": ("Agreement of prediction and truth beyond chance (unweighted).", "cohen_kappa"),
    "ece": ("Expected calibration error of the top label, 15 bins of equal width.", "ece"),
    "brier": ("Multi-class Brier score, in [0, 2].", "brier"),
}


class RadiographMetrics(evaluate.Metric):
    """The module of `METRICS` that `config_name` names."""

    def __init__(
        self,
        config_name: str = ALL,
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
            description=METRICS[self.config_name][0],
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
        rows, truth = np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.int64)
        given = names if names is not None else _default_names(rows.shape[-1])
        figures = classification_metrics(truth, rows, given, normal_id, specificity)
        if self.config_name == VALIDATION:
            figures = {"selection": selection_score(truth, rows, normal_id), **figures}
        wanted = re.compile(METRICS[self.config_name][1])
        return {key: value for key, value in figures.items() if wanted.fullmatch(key)}


def load_metric(name: str) -> RadiographMetrics:
    """A fresh metric module by name, as `evaluate.load` gives one, without a network. Raises ValueError naming the known ones."""
    if name not in METRICS:
        raise ValueError(f"no metric named {name!r}; there are: {', '.join(METRICS)}")
    return RadiographMetrics(name)


def trainer_metrics(
    scheme: LabelScheme, origins: Sequence[str] = (), log_prior: Floats | None = None, choose_by: str = "validation"
) -> Callable[[Any], dict[str, float]]:
    """The Trainer's `compute_metrics`: the figures of `VALIDATION`, from the logits (N, C) and labels (N,) of an `EvalPrediction`.

    With the sources of the rows (`origins`, N) and the class frequencies that the run learns (`log_prior`, C), also the score of each
    source where there are several (`by_source.py`); with `choose_by` "worst_source" the lowest is the selection score.
    Each of several processes is given the rows of all and computes the same figures, so that the modules need not exchange any.
    """
    sources = named_sources(origins)
    by_worst = choose_by == "worst_source"

    def compute(prediction: Any) -> dict[str, float]:
        logits, labels = np.asarray(prediction.predictions, dtype=np.float64), np.asarray(prediction.label_ids)
        given = {"names": scheme.names, "normal_id": scheme.normal_id}
        figures: dict[str, float] = load_metric(VALIDATION).compute(predictions=softmax(logits), references=labels, **given)
        if len(np.unique(sources)) > 1 or by_worst:
            prior = np.zeros(logits.shape[1]) if log_prior is None else log_prior
            found = figures_by_source(abnormal_log_odds(logits, prior, scheme.normal_id), labels != scheme.normal_id, sources)
            worst = found[worst_source(found)].score
            figures |= {"selection": worst if by_worst else figures["selection"], "worst_source_score": worst}
            figures |= {f"source_score_{name}": each.score for name, each in found.items()}
        return figures

    return compute


def _default_names(count: int) -> tuple[str, ...]:
    for scheme in SHIPPED_SCHEMES.values():
        if len(scheme.names) == count:
            return scheme.names
    return tuple(f"class_{index}" for index in range(count))
