"""What an augmentation check looks at and finds, apart from who checks."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_bones.config.recipe import Recipe
from hf_bones.evaluation.augmentation.choices import AugmentCheckSettings, Criteria
from hf_bones.evaluation.augmentation.measure import TransformFigures
from hf_bones.evaluation.augmentation.transforms import ALONE, COUNTER_EXAMPLE, POLICY
from hf_bones.record import now


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
    settings: AugmentCheckSettings
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
