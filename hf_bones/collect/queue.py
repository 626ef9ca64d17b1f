"""The queue of a collection, kept in its manifest: searches, what they saw, and what became of each URL.

A URL waits until its outcome is written, in one transaction with the image's row; so a process that is killed leaves it waiting or done,
never in between. Not here: who takes from the queue and when (`run.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hf_bones.collect.candidate import Candidate, Provider
from hf_bones.collect.reasons import FetchReason, Outcome
from hf_bones.manifest.store import IMAGE_COLUMNS, ImageRecord, Manifest
from hf_bones.record import now

LOCAL_SCHEMES = ("folder", "table", "dataset", "hub")  # of URLs that are names: their bytes come from no host
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")  # halves of characters, which JSON can spell and no database takes
_SIGHTING_COLUMNS = (
    "url", "page", "title", "creator", "creator_url", "licence", "licence_text", "licence_url", "attribution", "label", "subtype", "region",
    "sha256",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Search:
    """One question to one provider. `limit` caps its candidates, None takes all; `options` is part of what makes it this search and no
    other."""

    provider: Provider
    query: str = ""
    label: str = ""
    subtype: str = ""
    region: str = ""
    limit: int | None = None
    options: str = ""

    @property
    def key(self) -> str:
        """The same for the same search in a later run."""
        parts = [self.provider.name, self.query, self.label, self.subtype, self.region, self.limit, self.options]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Waiting:
    """A URL whose turn has not come yet. `sha256` is the hash that its bytes must have, "" where any will do."""

    rowid: int
    url: str
    sha256: str


def start_search(manifest: Manifest, search: Search) -> tuple[int, bool]:
    """The search's row id, made where it is new, and whether it was finished before."""
    manifest.connection.execute(
        "INSERT OR IGNORE INTO searches (key, provider, query, label, subtype, region, label_basis, state, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?)",
        (search.key, search.provider.name, search.query, search.label, search.subtype, search.region, search.provider.label_basis, now()),
    )
    row = manifest.connection.execute("SELECT id, state FROM searches WHERE key = ?", (search.key,)).fetchone()
    return int(row["id"]), row["state"] == "done"


def end_search(manifest: Manifest, search_id: int, error: str = "") -> None:
    """Marks a search as done, or as failed with the error: a failed one is asked again in the next run."""
    state = "failed" if error else "done"
    found = manifest.connection.execute("SELECT count(*) FROM sightings WHERE search_id = ?", (search_id,)).fetchone()[0]
    manifest.connection.execute(
        "UPDATE searches SET state = ?, error = ?, found = ?, finished_at = ? WHERE id = ?", (state, _whole(error), found, now(), search_id)
    )


def add_candidate(manifest: Manifest, search_id: int, found: Candidate, permits: Callable[[str], bool]) -> Waiting | None:
    """Notes that a search saw this URL, and queues it where it is new; None where it is known, forgotten, or its licence is not accepted.

    To be called inside a transaction. Raises TypeError or `sqlite3.Error` for a candidate whose texts are none.
    """
    run = manifest.connection.execute
    if _LONE_SURROGATES.search("".join(getattr(found, name) for name in _SIGHTING_COLUMNS)):
        texts: dict[str, Any] = {name: _whole(getattr(found, name)) for name in _SIGHTING_COLUMNS}
        found = dataclasses.replace(found, **texts)
    seen = run(
        "SELECT f.state, f.reason FROM fetches f WHERE f.url = ? AND EXISTS (SELECT 1 FROM sightings WHERE search_id = ? AND url = f.url)",
        (found.url, search_id),
    ).fetchone()
    unread = found.content is not None and seen is not None and seen["state"] == Outcome.FAILED  # a local file is simply tried again
    if seen is not None and seen["state"] != Outcome.WAITING and seen["reason"] != FetchReason.LICENCE and not unread:
        return None  # this search had named it before, and its outcome is known: nearly all that a second run meets
    if run("SELECT 1 FROM tombstones WHERE value IN (?, ?)", (found.url, found.sha256 or found.url)).fetchone():
        return None
    values = [getattr(found, name) for name in _SIGHTING_COLUMNS]
    details = _whole(json.dumps(found.details, ensure_ascii=False)) if found.details else None
    columns = ", ".join(_SIGHTING_COLUMNS)
    sighting = run(
        f"INSERT OR IGNORE INTO sightings (search_id, {columns}, details, seen_at) VALUES (?, {', '.join('?' * len(values))}, ?, ?)",
        (search_id, *values, details, now()),
    )
    if not sighting.rowcount:
        row = run("SELECT id FROM sightings WHERE search_id = ? AND url = ?", (search_id, found.url)).fetchone()
        sighting_id = int(row["id"])
    else:
        sighting_id = int(sighting.lastrowid or 0)
    accepted = permits(found.licence)
    state, reason, detail = (Outcome.WAITING, "", "") if accepted else (Outcome.REFUSED, FetchReason.LICENCE, found.licence)
    queued = run(
        "INSERT OR IGNORE INTO fetches (url, host, sighting_id, state, reason, detail, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (found.url, host_of(found.url), sighting_id, state, reason, detail, "" if accepted else now()),
    )
    if accepted and not queued.rowcount:
        # Known, but only under a licence that is not accepted: the one seen now is.
        queued = run(
            "UPDATE fetches SET state = 'waiting', reason = '', detail = '', sighting_id = ?"
            " WHERE url = ? AND state = 'refused' AND reason = ?",
            (sighting_id, found.url, FetchReason.LICENCE),
        )
    if unread:
        run("UPDATE fetches SET state = 'waiting', reason = '', detail = '' WHERE url = ?", (found.url,))
    if not accepted:
        return None
    row = run("SELECT rowid, state FROM fetches WHERE url = ?", (found.url,)).fetchone()
    if row["state"] != Outcome.WAITING or (not queued.rowcount and found.content is None):
        return None
    return Waiting(int(row["rowid"]), found.url, found.sha256)


def _whole(text: str) -> str:
    return _LONE_SURROGATES.sub("\ufffd", text)


def host_of(url: str) -> str:
    """The host (with port) that a URL is asked of, lower case; "" for what is not fetched over HTTP."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"  # taken up like any other, and refused as a bad URL
    return parts.netloc.lower() if parts.scheme in ("http", "https") else "" if parts.scheme in LOCAL_SCHEMES else "?"


def readmit(manifest: Manifest, permits: Callable[[str], bool], *, retry_failed: bool) -> int:
    """Lets wait again what the licence policy accepts now, and with `retry_failed` what failed or led to a private address.

    Returns how many.
    """
    with manifest.transaction() as connection:
        rows = connection.execute(
            "SELECT f.url, s.licence FROM fetches f JOIN sightings s ON s.id = f.sighting_id WHERE f.state = 'refused' AND f.reason = ?",
            (FetchReason.LICENCE,),
        ).fetchall()
        again = [row["url"] for row in rows if permits(row["licence"])]
        for url in again:
            connection.execute("UPDATE fetches SET state = 'waiting', reason = '', detail = '', finished_at = '' WHERE url = ?", (url,))
        if retry_failed:
            done = connection.execute(
                "UPDATE fetches SET state = 'waiting', reason = '', detail = '' WHERE state = 'failed' OR reason = ?",
                (FetchReason.PRIVATE_ADDRESS,),  # it may be allowed by now
            )
            return len(again) + done.rowcount
    return len(again)


def waiting_hosts(manifest: Manifest) -> list[str]:
    """The hosts that URLs wait for."""
    return [row[0] for row in manifest.rows("SELECT DISTINCT host FROM fetches WHERE state = 'waiting' AND host != ''")]


def next_waiting(manifest: Manifest, host: str, after: int, count: int) -> list[Waiting]:
    """The next URLs of a host, in the order in which they were found, behind the row `after`."""
    sql = (
        "SELECT f.rowid AS id, f.url, s.sha256 FROM fetches f JOIN sightings s ON s.id = f.sighting_id"
        " WHERE f.state = 'waiting' AND f.host = ? AND f.rowid > ? ORDER BY f.rowid LIMIT ?"
    )
    return [Waiting(row["id"], row["url"], row["sha256"]) for row in manifest.rows(sql, (host, after, count))]


def count_by_state(manifest: Manifest) -> dict[str, int]:
    """How many URLs are in each state."""
    return {row[0]: row[1] for row in manifest.rows("SELECT state, count(*) FROM fetches GROUP BY state")}


@dataclass(frozen=True)
class Arrival:
    """What the transfer of a URL said: for its row in `fetches`."""

    status: int | None = None
    final_url: str = ""
    content_type: str = ""
    attempts: int = 0


def record_stored(manifest: Manifest, url: str, image: ImageRecord, arrival: Arrival) -> bool:
    """Writes that a URL's bytes are stored; `image` holds hash, file, size and format, its provenance is taken from the sighting.

    Returns False where the same bytes had come from another URL before. Raises `sqlite3.Error` where the disk is full.
    """
    with manifest.transaction():
        new = manifest.add_image(_with_provenance(image, _sighting_of(manifest, url)))
        record_outcome(manifest, url, Outcome.STORED, "", "", arrival, sha256=image.sha256, size=image.bytes)
    return new


def take_provenance_from(manifest: Manifest, sha256: str, url: str) -> None:
    """Lets an image be what its URL `url` says, which is another than the one that brought it. To be called inside a transaction."""
    image = manifest.image(sha256)
    if image is not None:
        stated = _with_provenance(image, _sighting_of(manifest, url))
        kept = ("sha256", "fetched_at", "copy_group", "marks", "hashes")
        manifest.set_columns(sha256, {name: getattr(stated, name) for name in IMAGE_COLUMNS if name not in kept})


def _sighting_of(manifest: Manifest, url: str) -> sqlite3.Row:
    """The sighting for which a URL is fetched, with its search."""
    row: sqlite3.Row = manifest.connection.execute(
        "SELECT s.*, q.provider, q.query, q.label AS asked_label, q.subtype AS asked_subtype, q.region AS asked_region, q.label_basis"
        " FROM fetches f JOIN sightings s ON s.id = f.sighting_id JOIN searches q ON q.id = s.search_id WHERE f.url = ?",
        (url,),
    ).fetchone()
    return row


def record_outcome(
    manifest: Manifest,
    url: str,
    outcome: Outcome,
    reason: str,
    detail: str,
    arrival: Arrival,
    *,
    sha256: str = "",
    size: int | None = None,
    kept: str = "",
) -> None:
    """Writes what became of a URL, why, and where refused bytes are kept (relative to the collection)."""
    values = (outcome, reason, _whole(detail[:500]), sha256, size, kept, arrival.status, arrival.final_url, arrival.content_type[:200])
    manifest.connection.execute(
        "UPDATE fetches SET state = ?, reason = ?, detail = ?, sha256 = ?, bytes = ?, kept = ?, status = ?, final_url = ?,"
        " content_type = ?, attempts = attempts + ?, finished_at = ? WHERE url = ?",
        (*values, arrival.attempts, now(), url),
    )


def _with_provenance(image: ImageRecord, sighting: sqlite3.Row) -> ImageRecord:
    """The image with what its sighting and search say: the source's own label before the search's."""
    known: dict[str, Any] = json.loads(sighting["details"]) if sighting["details"] else {}
    values: dict[str, Any] = {name: known[name] for name in known if name in IMAGE_COLUMNS}
    if "boxes" in values:
        values["boxes"] = tuple(tuple(box) for box in values["boxes"])
    for name in ("url", "page", "title", "creator", "creator_url", "licence", "licence_text", "licence_url", "attribution"):
        values[name] = sighting[name]
    for name in ("label", "subtype", "region"):
        values[name] = sighting[name] or sighting[f"asked_{name}"]
    values.setdefault("label_basis", sighting["label_basis"] if values["label"] else "")
    for name in ("provider", "query"):
        values.setdefault(name, sighting[name])
    measured = {name: getattr(image, name) for name in ("sha256", "file", "bytes", "width", "height", "format")}
    return dataclasses.replace(image, **(values | measured), fetched_at=now())


def stray_files(manifest: Manifest, folders: Sequence[str]) -> Iterator[str]:
    """Files under the collection's `folders` that no row knows: left by a run that was killed between a file and its row."""
    known = {row[0] for row in manifest.rows("SELECT file FROM images UNION SELECT kept FROM fetches WHERE kept != ''")}
    for folder in folders:
        for path in sorted((manifest.folder / folder).rglob("*")):
            name = path.relative_to(manifest.folder).as_posix()
            if path.is_file() and name not in known:
                yield name
