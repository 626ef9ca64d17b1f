"""A tiny checkpoint for the demo."""

from __future__ import annotations

import zlib
from pathlib import Path

from tiny import grey, png, telling_checkpoint

from hf_bones.images.opening import Refusal
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


def bomb() -> bytes:
    """A PNG whose header claims 60,000 × 60,000 pixels."""
    whole = png(grey())
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    return whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]


BAD_FILES = {
    "text": (b"<html>not found</html>", Refusal.NOT_AN_IMAGE),
    "empty": (b"", Refusal.NOT_AN_IMAGE),
    "cut": (png(grey())[:900], Refusal.UNDECODABLE),
    "bomb": (bomb(), Refusal.BOMB),
    "tiny": (png(grey(9, 9)), Refusal.TOO_SMALL),
}
