"""Why the figures of an evaluation say little, or too much: sentences for the top of its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.report.figures import CHECKPOINT, SliceFigures
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import UNSEEN
from hf_bones.evaluation.seen import SeenRows, seen_words
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.headlines import TABLE, TITLES


def cautions(rows: ScoredRows, hashes: Sequence[str]) -> list[str]:
    """The sentences on few films and unknown groups. `hashes`: SHA-256 of each row, () where the dataset has none."""
    return [*_few(rows), *_no_groups(rows, hashes)]


def seen_caution(seen: SeenRows, split: str, tables: Sequence[SliceFigures]) -> list[str]:
    """What is to be said of rows that the checkpoint had before, with the figures without them, which are among `tables`."""
    said = seen_words(seen)
    if not said:
        return []
    another = "" if split == "train" else " Score films that it never had, or train again, into another folder."
    without = [table for table in tables if table.kind == "unseen" and table.name == UNSEEN and table.model == CHECKPOINT]
    if not without:
        nothing = "figures say how well it remembers them, not how well it judges films that it never had"
        return [f"{said}{'' if seen.learnt == len(seen.how or ()) else ' and none is left'}: {nothing}.{another}"]
    (table,) = without
    figures = ", ".join(f"{TITLES[key]} {figure_cell(table.figures[key])}" for key in TABLE).replace("\\", "")
    return [f"{said} (figures without them, {table.n} films: {figures}). The figures of all rows flatter it.{another}"]


def seen_note(seen: SeenRows) -> list[str]:
    """What is to be said where no row was seen before, or nobody knows."""
    if seen.how is None:
        return [
            "Whether the checkpoint learnt from any of these films is not known: it has no list of the films that it has seen (seen.npz)."
        ]
    return (
        []
        if seen_words(seen)
        else ["None of these films was learnt from, nor a near-duplicate of them, by the checkpoint's list (seen.npz)."]
    )


def _few(rows: ScoredRows) -> list[str]:
    counts = Counter(rows.names[label] for label in rows.labels)
    scarce = [f"{counts[name]} of {name}" for name in rows.names if 0 < counts[name] < MIN_ROWS]
    if not scarce:
        return []
    return [f"Too few films to judge a model by: {len(rows.labels)}, of them {', '.join(scarce)}. Figures may be far off either way."]


def _no_groups(rows: ScoredRows, hashes: Sequence[str]) -> list[str]:
    if not hashes or any(group != digest for group, digest in zip(rows.groups, hashes, strict=True)):
        return []
    return ["No patient or other group is known of any film: films of one patient may have been in training, and intervals are too narrow."]
