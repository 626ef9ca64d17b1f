"""What a manifest knows of images whose bytes are to be had again: from a collection, or from an export of one (ours, or img2dataset's)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hf_bones.collect.candidate import UNKNOWN_LICENCE, Candidate
from hf_bones.collect.licences import spdx
from hf_bones.collect.providers.urls import json_lines, known_cells
from hf_bones.collect.upkeep.status import label_conflicts
from hf_bones.config.loading import parse_json
from hf_bones.manifest.foreign import ForeignFileError, file_inside
from hf_bones.manifest.store import DECISION_COLUMNS, Decision, ImageRecord, open_manifest
from hf_bones.manifest.votes import Vote
from hf_bones.record import sha256_file

STATED = tuple(field.name for field in dataclasses.fields(Candidate) if field.name not in ("details", "content"))
_MEASURED = ("sha256", "file", "bytes", "width", "height", "format", "fetched_at")
FURTHER = tuple(
    field.name for field in dataclasses.fields(ImageRecord) if field.name not in {*STATED, *_MEASURED, *DECISION_COLUMNS}
)  # what a candidate carries as details


@dataclass(frozen=True, eq=False)
class Known:
    """An image as a manifest knows it: its record, the URLs that had its bytes, the labels that contradict each other, and the decisions
    about it that stand.

    `file` is its file where it came from no URL that can be asked, and the manifest's own collection still has it.
    """

    record: ImageRecord
    urls: tuple[str, ...]
    labels: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    file: Path | None = None


def from_collection(source: Path) -> Iterator[Known]:
    """The images of a collection (its folder or manifest.db). Raises `ManifestError` where there is none."""
    with open_manifest(source) as manifest:
        conflicts = label_conflicts(manifest)
        expected: dict[str, list[str]] = {}  # URLs that were to bring an image and did not: they may by now
        for row in manifest.rows("SELECT DISTINCT sha256, url FROM sightings WHERE sha256 != ''"):
            expected.setdefault(row["sha256"], []).append(row["url"])
        for record in manifest.images():
            # The second condition is that of the index.
            rows = manifest.rows("SELECT url FROM fetches WHERE sha256 = ? AND sha256 != '' ORDER BY rowid", (record.sha256,))
            others = [*(row[0] for row in rows), *expected.get(record.sha256, ())]
            log = manifest.decisions("d.sha256 = ?", (record.sha256,))
            local = not is_web(record.url) and is_whole(manifest.folder, record)
            yield Known(
                record,
                tuple(dict.fromkeys([record.url, *others])),
                tuple(conflicts.get(record.sha256, ())),
                tuple(decision for decision in log if decision.decision != "undo" and not decision.undone),
                manifest.folder / record.file if local else None,
            )


def from_export(source: Path) -> Iterator[Known]:
    """The images of a .parquet or .jsonl table, each hash once with all its URLs; rows of what never came are passed over.

    Raises ValueError naming the file and the row that cannot be read, or the columns where URL or hash is missing.
    """
    by_hash: dict[str, Known] = {}
    for place, row in _rows(source):
        if not row.get("url") or "sha256" not in row:
            raise ValueError(f"{source}, {place}: needs the columns url and sha256; it has {', '.join(map(str, row))}")
        if not row["sha256"] or row.get("status", "success") != "success":
            continue  # img2dataset's rows of what never came
        try:
            known = _known(row)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{source}, {place}: {error}") from error
        first = by_hash.setdefault(known.record.sha256, known)
        if first is not known:
            by_hash[known.record.sha256] = dataclasses.replace(first, urls=tuple(dict.fromkeys((*first.urls, *known.urls))))
    yield from by_hash.values()


def _rows(source: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if source.suffix not in (".parquet", ".jsonl", ".ndjson"):
        raise ValueError(f"{source}: neither a collection nor an export (.parquet, .jsonl)")
    try:
        if source.suffix != ".parquet":
            yield from json_lines(source)
            return
        with pq.ParquetFile(source) as table:
            rows = (row for batch in table.iter_batches(1000) for row in batch.to_pylist())
            yield from ((f"row {number}", row) for number, row in enumerate(rows, start=1))
    except ValueError as error:  # pyarrow's errors are ValueErrors
        raise ValueError(f"{source}: {error}") from error


def _known(row: Mapping[str, Any]) -> Known:
    """An image from a row of an export. Raises ValueError for a hash that is none, ValueError or TypeError for another kind of value."""
    cells = known_cells(row) | {name: row[name] for name in (*FURTHER, *DECISION_COLUMNS) if name in row}
    texts = {*STATED, *DECISION_COLUMNS, *FURTHER} - {"votes", "hardware", "boxes", "severity", "synthetic", "hashes"}
    values: dict[str, Any] = {name: str(cells[name]) for name in texts if cells.get(name) is not None}
    values["sha256"] = values["sha256"].lower()
    if not re.fullmatch(r"[0-9a-f]{64}", values["sha256"]):
        raise ValueError(f"sha256 {row['sha256']!r} is not 64 hex digits")
    if "licence" not in row:
        values["licence"] = spdx(values.get("licence", ""), values.get("licence_url", ""))
    values["licence"] = values["licence"] or UNKNOWN_LICENCE
    for name in ("hardware", "synthetic"):
        if cells.get(name) is not None:
            values[name] = bool(cells[name])
    if cells.get("severity") is not None:
        values["severity"] = float(cells["severity"])
    if cells.get("boxes"):
        values["boxes"] = tuple(tuple(float(number) for number in box) for box in cells["boxes"])
    hashes = cells.get("hashes")
    values["hashes"] = parse_json(hashes) if isinstance(hashes, str) and hashes else hashes or None
    record = ImageRecord(file="", bytes=0, **values)
    votes = _votes(row.get("votes"))
    decided = [Decision(0, record.sha256, vote.decision, vote.reason, vote.by, vote.at, vote.label, vote.subtype) for vote in votes]
    last = (record.decision, record.decided_by, record.decided_at)
    if record.decision and last not in {(vote.decision, vote.by, vote.at) for vote in votes}:
        decided.append(Decision(0, record.sha256, record.decision, record.decision_reason, record.decided_by, record.decided_at))
    if record.reviewed_label and not votes:  # an export of an earlier version does not say who relabelled
        label, subtype = record.reviewed_label, record.reviewed_subtype
        decided.append(Decision(0, record.sha256, "relabel", "from an export", "", "", label, subtype))
    labels = str(row.get("label_conflict") or "")
    urls = tuple(dict.fromkeys((record.url, *map(str, row.get("other_urls") or ()))))
    return Known(record, urls, tuple(labels.split(", ")) if labels else (), tuple(decided))


def _votes(cell: Any) -> list[Vote]:
    """The column of votes. Raises ValueError for what is none."""
    if cell is None:
        return []
    if not isinstance(cell, list) or not all(isinstance(vote, Mapping) and {"by", "decision"} <= vote.keys() for vote in cell):
        raise ValueError("votes is not a list of votes with 'by' and 'decision'")
    names = [field.name for field in dataclasses.fields(Vote)]
    return [Vote(**{name: str(vote.get(name) or "") for name in names}) for vote in cell]


def is_web(url: str) -> bool:
    """Whether the bytes can be asked for over HTTP; other URLs are names of local sources."""
    return url.lower().startswith(("http://", "https://"))


def is_whole(folder: Path, record: ImageRecord) -> bool:
    """Whether an image's file is there, with the bytes that its name says."""
    try:
        file = file_inside(folder, record.file)
    except ForeignFileError:
        return False
    return file.is_file() and sha256_file(file) == record.sha256
