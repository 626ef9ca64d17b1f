"""Forgetting: an image's bytes and everything about where they came from are deleted, and a tombstone keeps them from coming back.

The order makes it safe to be killed at: the tombstones are committed first, then the files go, then the rows. `finish_forgetting`, which
every run of the collector calls, completes what was cut short. What stays is the tombstone (hash, URLs, reason, time) and a line in the log
of decisions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hf_bones.manifest import Manifest, open_manifest
from hf_bones.record import now

SHORTEST_PREFIX = 8


@dataclass(frozen=True)
class Forgotten:
    """What was deleted: hashes, URLs and files (relative to the collection)."""

    hashes: tuple[str, ...]
    urls: tuple[str, ...]
    files: tuple[str, ...]


def forget(folder: Path, what: str, reason: str = "", by: str = "") -> Forgotten:
    """Forgets an image by its URL, its SHA-256, or a prefix of that of 8 or more hex digits that only one image has.

    A URL that was never seen gets its tombstone all the same. All URLs whose bytes have the same hash are forgotten with it. Raises
    `ManifestError` where there is no collection, and ValueError for a prefix that fits none or several.
    """
    with open_manifest(folder) as manifest:
        hashes, urls = _identify(manifest, what.strip())
        reason = reason or "asked to be forgotten"
        with manifest.transaction() as connection:
            for value in (*hashes, *urls):
                connection.execute("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)", (value, reason, now()))
            for sha256 in hashes:
                manifest.decide(sha256, "forget", reason, by)
        return Forgotten(tuple(hashes), tuple(urls), tuple(finish_forgetting(manifest)))


def finish_forgetting(manifest: Manifest) -> list[str]:
    """Deletes the files and rows of everything that has a tombstone; returns the files deleted. Does nothing where nothing is left to
    do."""
    sql = (
        "SELECT i.file FROM images i JOIN tombstones t ON t.value = i.sha256"
        " UNION SELECT f.kept FROM fetches f JOIN tombstones t ON t.value IN (f.url, f.sha256) WHERE f.kept != ''"
    )
    files = [row[0] for row in manifest.rows(sql)]
    rows = manifest.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM images i JOIN tombstones t ON t.value = i.sha256)"
        " OR EXISTS (SELECT 1 FROM sightings s JOIN tombstones t ON t.value IN (s.url, s.sha256))"
        " OR EXISTS (SELECT 1 FROM fetches f JOIN tombstones t ON t.value IN (f.url, f.sha256))"
    ).fetchone()[0]
    if not files and not rows:
        return []
    for file in files:
        (manifest.folder / file).unlink(missing_ok=True)
    manifest.connection.execute("PRAGMA secure_delete = ON")  # names and titles do not stay behind in free pages
    with manifest.transaction() as connection:
        connection.execute("DELETE FROM images WHERE sha256 IN (SELECT value FROM tombstones)")
        forgotten = "url IN (SELECT value FROM tombstones) OR sha256 IN (SELECT value FROM tombstones)"
        connection.execute(f"DELETE FROM fetches WHERE {forgotten} OR sighting_id IN (SELECT id FROM sightings WHERE {forgotten})")
        connection.execute(f"DELETE FROM sightings WHERE {forgotten}")
    manifest.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return files


def _identify(manifest: Manifest, what: str) -> tuple[list[str], list[str]]:
    """The hashes and URLs that `what` stands for, with all URLs of each hash."""
    if re.fullmatch(r"[0-9a-fA-F]+", what):
        hashes = _by_prefix(manifest, what.lower())
        urls: set[str] = set()
    elif ":" in what:
        urls = {what}
        known = manifest.rows(
            "SELECT sha256 FROM fetches WHERE url = ? AND sha256 != '' UNION SELECT sha256 FROM images WHERE url = ?", (what, what)
        )
        hashes = [row[0] for row in known]
    else:
        raise ValueError(f"{what!r} is neither a URL nor a SHA-256 (or its first {SHORTEST_PREFIX} or more digits)")
    for sha256 in hashes:
        for sql in ("SELECT url FROM fetches WHERE sha256 = ?", "SELECT url FROM images WHERE sha256 = ?"):
            urls.update(row[0] for row in manifest.rows(sql, (sha256,)) if row[0])
    return hashes, sorted(urls)


def _by_prefix(manifest: Manifest, prefix: str) -> list[str]:
    if len(prefix) == 64:
        return [prefix]
    if not SHORTEST_PREFIX <= len(prefix) < 64:
        raise ValueError(f"{prefix!r}: a SHA-256 has 64 hex digits; give all of them, or the first {SHORTEST_PREFIX} or more")
    pattern = prefix + "*"
    sql = "SELECT sha256 FROM images WHERE sha256 GLOB ? UNION SELECT sha256 FROM fetches WHERE sha256 GLOB ?"
    found = [row[0] for row in manifest.rows(sql, (pattern, pattern))]
    if len(found) != 1:
        raise ValueError(
            f"{prefix}: {len(found)} images of {manifest.path.parent} begin so; " + ("give more digits" if found else "none to forget")
        )
    return found
