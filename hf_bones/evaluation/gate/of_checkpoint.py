"""Fits the gate of a finished checkpoint on the films of a dataset, and writes it beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.columns import rows_of, text_column
from hf_bones.evaluation.gate.fit import fit_gate
from hf_bones.evaluation.gate.settings import GateSettings
from hf_bones.evaluation.patch_joins import Films
from hf_bones.evaluation.report.looks import own_folder
from hf_bones.evaluation.report.run import load_splits
from hf_bones.inference.gate.fitted import Gate, write_gate
from hf_bones.record import public_name

if TYPE_CHECKING:
    from datasets import DatasetDict


def fit_gate_of(
    folder: str | Path,
    dataset: str | Path | DatasetDict,
    *,
    licences: Sequence[str] = (),
    sources: Sequence[str] = (),
    settings: GateSettings = GateSettings(),  # noqa: B008 - read only
    batch_size: int = 16,
    device: str | None = None,
) -> Gate:
    """Fits a gate for the checkpoint in `folder` on train, with thresholds by validation, writes it there and returns it.

    licences, sources: fit only on rows with these (SPDX ids; names); all where none is named. Raises ValueError for a checkpoint that is
    no folder of one's own, for a dataset without both splits, and for too few films.
    """
    from hf_bones.inference.predictor import BonePredictor

    own = own_folder(folder)
    if own is None:
        raise ValueError(f"{folder}: a gate is written beside the weights; name a checkpoint folder of your own")
    data = load_splits(dataset)
    name = public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory"
    for split in ("train", "validation"):
        require_split(data, split, name)
    train = rows_of(data["train"], licences, sources)
    origins = text_column(data["train"], "source")
    chosen = spread_over_sources(train, [origins[row] for row in train], settings.films)
    turned = [chosen[place] for place in evenly(len(chosen), settings.inverted)]
    learnt = chain(Films(data["train"], chosen), (255 - pixels for pixels in Films(data["train"], turned)))
    judging = Films(data["validation"], rows_of(data["validation"], licences, sources))
    gate = fit_gate(
        BonePredictor.from_pretrained(own, device=device),
        learnt,
        judging,
        settings,
        batch_size=batch_size,
        licences=licences,
        sources=sources,
    )
    write_gate(gate, own)
    return gate


def spread_over_sources(rows: Sequence[int], sources: Sequence[str], most: int) -> list[int]:
    """At most `most` of the rows, (N,) with their sources, in order: all of small sources, and evenly spread ones of the larger.

    A source of few films says more of what there is than as many further films of a large one.
    """
    of_source: dict[str, list[int]] = {}
    for row, source in zip(rows, sources, strict=True):
        of_source.setdefault(source, []).append(row)
    found: list[int] = []
    for place, own in enumerate(sorted(of_source.values(), key=len)):
        share = (most - len(found)) // (len(of_source) - place)
        found += [own[at] for at in evenly(len(own), share)]
    return sorted(found)


def evenly(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist() if count and most else []
