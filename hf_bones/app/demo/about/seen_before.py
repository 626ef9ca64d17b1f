"""Whether a film was among those that a checkpoint learnt from, by the list that it ships (`seen.npz`)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from hf_bones.curation.duplicates.film_code import WORDS, film_codes_every_way
from hf_bones.curation.duplicates.seen_films import SeenFilms
from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, explain, open_image
from hf_bones.inference.predictor import Opener

_NONE = np.zeros((0, WORDS), np.uint64)


@dataclass(frozen=True)
class SeenBefore:
    """What is known of one film.

    match: "file", these very bytes are on the list; "picture", a film on it looks the same (scaled, encoded anew, mirrored, turned by
    quarters, inverted or framed); "none"; "no_list", the checkpoint ships none; "unreadable", the bytes are not on the list and the picture
    cannot be compared, as `problem` says; "plain", it shows too little to be compared; "no_pictures", the list knows films by their bytes
    alone. how: `learnt` or `chosen` (the checkpoint was chosen by it); "" without a match. films: on the list.
    """

    match: Literal["file", "picture", "none", "no_list", "unreadable", "plain", "no_pictures"]
    how: str = ""
    films: int = 0
    problem: str = ""


def seen_before(seen: SeenFilms | None, path: Path, opener: Opener = open_image) -> SeenBefore:
    """Looks for the film at `path`, which `opener` opens, among those of a list."""
    if seen is None:
        return SeenBefore("no_list")
    films = len(seen)
    with path.open("rb") as stream:
        digest = sha256()
        while piece := stream.read(2**20):
            digest.update(piece)
    if how := seen.find(digest.hexdigest(), lambda: _NONE):
        return SeenBefore("file", how, films)
    try:
        codes = film_codes_every_way(opener(path, DEFAULT_LIMITS).pixels)
    except ImageRefusedError as refusal:
        return SeenBefore("unreadable", films=films, problem=explain(refusal.reason))
    if how := seen.find("", lambda: codes):
        return SeenBefore("picture", how, films)
    return SeenBefore("no_pictures" if not len(seen.codes) else "none" if len(codes) else "plain", films=films)
