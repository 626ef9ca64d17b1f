"""What must stay in one split, read from a manifest: patients and groups, pages and publications, near-duplicates.

A search shows the same study or paper several times, and the same image stands on several pages: two pages that show one image stay
together. Where a source names patients or groups, these count, and its pages (often one for a whole dataset) do not. What was dropped or
is marked unused joins nothing: a logo that two pages share, say, once it is dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_bones.collect.upkeep.status import label_conflicts
from hf_bones.curation.splits.names import UNUSED, merge_groups
from hf_bones.curation.subject import DATASET_KIND
from hf_bones.manifest.store import ImageRecord, Manifest
from hf_bones.manifest.votes import NEEDS_ADJUDICATION, differ, on_use, stated_labels, told

GROUP, PAGE, COPIES, HASH = "patient or group", "page or publication", "near-duplicates", "identical bytes"
KINDS = (GROUP, PAGE, COPIES, HASH)

# Everything that any search said of a stored image's whereabouts; of files added from a table, its group and split too.
_SIGHTINGS = """
SELECT DISTINCT f.sha256, s.page, coalesce(json_extract(s.details, '$.provider'), q.provider) AS provider,
       coalesce(json_extract(s.details, '$.patient'), '') AS patient, coalesce(json_extract(s.details, '$.group'), '') AS within,
       coalesce(json_extract(s.details, '$.split'), '') AS split
FROM fetches f JOIN sightings s ON s.url = f.url JOIN searches q ON q.id = s.search_id WHERE f.state = 'stored'
"""


@dataclass(frozen=True)
class Key:
    """Something that an image shares with others: `kind` is one of `KINDS`."""

    sha256: str
    kind: str
    name: str


def group_keys(manifest: Manifest, records: Iterable[ImageRecord], subject_kind: str) -> list[Key]:
    """The keys of `records`, those that were dropped or are unused left out. Each image has at least its own hash.

    The groups of a built dataset are names that hold for the whole of it; those of a collection mean something within their source only.
    """
    used = {record.sha256: record for record in records if record.decision != "drop" and record.split != UNUSED}
    keys: dict[Key, None] = {}  # a set that keeps its order
    for record in used.values():
        if record.patient or record.group:
            within = record.patient or record.group
            keys[Key(record.sha256, GROUP, within if subject_kind == DATASET_KIND else f"{record.provider}: {within}")] = None
        elif record.page:
            keys[Key(record.sha256, PAGE, record.page)] = None
        if record.copy_group:
            keys[Key(record.sha256, COPIES, record.copy_group)] = None
        keys[Key(record.sha256, HASH, record.sha256)] = None
    for row in manifest.rows(_SIGHTINGS):
        if row["sha256"] not in used or row["split"] == UNUSED:
            continue
        if row["patient"] or row["within"]:
            keys[Key(row["sha256"], GROUP, f"{row['provider']}: {row['patient'] or row['within']}")] = None
        elif row["page"]:
            keys[Key(row["sha256"], PAGE, row["page"])] = None
    return list(keys)


def merged_groups(keys: Sequence[Key], kinds: Sequence[str] = KINDS) -> dict[str, str]:
    """Hash → group, for images that share a key of any of `kinds` however long the chain; images without such a key are not in it.

    A group is named by its smallest patient or group, else page, else near-duplicates, else hash.
    """
    chosen = [key for key in keys if key.kind in kinds]
    if not chosen:
        return {}
    columns = [[key.name if key.kind == kind else "" for key in chosen] for kind in KINDS]
    hashes = [key.sha256 for key in chosen]
    return dict(zip(hashes, merge_groups(*columns, hashes), strict=True))


def images_by_key(keys: Iterable[Key], kind: str) -> dict[str, list[str]]:
    """Name → hashes of the images that share it, for each key of this kind."""
    shared: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if key.kind == kind:
            shared[key.name].append(key.sha256)
    return shared


def why_left_out(record: ImageRecord, labels: Sequence[str] = (), copies: Sequence[str] = ()) -> str:
    """Why a build leaves an image out; "" where it takes it. `labels` are those that contradict each other (`label_conflicts`), `copies`
    those of its near-duplicates."""
    disputed = record.disputed
    if record.decision == "drop" and not differ(on_use(disputed)):
        return f"dropped: {record.decision_reason}"
    if not record.file:
        return "no longer there"
    if disputed:
        return f"{NEEDS_ADJUDICATION}: {told(disputed)}"
    if len(labels) > 1 and record.decision != "keep" and not record.reviewed_label:
        return f"seen under different labels: {', '.join(labels)}"
    if len(copies) > 1 and record.decision != "keep" and not record.reviewed_label:
        return f"its near-duplicates carry different labels: {', '.join(copies)}"
    return "" if record.final_label else "no label"


def left_out_reasons(manifest: Manifest, records: Sequence[ImageRecord]) -> dict[str, str]:
    """Hash → why a build leaves the image out, "" where it takes it."""
    conflicts = label_conflicts(manifest)
    labels: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.copy_group and record.decision != "drop":
            labels[record.copy_group] |= stated_labels(record.final_label, record.votes)
    return {
        record.sha256: why_left_out(record, conflicts.get(record.sha256, []), sorted(labels.get(record.copy_group, ())))
        for record in records
    }


def adjudication_notes(reasons: Iterable[str]) -> list[str]:
    """How many of `reasons` to leave an image out are that its reviewers differ, as a note for whoever builds."""
    count = sum(reason.startswith(f"{NEEDS_ADJUDICATION}:") for reason in reasons)
    if not count:
        return []
    images = "image" if count == 1 else "images"
    return [f"{count:,} {images} left out, on which reviewers differ (needs adjudication); refused.csv names them with their votes"]
