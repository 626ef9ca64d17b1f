"""A collection fetched again from its manifest alone, every byte checked against its hash.

Links rot and files change: the outcome of each image is one of `there` (in place, and its file is whole), `rebuilt`, `changed` (its URLs
answer with other bytes, which are kept under refused/) and `gone` (with the reason). An image seen at several URLs is tried at each of them
in turn.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq

from hf_bones.collect.addresses import AddressGuard
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.examine import IMAGES, REFUSED, store
from hf_bones.collect.queue import Search
from hf_bones.collect.reasons import FetchReason, Outcome
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.run import collect
from hf_bones.manifest import DECISION_COLUMNS, ImageRecord, Manifest, open_manifest
from hf_bones.record import sha256_file

REPORT_NAME = "rebuild.csv"
_CANDIDATE_COLUMNS = tuple(field.name for field in dataclasses.fields(Candidate) if field.name not in ("details", "content"))
_MEASURED = ("sha256", "file", "bytes", "width", "height", "format", "fetched_at", "hashes", *DECISION_COLUMNS)


@dataclass(frozen=True, eq=False)
class Known:
    """An image as a manifest knows it: its record, the URLs that had its bytes, and its file where the manifest's own collection is
    there."""

    record: ImageRecord
    urls: tuple[str, ...]
    file: Path | None = None


@dataclass(frozen=True)
class Rebuilt:
    """What became of one image: `outcome` is there, rebuilt, changed or gone; `reason` says why it is not there."""

    sha256: str
    outcome: str
    url: str
    reason: str = ""


def rebuild(
    source: Path, out: Path | None, settings: FetchSettings, *, guard: AddressGuard, agent: str, show_progress: bool = False
) -> list[Rebuilt]:
    """Fetches the images of `source` again into the collection `out`, and writes the outcome of each to `out`/rebuild.csv.

    `source` is a collection's folder, its manifest.db, or an export (.parquet or .jsonl, our columns or img2dataset's). Without `out`, a
    collection is rebuilt in place: files that are whole stay, missing and damaged ones are fetched. Raises ValueError for a source that is
    none of these, `ManifestError` and `CollectError` as opening and collecting do.
    """
    is_collection = source.is_dir() or source.suffix == ".db"
    known = list(_from_collection(source) if is_collection else _from_export(source))
    folder = (source if source.is_dir() else source.parent) if is_collection else None
    target = out or folder
    if target is None:
        raise ValueError(f"{source} is an export: name the folder to rebuild into with --out")
    there = set()
    if folder is not None and target.resolve() == folder.resolve():
        there = {image.record.sha256 for image in known if _is_whole(target, image.record)}
        _set_aside_damaged(target, [image.record for image in known if image.record.sha256 not in there])
    missing = [image for image in known if image.record.sha256 not in there]
    for turn in range(max((len(image.urls) for image in missing), default=0)):
        asked = [(image, image.urls[turn]) for image in missing if turn < len(image.urls)]
        with open_manifest(target, create=True) as manifest:
            _let_wait_again(manifest, asked)
        search = Search(_KnownImages(asked), f"rebuild, URL {turn + 1}", options=os.urandom(8).hex())
        collect(target, [search], settings, guard=guard, agent=agent, reconsider=False, show_progress=show_progress)
        missing = [image for image in missing if not _stored(target, image.record.sha256)]
    with open_manifest(target, create=True) as manifest:
        results = [_result(manifest, image, there) for image in known]
        _carry_decisions(manifest, known)
    _write_report(target / REPORT_NAME, results)
    return results


class _KnownImages:
    """Known images as a provider: what is fetched must have the hash that the manifest says."""

    name: ClassVar[str] = "rebuild"
    label_basis: ClassVar[str] = "manifest"
    takes_queries: ClassVar[bool] = False
    options_type: ClassVar[type] = dict

    def __init__(self, asked: Sequence[tuple[Known, str]]) -> None:
        self._asked = asked

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        for image, url in self._asked:
            record = image.record
            values = {name: getattr(record, name) for name in _CANDIDATE_COLUMNS}
            details = {
                name: value
                for name, value in dataclasses.asdict(record).items()
                if name not in values and name not in _MEASURED and value not in (None, "", ())
            }
            content = None
            if not _is_web(url):
                if image.file is None:
                    continue
                content = image.file.read_bytes
            yield Candidate(**(values | {"url": url}), details=details, content=content)


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _from_collection(source: Path) -> Iterator[Known]:
    with open_manifest(source) as manifest:
        for record in manifest.images():
            rows = manifest.rows("SELECT url FROM fetches WHERE sha256 = ? ORDER BY url != ?, rowid", (record.sha256, record.url))
            urls = tuple(row[0] for row in rows) or (record.url,)
            file = manifest.folder / record.file
            yield Known(record, urls, file if file.is_file() else None)


def _from_export(source: Path) -> Iterator[Known]:
    rows: Iterator[Mapping[str, Any]]
    if source.suffix == ".parquet":
        rows = (row for batch in pq.ParquetFile(source).iter_batches(1000) for row in batch.to_pylist())
    elif source.suffix in (".jsonl", ".ndjson"):
        rows = map(partial(_line, source), enumerate(source.read_text(encoding="utf-8").splitlines(), start=1))
    else:
        raise ValueError(f"{source}: neither a collection nor an export (.parquet, .jsonl)")
    by_hash: dict[str, Known] = {}
    for number, row in enumerate(rows, start=1):
        if not row.get("url") or "sha256" not in row:
            raise ValueError(f"{source}, row {number}: needs the columns url and sha256")
        if not row["sha256"]:
            continue  # img2dataset's rows of what never came
        known = _known(row)
        first = by_hash.get(known.record.sha256)
        urls = (*(first.urls if first else ()), *known.urls)
        by_hash[known.record.sha256] = Known(first.record if first else known.record, tuple(dict.fromkeys(urls)))
    yield from by_hash.values()


def _line(source: Path, numbered: tuple[int, str]) -> Mapping[str, Any]:
    number, text = numbered
    try:
        row = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{source}, line {number}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{source}, line {number}: not a JSON object")
    return row


def _known(row: Mapping[str, Any]) -> Known:
    fields = {field.name for field in dataclasses.fields(ImageRecord)}
    values: dict[str, Any] = {name: value for name, value in row.items() if name in fields and value is not None}
    values.setdefault("title", row.get("caption") or "")
    values.setdefault("licence", row.get("license") or "unknown")
    if "boxes" in values:
        values["boxes"] = tuple(tuple(box) for box in values["boxes"])
    values["hashes"] = None
    values = {"file": "", "bytes": 0, **values}
    record = ImageRecord(**values)
    return Known(record, (record.url, *(row.get("other_urls") or ())))


def _is_whole(folder: Path, record: ImageRecord) -> bool:
    file = folder / record.file
    return file.is_file() and sha256_file(file) == record.sha256


def _set_aside_damaged(folder: Path, records: Sequence[ImageRecord]) -> None:
    """Files whose bytes are not those of their name go to refused/, under the hash that they have."""
    for record in records:
        file = folder / record.file
        if file.is_file():
            (folder / "partial").mkdir(exist_ok=True)
            store(file.read_bytes(), sha256_file(file), str(folder), REFUSED, ".bin")
            file.unlink()


def _let_wait_again(manifest: Manifest, asked: Sequence[tuple[Known, str]]) -> None:
    """URLs that the target knows already are to be fetched once more, and must give the bytes that the manifest says."""
    with manifest.transaction() as connection:
        for image, url in asked:
            connection.execute("UPDATE sightings SET sha256 = ? WHERE url = ?", (image.record.sha256, url))
            connection.execute("UPDATE fetches SET state = 'waiting', reason = '', detail = '' WHERE url = ?", (url,))


def _stored(folder: Path, sha256: str) -> bool:
    return any((folder / IMAGES / sha256[:2]).glob(f"{sha256}.*"))


def _result(manifest: Manifest, image: Known, there: set[str]) -> Rebuilt:
    sha256 = image.record.sha256
    if sha256 in there:
        return Rebuilt(sha256, "there", image.record.url)
    if _stored(manifest.folder, sha256):
        row = manifest.connection.execute("SELECT url FROM fetches WHERE sha256 = ? AND state = 'stored'", (sha256,)).fetchone()
        return Rebuilt(sha256, "rebuilt", row[0] if row else image.record.url)
    reasons = []
    for url in image.urls:
        row = manifest.connection.execute("SELECT state, reason, detail FROM fetches WHERE url = ?", (url,)).fetchone()
        if row is None or row["state"] == Outcome.WAITING:
            forgotten = manifest.tombstones((url, sha256))
            reasons.append((FetchReason.FORGOTTEN if forgotten else FetchReason.LOCAL_SOURCE if not _is_web(url) else Outcome.WAITING, url))
        else:
            reasons.append((row["reason"], row["detail"]))
    changed = any(reason == FetchReason.HASH_MISMATCH for reason, _ in reasons)
    return Rebuilt(
        sha256, "changed" if changed else "gone", image.record.url, "; ".join(f"{reason}: {detail}" for reason, detail in reasons)
    )


def _carry_decisions(manifest: Manifest, known: Sequence[Known]) -> None:
    for image in known:
        record = image.record
        here = manifest.image(record.sha256)
        if record.decision and here is not None and not here.decision:
            manifest.decide(record.sha256, record.decision, record.decision_reason, record.decided_by)


def _write_report(path: Path, results: Sequence[Rebuilt]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(field.name for field in dataclasses.fields(Rebuilt))
        writer.writerows(dataclasses.astuple(result) for result in results)
