"""What was computed of images, kept in small files by the hash of each image's bytes: a run that was killed resumes, and a further run on
other rows of the same images computes nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.evaluation.opinions.stored_arrays import read_arrays, write_arrays

CHUNK = 64  # images of one file: a killed run loses at most so many


def kept_by_hash(folder: Path | None, wanted: set[str], *names: str) -> dict[str, tuple[Any, ...]]:
    """The arrays `names` of each of the `wanted` hashes that `folder` holds, in that order; a damaged file counts as not there.

    An array with a row for each image gives that row; a single number stands for each image of its file.
    """
    known: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.glob("*.npz")) if folder is not None else ():
        chunk = read_arrays(path, "hashes", *names)
        if chunk is None:
            continue  # its images are computed again
        hashes, *values = chunk
        for place, digest in enumerate(hashes.tolist()):
            if digest in wanted:
                known[digest] = tuple(value[place] if value.ndim else value[()] for value in values)
    return known


def keep_by_hash(folder: Path | None, hashes: Sequence[str], **arrays: Any) -> None:
    """Writes one file of images in one step; nothing without a folder or without images."""
    if folder is not None and hashes:
        name = hashlib.sha256("".join(hashes).encode()).hexdigest()[:24]
        write_arrays(folder / f"{name}.npz", hashes=np.array(hashes), **arrays)
