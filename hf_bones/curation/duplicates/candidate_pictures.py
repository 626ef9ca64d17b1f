"""What is done to the pictures of candidates: compared as sketches, aligned, judged; many pairs at a time, on several threads.

Not here: which pairs go on to the next step (`find.py`), how two pictures are laid on each other (`registration.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.curation.duplicates import registration
from hf_bones.curation.duplicates.fingerprints import SKETCH_SCALE, FingerprintStore, FingerprintTable
from hf_bones.curation.duplicates.hash_index import Candidates
from hf_bones.curation.duplicates.registration import Registrations, Transforms

Done = TypeVar("Done")

_AT_ONCE = (1024, 128, 32)  # pairs aligned together at each level: enough that two threads seldom wait for each other


class CandidatePictures:
    """The pictures of candidates, fetched as they are needed, and what is done to many pairs at a time on several threads."""

    def __init__(self, table: FingerprintTable, store: FingerprintStore, found: Candidates, workers: int, progress: bool) -> None:
        self._table, self._store, self.found = table, store, found
        self._workers, self._progress = workers, progress
        self._forms = np.stack([found.first_form, found.second_form], axis=1)

    def start(self, chosen: npt.NDArray[np.intp]) -> Transforms:
        """Where the chosen pairs lie on each other by their probes, (N, 2, 3)."""
        return registration.starts(self._aspects(chosen)[:, 0], self.found.probe[chosen], self.found.symmetry[chosen])

    def sketch_correlations(self, chosen: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """(N,) correlations of the pairs' sketches as their probes lay them on each other."""

        def correlate(part: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
            moved, inside = registration.sample(self._planes(part, 0, 0), self.start(part))
            return registration.correlation(moved, self._planes(part, 1, 0), inside)

        parts = self._map(correlate, chosen, _AT_ONCE[0], "comparing sketches")
        return np.concatenate([*parts, np.zeros(0, np.float32)])

    def align(
        self, chosen: npt.NDArray[np.intp], transforms: Transforms, signs: npt.NDArray[np.float32], level: int
    ) -> tuple[Transforms, npt.NDArray[np.float32]]:
        """The pairs aligned at a level, and their correlations there."""

        def aligned(part: npt.NDArray[np.intp]) -> tuple[Transforms, npt.NDArray[np.float32]]:
            pairs = chosen[part]
            firsts, seconds = self._planes(pairs, 0, level), self._planes(pairs, 1, level)
            return registration.align(firsts, seconds, transforms[part], signs[part], level)

        side = registration.LEVELS[level]
        parts = self._map(aligned, np.arange(len(chosen)), _AT_ONCE[level], f"aligning at {side} px")
        if not parts:
            return transforms, np.zeros(0, np.float32)
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def judge(
        self, chosen: npt.NDArray[np.intp], transforms: Transforms, signs: npt.NDArray[np.float32], reached: npt.NDArray[np.float32]
    ) -> Registrations:
        """What the registered pairs have in common."""

        def judged(part: npt.NDArray[np.intp]) -> Registrations:
            pairs = chosen[part]
            thumbs = self._thumbs(pairs, 0), self._thumbs(pairs, 1)
            symmetries = self.found.symmetry[pairs]
            both = self._table.framed[self.found.first[pairs]] & self._table.framed[self.found.second[pairs]]
            return registration.judge(*thumbs, transforms[part], signs[part], reached[part], symmetries, self._aspects(pairs), both)

        # One part at the least, so that there is a result without pairs too.
        parts = self._map(judged, np.arange(len(chosen)), _AT_ONCE[2], "comparing detail") or [judged(np.zeros(0, np.intp))]
        return Registrations(*(np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)))

    def _aspects(self, chosen: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        return self._table.aspects[np.stack([self._numbers(chosen, which) for which in (0, 1)], axis=1)]

    def _numbers(self, chosen: npt.NDArray[np.intp], which: int) -> npt.NDArray[np.int64]:
        """(N,) the numbers of the chosen pairs' forms among all forms."""
        owners = (self.found.first, self.found.second)[which][chosen]
        return self._table.first_form[owners] + self._forms[chosen, which]

    def _planes(self, chosen: npt.NDArray[np.intp], which: int, level: int) -> npt.NDArray[np.float32]:
        if level == 0:
            return self._table.sketches[self._numbers(chosen, which)].astype(np.float32) / np.float32(SKETCH_SCALE)
        return registration.normalised(self._thumbs(chosen, which), level)

    def _thumbs(self, chosen: npt.NDArray[np.intp], which: int) -> npt.NDArray[np.uint8]:
        owners = (self.found.first, self.found.second)[which]
        names = self._table.hashes
        thumbs = [self._store.thumb(names[owners[pair]], int(self._forms[pair, which])) for pair in chosen]
        side = registration.LEVELS[-1]
        return np.stack(thumbs) if thumbs else np.zeros((0, side, side), np.uint8)

    def _map(self, work: Callable[[npt.NDArray[np.intp]], Done], chosen: npt.NDArray[np.intp], size: int, what: str) -> list[Done]:
        """`work` over `chosen` in parts of `size`, in order, with progress."""
        parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        with ThreadPoolExecutor(self._workers) as pool:
            done = pool.map(work, parts) if self._workers > 1 else map(work, parts)
            return list(tqdm(done, total=len(parts), desc=what, unit="batch", disable=None if self._progress else True, leave=False))


def _columns(part: Registrations) -> tuple[npt.NDArray[Any], ...]:
    return tuple(getattr(part, column.name) for column in fields(Registrations))
