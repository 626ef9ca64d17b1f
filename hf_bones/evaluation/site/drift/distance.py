"""What has moved between an earlier validation and this one: a distance for each measure, and how large it gets by chance.

Numbers: the Kolmogorov–Smirnov distance. Words: the population stability index, which is given for numbers too, over tenths of the earlier
films. The limit of chance is the distance that pairs of samples drawn from both sets of films together seldom exceed. The samples are as
large as the two sets have groups, since films of one patient resemble each other, and "seldom" is 5 % shared among all measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.site.drift.measures import title
from hf_bones.metrics.figures import Floats

LEAST_GROUPS = 20  # of either set: below, nothing can be said
CHANCE = 0.05
_REPEATS = 2000
_CELLS = 100  # into which values are sorted for the distance
_TENTHS = 10
_HALF = 0.5  # film lent to each word or tenth, so that one that is empty has a logarithm
LITTLE, MUCH = 0.1, 0.25  # of the population stability index, by custom


@dataclass(frozen=True)
class Change:
    """One measure before and now. distance: KS or PSI as `kind` says; limit: what chance reaches, None where there are too few groups.

    psi: the population stability index. before, now: the median or the share of the word that changed most (`word`).
    """

    name: str
    kind: str
    distance: float
    limit: float | None
    psi: float
    before: float
    now: float
    word: str = ""

    @property
    def moved(self) -> bool:
        return self.limit is not None and self.distance > self.limit

    def cells(self) -> list[str]:
        """A line of the table: measure, before, now, distance, limit, PSI, moved or not."""
        name = title(self.name) + (f": {self.word}" if self.word else "")
        values = [f"{each:.3g}" if self.kind == "KS" else f"{100 * each:.0f} %" for each in (self.before, self.now)]
        limit, moved = ("–", "too few patients") if self.limit is None else (f"{self.limit:.2f}", "yes" if self.moved else "no")
        return [name, *values, f"{self.kind} {self.distance:.2f}", limit, f"{self.psi:.2f}", moved]

    def sentence(self) -> str:
        """What is to be said of it, in plain words, without a full stop."""
        size = "a little" if self.psi < LITTLE else "clearly" if self.psi < MUCH else "far"
        if self.kind == "KS":
            told = f"the median was {self.before:.3g} and is {self.now:.3g}"
        else:
            told = f"{self.word!r} was {100 * self.before:.0f} % and is {100 * self.now:.0f} %"
        if self.limit is None:
            return f"{title(self.name)}: too few patients to say whether it moved; {told}"
        limit = f"{self.kind} {self.distance:.2f}, by chance up to {self.limit:.2f}"
        return f"{title(self.name)} {f'moved {size}' if self.moved else 'did not move by more than chance'}: {told} ({limit})"


def changes(old: Mapping[str, Any], new: Mapping[str, Any], seed: int = 0) -> tuple[list[Change], list[str]]:
    """Every measure that two baselines (of site.json) share, those that moved first; and the measures that only one of them has."""
    pairs = [(kind, name) for kind in ("numbers", "words") for name in old[kind] if name in new[kind]]
    alone = [title(name) for kind in ("numbers", "words") for name in sorted({*old[kind]} ^ {*new[kind]})]
    level = 1 - CHANCE / max(1, len(pairs))
    generator = np.random.default_rng(seed)
    found = []
    for kind, name in pairs:
        before, now = old[kind][name], new[kind][name]
        found.append((_number if kind == "numbers" else _word)(name, before, now, level, generator))
    return sorted(found, key=lambda each: (not each.moved, -each.psi)), alone


def ks_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The largest difference between the distributions of two sets of values, in [0, 1]."""
    one, other = np.sort(np.asarray(first, dtype=np.float64)), np.sort(np.asarray(second, dtype=np.float64))
    every = np.concatenate([one, other])
    return float(np.abs(_below(one, every) - _below(other, every)).max())


def stability_index(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The population stability index of two rows of counts (K,): the sum of differences of shares times differences of their logarithms."""
    one, other = (_shares(np.asarray(counts, dtype=np.float64)) for counts in (first, second))
    return float(((one - other) * np.log(one / other)).sum())


def chance_limit(
    shares: Floats, sizes: tuple[int, int], distance: Callable[[Floats, Floats], Floats], level: float, generator: np.random.Generator
) -> float:
    """The distance that the share `level` of pairs of samples of these `sizes` stay within, both drawn from cells with `shares` (K,).

    distance: of counts (R, K) and (R, K), (R,).
    """
    first, second = (generator.multinomial(size, shares, size=_REPEATS).astype(np.float64) for size in sizes)
    return float(np.quantile(distance(first, second), level))


def _number(name: str, before: Mapping[str, Any], now: Mapping[str, Any], level: float, generator: np.random.Generator) -> Change:
    old, new = np.array(before["values"], dtype=np.float64), np.array(now["values"], dtype=np.float64)
    edges = np.unique(np.quantile(old, np.arange(1, _TENTHS) / _TENTHS))
    tenths = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (old, new)]
    counts = [tenth * each["n"] / len(values) for tenth, each, values in zip(tenths, (before, now), (old, new), strict=True)]
    limit = None
    if min(before["groups"], now["groups"]) >= LEAST_GROUPS:
        # Both sets weigh alike; values that are equal share a cell.
        both = np.concatenate([old, new])
        weights = np.concatenate([np.full(len(old), 0.5 / len(old)), np.full(len(new), 0.5 / len(new))])
        cells = np.searchsorted(np.unique(np.quantile(both, np.arange(1, _CELLS) / _CELLS)), both)
        shares = np.bincount(cells, weights)
        limit = chance_limit(shares / shares.sum(), (before["groups"], now["groups"]), _ks_of_counts, level, generator)
    medians = float(np.median(old)), float(np.median(new))
    return Change(name, "KS", ks_distance(old, new), limit, stability_index(*counts), *medians)


def _word(name: str, before: Mapping[str, Any], now: Mapping[str, Any], level: float, generator: np.random.Generator) -> Change:
    every = sorted({*before["counts"], *now["counts"]})
    old, new = (np.array([each["counts"].get(word, 0) for word in every], dtype=np.float64) for each in (before, now))
    gaps = new / new.sum() - old / old.sum()
    most = int(np.abs(gaps).argmax())
    limit = None
    if min(before["groups"], now["groups"]) >= LEAST_GROUPS:
        shares = (old / old.sum() + new / new.sum()) / 2
        limit = chance_limit(shares, (before["groups"], now["groups"]), _psi_of_counts, level, generator)
    index = stability_index(old, new)
    return Change(name, "PSI", index, limit, index, float(old[most] / old.sum()), float(new[most] / new.sum()), every[most])


def _below(ranked: Floats, at: Floats) -> Floats:
    found: Floats = np.searchsorted(ranked, at, side="right") / len(ranked)
    return found


def _shares(counts: Floats) -> Floats:
    lent = counts + _HALF
    found: Floats = lent / lent.sum(axis=-1, keepdims=True)
    return found


def _ks_of_counts(first: Floats, second: Floats) -> Floats:
    one, other = (counts.cumsum(axis=1) / counts.sum(axis=1, keepdims=True) for counts in (first, second))
    found: Floats = np.abs(one - other).max(axis=1)
    return found


def _psi_of_counts(first: Floats, second: Floats) -> Floats:
    one, other = _shares(first), _shares(second)
    found: Floats = ((one - other) * np.log(one / other)).sum(axis=1)
    return found
