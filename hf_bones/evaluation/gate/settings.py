"""What a gate is fitted on, and from which distance on it speaks: the section `gate` of a recipe of calibration."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.fields import Checked, RecipeError, option


@dataclass
class GateSettings(Checked):
    """Films that a gate learns from, and its thresholds.

    A distance is in units of the spread of the judging films' own: 0 is their median. Shares depend on the few films that lie furthest
    out, so a recipe whose thresholds were chosen on further films states distances.
    """

    films: int = option(700, "Films of train, the smaller sources' all, the larger ones' evenly spread.", within="[20, ∞)")
    drawn_films: int = option(80, "Drawn films of each mode that join them, so that such films pass.", within="[0, ∞)")
    inverted: int = option(40, "Films of train that join once more, inverted.", within="[0, ∞)")
    refused: float = option(0.02, "Share of the judging films that is refused at most.", within="(0, 1)")
    unfamiliar: float = option(0.05, "Share of them that is unfamiliar or refused at most.", within="(0, 1)")
    refused_from: float | None = option(None, "Distance from which a film is refused, instead of the share.", within="(0, ∞)")
    unfamiliar_from: float | None = option(None, "Distance from which a film is unfamiliar, instead of the share.", within="(0, ∞)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refused > self.unfamiliar:
            raise RecipeError(f"refused must be unfamiliar or less, got {self.refused:g} and {self.unfamiliar:g}")
        if self.refused_from is not None and self.unfamiliar_from is not None and self.unfamiliar_from > self.refused_from:
            raise RecipeError(f"unfamiliar_from must be refused_from or less, got {self.unfamiliar_from:g} and {self.refused_from:g}")
