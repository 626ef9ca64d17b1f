"""The images of a collection, a built dataset, a folder or a table: how to read each, its label, its group and its boxes.

What was dropped, what is marked unused and what has no label are left out, as a build leaves them out. Groups are those that a build
makes: a patient, page or block, copies of one picture, and files that are the same byte for byte.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hf_bones.curation.splits.names import UNUSED, merge_groups
from hf_bones.dataset.build import resolve_labels
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.reading.detect import detect_kind, read_source
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.labels import THREE_CLASS, LabelScheme

_LEAST_SAMPLE = 10


@dataclass(frozen=True, eq=False)
class ImageRow:
    """One image. `read` gives its bytes and raises OSError where they are not there; `file` where it is a file of its own.

    `sha256` is the source's own where one is stated, else ""; `label` a class of the scheme; `boxes` (cx, cy, w, h) in [0, 1].
    """

    name: str
    read: Callable[[], bytes]
    label: str
    group: str
    sha256: str = ""
    file: Path | None = None
    source: str = ""
    licence: str = ""
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def image_rows(
    place: str | Path,
    *,
    kind: str | None = None,
    scheme: LabelScheme = THREE_CLASS,
    label_map: Mapping[str, str] | None = None,
    licences: Sequence[str] = (),
    labelled: bool = True,
) -> list[ImageRow]:
    """The rows at `place`, those of `licences` alone where some are given.

    `kind` as in `dataset.detect.KINDS`, detected when None. Where they need not be `labelled`, labels stay the words that the source has.
    Raises ValueError (of several kinds) naming what cannot be read, a label that stands for no class, or the licences that are there where
    none of the wanted ones is.
    """
    pairs = tuple(f"{word}={name}" for word, name in (label_map or {}).items())
    chosen_kind = kind or detect_kind(str(place), ReadingChoices(label_map=pairs), scheme)
    if chosen_kind == "drawn":
        raise ValueError("drawn radiographs are as large as they are asked to be; build some first: hf-bones build drawn --out FOLDER")
    found = read_source(str(place), ReadingChoices(kind=chosen_kind, label_map=pairs), scheme).rows
    used = [row for row in found if row.split != UNUSED and (row.label or not labelled)]
    chosen = [row for row in used if not licences or row.licence in licences]
    if not chosen:
        there = ", ".join(sorted({row.licence for row in used})) or "none"
        raise ValueError(f"{place}: no image" + (f" with licence {' or '.join(licences)}; there are: {there}" if used else ""))
    return grouped(chosen, resolve_labels(chosen, scheme, label_map) if labelled else [row.label for row in chosen])


def grouped(rows: Sequence[SourceRow], labels: Sequence[str]) -> list[ImageRow]:
    """`rows` with the classes that their labels stand for, and the groups that must stay on one side of any division."""
    alone = [row.sha256 or f"row {index}" for index, row in enumerate(rows)]
    groups = merge_groups([row.group for row in rows], [row.copy_group for row in rows], alone)
    return [
        ImageRow(row.name, row.read, label, group, row.sha256, row.file, row.source, row.licence, row.boxes)
        for row, label, group in zip(rows, labels, groups, strict=True)
    ]


def with_hashes(rows: Sequence[ImageRow]) -> list[ImageRow]:
    """The same rows, each with the hash of the bytes that it reads; one that cannot be read keeps an empty one.

    Rows that read the same bytes are put into one group.
    """
    hashed = []
    for row in rows:
        try:
            hashed.append(replace(row, sha256=hashlib.sha256(row.read()).hexdigest()))
        except OSError:
            hashed.append(replace(row, sha256=""))
    groups = merge_groups([row.group for row in hashed], [row.sha256 for row in hashed])
    return [replace(row, group=group) for row, group in zip(hashed, groups, strict=True)]


def spread_sample(rows: Sequence[ImageRow], limit: int, seed: int = 0) -> list[ImageRow]:
    """About `limit` of the rows, in their order: each class in its share but no fewer than ten, from as many groups as there are."""
    if limit >= len(rows):
        return list(rows)
    order = np.random.default_rng(seed).permutation(len(rows))
    taken: Counter[tuple[str, str]] = Counter()
    turns: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, index in enumerate(order):
        row = rows[index]
        turns[row.label].append((taken[row.label, row.group], place))  # every group's first row comes before any group's second
        taken[row.label, row.group] += 1
    chosen: list[int] = []
    for members in turns.values():
        quota = max(round(limit * len(members) / len(rows)), _LEAST_SAMPLE)
        chosen += [int(order[place]) for _, place in sorted(members)[:quota]]
    return [rows[index] for index in sorted(chosen)]
