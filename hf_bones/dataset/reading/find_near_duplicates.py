"""Near-duplicates among the rows of a build: found on the pictures themselves, so that no copy gets into another split than its original.

The same search as `hf-bones curate dedup` (`curation/duplicates/find.py`), on rows that no manifest holds. What it finds joins the
near-duplicates that the source states; the build then keeps them together, and refuses given splits that tear them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hf_bones.curation.duplicates.find import find_links, groups
from hf_bones.curation.duplicates.fingerprints import FingerprintStore, make_fingerprints
from hf_bones.curation.recipe import DedupSettings
from hf_bones.curation.splits.names import UNUSED, GroupLeakError, merge_groups
from hf_bones.curation.subject import DATASET_KIND, Subject
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.manifest.store import FINGERPRINTS_NAME, ImageRecord, open_manifest
from hf_bones.record import typed_command

_NAMED = 5  # of the groups that are torn, or whose labels contradict each other


def with_near_duplicates(
    rows: Sequence[SourceRow], settings: DedupSettings, workplace: Path, *, torn: bool = False, progress: bool = True
) -> tuple[list[SourceRow], list[str]]:
    """The rows with the near-duplicates that were found among them as `copy_group`, and notes on what was found.

    Rows marked unused are left as they are, and so are images that cannot be opened: the build refuses them by name. `workplace` is a
    folder on a disk with room for about 70 kB an image, which are gone afterwards. Raises `GroupLeakError` naming near-duplicates whose
    given splits differ, unless they may be `torn`.
    """
    by_hash: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.split != UNUSED and (digest := row.read_hash()):
            by_hash.setdefault(digest, []).append(index)
    records = [ImageRecord(digest, str(members[0]), 0) for digest, members in by_hash.items()]
    workplace.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".find-copies.", dir=workplace) as folder,
        open_manifest(Path(folder), create=True) as manifest,
        FingerprintStore(Path(folder) / FINGERPRINTS_NAME) as store,
    ):
        subject = Subject(manifest, lambda record: rows[int(record.file)].read(), DATASET_KIND)
        unreadable = make_fingerprints(subject, records, store, progress=progress)
        table = store.table([record.sha256 for record in records if record.sha256 not in unreadable])
        joined = groups(find_links(table, store, settings, progress=progress).links)
    found = [""] * len(rows)
    members_of = [sorted(place for digest in group for place in by_hash[digest]) for group in joined]
    if not torn:
        _require_whole(rows, members_of)
    for members in members_of:
        for place in members:
            found[place] = f"near-duplicates of {rows[members[0]].name}"
    own = [row.copy_group for row in rows]
    merged = merge_groups(own, found, [f"row {index}" for index in range(len(rows))])
    changed = [replace(row, copy_group=name) if found[index] else row for index, (row, name) in enumerate(zip(rows, merged, strict=True))]
    return changed, _notes(rows, members_of)


def _require_whole(rows: Sequence[SourceRow], members_of: Sequence[Sequence[int]]) -> None:
    torn = [members for members in members_of if len({rows[place].split for place in members} - {""}) > 1]
    if torn:
        pairs = "; ".join(" = ".join(f"{rows[place].name} ({rows[place].split})" for place in members) for members in torn[:_NAMED])
        more = f"; and {len(torn) - _NAMED:,} more" if len(torn) > _NAMED else ""
        raise GroupLeakError(
            f"{len(torn):,} group(s) of near-duplicates are in more than one split: {pairs}{more}. Mark all but one of them as 'unused' "
            "or drop them. Or leave out those that are in test or validation too (--leave-out-leaks). Or have the splits made anew: "
            + (typed_command("--split-anew") or "build with --split-anew")
        )


def _notes(rows: Sequence[SourceRow], members_of: Sequence[Sequence[int]]) -> list[str]:
    if not members_of:
        return ["no near-duplicates were found among the images"]
    images = sum(map(len, members_of))
    notes = [f"{images:,} images stand in {len(members_of):,} groups of near-duplicates; each group is in one split"]
    torn = [members for members in members_of if len({rows[place].label for place in members}) > 1]
    if torn:
        shown = "; ".join(", ".join(f"{rows[place].name} ({rows[place].label})" for place in members) for members in torn[:_NAMED])
        notes.append(f"{len(torn):,} of these groups have contradictory labels, to be looked at: {shown}")
    return notes
