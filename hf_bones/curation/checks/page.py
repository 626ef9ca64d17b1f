"""The page of the checks' report: plain data for its template, `checks.html.j2`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_bones.curation.checks.reasons import Rule
from hf_bones.pages.templates import render

_BARS, _WIDTH, _HEIGHT = 48, 480, 64  # of a histogram: bars, and px of its drawing


@dataclass(frozen=True)
class Card:
    """One image: its `picture` as a data URL ("" where there is none), the value in words, and lines below it."""

    picture: str
    value: str
    lines: tuple[str, ...]
    flagged: bool


@dataclass(frozen=True, eq=False)
class Section:
    """One reason: how it is judged, the values of all images with the threshold, and cards of the worst."""

    rule: Rule
    values: Sequence[float]
    threshold: float
    flagged: int
    cards: Sequence[Card]
    has_spread: bool = True  # False where a value is either good or bad

    @property
    def worst(self) -> float | None:
        return (min if self.rule.below else max)(self.values, default=None)

    def spread(self) -> dict[str, Any]:
        """A histogram for the template; heights go by the square root of the counts, so that a few flagged images can be seen."""
        values = np.asarray(self.values, dtype=np.float64)
        if not self.has_spread or values.size < 2 or values.min() == values.max():
            return {}
        low, high = min(values.min(), self.threshold), max(values.max(), self.threshold)
        counts, edges = np.histogram(values, bins=_BARS, range=(low, high))
        middles = (edges[:-1] + edges[1:]) / 2
        past = middles < self.threshold if self.rule.below else middles > self.threshold
        heights = np.maximum(1.5, np.sqrt(counts / counts.max()) * _HEIGHT)
        bars = [(place, heights[place], past[place], counts[place], *edges[place : place + 2]) for place in np.flatnonzero(counts)]
        return {"bars": bars, "step": _WIDTH / _BARS, "low": low, "high": high, "at": (self.threshold - low) / (high - low) * _WIDTH}


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The whole page, without script and without anything from elsewhere."""
    shown = {"introduction": introduction, "sections": sections, "number": number, "width": _WIDTH, "height": _HEIGHT}
    return render("curation/checks/checks.html.j2", title=title, **shown)


def number(value: float | None) -> str:
    """A value as it is shown: whole numbers without decimals, others with three digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
