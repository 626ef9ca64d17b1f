"""What a finished run hands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from hf_bones.labels import LabelScheme
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.patch_head import PatchHead
from hf_bones.training.data.row_table import Rows


@dataclass
class TrainedModel:
    """What a finished run hands on: the best model, its input, its validation logits (N, C) with labels and groups, and the `rows` that it
    learnt from and was chosen by."""

    model: PreTrainedModel
    spec: InputSpec
    scheme: LabelScheme
    logits: np.ndarray
    labels: np.ndarray
    groups: list[str]
    metrics: dict[str, Any]
    data: dict[str, Any]
    history: list[dict[str, Any]]
    seconds: float
    is_main_process: bool
    distillation: dict[str, Any] | None = None  # who taught it, where somebody did
    verdict_shift: dict[str, float] | None = None  # what balanced_verdicts added to the logits, by class
    patch_head: PatchHead | None = None  # what box_loss trained beside it
    rows: tuple[Rows, Rows] | None = None
