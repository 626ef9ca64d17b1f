"""What readers of layouts say of files that they left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hf_bones.dataset.reading.sources import LeftOut

_NAMED = 3  # files that a note names


def left_out_notes(left_out: Sequence[LeftOut]) -> list[str]:
    """A sentence for each reason: how many files, and the first of them."""
    names: dict[str, list[str]] = defaultdict(list)
    for row in left_out:
        names[row.reason].append(row.name)
    notes = []
    for reason, found in names.items():
        first = ", ".join(found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
        notes.append(f"left out: {len(found):,} file{'s' * (len(found) != 1)}, {reason} ({first})")
    return notes
