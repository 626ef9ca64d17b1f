"""A collection's manifest as one table, Parquet or JSON Lines: our columns, or those of img2dataset. Written row by row, complete or not at
all.

img2dataset's columns (its README, "Output format"): url, caption, key, status (success, failed_to_download, failed_to_resize),
error_message, width, height, original_width, original_height, exif, sha256. Its table has a row for each URL, also where nothing came; ours
one for each image.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from http.client import responses
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf_bones.collect.reasons import FetchReason, Outcome
from hf_bones.collect.upkeep.status import label_conflicts
from hf_bones.images.refusals import Refusal
from hf_bones.manifest.store import RECORD_COLUMNS, Manifest, open_manifest
from hf_bones.manifest.votes import Vote

COLUMN_SETS = ("hf_bones", "img2dataset")
_BATCH = 1000
_TYPES = {
    **dict.fromkeys(("bytes", "width", "height", "original_width", "original_height"), pa.int64()),
    **dict.fromkeys(("hardware", "synthetic"), pa.bool_()),
    "severity": pa.float64(),
    "boxes": pa.list_(pa.list_(pa.float64())),
    "other_urls": pa.list_(pa.string()),
    "votes": pa.list_(pa.struct([(field.name, pa.string()) for field in dataclasses.fields(Vote)])),
}


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, _TYPES.get(name, pa.string())) for name in names])


_OURS = _schema((*RECORD_COLUMNS, "label_conflict", "other_urls"))
_THEIRS = _schema(
    (
        "url", "caption", "key", "status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256",
        "reason", "page", "creator", "creator_url", "licence", "licence_text", "licence_url", "attribution", "provider", "query",
        "fetched_at", "label", "subtype", "label_basis", "region", "label_conflict", "file", "bytes", "format",
    )
)  # fmt: skip
# What img2dataset calls a failure of resizing: the bytes came, and are no image that it takes. All else is a failure of downloading.
_DECODING = {str(reason) for reason in Refusal if reason != Refusal.TOO_LARGE} | {str(FetchReason.DECODER_DIED)}
# Its words where the cause is the same, so that counts by message go on working; else ours.
_THEIR_WORDS = {
    str(FetchReason.X_ROBOTS_TAG): "Use of image disallowed by X-Robots-Tag directive",
    str(FetchReason.HASH_MISMATCH): "hash mismatch",
    str(Refusal.NOT_AN_IMAGE): "Image decoding error",
    str(Refusal.UNDECODABLE): "Image decoding error",
    str(Refusal.TOO_SMALL): "image too small",
    str(Refusal.BAD_ASPECT): "aspect ratio too large",
    str(Refusal.BOMB): "image area too large",
}


def export_collection(folder: Path, out: Path, columns: str = "hf_bones") -> int:
    """Writes the table to `out`, a .parquet or .jsonl file; `columns` is one of `COLUMN_SETS`. Returns the number of rows.

    Raises ValueError for another suffix or column set, `ManifestError` where there is no collection.
    """
    if columns not in COLUMN_SETS:
        raise ValueError(f"columns {columns!r}: choose one of {', '.join(COLUMN_SETS)}")
    writers: dict[str, Callable[[Iterator[dict[str, Any]], pa.Schema, Path], int]] = {".parquet": _write_parquet, ".jsonl": _write_jsonl}
    if out.suffix not in writers:
        raise ValueError(f"{out}: the name must end in one of {', '.join(writers)}")
    with open_manifest(folder) as manifest:
        manifest.connection.execute("BEGIN")  # one state of the manifest, whatever a collector adds meanwhile
        rows, schema = (_our_rows(manifest), _OURS) if columns == "hf_bones" else (_their_rows(manifest), _THEIRS)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as stream:
            partial = Path(stream.name)
        try:
            count = writers[out.suffix](rows, schema, partial)
            partial.chmod(0o644)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    return count


def _our_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    conflicts = label_conflicts(manifest)
    for record in manifest.images():
        row = dataclasses.asdict(record)
        row["votes"] = [dataclasses.asdict(vote) for vote in record.votes]
        row["boxes"] = [list(box) for box in record.boxes]
        row["hashes"] = json.dumps(record.hashes) if record.hashes else None
        row["label_conflict"] = ", ".join(conflicts.get(record.sha256, ()))
        sql = "SELECT url FROM fetches WHERE sha256 = ? AND sha256 != '' AND url != ? ORDER BY rowid"  # with the index's condition
        urls = manifest.rows(sql, (record.sha256, record.url))
        row["other_urls"] = [other[0] for other in urls]
        yield row


def _their_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    conflicts = label_conflicts(manifest)
    sql = (
        "SELECT f.rowid AS id, f.url, f.state, f.reason, f.detail, f.status AS http, f.sha256, f.bytes, f.finished_at AS fetched_at,"
        " i.width, i.height, i.file, i.format, s.page, s.title, s.creator, s.creator_url, s.licence, s.licence_text, s.licence_url,"
        " s.attribution,"
        " coalesce(json_extract(s.details, '$.provider'), q.provider) AS provider,"
        " coalesce(json_extract(s.details, '$.query'), q.query) AS query,"
        " coalesce(json_extract(s.details, '$.label_basis'), q.label_basis) AS label_basis,"
        " coalesce(nullif(s.label, ''), q.label) AS label, coalesce(nullif(s.subtype, ''), q.subtype) AS subtype,"
        " coalesce(nullif(s.region, ''), q.region) AS region"
        " FROM fetches f JOIN sightings s ON s.id = f.sighting_id JOIN searches q ON q.id = s.search_id"
        " LEFT JOIN images i ON i.sha256 = f.sha256 AND f.state = 'stored' WHERE f.state != 'waiting' ORDER BY f.rowid"
    )
    for found in manifest.rows(sql):
        stored = found["state"] == Outcome.STORED
        row = {name: found[name] for name in found.keys() if name in _THEIRS.names}  # noqa: SIM118 - a Row iterates over its values
        row["caption"] = found["title"]
        row["key"] = f"{found['id']:09d}"
        row["status"] = "success" if stored else "failed_to_resize" if found["reason"] in _DECODING else "failed_to_download"
        row["error_message"] = None if stored else _their_message(found)
        row["sha256"] = found["sha256"] if stored else None
        row["original_width"], row["original_height"] = found["width"], found["height"]
        row["label_conflict"] = ", ".join(conflicts.get(found["sha256"], ())) if stored else ""
        yield row


def _their_message(found: sqlite3.Row) -> str:
    if found["reason"] == FetchReason.HTTP_STATUS and found["http"]:
        return f"HTTP Error {found['http']}: {responses.get(found['http'], '')}"
    return _THEIR_WORDS.get(found["reason"]) or f"{found['reason']}: {found['detail']}"


def _write_parquet(rows: Iterator[dict[str, Any]], schema: pa.Schema, path: Path) -> int:
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema))
            count += len(batch)
    return count


def _write_jsonl(rows: Iterator[dict[str, Any]], schema: pa.Schema, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps({name: row.get(name) for name in schema.names}, ensure_ascii=False) + "\n")
            count += 1
    return count
