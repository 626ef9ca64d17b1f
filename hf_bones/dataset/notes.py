"""Sentences that a build tells of its rows, for whoever runs it and for the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.labels import LabelScheme

_WORDS = 12  # sources that a note names


def group_notes(rows: Sequence[SourceRow]) -> list[str]:
    alone = sum(row.group in ("", row.sha256) and not row.copy_group for row in rows)  # a built dataset names those after their bytes
    if not alone:
        return []
    return [
        f"{alone} of {len(rows)} images have no group (patient, study): each stands alone, identical files together. Near-duplicates and "
        "further films of one patient may be in two splits, which makes scores look better than they are"
    ]


def twin_notes(digests: Sequence[str]) -> list[str]:
    twins = sum(count > 1 for count in Counter(digests).values())
    return [f"{twins} files are there more than once, byte for byte, and stay in one split"] if twins else []


def class_notes(labels: Sequence[str], splits: Sequence[str], scheme: LabelScheme) -> list[str]:
    there = Counter(zip(labels, splits, strict=True))
    notes = [f"no images of class {name!r}" for name in scheme.names if name not in labels]
    return notes + [
        f"no images of class {name!r} in {split}: too few groups, or the given splits are so"
        for name in scheme.names
        for split in dict.fromkeys(splits)
        if name in labels and not there[name, split]
    ]


def source_notes(labels: Sequence[str], sources: Sequence[str], splits: Sequence[str], scheme: LabelScheme) -> list[str]:
    """Of several sources, which are in no validation or test split, and which have films of one side alone."""
    names = sorted(set(sources))
    if len(names) < 2:
        return []
    there = set(zip(sources, splits, strict=True))
    notes = [
        f"no images of source {name!r} in {split}: too few groups, or the given splits are so"
        for split in dict.fromkeys(splits)
        if sum((name, split) not in there for name in names) <= _WORDS
        for name in names
        if (name, split) not in there
    ]
    sides: dict[str, set[bool]] = {name: set() for name in names}
    for source, label in zip(sources, labels, strict=True):
        sides[source].add(label == scheme.normal)
    for side, said in ((True, f"of {scheme.normal} films alone"), (False, f"without a {scheme.normal} film")):
        found = [repr(name) for name in names if sides[name] == {side}]
        if found:
            more = f" and {len(found) - _WORDS} more" if len(found) > _WORDS else ""
            notes.append(
                f"{'source' if len(found) == 1 else 'sources'} {said}: {', '.join(found[:_WORDS])}{more}. How its films look "
                "tells their class; train with sampling: source"
            )
    return notes
