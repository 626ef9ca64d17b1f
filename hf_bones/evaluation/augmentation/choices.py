"""What is asked of an augmentation check, and what a policy must keep to pass."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class AugmentCheckSettings:
    """How much is looked at: `drawn` radiographs; `draws` of each transform on each film, of which `looks` in pixels; at most `limit` films
    of each dataset's `split`; `sheet_films` on a contact sheet."""

    drawn: int = choice(40, "Drawn radiographs to check, 0 for none.", least=0)
    draws: int = choice(100, "Random draws of each transform on each film.", least=1)
    looks: int = choice(4, "How many of them are also measured in pixels, for contrast.", least=0)
    limit: int | None = choice(400, "At most this many films of each dataset.", least=1)
    split: str = choice("train", "Split of the datasets.")
    seed: int = choice(0, "Seed of draws, drawn radiographs, choice of films and bootstrap.", least=0)
    sheet_films: int = 2
    repeats: int = 1000

    def __post_init__(self) -> None:
        for name, least in (("drawn", 0), ("draws", 1), ("looks", 0), ("sheet_films", 0), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if self.looks > self.draws:
            raise ValueError(f"looks is {self.looks}, more than the {self.draws} draws")


@dataclass(frozen=True)
class Criteria:
    """What a transform must keep, and of how many draws. A draw counts as in view with `inside` of every break within the frame."""

    inside: float = choice(0.9, "A draw is in view with this share of every break in the frame.")
    in_view: float = choice(0.99, "To pass: share of the draws in view.")
    bend_degrees: float = choice(5.0, "To pass: no angle changes by more than this, in 99 % of the draws.")
    unbent: float = 0.99
    contrast: float = choice(0.5, "To pass: 5th percentile of the break's contrast, after ÷ before.")

    def __post_init__(self) -> None:
        for name in ("inside", "in_view", "unbent", "contrast"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share in (0, 1]")
        if self.bend_degrees <= 0:
            raise ValueError(f"bend_degrees is {self.bend_degrees}; expected degrees above 0")
