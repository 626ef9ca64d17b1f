"""`Answer`: what one pass over an image gives, before it becomes a finding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hf_bones.inference.boxes import Box


class Answer(NamedTuple):
    """What is said of one image: the network's own logits (C,), the calibrated ones (C,) with what patches and second look add, its boxes,
    shown or not, a heat map where one was asked for, and how often the network looked."""

    logits: np.ndarray
    calibrated: np.ndarray
    boxes: list[Box]
    heatmap: np.ndarray | None
    mirrored: bool
    zoomed: bool
