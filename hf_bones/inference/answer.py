"""`Answer`: what one pass over an image gives, before it becomes a finding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hf_bones.inference.boxes import Box
from hf_bones.inference.gate.fitted import GateAnswer


class Answer(NamedTuple):
    """What is said of one image: the network's own logits (C,), the calibrated ones (C,) with what patches and second look add, its boxes,
    shown or not, a heat map where one was asked for, how often the network looked, and what the gate says where there is one."""

    logits: np.ndarray
    calibrated: np.ndarray
    boxes: list[Box]
    heatmap: np.ndarray | None
    mirrored: bool
    zoomed: bool
    gate: GateAnswer | None = None
