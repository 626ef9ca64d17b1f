"""What a checkpoint says of drawn radiographs that nobody has selected, such as the demo's examples are chosen from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_bones.dataset.drawn.radiograph import HARD, DrawnRadiograph, draw_set
from hf_bones.labels import THREE_CLASS

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

COUNT, SEED, SIZE = 300, 14, 320  # of the films that a card speaks of; the size is that of the demo's examples
RECORD_KEY = "drawn_films"  # in record.json, from where the card has it


@dataclass(frozen=True, eq=False)
class JudgedFilm:
    """A drawn film and the checkpoint's verdict on it: a class, or a word of `inference.finding`."""

    film: DrawnRadiograph
    verdict: str

    @property
    def right(self) -> bool:
        return self.verdict == self.film.label


def judge_drawn(
    predictor: BonePredictor, *, count: int = COUNT, seed: int = SEED, size: int = SIZE, mode: str = HARD, batch_size: int = 8
) -> Iterator[JudgedFilm]:
    """Yields the films of `draw_set(count, seed)` with the predictor's verdicts, a batch at a time."""
    films = list(draw_set(count, seed, size=size, mode=mode))
    for start in range(0, count, batch_size):
        part = films[start : start + batch_size]
        for film, finding in zip(part, predictor.predict([film.pixels for film in part], batch_size=batch_size), strict=True):
            yield JudgedFilm(film, finding.verdict)


def judged_counts(judged: Sequence[JudgedFilm]) -> dict[str, Any]:
    """What record.json says of them: how many films there were, and how many of each class were judged as drawn."""
    by_class = {name: [each for each in judged if each.film.label == name] for name in THREE_CLASS.names}
    return {
        "count": len(judged),
        "right": {name: sum(each.right for each in those) for name, those in by_class.items()},
        "drawn": {name: len(those) for name, those in by_class.items()},
    }
