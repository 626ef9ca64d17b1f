"""A collection's images as rows for a dataset.

What stays together is read by `curation/splits/group_keys.py`. Images that were dropped, that have no label, on which
reviewers differ, or that were seen under different labels are left out, each with the reason.
"""

from __future__ import annotations

import math
from pathlib import Path

from hf_bones.collect.candidate import UNKNOWN_LICENCE
from hf_bones.curation.splits.group_keys import GROUP, PAGE, adjudication_notes, group_keys, left_out_reasons, merged_groups
from hf_bones.curation.splits.names import split_name
from hf_bones.curation.subject import COLLECTION_KIND
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.images.salvage import salvaged_share
from hf_bones.manifest.foreign import ForeignFileError, file_inside, require_sound
from hf_bones.manifest.store import ImageRecord, open_manifest


def collection_rows(folder: Path, *, source: str = "", licence: str = "") -> Reading:
    """Rows of the collection in `folder`, as `hf-bones collect` made it; `source` and `licence` where the manifest names none.

    Raises `SourceError` where it holds no image yet, or a split is none.
    """
    rows, left_out, guessed = [], [], 0
    with open_manifest(folder) as manifest:
        require_sound(manifest)
        records = list(manifest.images())
        reasons = left_out_reasons(manifest, records)
        # Copies are handed on apart: the build says how many images have no group of any kind.
        groups = merged_groups(group_keys(manifest, records, COLLECTION_KIND), (GROUP, PAGE))
        for record in records:
            if reasons[record.sha256]:
                left_out.append(LeftOut(record.file, reasons[record.sha256]))
                continue
            try:
                file_inside(manifest.folder, record.file)
            except ForeignFileError as error:
                left_out.append(LeftOut(record.file, error.why))
                continue
            guessed += record.label_basis == "query" and not record.reviewed_label
            rows.append(_row(folder, record, groups.get(record.sha256, ""), source, licence))
    if not rows and not left_out:
        raise SourceError(f"{folder}: the collection holds no image yet; collect some with: hf-bones collect --out {folder}")
    notes = adjudication_notes(reasons.values())
    if guessed:
        notes.append(f"{guessed} of {len(rows)} labels are search terms that nobody has checked against the picture")
    return Reading(rows, left_out, notes)


def _row(folder: Path, record: ImageRecord, group: str, source: str, licence: str) -> SourceRow:
    try:
        split = split_name(record.split)
    except ValueError as error:
        raise SourceError(f"{folder}: image {record.sha256[:12]}: {error}") from error
    return SourceRow(
        label=record.final_label,
        file=folder / record.file,
        subtype=record.final_subtype,
        group=group,
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
        hardware=record.hardware,
        sha256=record.sha256,
        salvaged=salvaged_share(record.marks),
    )
