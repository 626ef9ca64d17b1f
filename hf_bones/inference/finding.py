"""`Finding`: what the model says about one image, as data, as JSON and as a row of a CSV.

Not here: how it is found (`predictor.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from hf_bones.inference.boxes import Box
from hf_bones.inference.heat import HeatScale, small

SCHEMA_VERSION = 2

# Verdicts beside the names of the classes.
REFER = "refer"
NOT_A_BONE_XRAY = "not_a_bone_xray"
UNREADABLE = "unreadable"


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found on one image.

    Attributes:
        source: The path as given, or `image[3]` for the fourth of a list of images without a name.
        verdict: A class name, `refer`, `not_a_bone_xray` or `unreadable`.
        checkpoint: What answered.
        revision: The commit of a Hub model; None for a folder.
        probabilities: Class name → calibrated probability in [0, 1]; empty when unreadable.
        raw_probabilities: The same as the softmax gave them.
        prediction_set: The classes that the calibrated probabilities leave open; the likeliest one alone without thresholds.
        reasons: For `unreadable` the refusal (`too_small`, …), what to do about it, and the detail; for `refer` and `not_a_bone_xray`
            sentences; for a class, what else is possible; otherwise empty.
        boxes: Where breaks may lie on the upright image, the likeliest first, at most five (`inference/boxes.py` has the rule); empty
            without a fitted rule.
        heatmap: float32 (H, W), ≥ 0, on the upright image as opened, or None. Its numbers are in the unit of `heat_scale`, the same for
            every film: a probability in [0, 1], or log odds.
        heat_scale: What the numbers of the heat map mean and from where they are coloured; None without a heat map.
        calibrated: Whether the checkpoint came with a decision rule; without one both kinds of probabilities are the same.
        mirrored: Whether the probabilities rest on the mean of the logits of the image and of its mirror image; False when unreadable.
        zoomed: Whether the film was looked at a second time, in windows at twice the size; False where it was not doubtful.
        gated: Whether the checkpoint has a gate, which says whether this is one bone radiograph; without one nobody looked.
        familiarity: The share of films that the gate was not fitted on which are at least as far from those learnt from, in [0, 1]; None
            without a gate.
        unfamiliar: Whether it is referred since it is unlike them.
        study: The study that this finding answers, from all its views; None where it answers one image.
        views: The findings of a study's views, in their order.
        schema_version: Version of the fields, as in `to_dict`.
    """

    source: str
    verdict: str
    checkpoint: str
    revision: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    raw_probabilities: dict[str, float] = field(default_factory=dict)
    prediction_set: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    heatmap: np.ndarray | None = None
    heat_scale: HeatScale | None = None
    calibrated: bool = False
    mirrored: bool = False
    zoomed: bool = False
    gated: bool = False
    familiarity: float | None = None
    unfamiliar: bool = False
    study: str | None = None
    views: tuple[Finding, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def readable(self) -> bool:
        return self.verdict != UNREADABLE

    def to_dict(self, *, heatmap: bool = False) -> dict[str, Any]:
        """Plain data for `json.dumps`. The heat map only when asked for: its unit, and rows of numbers, at most 64 a side."""
        data: dict[str, Any] = {
            "schema_version": self.schema_version,
            "source": self.source,
            "verdict": self.verdict,
            "probabilities": dict(self.probabilities),
            "raw_probabilities": dict(self.raw_probabilities),
            "prediction_set": list(self.prediction_set),
            "reasons": list(self.reasons),
            "boxes": [{name: round(value, 4) for name, value in box._asdict().items()} for box in self.boxes],
            "calibrated": self.calibrated,
            "mirrored": self.mirrored,
            "zoomed": self.zoomed,
            "gated": self.gated,
            "familiarity": self.familiarity,
            "unfamiliar": self.unfamiliar,
            "checkpoint": self.checkpoint,
            "revision": self.revision,
            "study": self.study,
            "views": [view.to_dict(heatmap=heatmap) for view in self.views],
        }
        if heatmap:
            data["heatmap"] = None if self.heatmap is None else small(self.heatmap)
            data["heat_unit"] = None if self.heat_scale is None else self.heat_scale.unit
        return data


def csv_columns(names: Sequence[str]) -> list[str]:
    """The columns of a findings CSV for classes `names`: file, verdict, one calibrated probability a class, reasons, and what the row
    rests on (`folder.Made`)."""
    return ["file", "verdict", *(f"p_{name}" for name in names), "reasons", "checkpoint", "revision", "options"]


def csv_row(finding: Finding, names: Sequence[str]) -> list[str]:
    """One finding under `csv_columns(names)`, without the last three; the probabilities of an unreadable image are left empty."""
    values = [f"{finding.probabilities[name]:.6f}" if name in finding.probabilities else "" for name in names]
    return [finding.source, finding.verdict, *values, "; ".join(finding.reasons)]


def open_csv(path: Path, mode: str) -> IO[str]:
    """Opens a findings CSV. `surrogateescape`: one of an earlier version may hold names that are no UTF-8; `CsvWriter` writes none."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
