"""Which of the films scored a checkpoint had before: one answer for reports, leaderboards and whatever else scores.

A film counts as seen where its hash is in the checkpoint's list (`seen.npz`), or where it is a near-duplicate of a film there: scaled,
encoded anew, mirrored, turned by quarters, inverted or framed. Cropped copies and other films of the same patient are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.curation.duplicates.film_code import WORDS, Codes, film_codes_every_way
from hf_bones.curation.duplicates.seen_films import CHOSEN, LEARNT, SeenFilms
from hf_bones.dataset.schema import image_bytes
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.inference.checkpoint import find_seen_films

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class SeenRows:
    """How a checkpoint had seen each of N rows: `LEARNT` (in training), `CHOSEN` (in validation) or ""; None where it does not say."""

    how: tuple[str, ...] | None

    @property
    def learnt(self) -> int:
        """Rows that were learnt from."""
        return 0 if self.how is None else self.how.count(LEARNT)

    @property
    def chosen(self) -> int:
        """Rows that the checkpoint was chosen by, and did not learn from."""
        return 0 if self.how is None else self.how.count(CHOSEN)

    @property
    def unseen(self) -> npt.NDArray[np.bool_] | None:
        """(N,) the rows that it never had; None where that is not known."""
        return None if self.how is None else np.array([not how for how in self.how], dtype=bool)

    def of(self, rows: Sequence[int]) -> SeenRows:
        """The same for some of the rows."""
        return SeenRows(None if self.how is None else tuple(self.how[row] for row in rows))


class FilmsOf:
    """The films of the rows of `part`, each opened once at most, however many checkpoints are asked about them."""

    def __init__(self, part: Dataset) -> None:
        from datasets import Image

        self.images = part.select_columns("image").cast_column("image", Image(decode=False))
        self.hashes = [text or "" for text in part["sha256"][:]] if "sha256" in part.column_names else [""] * len(part)
        self.known: dict[int, Codes] = {}

    def codes(self, row: int) -> Codes:
        """The codes of a film, every way it may be turned; none of an image that cannot be opened, which is scored by nobody."""
        if row not in self.known:
            try:
                self.known[row] = film_codes_every_way(open_image(image_bytes(self.images[row]["image"])).pixels)
            except (ImageRefusedError, OSError):
                self.known[row] = np.zeros((0, WORDS), np.uint64)
        return self.known[row]


def seen_rows(films: FilmsOf, seen: SeenFilms | None, split: str) -> SeenRows:
    """How each of the films of `split` was seen by the checkpoint whose list is `seen` (`checkpoint.find_seen_films`; None: it has none).

    On a validation split, films that the checkpoint was chosen by are what they should be, and count as not seen.
    """
    if seen is None:
        return SeenRows(None)
    rows = tqdm(range(len(films.hashes)), desc="seen before", unit="film", disable=None, leave=False)
    found = [seen.find(films.hashes[row], partial(films.codes, row)) for row in rows]
    return SeenRows(tuple("" if how == CHOSEN and split == "validation" else how for how in found))


def seen_by(checkpoint: str, revision: str | None, part: Dataset, split: str) -> SeenRows:
    """How each row of `part` was seen by the checkpoint of that name: `bundled`, a folder or a Hub id at `revision`."""
    return seen_rows(FilmsOf(part), find_seen_films(checkpoint, revision), split)


def seen_words(seen: SeenRows) -> str:
    """`counted_words` of rows; "" where none was seen, or nobody knows."""
    return "" if seen.how is None else counted_words(seen.learnt, seen.chosen, len(seen.how))


def counted_words(learnt: int, chosen: int, total: int) -> str:
    """`12 of these 15 films were learnt from, and the checkpoint was chosen by 1 more`; "" where it had none of the `total`."""
    if learnt and learnt == total:
        return f"All {total} films were learnt from" if total > 1 else "This film was learnt from"
    said = [f"{learnt} of these {total} films {'was' if learnt == 1 else 'were'} learnt from"] if learnt else []
    if chosen:
        of = f"{chosen} more" if learnt else f"{chosen} of these {total} films"
        said.append(f"{'T' if not learnt else 't'}he checkpoint was chosen by {of}")
    return ", and ".join(said)
