"""What a checkpoint learnt from, as its record.json tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_bones.app.demo.about.shipped import Shipped
from hf_bones.inference.checkpoint import RECORD_FILE


@dataclass(frozen=True)
class TrainedOn:
    """What is recorded of the data: `counts` split → label → films, `sources` and `licences` with their films, whom to credit, and what was
    drawn. Whatever a record does not hold is empty."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    licences: Mapping[str, int] = field(default_factory=dict)
    credits: tuple[str, ...] = ()
    label_noise: str = ""
    base: str = ""
    drawn: int = 0
    broken_copies: int = 0
    synthetic_only: bool = False

    @property
    def labels(self) -> list[str]:
        """The labels of all splits, in the order of their first appearance."""
        return list(dict.fromkeys(label for counts in self.counts.values() for label in counts))

    def films(self, split: str) -> int:
        """How many films a split has."""
        return sum(self.counts[split].values())


def read_trained_on(shipped: Shipped) -> TrainedOn | None:
    """What record.json says; None without one, or where it says nothing of data. Raises ValueError for a damaged record."""
    record = shipped.data(RECORD_FILE)
    data = (record or {}).get("data")
    if record is None or not isinstance(data, dict):
        return None
    counts = data.get("counts")
    attribution = data.get("attribution")
    return TrainedOn(
        {str(split): _counts(of) for split, of in counts.items() if _counts(of)} if isinstance(counts, dict) else {},
        _counts(data.get("sources")),
        _counts(data.get("licences")),
        tuple(map(str, attribution)) if isinstance(attribution, list) else (str(attribution),) if attribution else (),
        str(data.get("label_noise") or ""),
        str(record.get("base_model") or ""),
        _count(data.get("drawn")),
        _count(data.get("broken_copies")),
        data.get("synthetic_only") is True,
    )


def _counts(found: Any) -> dict[str, int]:
    return {str(name): _count(count) for name, count in found.items() if _count(count)} if isinstance(found, dict) else {}


def _count(found: Any) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
