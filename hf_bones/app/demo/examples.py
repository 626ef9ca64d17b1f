"""The examples of the demo: six drawn radiographs, two of each class, made from their seeds whenever the demo starts (0.1 s each).

Drawn rather than stored: nothing to ship, no licence, no patient, and no copy that could fall behind the drawing. Which ones says
`examples.json`, which `scripts/judge_drawn.py` writes anew when the bundled model or the drawing changes. Those that this model judges
otherwise than they were drawn are called hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from hf_bones.app.demo.wording import Words
from hf_bones.dataset.drawn.radiograph import HARD, PLAIN, draw_radiograph
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.pictures import png
from hf_bones.record import read_json

if TYPE_CHECKING:
    from hf_bones.evaluation.drawn_films import JudgedFilm

EXAMPLES_FILE = Path(__file__).with_name("examples.json")
VISIBLE = 0.005  # least broken share of a film that a visitor is shown as an example of a break


@dataclass(frozen=True, eq=False)
class Example:
    """A drawn radiograph as a PNG file: its bytes, its name, the label it was drawn with, the region, whether it is hard, and a caption."""

    png: bytes
    name: str
    label: str
    region: str
    is_hard: bool
    caption: str

    def picture(self) -> Image.Image:
        """Its pixels, mode L."""
        return Image.open(BytesIO(self.png))


def draw_examples(size: int = 320) -> list[Example]:
    """The six examples, `size` px on the long side. The same ones every time."""
    examples = []
    for chosen in read_json(EXAMPLES_FILE)["examples"]:
        drawn = draw_radiograph(chosen["seed"], chosen["label"], size=size, mode=chosen["mode"])
        hard = "" if chosen["judged_as_drawn"] else " (hard)"
        caption = f"{drawn.region.capitalize()}, {drawn.label.replace('_', ' ')}{hard}"
        examples.append(Example(png(Image.fromarray(drawn.pixels)), _name(chosen), drawn.label, drawn.region, bool(hard), caption))
    return examples


def example_names() -> list[str]:
    """The names of the examples, without drawing them."""
    return [_name(chosen) for chosen in read_json(EXAMPLES_FILE)["examples"]]


def _name(chosen: dict[str, Any]) -> str:
    return f"drawn-{chosen['label']}-{chosen['region']}-{chosen['seed']}.png"


def example_caption(example: Example, words: Words) -> str:
    """Its caption in the page's language."""
    label = words(f"classify.verdict.{example.label}.title").lower()
    caption = words("classify.example", region=words(f"classify.region.{example.region}"), label=label)
    return words("classify.hard", caption=caption) if example.is_hard else caption


def choose_examples(judged: Sequence[JudgedFilm]) -> list[dict[str, Any]]:
    """A plain and a hard film of each class: rightly judged ones first, then those with a region of their own, then the worst break.

    Films in a cast, and breaks on less than `VISIBLE` of the film, are left out. Raises ValueError where that leaves none.
    """
    chosen: list[JudgedFilm] = []
    for label, mode in product(THREE_CLASS.names, (PLAIN, HARD)):
        left = [each for each in judged if (each.film.label, each.film.mode, each.film.cast) == (label, mode, False)]
        left = [each for each in left if not each.film.boxes or each.film.mask.mean() >= VISIBLE]
        if not left:
            raise ValueError(f"no {mode} film of {label} to choose an example from; judge more")
        regions = {each.film.region for each in chosen}
        chosen.append(max(left, key=lambda each: (each.right, each.film.region not in regions, each.film.severity)))
    facts = ("seed", "label", "region", "mode")
    return [{**{fact: getattr(each.film, fact) for fact in facts}, "judged_as_drawn": each.right} for each in chosen]
