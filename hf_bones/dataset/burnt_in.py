"""Which images of a dataset folder have writing burnt in that may name a patient: `burnt_in_text.csv`, there where any have.

They stay in the dataset: nothing was read, and a word such as SUPINE names nobody. Whoever passes the dataset on looks at them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_bones.curation.recipe import CheckSettings
from hf_bones.pages.tables import write_csv

BURNT_IN_NAME = "burnt_in_text.csv"
MOST_LETTERS = CheckSettings().max_text
_NAMED = 3


@dataclass(frozen=True)
class BurntInText:
    """An image with writing on it: the row's name, the hash of the file as it came, the letters of the longest line."""

    name: str
    sha256: str
    letters: float


def write_burnt_in(folder: Path, images: Sequence[BurntInText]) -> None:
    """Writes `folder`/burnt_in_text.csv: file, sha256, letters. Nothing where there are none."""
    if images:
        rows = [[image.name, image.sha256, f"{image.letters:.0f}"] for image in images]
        write_csv(folder / BURNT_IN_NAME, ["file", "sha256", "letters"], rows)


def burnt_in_notes(images: Sequence[BurntInText]) -> list[str]:
    """What the person who builds, and whoever reads the card, must know of them."""
    if not images:
        return []
    first = ", ".join(image.name for image in images[:_NAMED])
    many = f"{len(images):,} image{'s' * (len(images) != 1)}"
    more = " …" if len(images) > _NAMED else ""
    return [
        f"burnt-in text, which may be a name, a date or a number: {many} ({first}{more}); {BURNT_IN_NAME} lists them. Look at them before "
        "you pass the dataset on; others may hold names, dates and numbers that were not found"
    ]
