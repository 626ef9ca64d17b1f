"""This validation beside an earlier one: measures that moved, and figures before and now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_bones.evaluation.site.drift.distance import Change, changes
from hf_bones.record import read_json

KEY, SCHEMA_VERSION = "hf_bones_site", 1


@dataclass(frozen=True)
class FigureChange:
    """A figure before and now, each with its interval, and the difference with its own."""

    name: str
    before: float
    now: float
    interval: tuple[float, float]

    @property
    def moved(self) -> bool:
        return self.interval[0] > 0 or self.interval[1] < 0

    def sentence(self) -> str:
        """What is to be said of it, without a full stop."""
        low, high = self.interval
        told = (
            f"{self.name} was {self.before:.2f} and is {self.now:.2f} (difference {self.now - self.before:+.2f}, {low:+.2f} to {high:+.2f})"
        )
        return told if self.moved else f"{told}, which chance explains"


@dataclass(frozen=True)
class Comparison:
    """What has moved since the validation of `date` on `table`. alone: measures that only one of the two has. cautions: sentences."""

    table: str
    date: str
    changes: tuple[Change, ...]
    alone: tuple[str, ...]
    figures: tuple[FigureChange, ...]
    cautions: tuple[str, ...]

    @property
    def moved(self) -> list[Change]:
        return [each for each in self.changes if each.moved]

    def summary(self) -> str:
        """The answer in one sentence."""
        told = [each for each in self.changes if each.limit is not None]
        if not told:
            return "There are too few patients in one of the two sets of films to say whether anything moved."
        if not self.moved:
            return f"None of {len(told)} measures of the films and answers moved by more than chance."
        return f"{len(self.moved)} of {len(told)} measures of the films and answers moved by more than chance."


def read_site(path: Path) -> dict[str, Any]:
    """The site.json of an earlier run. Raises ValueError, naming the file, for one that is none or that this version does not read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; --compare takes the site.json that `hf-bones site` wrote into its folder")
    data = read_json(path)
    if data.get(KEY) != SCHEMA_VERSION:
        raise ValueError(f"{path}: not a site.json of this hf-bones ({KEY} is {data.get(KEY)!r}; expected {SCHEMA_VERSION})")
    found = data.get("baseline")
    if not isinstance(found, Mapping) or not {"numbers", "words"} <= set(found):
        raise ValueError(f"{path}: 'baseline' must hold 'numbers' and 'words'")
    return data


def compare_sites(old: Mapping[str, Any], new: Mapping[str, Any], seed: int = 0) -> Comparison:
    """`new`, this run's site.json, beside `old`, an earlier one."""
    moved, alone = changes(old["baseline"], new["baseline"], seed)
    cautions = []
    if (old["checkpoint"]["name"], old["checkpoint"]["digest"]) != (new["checkpoint"]["name"], new["checkpoint"]["digest"]):
        cautions.append(
            "The two validations are of different checkpoints or decision rules. What is said of pixels and columns still holds; "
            "probabilities, features and verdicts may differ for that reason alone."
        )
    if old["table_sha256"] == new["table_sha256"]:
        cautions.append("Both validations are of the same films.")
    return Comparison(old["table"], old["date"][:10], tuple(moved), tuple(alone), tuple(_figures(old, new)), tuple(cautions))


def _figures(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FigureChange]:
    """Figures that both have with an interval. The interval of the difference is made of the two (Newcombe 1998; Zou and Donner 2008)."""
    found = []
    for name, now in new["headline"].items():
        before = old["headline"].get(name)
        if not before or not before["interval"] or not now["interval"]:
            continue
        (low, high), (own_low, own_high) = before["interval"], now["interval"]
        gap = now["value"] - before["value"]
        below = ((now["value"] - own_low) ** 2 + (high - before["value"]) ** 2) ** 0.5
        above = ((own_high - now["value"]) ** 2 + (before["value"] - low) ** 2) ** 0.5
        found.append(FigureChange(name, before["value"], now["value"], (gap - below, gap + above)))
    return found
