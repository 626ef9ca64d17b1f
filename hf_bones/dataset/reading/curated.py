"""A built dataset with what was decided about it: its rows, less the images that were dropped, with the labels, splits and near-duplicates
of its manifest. Building them anew applies the decisions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hf_bones.curation.splits.command import SPLITS_FACT
from hf_bones.curation.splits.group_keys import adjudication_notes, left_out_reasons
from hf_bones.curation.splits.names import split_name
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.subject import DATASET_FILE, dataset_subject
from hf_bones.manifest.store import MANIFEST_NAME, ImageRecord, open_manifest


def is_curated(folder: Path) -> bool:
    """Whether `folder` holds a built dataset that has been looked at: one with a manifest of its own."""
    return (folder / DATASET_FILE).is_file() and (folder / MANIFEST_NAME).is_file()


def with_decisions(reading: Reading, folder: Path) -> Reading:
    """The rows of the dataset in `folder`, as they stand after curation; notes say how many were dropped, relabelled and moved."""
    rows, left_out = [], list(reading.left_out)
    why: list[str] = []
    relabelled = moved = 0
    with dataset_subject(folder) as subject:
        records = {record.sha256: record for record in subject.manifest.images()}
        reasons = left_out_reasons(subject.manifest, list(records.values()))
        made = subject.manifest.fact(SPLITS_FACT)
    for row in reading.rows:
        record = records.get(row.sha256)
        if record is None:
            rows.append(row)
            continue
        if reason := reasons[record.sha256]:
            left_out.append(LeftOut(row.name, reason))
            why.append(reason)
            continue
        after = _curated(row, record)
        relabelled += after.label != row.label
        moved += after.split != row.split
        rows.append(after)
    notes = list(reading.notes)
    dropped = sum(reason.startswith("dropped:") for reason in why)
    if dropped:
        notes.append(f"{dropped:,} images that were dropped are left out; refused.csv names them with their reasons")
    notes += adjudication_notes(why)
    if contradictory := sum("different labels" in reason for reason in why):
        notes.append(f"{contradictory:,} images with different labels are left out; refused.csv names them")
    if relabelled:
        notes.append(f"{relabelled:,} images have a reviewer's label")
    if moved and made:
        notes.append(f"{moved:,} images moved to the splits that were made with seed {json.loads(made)['seed']}")
    return replace(reading, rows=rows, left_out=left_out, notes=notes)


def decisions_kept(output: Path, sources: Sequence[str]) -> list[str]:
    """What a person should know who replaces the dataset `output` where there is one with decisions, as notes."""
    if not is_curated(output):
        return []
    with open_manifest(output) as manifest:
        decided = {record.sha256: record.decision for record in manifest.images("d.id IS NOT NULL OR r.id IS NOT NULL")}
    if not decided:
        return []
    if any(Path(source).expanduser().resolve() == output.resolve() for source in sources):
        dropped = sum(decision == "drop" for decision in decided.values())
        return [f"{dropped:,} dropped images are no longer in {output.name}, and can only be had again from its source"] if dropped else []
    return [
        f"decisions about {len(decided):,} images were kept in {output.name}/{MANIFEST_NAME} but not applied; apply them with: "
        f"hf-bones build {output.name} --out {output.name} --overwrite"
    ]


def _curated(row: SourceRow, record: ImageRecord) -> SourceRow:
    own = record.file.partition("/")[0]  # the split that the dataset has it in
    split = split_name(record.split)
    return replace(
        row,
        label=record.final_label,
        subtype=record.final_subtype,
        copy_group=record.copy_group,
        # Copies of one file in another split follow the one that the manifest knows.
        split=split if split != own or row.split not in ("", own) else row.split,
    )
