"""What becomes of near-duplicates: groups in the manifest, the best of each kept, the others dropped by an appended decision.

A group whose images carry different labels is nobody's to settle but a person's: nothing of it is dropped, and a build leaves all of it out
until somebody has decided. What a person decided about an image stays, whatever its group. Run again, only what changed is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from hf_bones.collect.candidate import UNKNOWN_LICENCE
from hf_bones.collect.upkeep.status import label_conflicts
from hf_bones.curation.duplicates.find import Embed, PairLink, PairSearch, find_links, groups
from hf_bones.curation.duplicates.fingerprints import FingerprintStore, FingerprintTable, make_fingerprints
from hf_bones.curation.recipe import DedupSettings
from hf_bones.curation.splits.names import UNUSED
from hf_bones.curation.subject import Subject
from hf_bones.manifest.store import FINGERPRINTS_NAME, ImageRecord, Manifest
from hf_bones.manifest.votes import differ, on_use, stated_labels
from hf_bones.record import now

BY = "curate dedup"  # who decided, in the log
# From what may be used by all to what may be used by few; what states no licence comes last.
_LICENCES = ("CC0-*", "CC-PD*", "LicenseRef-Public-Domain", "CC-BY-[0-9]*", "LicenseRef-CC-BY", "CC-BY-SA-*", "LicenseRef-CC-BY-SA", "*")


@dataclass(frozen=True)
class NearDuplicateGroup:
    """Images that are one picture. `members` are best first; `kept` is the one to keep, "" where their `labels` contradict each other."""

    name: str
    members: tuple[ImageRecord, ...]
    kept: str
    labels: tuple[str, ...]
    links: tuple[PairLink, ...]

    @property
    def is_contradictory(self) -> bool:
        return len(self.labels) > 1


@dataclass(frozen=True)
class Deduplicated:
    """What a run found and wrote: the groups, what the search looked at, images that cannot be opened (hash → why), decisions appended.

    `identical` are images whose very bytes were seen under different labels (hash → labels).
    """

    groups: tuple[NearDuplicateGroup, ...]
    identical: dict[str, list[str]]
    search: PairSearch
    images: int
    unreadable: dict[str, str]
    dropped: int
    undone: int


def deduplicate(
    subject: Subject,
    settings: DedupSettings,
    *,
    drop: bool = True,
    embed: Callable[[Sequence[ImageRecord]], npt.NDArray[np.floating]] | None = None,
    workers: int = 2,
    progress: bool = True,
) -> Deduplicated:
    """Finds the near-duplicates of a subject and writes them to its manifest: links, groups, ImageHash's hashes, and with `drop` decisions.

    `embed` gives (N, F) embeddings of images. Images whose file is gone or cannot be opened are left out and named.
    """
    records = [record for record in subject.manifest.images() if record.file]
    with FingerprintStore(subject.folder / FINGERPRINTS_NAME) as store:
        unreadable = make_fingerprints(subject, records, store, workers=workers, progress=progress)
        table = store.table([record.sha256 for record in records if record.sha256 not in unreadable])
        by_hash = {record.sha256: record for record in records}
        by_name: Embed | None = None if embed is None else lambda hashes: embed([by_hash[sha256] for sha256 in hashes])
        search = find_links(table, store, settings, embed=by_name, workers=workers, progress=progress)
    found = near_duplicate_groups(table, search.links, by_hash, settings)
    with subject.manifest.transaction():
        _write_links(subject.manifest, table, search.links, found)
        dropped, undone = _decide(subject.manifest, found) if drop else (0, 0)
    return Deduplicated(tuple(found), label_conflicts(subject.manifest), search, len(table), unreadable, dropped, undone)


def near_duplicate_groups(
    table: FingerprintTable, links: Sequence[PairLink], records: dict[str, ImageRecord], settings: DedupSettings
) -> list[NearDuplicateGroup]:
    """The groups that links join, contradictory ones first, then by size."""
    sizes = dict(zip(table.hashes, table.sizes.prod(axis=1).tolist(), strict=True))
    order = {sha256: place for place, sha256 in enumerate(records)}

    def rank(record: ImageRecord) -> tuple[int, int, int, bool, int]:
        source = settings.sources.index(record.provider) if record.provider in settings.sources else len(settings.sources)
        return (-sizes[record.sha256], licence_rank(record.licence), source, record.split == UNUSED, order[record.sha256])

    joined = groups(links)
    group_of = {sha256: place for place, hashes in enumerate(joined) for sha256 in hashes}
    links_of: list[list[PairLink]] = [[] for _ in joined]
    for link in links:
        links_of[group_of[link.first]].append(link)
    found = []
    for hashes, within in zip(joined, links_of, strict=True):
        members = sorted((records[sha256] for sha256 in hashes), key=rank)
        candidates = [record for record in members if not _dropped_by_others(record) and not differ(on_use(record.votes))]
        labels = tuple(sorted({label for record in candidates for label in stated_labels(record.final_label, record.votes)}))
        found.append(
            NearDuplicateGroup(
                name=f"copies-{hashes[0][:12]}",
                members=tuple(members),
                kept=candidates[0].sha256 if candidates and len(labels) < 2 else "",
                labels=labels,
                links=tuple(within),
            )
        )
    return sorted(found, key=lambda group: (not group.is_contradictory, -len(group.members), group.name))


def licence_rank(licence: str) -> int:
    """How freely an image may be used: 0 for the public domain, the greatest number where no licence is known."""
    if licence in ("", UNKNOWN_LICENCE, "unclear"):
        return len(_LICENCES)
    return next(place for place, pattern in enumerate(_LICENCES) if fnmatchcase(licence, pattern))


def _dropped_by_others(record: ImageRecord) -> bool:
    return record.decision == "drop" and record.decided_by != BY


def _write_links(manifest: Manifest, table: FingerprintTable, links: Sequence[PairLink], found: Sequence[NearDuplicateGroup]) -> None:
    at = now()
    connection = manifest.connection
    connection.execute("DELETE FROM links")
    rows = [(*sorted((link.first, link.second)), link.change, link.score, at) for link in links]
    connection.executemany("INSERT INTO links (first, second, change, score, found_at) VALUES (?, ?, ?, ?, ?)", rows)
    # Only groups that were made here: what a source stated as copies of each other stays.
    connection.execute("UPDATE images SET copy_group = '' WHERE copy_group LIKE 'copies-%'")
    for group in found:
        stated = sorted(
            {record.copy_group for record in group.members if record.copy_group and not record.copy_group.startswith("copies-")}
        )
        name = stated[0] if stated else group.name
        connection.executemany("UPDATE images SET copy_group = ? WHERE sha256 = ?", [(name, record.sha256) for record in group.members])
        # Several stated groups that turn out to be one become one.
        connection.executemany("UPDATE images SET copy_group = ? WHERE copy_group = ?", [(name, other) for other in stated[1:]])
    connection.executemany(
        "UPDATE images SET hashes = json_set(coalesce(hashes, '{}'), '$.phash', ?) WHERE sha256 = ?",
        zip(table.phashes, table.hashes, strict=True),
    )


def _decide(manifest: Manifest, found: Sequence[NearDuplicateGroup]) -> tuple[int, int]:
    """Appends what is to be dropped, and takes back earlier drops of ours that no longer hold. Returns how many of each."""
    wanted: dict[str, str] = {}
    for group in found:
        for record in group.members:
            if group.kept and record.sha256 != group.kept and not (record.decision and record.decided_by != BY):
                wanted[record.sha256] = f"near-duplicate of {group.kept[:12]}"
    undone = 0
    standing: set[str] = set()
    for decision in list(manifest.decisions("d.decided_by = ? AND d.decision = 'drop'", (BY,))):
        if decision.undone:
            continue
        if wanted.get(decision.sha256) == decision.reason:
            standing.add(decision.sha256)
        else:
            manifest.undo(decision.id, BY)
            undone += 1
    for sha256, reason in wanted.items():
        if sha256 not in standing:
            manifest.decide(sha256, "drop", reason, BY)
    return len(wanted) - len(standing), undone
