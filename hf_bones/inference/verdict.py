"""What there is to say of one image, and its verdict, from the prediction set and what the gate says, and sentences of why.

In this order: no bone radiograph; a film unlike those learnt from; a prediction set that is not one class; the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER
from hf_bones.inference.gate import NO_FILM, UNFAMILIAR, GateAnswer

_LOOK = "a radiologist should look at this image"


class Answer(NamedTuple):
    """What is said of one image: the network's own logits (C,), the calibrated ones (C,) with what patches and second look add, a heat map
    where one was asked for, how often the network looked, and what the gate says where there is one."""

    logits: np.ndarray
    calibrated: np.ndarray
    heatmap: np.ndarray | None
    mirrored: bool
    zoomed: bool
    gate: GateAnswer | None = None


def verdict_of(open_classes: Sequence[str], gate: GateAnswer | None) -> tuple[str, tuple[str, ...]]:
    """Verdict and reasons; `gate` is None where the checkpoint has none."""
    if gate is not None and gate.kind == NO_FILM:
        return NOT_A_BONE_XRAY, gate.reasons
    if gate is not None and gate.kind == UNFAMILIAR:
        return REFER, (*gate.reasons, _LOOK)
    if len(open_classes) == 1:
        return open_classes[0], ()
    return REFER, (f"{' and '.join(open_classes)} are both possible" if open_classes else "no class is likely enough", _LOOK)
