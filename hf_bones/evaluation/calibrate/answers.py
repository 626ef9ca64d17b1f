"""What a checkpoint's network says of the rows of a split, kept from one run to the next: other error levels need no further pass."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_bones.evaluation.columns import text_column
from hf_bones.evaluation.opinions.stored_arrays import read_arrays, write_arrays
from hf_bones.evaluation.patch_joins import Films
from hf_bones.inference.checkpoint import CONFIG_FILE, PROCESSOR_FILE
from hf_bones.metrics.figures import Floats
from hf_bones.record import sha256_file, sha256_rows

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_bones.inference.predictor import BonePredictor

FORMAT = 1  # raised whenever opening or preprocessing changes what a network sees
_CHUNK = 64  # a killed run loses at most so many films' answers


@dataclass(frozen=True, eq=False)
class Answers:
    """rows (N,): numbers of the rows that could be opened. logits (N, C): the network's own. evidence (N,): of its patches, None without
    a patch head. refused: how many rows could not be opened."""

    rows: np.ndarray
    logits: Floats
    evidence: Floats | None
    refused: int


def answers_of(predictor: BonePredictor, folder: Path, part: Dataset, rows: Sequence[int], batch_size: int, cache: Path | None) -> Answers:
    """What the network of the checkpoint in `folder` says of rows of `part`, taken from the folder `cache` where it is there.

    Rows without a hash are asked about each time. Raises ValueError where no row can be opened.
    """
    hashes = text_column(part, "sha256")
    kept = None if cache is None else cache / f"answers-{network_digest(folder)[:24]}"
    known = _read(kept, {hashes[row] for row in rows} - {""}) if kept is not None else {}
    answers = {row: known[hashes[row]] for row in rows if hashes[row] in known}
    films = Films(part, [row for row in rows if row not in answers])
    waiting, done = iter(films), 0
    fresh: dict[str, np.ndarray] = {}
    while batch := list(islice(waiting, batch_size)):
        logits, evidence = predictor.views(batch)
        seen = np.full(len(batch), np.nan) if evidence is None else evidence
        for row, own, joins in zip(films.readable[done : done + len(batch)], logits, seen, strict=True):
            answers[row] = np.append(np.asarray(own, dtype=np.float64), joins)
            if hashes[row]:
                fresh[hashes[row]] = answers[row]
        done += len(batch)
        if kept is not None and len(fresh) >= _CHUNK:
            fresh = _write(kept, fresh)
    if kept is not None and fresh:
        _write(kept, fresh)
    if not answers:
        raise ValueError(f"none of the {len(rows)} labelled films can be opened")
    order = sorted(answers)
    table = np.stack([answers[row] for row in order])
    return Answers(np.array(order), table[:, :-1], None if predictor.patch_head is None else table[:, -1], len(films.left_out))


def network_digest(folder: Path) -> str:
    """What the network's own answers rest on: weights, patch head, configuration and preprocessing; not the decision rule."""
    files = [*sorted(folder.glob("*.safetensors")), *(folder / name for name in (CONFIG_FILE, PROCESSOR_FILE))]
    return sha256_rows([("format", FORMAT), *((path.name, sha256_file(path)) for path in files)])


def _read(folder: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.npz")):
        found = read_arrays(path, "hashes", "answers")
        if found is not None:  # a damaged file's films are asked about again
            known |= {digest: answer for digest, answer in zip(found[0].tolist(), found[1], strict=True) if digest in wanted}
    return known


def _write(folder: Path, fresh: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    name = hashlib.sha256("".join(fresh).encode()).hexdigest()[:24]
    write_arrays(folder / f"{name}.npz", hashes=list(fresh), answers=np.stack(list(fresh.values())))
    return {}
