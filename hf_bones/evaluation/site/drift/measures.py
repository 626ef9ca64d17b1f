"""What is kept of a site's films for a later comparison: how their pixels, features, probabilities and verdicts are spread.

No name and no row of a film is kept: of each number the sorted values, at most `KEPT` of them, of each word its count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_bones.evaluation.site.scoring import ScoredFilms
from hf_bones.metrics.figures import Floats

KEPT = 200  # values of each number
DIRECTIONS = 8  # of the features
_SEED = 20240501  # the directions must be the same in every run
TITLES = {
    "long_side": "long side of the film, px",
    "aspect": "width by height",
    "mean": "mean grey value",
    "deviation": "deviation of grey values",
    "share_black": "share of black pixels",
    "share_white": "share of white pixels",
    "percentile_5": "dark end of the grey values (5th percentile)",
    "percentile_50": "median grey value",
    "percentile_95": "bright end of the grey values (95th percentile)",
    "p_abnormal": "probability of abnormal",
    "p_likeliest": "probability of the likeliest class",
    "familiarity": "familiarity",
    "feature_length": "length of the features",
    "verdict": "verdicts",
    "label": "labels",
    "file format": "file format",
    "pixels as stored": "pixels as stored",
}


@dataclass(frozen=True, eq=False)
class Measures:
    """Of N scored films: numbers, name → (N,), and words, name → N of them ("" where not known); groups (N,)."""

    numbers: Mapping[str, Floats]
    words: Mapping[str, Sequence[str]]
    groups: Sequence[str]


def measure(
    scored: ScoredFilms, normal: str, labels: Sequence[str], columns: Mapping[str, Sequence[str]], groups: Sequence[str]
) -> Measures:
    """What is compared. labels: of each film the name of its class or side, "" without one. columns: those that make subgroups."""
    read = np.array([finding.readable for finding in scored.findings], dtype=bool)
    findings = [finding for finding in scored.findings if finding.readable]
    numbers = {name: values[read] for name, values in scored.inputs.items()}
    numbers["p_abnormal"] = np.array([1 - finding.probabilities[normal] for finding in findings])
    numbers["p_likeliest"] = np.array([max(finding.probabilities.values()) for finding in findings])
    known = [getattr(finding, "familiarity", None) for finding in findings]  # of checkpoints with a gate
    if findings and all(value is not None for value in known):
        numbers["familiarity"] = np.array(known, dtype=np.float64)
    if scored.features is not None and len(findings):
        numbers |= feature_numbers(scored.features[read])

    def kept(cells: Sequence[str]) -> list[str]:
        return [cell for cell, inside in zip(cells, read, strict=True) if inside]

    words = {"verdict": [finding.verdict for finding in findings], "label": kept(labels)}
    words |= {name: kept(cells) for name, cells in {**scored.kinds, **columns}.items() if name not in words}
    return Measures(numbers, {name: cells for name, cells in words.items() if any(cells)}, kept(groups))


def feature_numbers(features: Floats) -> dict[str, Floats]:
    """The length of each row of features (N, F), and how far it reaches in each of some directions.

    The directions are fixed for each F and chosen by no film: what is fitted to the first films would fit later ones less well, and look
    like a change.
    """
    axes = np.random.default_rng(_SEED).normal(size=(features.shape[1], DIRECTIONS)) / np.sqrt(features.shape[1])
    reached = features @ axes
    named = {f"feature_{place + 1}": reached[:, place] for place in range(DIRECTIONS)}
    return {"feature_length": np.linalg.norm(features, axis=1), **named}


def title(name: str) -> str:
    """How a measure is called where people read."""
    if name.startswith("feature_") and name not in TITLES:
        return f"features, direction {name.removeprefix('feature_')}"
    return TITLES.get(name, name)


def baseline(measures: Measures) -> dict[str, Any]:
    """The measures as site.json keeps them."""
    return {
        "films": len(measures.groups),
        "groups": len(set(measures.groups)),
        "numbers": {name: _kept(values, measures.groups) for name, values in measures.numbers.items() if np.isfinite(values).any()},
        "words": {name: _counted(cells, measures.groups) for name, cells in measures.words.items()},
    }


def _kept(values: Floats, groups: Sequence[str]) -> dict[str, Any]:
    known = np.isfinite(values)
    ranked = np.sort(values[known])
    if len(ranked) > KEPT:
        ranked = np.quantile(ranked, (np.arange(KEPT) + 0.5) / KEPT)
    holding = {group for group, inside in zip(groups, known, strict=True) if inside}
    return {"n": int(known.sum()), "groups": len(holding), "values": [float(f"{value:.6g}") for value in ranked]}


def _counted(cells: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    known = [cell for cell in cells if cell]
    holding = {group for group, cell in zip(groups, cells, strict=True) if cell}
    return {"n": len(known), "groups": len(holding), "counts": {word: known.count(word) for word in sorted(set(known))}}
