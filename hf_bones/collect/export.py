"""A collection's manifest as one table, Parquet or JSON Lines: our columns, or those of img2dataset. Written row by row, complete or not at
all.

img2dataset's columns (its README, "Output format"): url, caption, key, status (success, failed_to_download, failed_to_resize),
error_message, width, height, original_width, original_height, exif, sha256. Its table has a row for each URL, also where nothing came; ours
one for each image.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf_bones.collect.reasons import FetchReason, Outcome
from hf_bones.collect.status import label_conflicts
from hf_bones.manifest import Manifest, open_manifest
from hf_bones.refusals import Refusal

COLUMN_SETS = ("hf_bones", "img2dataset")
_BATCH = 1000
_TEXT, _WHOLE, _NUMBER, _TRUTH = pa.string(), pa.int64(), pa.float64(), pa.bool_()

_OURS = pa.schema(
    [(name, _TEXT) for name in ("sha256", "file")] + [(name, _WHOLE) for name in ("bytes", "width", "height")]
    + [(name, _TEXT) for name in ("format", "url", "page", "provider", "query", "title", "creator", "creator_url", "licence",
    "licence_text",
                                  "licence_url", "attribution", "fetched_at", "label", "subtype", "label_basis", "region", "view")]
    + [("hardware", _TRUTH), ("boxes", pa.list_(pa.list_(_NUMBER))), ("severity", _NUMBER), ("synthetic", _TRUTH)]
    + [(name, _TEXT) for name in ("patient", "group", "split", "hashes", "decision", "decision_reason", "decided_by", "decided_at")]
    + [("label_conflict", _TEXT), ("other_urls", pa.list_(_TEXT))]
)  # fmt: skip
_THEIRS = pa.schema(
    [(name, _TEXT) for name in ("url", "caption", "key", "status", "error_message")]
    + [(name, _WHOLE) for name in ("width", "height", "original_width", "original_height")]
    + [(name, _TEXT) for name in ("exif", "sha256", "page", "creator", "licence", "licence_url", "attribution", "provider", "query",
    "label",
                                  "subtype", "region", "file")]
)  # fmt: skip
# What img2dataset calls a failure of decoding; all else that did not come is a failure of downloading.
_DECODING = {str(reason) for reason in Refusal} | {str(FetchReason.DECODER_DIED)}


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
        row["boxes"] = [list(box) for box in record.boxes]
        row["hashes"] = json.dumps(record.hashes) if record.hashes else None
        row["label_conflict"] = ", ".join(conflicts.get(record.sha256, ()))
        urls = manifest.rows("SELECT url FROM fetches WHERE sha256 = ? AND url != ? ORDER BY rowid", (record.sha256, record.url))
        row["other_urls"] = [other[0] for other in urls]
        yield row


def _their_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    sql = (
        "SELECT f.rowid AS id, f.url, f.state, f.reason, f.detail, f.sha256, i.width, i.height, i.file, s.page, s.title, s.creator,"
        " s.licence, s.licence_url, s.attribution, q.provider, q.query, coalesce(nullif(s.label, ''), q.label) AS label,"
        " coalesce(nullif(s.subtype, ''), q.subtype) AS subtype, coalesce(nullif(s.region, ''), q.region) AS region"
        " FROM fetches f JOIN sightings s ON s.id = f.sighting_id JOIN searches q ON q.id = s.search_id"
        " LEFT JOIN images i ON i.sha256 = f.sha256 AND f.state = 'stored' WHERE f.state != 'waiting' ORDER BY f.rowid"
    )
    for found in manifest.rows(sql):
        stored = found["state"] == Outcome.STORED
        row = {name: found[name] for name in found.keys() if name in _THEIRS.names}  # noqa: SIM118 - a Row iterates over its values
        row["caption"] = found["title"]
        row["key"] = f"{found['id']:09d}"
        row["status"] = "success" if stored else "failed_to_resize" if found["reason"] in _DECODING else "failed_to_download"
        row["error_message"] = None if stored else f"{found['reason']}: {found['detail']}"
        row["original_width"], row["original_height"] = found["width"], found["height"]
        yield row


def _write_parquet(rows: Iterator[dict[str, Any]], schema: pa.Schema, path: Path) -> int:
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in rows:
            batch.append(row)
            count += 1
            if len(batch) == _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))
    return count


def _write_jsonl(rows: Iterator[dict[str, Any]], schema: pa.Schema, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps({name: row.get(name) for name in schema.names}, ensure_ascii=False) + "\n")
            count += 1
    return count
