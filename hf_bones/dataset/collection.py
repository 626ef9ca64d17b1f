"""A collection's images as rows for a dataset.

A search shows the same study or paper several times: what stands on one page stays in one split, and so do two pages that show the same
image. Where the source names patients or groups, these count, and its pages (often one for a whole dataset) do not. Images that were
dropped, that have no label, or that were seen under different labels are left out, each with the reason.
"""

from __future__ import annotations

import math
from pathlib import Path

from hf_bones.collect.candidate import UNKNOWN_LICENCE
from hf_bones.collect.status import label_conflicts
from hf_bones.curate.splits import merge_groups, split_name
from hf_bones.dataset.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.tables import SourceError
from hf_bones.manifest import ImageRecord, Manifest, open_manifest


def collection_rows(folder: Path, *, source: str = "", licence: str = "") -> Reading:
    """Rows of the collection in `folder`, as `hf-bones collect` made it; `source` and `licence` where the manifest names none.

    Raises `SourceError` where it holds no image yet, or a split is none.
    """
    rows, left_out, guessed = [], [], 0
    with open_manifest(folder) as manifest:
        conflicts, groups = label_conflicts(manifest), _groups_by_page(manifest)
        for record in manifest.images():
            reason = _why_left_out(record, conflicts.get(record.sha256, []))
            if reason:
                left_out.append(LeftOut(record.file, reason))
                continue
            guessed += record.label_basis == "query" and not record.reviewed_label
            rows.append(_row(folder, record, groups.get(record.sha256, record.page), source, licence))
    if not rows and not left_out:
        raise SourceError(f"{folder}: the collection holds no image yet; go on with: hf-bones collect --out {folder}")
    notes = []
    if guessed:
        notes.append(f"{guessed} of {len(rows)} labels are search terms that nobody has checked against the picture")
    return Reading(rows, left_out, notes)


def _why_left_out(record: ImageRecord, labels: list[str]) -> str:
    if record.decision == "drop":
        return f"dropped: {record.decision_reason}"
    if len(labels) > 1 and record.decision != "keep" and not record.reviewed_label:
        return f"seen under different labels: {', '.join(labels)}"
    return "" if record.final_label else "no label"


def _groups_by_page(manifest: Manifest) -> dict[str, str]:
    """Hash → group, for each image that stands on a page; a group is named after the first of its pages."""
    sql = (
        "SELECT DISTINCT f.sha256, s.page FROM fetches f JOIN sightings s ON s.url = f.url WHERE f.state = 'stored' AND s.page != ''"
        " UNION SELECT sha256, page FROM images WHERE page != ''"
    )
    found = [(row["sha256"], row["page"]) for row in manifest.rows(sql)]
    hashes, pages = [sha256 for sha256, _ in found], [page for _, page in found]
    return dict(zip(hashes, merge_groups(pages, hashes), strict=True))


def _row(folder: Path, record: ImageRecord, page: str, source: str, licence: str) -> SourceRow:
    try:
        split = split_name(record.split)
    except ValueError as error:
        raise SourceError(f"{folder}: image {record.sha256[:12]}: {error}") from error
    within = record.patient or record.group  # a name that means something within its source only
    return SourceRow(
        label=record.final_label,
        file=folder / record.file,
        subtype=record.final_subtype,
        group=f"{record.provider}: {within}" if within else page,
        copy_group=record.copy_group,
        source=record.provider or source,
        region=record.region,
        view=record.view,
        licence=licence or UNKNOWN_LICENCE if record.licence in ("", UNKNOWN_LICENCE) else record.licence,
        boxes=record.boxes,
        severity=math.nan if record.severity is None else record.severity,
        split=split,
        image_id=record.sha256[:16],
        synthetic=record.synthetic,
        sha256=record.sha256,
    )
