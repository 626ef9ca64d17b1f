"""The rule that a checkpoint came with, kept in decision.json beside one that was fitted to a site's own films."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_bones.inference.decision import DecisionRule
from hf_bones.record import now, read_json, write_json

KEY = "site"


def rule_parts(decision: DecisionRule) -> dict[str, Any]:
    """What fits to films change in a rule."""
    return {
        "temperature": decision.temperature,
        "vector": decision.vector.as_dict() if decision.vector is not None else None,
        "thresholds": decision.thresholds,
        "conformal": decision.conformal.as_dict() if decision.conformal is not None else None,
    }


def keep_shipped(path: Path, shipped: Mapping[str, Any], fitted_to: str, **told: Any) -> None:
    """Adds `site` to the decision.json at `path`: the rule before (`rule_parts`), what the new one was fitted to, and what else is told.

    A rule that a site has kept already stays: it is the shipped one, and the one before was the site's own.
    """
    written = read_json(path)
    written[KEY] = {**told, "fitted_to": fitted_to, "date": now(), "shipped": dict(shipped)}
    write_json(path, written)


def kept_shipped(path: Path) -> dict[str, Any] | None:
    """The shipped rule that a decision.json keeps; None without one."""
    found = read_json(path).get(KEY, {}).get("shipped") if path.is_file() else None
    return None if found is None else dict(found)  # empty: the checkpoint came without a rule
