"""Which rows a run learns from and validates on, kept in its folder while it goes on: a run resumes only on the same rows.

The file stays on this machine. What a finished checkpoint says of its films, to whoever scores it, is `seen.py`'s.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from hf_bones.config.recipe import RecipeError

FILE = "learnt_rows.csv"
HEAD = ("sha256", "label", "split")


def note_rows(folder: Path, train: Sequence[tuple[str, int]], validation: Sequence[tuple[str, int]], *, resumed: bool) -> None:
    """Notes the rows of a run, SHA-256 and label; for the first process alone.

    Raises `RecipeError` where a run resumes (`resumed`) whose rows were others: its checkpoints would be judged on films that they learnt
    from. A run of an earlier version noted none, and is resumed as it is.
    """
    text = io.StringIO()
    rows = [(*row, split) for split, own in (("train", train), ("validation", validation)) for row in own]
    csv.writer(text, lineterminator="\n").writerows([HEAD, *rows])
    file = folder / FILE
    if resumed and file.is_file():
        if file.read_text(encoding="utf-8") != text.getvalue():
            raise RecipeError(
                f"output_dir: {folder} holds a run on other rows: the dataset, its splits or its labels have changed since. Choose another "
                "output_dir, or start over in this one with --resume false"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text.getvalue(), encoding="utf-8")
