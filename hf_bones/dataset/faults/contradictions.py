"""What contradicts itself among the rows of a build: identical files under two labels or in two given splits, found once they are read.

What readers found (a folder against a table, say) comes with their rows. All of it stands in contradictions.csv.

Not here: groups that are in two given splits though their files differ (`leaks.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from hf_bones.curation.splits.names import SPLITS, TEST, TRAIN, VALIDATION
from hf_bones.dataset.reading.contradiction import KEPT, LEFT_OUT, STOPPED, Contradiction
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.pages.tables import write_csv

CONTRADICTIONS_NAME = "contradictions.csv"
TWO_LABELS, TWO_SPLITS = "identical files under two labels", "identical files in two splits"
_HELD_OUT_FIRST = (TEST, VALIDATION, TRAIN)  # of films in several splits the held-out one is kept: scores stay comparable with others'


def identical_files(digests: Sequence[str]) -> list[list[int]]:
    """The places of files that are there more than once, byte for byte; one list a file."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        places[digest].append(place)
    return [found for found in places.values() if len(found) > 1]


def under_two_labels(rows: Sequence[SourceRow], digests: Sequence[str], labels: Sequence[str]) -> tuple[set[int], list[Contradiction]]:
    """The places to leave out because identical files have different labels, and what to report of them.

    Nobody knows which label is right, so all of them are left out, as a build from a collection does it. Where a class would have no film
    left, all are kept instead: the films may be placeholders.
    """
    torn = [places for places in identical_files(digests) if len({labels[place] for place in places}) > 1]
    out = {place for places in torn for place in places}
    left = {label for place, label in enumerate(labels) if place not in out}
    if left != set(labels):
        out = set()
    done = LEFT_OUT if out else KEPT
    found = [
        Contradiction(TWO_LABELS, digests[places[0]][:16], rows[place].name, _stated(rows[place], labels[place]), done)
        for places in torn
        for place in places
    ]
    return out, found


def in_two_splits(
    rows: Sequence[SourceRow], digests: Sequence[str], labels: Sequence[str], *, leave_out: bool
) -> tuple[set[int], list[Contradiction]]:
    """The places of identical files that are in several given splits but not in the one to keep, and what to report of them.

    With `leave_out` those in test are kept, else those in validation; without it the build is to be stopped.
    """
    torn = [places for places in identical_files(digests) if len({rows[place].split for place in places} - {""}) > 1]
    out: set[int] = set()
    found = []
    for places in torn:
        kept = next(split for split in _HELD_OUT_FIRST if any(rows[place].split == split for place in places))
        for place in places:
            goes = rows[place].split not in ("", kept)
            out |= {place} if goes else set()
            done = (LEFT_OUT if goes else KEPT) if leave_out else STOPPED
            found.append(Contradiction(TWO_SPLITS, digests[place][:16], rows[place].name, _stated(rows[place], labels[place]), done))
    return out, found


def kept_of_identical(
    rows: Sequence[SourceRow], digests: Sequence[str], labels: Sequence[str], *, leave_out_leaks: bool
) -> tuple[list[str], list[Contradiction]]:
    """Why each row is left out ("" where it stays), because of files that are identical to it, and all that is to be reported of them."""
    out, found = under_two_labels(rows, digests, labels)
    why = ["identical files have different labels" if place in out else "" for place in range(len(rows))]
    if leave_out_leaks:
        # A file that is left out anyway tears nothing.
        own = [digest if not why[place] else f"{digest} {place}" for place, digest in enumerate(digests)]
        leaking, reported = in_two_splits(rows, own, labels, leave_out=True)
        found += reported
        why = ["an identical file is in another split" if place in leaking else reason for place, reason in enumerate(why)]
    return why, found


def keeps_classes(places: Collection[int], rows: Sequence[SourceRow], labels: Sequence[str]) -> bool:
    """Whether each class still has a film in each split that had one, with the rows at `places` left out."""
    before = {(label, row.split) for label, row in zip(labels, rows, strict=True) if row.split in SPLITS}
    after = {
        (label, row.split)
        for place, (label, row) in enumerate(zip(labels, rows, strict=True))
        if place not in places and row.split in SPLITS
    }
    return before == after


def _stated(row: SourceRow, label: str) -> str:
    said = f"label {row.label}" + (f" (read as {label})" if row.label != label else "")
    return f"{said}, split {row.split}" if row.split else said


def write_contradictions(path: Path, found: Sequence[Contradiction]) -> None:
    """Writes a CSV: what contradicts what, the case that rows share, the file, what is stated of it, what was done. Nothing for none."""
    if found:
        rows = [[each.kind, each.case, each.file, each.stated, each.done] for each in found]
        write_csv(path, ["contradiction", "case", "file", "stated", "done"], rows)


def contradiction_notes(found: Sequence[Contradiction]) -> list[str]:
    """How many images contradict themselves or each other, by kind, and what was done with them."""
    notes = []
    for kind in dict.fromkeys(each.kind for each in found):
        own = [each for each in found if each.kind == kind]
        done = " and ".join(f"{sum(each.done == what for each in own):,} {what}" for what in dict.fromkeys(each.done for each in own))
        notes.append(f"{kind}: {done}; {CONTRADICTIONS_NAME} names them")
    return notes
