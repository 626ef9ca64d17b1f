"""Why the figures of an evaluation say little, or too much: sentences for the top of its report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from datasets import Dataset

from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.metrics import MIN_ROWS
from hf_bones.training.run.learnt_rows import learnt_rows


def cautions(part: Dataset, rows: ScoredRows, checkpoint: Path | None, split: str) -> list[str]:
    """The sentences for the scored `rows`, which are those of `part`; `checkpoint`: its folder, where it is one of this machine."""
    hashes = list(part["sha256"][:]) if "sha256" in part.column_names else []
    return [*_learnt(hashes, checkpoint, split), *_few(rows), *_no_groups(rows, hashes)]


def _learnt(hashes: list[str], checkpoint: Path | None, split: str) -> list[str]:
    """Rows of this split that the run had elsewhere, or in training."""
    known = learnt_rows(checkpoint) if checkpoint is not None else {}
    met = Counter(where for where in map(known.get, hashes) if where is not None and (where == "train" or where != split))
    told = [f"learnt from {met['train']}"] if met["train"] else []
    told += [f"was chosen by {met['validation']}"] if met["validation"] else []
    if not told:
        return []
    elsewhere = "It was trained on another split or dataset: score films that it never had, or train again, into another folder."
    why = "" if split == "train" else f" {elsewhere}"
    return [f"The checkpoint {' and '.join(told)} of these {len(hashes)} films: its figures flatter it.{why}"]


def _few(rows: ScoredRows) -> list[str]:
    counts = Counter(rows.names[label] for label in rows.labels)
    scarce = [f"{counts[name]} of {name}" for name in rows.names if 0 < counts[name] < MIN_ROWS]
    if not scarce:
        return []
    return [f"Too few films to judge a model by: {len(rows.labels)}, of them {', '.join(scarce)}. Figures may be far off either way."]


def _no_groups(rows: ScoredRows, hashes: list[str]) -> list[str]:
    if not hashes or any(group != digest for group, digest in zip(rows.groups, hashes, strict=True)):
        return []
    return ["No patient or other group is known of any film: films of one patient may have been in training, and intervals are too narrow."]
