"""Figures of merit for a classifier of bone radiographs: plain functions, bootstrap intervals and `evaluate.Metric` modules.

Importing this package loads numpy and nothing heavier; `metrics/modules.py` holds what needs the `evaluate` library, which takes over a
second to import and brings `datasets` with it: for training and evaluation, not for prediction.
"""

from hf_bones.metrics.figures import CALIBRATION_BINS, SPECIFICITY, classification_metrics, selection_score
from hf_bones.metrics.intervals import bootstrap_intervals
from hf_bones.metrics.needs import MIN_ROWS, figure_parts, figure_support, undefined_reason

__all__ = [
    "CALIBRATION_BINS",
    "MIN_ROWS",
    "SPECIFICITY",
    "bootstrap_intervals",
    "classification_metrics",
    "figure_parts",
    "figure_support",
    "selection_score",
    "undefined_reason",
]
