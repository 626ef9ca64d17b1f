"""Colours and signs of the classes, the same in plots, pages, demo, review and contact sheets.

Okabe and Ito's palette (2008): told apart with any common colour vision. Signs and words stand beside the colours.
"""

from __future__ import annotations

from typing import Any

from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY

# The classes, and the two verdicts that are none.
CLASS_COLOURS = {HEALTHY: "#009E73", FRACTURED: "#E69F00", BEYOND_REPAIR: "#CC79A7", "refer": "#A0A5AD", "not_a_bone_xray": "#A0A5AD"}
SIGNS = {HEALTHY: "✓", FRACTURED: "▲", BEYOND_REPAIR: "✕", "refer": "?", "not_a_bone_xray": "∅"}
OTHER_COLOUR, OTHER_SIGN = "#56B4E9", "●"
# What is no class: models of a leaderboard, sets of films.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLUE, ORANGE, AMBER = "#56B4E9", "#D55E00", "#E69F00"
GRID: dict[str, Any] = {"color": "#dddddd", "linewidth": 0.6}  # of a plot


def class_colour(name: str, place: int = 0) -> str:
    """The colour of a class; one that is not ours takes a colour by its place among the others."""
    return CLASS_COLOURS.get(name) or SERIES[place % len(SERIES)]


def class_rules() -> str:
    """CSS: an element with a `data-class` has the colour of its class as `--mark`; `--warn`, `--note`, `--other` are for the rest."""
    marks = [f'[data-class="{name}"] {{ --mark: {colour}; }}' for name, colour in CLASS_COLOURS.items()]
    rest = f":root {{ --warn: {ORANGE}; --note: {AMBER}; --other: {OTHER_COLOUR}; }}"
    return "\n".join([rest, "[data-class] { --mark: var(--other); }", *marks])
