"""A tiny checkpoint for the demo."""

from __future__ import annotations

from pathlib import Path

from tiny import telling_checkpoint

from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.labels import THREE_CLASS
from hf_bones.record import write_json


def save_checkpoint(
    folder: Path, *, thresholds: dict[str, float] | None = None, calibrated: bool = True, drawn: bool | None = None
) -> Path:
    """One that may be calibrated, and may say what it has learnt from."""
    telling_checkpoint(folder, seed=3)
    if calibrated:
        write_decision(DecisionRule(temperature=2.0, scheme=THREE_CLASS, image_size=56, thresholds=thresholds), folder)
    if drawn is not None:
        write_json(folder / "record.json", {"data": {"synthetic_only": drawn}})
    return folder
