"""Are there enough films? How wide each interval is, and how many more films would make it ± 0.05."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hf_bones.evaluation.report.figures import Figure
from hf_bones.evaluation.site.operating import Share
from hf_bones.metrics import MIN_ROWS

WANTED = 0.05  # half the width of an interval that is narrow enough
_GUESS = 0.85  # of a share that is not known yet
_Z = 1.959964


@dataclass(frozen=True)
class Enough:
    """Of one figure: films it rests on, half the width of its interval, films of that kind for ± `WANTED`, and how many are missing.

    of: which films count. guessed: why the width is not the measured one, "" where it is.
    """

    name: str
    of: str
    n: int
    half_width: float | None
    needed: int
    more: int
    guessed: str = ""


def enough_films(shares: Mapping[str, Share], auroc: Figure, supports: Mapping[str, int]) -> list[Enough]:
    """The check for sensitivity, specificity and AUROC(abnormal). An interval narrows with the root of the number of films."""
    found = [
        _of_share("sensitivity", "abnormal films", shares["sensitivity"]),
        _of_share("specificity", "normal films", shares["specificity"]),
    ]
    scarce = min(supports.values(), default=0)
    if auroc.interval is not None:
        half = (auroc.interval[1] - auroc.interval[0]) / 2
        needed = _scaled(scarce, half)
        found.append(Enough("AUROC(abnormal)", "films of the rarer side", scarce, half, needed, max(0, needed - scarce)))
    return found


def expected_half_width(share: float, films: int) -> float:
    """Half the width of the 95 % interval of a share (Wilson 1927) measured on so many films that do not depend on each other."""
    below = 1 + _Z**2 / films
    return _Z / below * math.sqrt(share * (1 - share) / films + _Z**2 / (4 * films**2))


def films_for(share: float, half_width: float = WANTED) -> int:
    """The fewest independent films on which a share is known to ± `half_width`."""
    films = 1
    while expected_half_width(share, films) > half_width:
        films += 1
    return films


def _scaled(films: int, half_width: float) -> int:
    """How many films would have an interval of ± `WANTED`, where so many have ± `half_width`."""
    return math.ceil(films * (half_width / WANTED) ** 2 - 1e-9)


def _of_share(name: str, of: str, share: Share) -> Enough:
    figure = share.figure
    if figure.interval is not None and figure.value not in (0, 1):
        half = (figure.interval[1] - figure.interval[0]) / 2
        needed = _scaled(share.count, half)
        return Enough(name, of, share.count, half, needed, max(0, needed - share.count))
    # No measured interval: too few films, or no error among them. What films that do not depend on each other would need.
    value = _GUESS if figure.value is None or share.count < MIN_ROWS else figure.value
    half_or_none = expected_half_width(value, share.count) if share.count else None
    needed = films_for(value)
    why = f"taken as {value:.2f}, each film of another patient"
    return Enough(name, of, share.count, half_or_none, needed, max(0, needed - share.count), why)
