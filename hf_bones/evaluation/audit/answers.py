"""What a checkpoint says of films and of changed films, kept by the hash of each film: an audit that is run again asks nothing twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_bones.evaluation.audit.changes import Change
from hf_bones.evaluation.audit.films import Films
from hf_bones.evaluation.opinions.by_hash import CHUNK, keep_by_hash, kept_by_hash
from hf_bones.images.opening import ImageRefusedError
from hf_bones.inference.finding import UNREADABLE
from hf_bones.metrics.figures import Floats

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

FORMAT = 1  # raised whenever a rule of `changes.py` or the opening of films changes


@dataclass(frozen=True, eq=False)
class Answers:
    """`probabilities` (N, C), NaN for a film that cannot be opened; N `verdicts`; how many were `computed` in this run."""

    probabilities: Floats
    verdicts: npt.NDArray[np.str_]
    computed: int

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.probabilities).any(axis=1))


def answers_to(predictor: BonePredictor, films: Films, change: Change, folder: Path, batch_size: int = 16) -> Answers:
    """The checkpoint's answers to the films after `change`, from `folder` (that of the checkpoint) where they are kept there."""
    place = folder / f"{FORMAT}-{change.key}"
    known = kept_by_hash(place, set(films.hashes), "probabilities", "verdicts")
    waiting = list({films.hashes[row]: row for row in reversed(range(len(films))) if films.hashes[row] not in known}.values())
    waiting.sort()
    with tqdm(total=len(films), initial=len(films) - len(waiting), desc=change.name, unit="film", disable=None) as bar:
        for start in range(0, len(waiting), CHUNK):
            chunk = waiting[start : start + CHUNK]
            fresh = _asked(predictor, films, chunk, change, batch_size)
            hashes = [films.hashes[row] for row in chunk]
            known |= dict(zip(hashes, fresh, strict=True))
            keep_by_hash(place, hashes, probabilities=[each[0] for each in fresh], verdicts=[each[1] for each in fresh])
            bar.update(len(chunk))
    found = [known[digest] for digest in films.hashes]
    probabilities = np.array([each[0] for each in found], dtype=np.float64).reshape(-1, len(predictor.names))
    return Answers(probabilities, np.array([str(each[1]) for each in found], dtype=np.str_), len(waiting))


def _asked(predictor: BonePredictor, films: Films, chunk: list[int], change: Change, batch_size: int) -> list[tuple[Floats, str]]:
    """Probabilities (C,) and verdict of each row of `chunk`."""
    pixels, places = [], []
    for place, row in enumerate(chunk):
        try:
            pixels.append(change.apply(films.pixels(row)))
        except (ImageRefusedError, OSError):
            continue  # it keeps the answer of a film that cannot be opened
        places.append(place)
    found = [(np.full(len(predictor.names), np.nan), UNREADABLE)] * len(chunk)
    for place, finding in zip(places, predictor.predict(pixels, batch_size=batch_size), strict=True):
        if finding.probabilities is not None:
            found[place] = np.array([finding.probabilities[name] for name in predictor.names]), finding.verdict
    return found
