"""Figures of merit for a classifier of bone radiographs: plain functions, bootstrap intervals and `evaluate.Metric` modules.

Importing this package loads numpy and nothing heavier; the `evaluate.Metric` modules (`load_metric`, `RadiographMetrics` and
the single ones in `metrics/modules.py`) load the `evaluate` library on first use and never touch the network.
"""

from __future__ import annotations

from typing import Any

from hf_bones.metrics.figures import CALIBRATION_BINS, SPECIFICITY, classification_metrics, selection_score
from hf_bones.metrics.intervals import bootstrap_intervals
from hf_bones.metrics.needs import MIN_ROWS, figure_parts, figure_support, undefined_reason

__all__ = [
    "CALIBRATION_BINS",
    "MIN_ROWS",
    "SPECIFICITY",
    "RadiographMetrics",
    "bootstrap_intervals",
    "classification_metrics",
    "figure_parts",
    "figure_support",
    "load_metric",
    "selection_score",
    "undefined_reason",
]


def __getattr__(name: str) -> Any:
    # `evaluate` takes over a second to import and brings `datasets` with it: only those who ask for a module pay for it.
    if name in {"RadiographMetrics", "load_metric"}:
        from hf_bones.metrics import modules

        return getattr(modules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
