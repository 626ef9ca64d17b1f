"""What a run learnt from and was chosen by, written beside its checkpoint (`curation/duplicates/seen_films.py`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hf_bones.curation.duplicates.film_code import Codes, film_codes
from hf_bones.curation.duplicates.seen_films import SEEN_FILE, SeenFilms, merged, seen_films, write_seen_films
from hf_bones.curation.in_order import in_order
from hf_bones.training.data.batches import PixelSource
from hf_bones.training.data.broken_copies import BrokenCopies
from hf_bones.training.data.row_table import Rows
from hf_bones.training.data.rows import DrawnImages, StoredImages
from hf_bones.training.data.streaming import StreamedImages
from hf_bones.training.errors import DamagedImageError

log = logging.getLogger(__name__)

_AHEAD = 32  # films that are opened before their turn, which bounds memory


def write_seen(folder: Path, rows: tuple[Rows, Rows], earlier: SeenFilms | None = None) -> SeenFilms:
    """Writes `folder`/seen.npz for the training and validation `rows` of a run, and returns what it holds.

    earlier: what the checkpoint had seen whose weights the run began with; it counts too. What a recipe draws for itself is left out,
    since nobody else has it; streamed films have no codes, since they may no longer be at hand.
    """
    seen = _films_of(rows)
    if earlier is not None:
        seen = merged(seen, earlier)
    folder.mkdir(parents=True, exist_ok=True)
    write_seen_films(seen, folder / SEEN_FILE)
    return seen


def _films_of(rows: tuple[Rows, Rows]) -> SeenFilms:
    hashes: list[str] = []
    validation: list[bool] = []
    places: list[tuple[PixelSource, int] | None] = []
    for part, is_validation in zip(rows, (False, True), strict=True):
        first = 0
        for source in part.sources:
            names = part.hashes[first : first + len(source)]
            first += len(source)
            if isinstance(source, (DrawnImages, BrokenCopies)):
                continue
            hashes += names
            validation += [is_validation] * len(names)
            places += [None if isinstance(source, StreamedImages) else (source, row) for row in range(len(names))]
    return seen_films(hashes, validation, list(_codes(places)))


def _codes(places: Sequence[tuple[PixelSource, int] | None]) -> Iterator[Codes | None]:
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        found = in_order(pool, _codes_at, places, _AHEAD)
        yield from tqdm(found, total=len(places), desc="films seen", unit="film", disable=None, leave=False)


def _codes_at(place: tuple[PixelSource, int] | None) -> Codes | None:
    if place is None:
        return None
    try:
        return film_codes(_pixels(*place))
    except DamagedImageError as error:  # damaged while the run went on: a finished run is not lost for that
        log.warning("%s: of this film only the hash of its file is kept in %s. %s", SEEN_FILE, SEEN_FILE, error)
        return None


def _pixels(source: PixelSource, row: int) -> np.ndarray:
    """The film, from the array cache where it is there: much sooner than decoding it, and its codes are those of a rescaled copy."""
    if isinstance(source, StoredImages) and source.arrays is not None:
        return source.fitted([row], source.arrays.size)[0]
    return source.pixels(row)
