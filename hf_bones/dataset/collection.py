"""A collection's images as rows for a dataset.

A search shows the same study or paper several times: what stands on one page stays in one split. Images that were dropped, that have no
label, or that were seen under different labels are left out, each with the reason.
"""

from __future__ import annotations

import math
from pathlib import Path

from hf_bones.collect.status import label_conflicts
from hf_bones.curate.splits import split_name
from hf_bones.dataset.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.tables import SourceError
from hf_bones.manifest import ImageRecord, open_manifest


def collection_rows(folder: Path) -> Reading:
    """Rows of the collection in `folder`, as `hf-bones collect` made it. Raises `SourceError` where it holds no image yet."""
    rows, left_out, guessed = [], [], 0
    with open_manifest(folder) as manifest:
        conflicts = label_conflicts(manifest)
        for record in manifest.images():
            reason = _why_left_out(record, conflicts.get(record.sha256, []))
            if reason:
                left_out.append(LeftOut(record.file, reason))
                continue
            guessed += record.label_basis == "query"
            rows.append(_row(folder, record))
    if not rows and not left_out:
        raise SourceError(f"{folder}: the collection holds no image yet; go on with: hf-bones collect --out {folder}")
    notes = []
    if guessed:
        notes.append(f"{guessed} of {len(rows)} labels are search terms that nobody has checked against the picture")
    return Reading(rows, left_out, notes)


def _why_left_out(record: ImageRecord, labels: list[str]) -> str:
    if record.decision == "drop":
        return f"dropped: {record.decision_reason}"
    if len(labels) > 1 and record.decision != "keep":
        return f"seen under different labels: {', '.join(labels)}"
    return "" if record.label else "no label"


def _row(folder: Path, record: ImageRecord) -> SourceRow:
    try:
        split = split_name(record.split)
    except ValueError as error:
        raise SourceError(f"{folder}: image {record.sha256[:12]}: {error}") from error
    return SourceRow(
        label=record.label,
        file=folder / record.file,
        subtype=record.subtype,
        group=record.patient or record.group or record.page,
        source=record.provider,
        region=record.region,
        view=record.view,
        licence=record.licence,
        boxes=record.boxes,
        severity=math.nan if record.severity is None else record.severity,
        split=split,
        image_id=record.sha256[:16],
        synthetic=record.synthetic,
        sha256=record.sha256,
    )
