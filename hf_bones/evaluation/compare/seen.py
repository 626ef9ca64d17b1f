"""Which of the rows compared on each checkpoint had before, and what is left of its figures without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hf_bones.evaluation.compare.figures import ABNORMAL, ALL, Part, abnormal_score, score_draws
from hf_bones.evaluation.compare.results import Contender, SeenBefore
from hf_bones.evaluation.compare.scores import SplitRows
from hf_bones.evaluation.report.figures import Figure, Resampling
from hf_bones.evaluation.seen import FilmsOf, SeenRows, seen_rows, seen_words
from hf_bones.inference.checkpoint import find_seen_films
from hf_bones.metrics.figures import Floats


def with_seen(contenders: Sequence[Contender], shown: SplitRows, validation: SplitRows) -> list[Contender]:
    """The contenders, each with what its checkpoint (the first seed's) had before; films are opened once for all of them."""
    films = [(FilmsOf(rows.part), rows.split) for rows in (shown, validation)]
    found = []
    for one in contenders:
        if one.checkpoint is None:
            found.append(one)
            continue
        seen = find_seen_films(one.checkpoint)
        on_shown, on_validation = (seen_rows(each, seen, split) for each, split in films)
        found.append(replace(one, seen=(on_shown, on_validation)))
    return found


def seen_before(one: Contender, split: str, shown: Part, validation: Part, resampling: Resampling) -> tuple[SeenBefore, ...]:
    """What a contender had of the rows of `shown` and `validation`; nothing of a baseline, and validation once where it is shown."""
    if one.seen is None:
        return ()
    tables = [[scores.shown for scores in one.scores], [scores.validation for scores in one.scores]]
    parts = [(split, shown, one.seen[0], tables[0]), ("validation", validation, one.seen[1], tables[1])]
    return tuple(_before(*each, resampling) for each in parts[: 1 if split == "validation" else 2])


def _before(split: str, part: Part, seen: SeenRows, tables: Sequence[Floats], resampling: Resampling) -> SeenBefore:
    own = seen.of(part.kept.tolist())
    words = seen_words(own)
    where = split if part.name in (ALL, split) else f"{split}, {part.name}"
    without = _without(part, own, tables, resampling) if words else None
    return SeenBefore(where, own.how is not None, own.learnt, own.chosen, len(part.kept), words, without)


def _without(part: Part, seen: SeenRows, tables: Sequence[Floats], resampling: Resampling) -> Figure | None:
    """AUROC(abnormal) of the rows of `part` that were not seen; None where none is left."""
    unseen = seen.unseen
    if unseen is None or not unseen.any():
        return None
    kept = np.flatnonzero(unseen)
    rest = replace(part, labels=part.labels[kept], groups=part.groups[kept], kept=part.kept[kept])
    return score_draws(rest, tables, abnormal_score(part.normal_id), ABNORMAL, resampling).figure
