"""What an augmentation check looks at and finds, apart from who checks."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_bones.config.recipe import Recipe
from hf_bones.evaluation.augmentation.measure import Criteria, TransformFigures
from hf_bones.evaluation.augmentation.transforms import ALONE, COUNTER_EXAMPLE, POLICY
from hf_bones.record import now


@dataclass(frozen=True)
class Settings:
    """How much is looked at: `drawn` radiographs; `draws` of each transform on each film, of which `looks` in pixels; at most `limit` films
    of each dataset's `split`; `sheet_films` on a contact sheet."""

    drawn: int = 40
    draws: int = 100
    looks: int = 4
    limit: int | None = 400
    split: str = "train"
    seed: int = 0
    sheet_films: int = 2
    repeats: int = 1000

    def __post_init__(self) -> None:
        for name, least in (("drawn", 0), ("draws", 1), ("looks", 0), ("sheet_films", 0), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if self.looks > self.draws:
            raise ValueError(f"looks is {self.looks}, more than the {self.draws} draws")


@dataclass(frozen=True, eq=False)
class FilmsFigures:
    """One set of films, and every transform's figures on it.

    `worst`: the films that the whole policy loses most often, as (name, share of the draws in view, distance of a box from the edge).
    `shown`: the numbers of those on its contact sheet `sheet`, the one with a break nearest to the edge first.
    """

    name: str
    films: int
    breaks: int
    labels: dict[str, int]
    transforms: tuple[TransformFigures, ...]
    worst: tuple[tuple[str, float, float], ...]
    shown: tuple[int, ...]
    sheet: str = ""

    def policy(self) -> TransformFigures:
        return next(each for each in self.transforms if each.kind == POLICY)

    def counter_examples(self) -> list[TransformFigures]:
        return [each for each in self.transforms if each.kind == COUNTER_EXAMPLE]

    def weakest(self) -> TransformFigures | None:
        """The policy's transform that alone takes most breaks out of view, None where none does."""
        alone = [each for each in self.transforms if each.kind == ALONE and each.in_view.value < 1]
        return min(alone, key=lambda each: each.in_view.value, default=None)


@dataclass(frozen=True, eq=False)
class AugmentCheck:
    """What the check found. It passes when the recipe's whole policy passes on every set of films."""

    recipe: Recipe
    settings: Settings
    criteria: Criteria
    sets: tuple[FilmsFigures, ...]
    turned_off: tuple[str, ...]
    data_sha256: str
    command: str = ""
    date: str = field(default_factory=now)

    @property
    def passes(self) -> bool:
        return all(each.policy().passes for each in self.sets)

    @property
    def counter_examples_fail(self) -> bool:
        """Whether the check tells what must fail: where it does not, a pass means little."""
        return not any(example.passes for each in self.sets for example in each.counter_examples())
