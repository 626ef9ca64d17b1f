"""Groups that are in two given splits: which rows to leave out so that they are in one, and what to say where the build stops.

Not here: files that are the same byte for byte, which are known only once they are read (`contradictions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hf_bones.curation.splits.names import TEST, TRAIN, VALIDATION, GroupLeakError, find_leaks, require_no_leaks
from hf_bones.dataset.faults.contradictions import (
    CONTRADICTIONS_NAME,
    in_two_splits,
    keeps_classes,
    write_contradictions,
)
from hf_bones.dataset.reading.contradiction import LEFT_OUT, Contradiction
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.record import typed_command

TWO_SPLITS = "a group in two splits"
_NAMED = 5  # pairs in a message; the file beside it has all


def without_leaks(
    rows: Sequence[SourceRow], groups: Sequence[str], labels: Sequence[str], *, leave_out: bool
) -> tuple[set[int], list[Contradiction]]:
    """The places of rows whose group is also in a split that goes before theirs (test, then validation), and what to report of them.

    Raises `GroupLeakError` without `leave_out`, saying which groups these are and what to run.
    """
    splits = [row.split for row in rows]
    leaks = find_leaks(groups, splits)
    out: set[int] = set()
    found = []
    for place, (row, group) in enumerate(zip(rows, groups, strict=True)):
        if group in leaks:
            kept = next(split for split in (TEST, VALIDATION, TRAIN) if split in leaks[group])
            if row.split not in ("", kept):
                out.add(place)
                found.append(Contradiction(TWO_SPLITS, group, row.name, f"split {row.split}, the group in {kept} too", LEFT_OUT))
    if not leave_out:
        try:
            require_no_leaks(groups, splits)
        except GroupLeakError as error:
            raise GroupLeakError(f"{error}. {leak_advice(keeps_classes(out, rows, labels))}") from error
    return out, found


def stop_at_identical_files(rows: Sequence[SourceRow], digests: Sequence[str], labels: Sequence[str], output: Path) -> None:
    """Raises `GroupLeakError` where identical files are in two given splits, whatever the groups say; a CSV beside `output` has all."""
    out, found = in_two_splits(rows, digests, labels, leave_out=False)
    if not found:
        return
    beside = output.with_name(f"{output.name}-{CONTRADICTIONS_NAME}")
    write_contradictions(beside, found)
    cases = list(dict.fromkeys(each.case for each in found))
    by_case = {case: [place for place, digest in enumerate(digests) if digest[:16] == case] for case in cases[:_NAMED]}
    pairs = "; ".join(" = ".join(f"{rows[place].name} ({rows[place].split})" for place in places) for places in by_case.values())
    more = f"; and {len(cases) - _NAMED} more" if len(cases) > _NAMED else ""
    raise GroupLeakError(
        f"{len(cases)} file(s) are in more than one split, byte for byte: {pairs}{more} (all of them: {beside}). "
        + leak_advice(keeps_classes(out, rows, labels))
    )


def leak_advice(keeps: bool) -> str:
    """What to run where given splits break up a group. `keeps`: whether no split loses a class by leaving the films out elsewhere."""
    anew = f"Have all splits made anew, with such films together: {_with('--split-anew')}"
    if not keeps:
        return anew
    return f"Keep what is in test, else in validation, and leave the rest out: {_with('--leave-out-leaks')}\n{anew}"


def _with(option: str) -> str:
    return typed_command(option) or f"build with {option}"
