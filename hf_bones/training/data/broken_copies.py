"""Broken copies: films of whole bones that train a second time with a break drawn into them (`dataset/drawn/onto_film.py`).

What a network learns from a film and its broken copy is the break: cast, region, hospital and film are the same in both. A copy keeps the
source and the licence of its film, is of its group, and counts as drawn. None validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from hf_bones.config.recipe import RecipeError
from hf_bones.dataset.drawn.onto_film import SIDE, break_film
from hf_bones.labels import FRACTURED, LabelScheme
from hf_bones.preprocess import fit_to
from hf_bones.training.data.batches import Boxes
from hf_bones.training.data.row_table import Rows


@dataclass(eq=False)
class BrokenCopies:
    """Broken copies as a source of pixels: images (H, W) uint8, and the box of each one's break."""

    images: list[np.ndarray]
    known_boxes: list[Boxes]

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> np.ndarray:
        return self.images[row]

    def boxes(self, row: int) -> Boxes | None:
        return self.known_boxes[row]


def add_broken_copies(rows: Rows, count: int, seed: int, scheme: LabelScheme, size: int | None) -> None:
    """Appends `count` broken copies to training `rows`, of real healthy films chosen at random, at a long side of `size` px.

    Films in which no bone is found are passed over. Raises `RecipeError` where the scheme has no class for them, and where there are
    fewer films than copies.
    """
    if count == 0:
        return
    if FRACTURED not in scheme.names:
        raise RecipeError(f"broken_copies: label_scheme {scheme.name!r} has no class {FRACTURED!r}; set broken_copies to 0")
    whole = [row for row, label in enumerate(rows.labels) if label == scheme.normal_id and not rows.synthetic[row]]
    copies, places, starts = BrokenCopies([], []), [], np.cumsum([0] + [len(source) for source in rows.sources])
    with tqdm(total=count, desc="broken copies", unit="film", disable=None, leave=False) as progress:
        for row in np.random.default_rng(seed).permutation(whole).tolist():
            if len(copies) == count:
                break
            number = int(np.searchsorted(starts, row, side="right")) - 1
            film = fit_to(rows.sources[number].pixels(row - int(starts[number])), size or SIDE)
            broken = break_film(film, np.random.default_rng([seed, row]))
            if broken is not None:
                copies.images.append(broken.pixels)
                copies.known_boxes.append([list(broken.box)])
                places.append(row)
                progress.update()
    if len(copies) < count:
        raise RecipeError(
            f"broken_copies: {count:,} wanted, but only {len(copies):,} of {len(whole):,} healthy training films are real and show a bone "
            f"that can be broken; set it to {len(copies)} or less"
        )
    rows.sources.append(copies)
    _describe(rows, places, scheme.label2id[FRACTURED], seed)


def _describe(rows: Rows, places: Sequence[int], label: int, seed: int) -> None:
    for row in places:
        rows.copies_of[len(rows)] = row
        rows.labels.append(label)
        rows.groups.append(rows.groups[row])
        rows.licences.append(rows.licences[row])
        rows.origins.append(rows.origins[row])
        rows.hashes.append(f"{rows.hashes[row]}-broken-{seed}")
        rows.synthetic.append(True)
        rows.subtypes.append("")  # none of the scheme's: drawn by how its pieces lie
        rows.regions.append(rows.regions[row])
