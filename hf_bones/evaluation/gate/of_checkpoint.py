"""Fits the gate of a finished checkpoint on the films of a dataset, and writes it beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.columns import text_column
from hf_bones.evaluation.gate.fit import REFUSED, UNFAMILIAR, fit_gate
from hf_bones.evaluation.patch_joins import Films
from hf_bones.evaluation.report.looks import own_folder
from hf_bones.evaluation.report.run import load_splits
from hf_bones.inference.gate.fitted import Gate, write_gate
from hf_bones.record import public_name

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

MOST_FILMS = 700  # of the training split, evenly spread: more change the distances little


def fit_gate_of(
    folder: str | Path,
    dataset: str | Path | DatasetDict,
    *,
    licences: Sequence[str] = (),
    most: int = MOST_FILMS,
    refused: float = REFUSED,
    unfamiliar: float = UNFAMILIAR,
    batch_size: int = 16,
    device: str | None = None,
) -> Gate:
    """Fits a gate for the checkpoint in `folder` on train, with thresholds by validation, writes it there and returns it.

    licences: fit only on rows with these (SPDX ids); all where none is named. Raises ValueError for a checkpoint that is no folder of one's
    own, for a dataset without both splits, and for too few films.
    """
    from hf_bones.inference.predictor import BonePredictor

    own = own_folder(folder)
    if own is None:
        raise ValueError(f"{folder}: a gate is written beside the weights; name a checkpoint folder of your own")
    data = load_splits(dataset)
    name = public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory"
    for split in ("train", "validation"):
        require_split(data, split, name)
    train = _licensed(data["train"], licences)
    spread = np.unique(np.linspace(0, len(train) - 1, min(most, len(train))).round().astype(int)).tolist() if train else []
    learnt = Films(data["train"], [train[place] for place in spread])
    judging = Films(data["validation"], _licensed(data["validation"], licences))
    gate = fit_gate(
        BonePredictor.from_pretrained(own, device=device),
        learnt,
        judging,
        refused=refused,
        unfamiliar=unfamiliar,
        batch_size=batch_size,
        licences=licences,
    )
    write_gate(gate, own)
    return gate


def _licensed(part: Dataset, licences: Sequence[str]) -> list[int]:
    if not licences:
        return list(range(len(part)))
    return [row for row, licence in enumerate(text_column(part, "licence")) if licence in licences]
