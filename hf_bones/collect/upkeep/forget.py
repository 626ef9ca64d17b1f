"""Forgetting: an image's bytes and everything about where they came from are deleted, and a tombstone keeps them from coming back.

The order makes it safe to be killed at: the tombstones are committed first, then the files go, then the rows. `finish_forgetting`, which
every run of the collector calls, completes what was cut short. What stays is the tombstone (hash, URLs, reason, time) and a line in the log
of decisions. Copies of the manifest that a migration left go too, since they hold the rows. What was made of the collection (exports,
credits pages, datasets) is out of reach: it must be made anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_bones.collect.examine import IMAGES, REFUSED
from hf_bones.collect.reasons import FetchReason
from hf_bones.collect.upkeep.lock import locked
from hf_bones.manifest.store import DERIVED, THUMBNAILS_FOLDER, Manifest, open_manifest
from hf_bones.record import now

DAMAGED = "damaged"  # what `rebuild` found in the place of an image whose bytes it could fetch again
REFETCHED = ".rebuild"  # where `rebuild` fetches to before it mends a collection in place
SHORTEST_PREFIX = 8
_READER_MS = 1000  # how long somebody else's reading of the manifest is waited for
_NOTHING = hashlib.sha256(b"").hexdigest()  # empty answers have nothing in common


@dataclass(frozen=True)
class Forgotten:
    """What was deleted: hashes, URLs and files (relative to the collection).

    `was_known` is False where the collection had never heard of any of it; the tombstones keep it from coming all the same. `cleared` is
    False where another program was reading the manifest, whose log then still holds the words of the rows deleted, until the
    collector runs or something is forgotten again.
    """

    hashes: tuple[str, ...]
    urls: tuple[str, ...]
    files: tuple[str, ...]
    cleared: bool = True
    was_known: bool = True


def forget(folder: Path, what: str, reason: str = "", by: str = "") -> Forgotten:
    """Forgets an image by its URL, its SHA-256, or a prefix of that of 8 or more hex digits that only one image has.

    A URL that was never seen gets its tombstone all the same. All URLs whose bytes have the same hash are forgotten with it. Raises
    `ManifestError` where there is no collection, and ValueError for a prefix that fits none or several, and while a collector is at work:
    it might write down once more what it has in hand.
    """
    with open_manifest(folder) as manifest, locked(manifest.folder):
        hashes, urls = _identify(manifest, what.strip())
        reason = reason or "asked to be forgotten"
        manifest.connection.execute("PRAGMA synchronous = FULL")  # what was promised outlasts a power cut
        known, was_known = manifest.tombstones(hashes), _is_known(manifest, [*hashes, *urls])
        without_row = [sha256 for sha256 in hashes if manifest.image(sha256) is None]  # a killed run may have left their bytes
        with manifest.transaction() as connection:
            for value in (*hashes, *urls):
                connection.execute("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)", (value, reason, now()))
            for sha256 in hashes:
                if sha256 not in known:
                    manifest.decide(sha256, "forget", reason, by)
        files = finish_forgetting(manifest)
        files += _delete(manifest.folder, _files_named(manifest.folder, without_row))
        # A forgetting that was cut short may have left traces in what the database has not overwritten yet.
        return Forgotten(tuple(hashes), tuple(urls), tuple(files), _clear_log(manifest), was_known or bool(files))


def finish_forgetting(manifest: Manifest) -> list[str]:
    """Deletes the files and rows of everything that has a tombstone; returns the files deleted. Does nothing where nothing is left to do.

    A URL that was refused because it led to forgotten bytes gets a tombstone of its own: what was noted of it names the same image.
    """
    found = manifest.connection.execute("SELECT url FROM fetches WHERE reason = ?", (FetchReason.FORGOTTEN,)).fetchall()
    if found:
        with manifest.transaction() as connection:
            rows = [(row[0], "leads to what was forgotten", now()) for row in found]
            connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)", rows)
    dead = "(SELECT value FROM tombstones)"
    left = manifest.connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM images WHERE sha256 IN {dead}) OR EXISTS (SELECT 1 FROM sightings WHERE url IN {dead})"
        f" OR EXISTS (SELECT 1 FROM sightings WHERE sha256 != '' AND sha256 IN {dead})"
        f" OR EXISTS (SELECT 1 FROM checks WHERE sha256 IN {dead}) OR EXISTS (SELECT 1 FROM opinions WHERE sha256 IN {dead})"
        f" OR EXISTS (SELECT 1 FROM links WHERE first IN {dead} OR second IN {dead})"
        f" OR EXISTS (SELECT 1 FROM fetches WHERE url IN {dead}) OR EXISTS (SELECT 1 FROM fetches WHERE sha256 != '' AND sha256 IN {dead})"
    ).fetchone()[0]
    if not left:
        return []
    of_fetches = f"url IN {dead} OR sha256 IN {dead} OR sighting_id IN (SELECT id FROM sightings WHERE sha256 IN {dead})"
    named = manifest.rows(
        f"SELECT file FROM images WHERE sha256 IN {dead} UNION SELECT kept FROM fetches WHERE kept != '' AND ({of_fetches})"
    )
    gone = {row[0] for row in named}
    gone.update(_files_named(manifest.folder, (row[0] for row in manifest.rows(f"SELECT sha256 FROM images WHERE sha256 IN {dead}"))))
    files = _delete(manifest.folder, gone)
    shutil.rmtree(manifest.folder / REFETCHED, ignore_errors=True)  # a rebuild that was cut short fetches again
    for copy in manifest.folder.glob(f"{manifest.path.name}.schema-*"):
        copy.unlink()
    for name in DERIVED:  # small pictures and numbers made of all images together
        path = manifest.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    manifest.connection.execute("PRAGMA secure_delete = ON")  # names and titles do not stay behind in free pages
    with manifest.transaction() as connection:
        connection.execute(f"DELETE FROM images WHERE sha256 IN {dead}")
        connection.execute(f"DELETE FROM checks WHERE sha256 IN {dead}")
        connection.execute(f"DELETE FROM opinions WHERE sha256 IN {dead}")
        connection.execute(f"DELETE FROM links WHERE first IN {dead} OR second IN {dead}")
        connection.execute(f"DELETE FROM fetches WHERE {of_fetches}")
        connection.execute(f"DELETE FROM sightings WHERE url IN {dead} OR sha256 IN {dead}")
    _clear_log(manifest)
    return files


def _clear_log(manifest: Manifest) -> bool:
    """Empties the write-ahead log, where rows are that the file itself has no more. False where a reader holds it."""
    (wait,) = manifest.connection.execute("PRAGMA busy_timeout").fetchone()
    manifest.connection.execute(f"PRAGMA busy_timeout = {_READER_MS}")
    held = manifest.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    manifest.connection.execute(f"PRAGMA busy_timeout = {wait}")
    return not held


def _files_named(folder: Path, hashes: Iterable[str]) -> Iterator[str]:
    """Files of these hashes, whether a row knows them or not."""
    for sha256 in hashes:
        for part in (IMAGES, REFUSED, DAMAGED, THUMBNAILS_FOLDER):
            for path in (folder / part / sha256[:2]).glob(f"{sha256}*"):
                yield path.relative_to(folder).as_posix()


def _delete(folder: Path, names: Iterable[str]) -> list[str]:
    """Deletes what is there of these files; a manifest from elsewhere may name others than its own, which are left alone."""
    deleted = []
    for name in sorted(names):
        path = folder / name
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            path.unlink()
            deleted.append(name)
    return deleted


def _identify(manifest: Manifest, what: str) -> tuple[list[str], list[str]]:
    """The hashes and URLs that `what` stands for, with all URLs of each hash."""
    if re.fullmatch(r"[0-9a-fA-F]+", what):
        hashes = _by_prefix(manifest, what.lower())
        urls: set[str] = set()
    elif ":" in what:
        urls = {what}
        known = manifest.rows(
            "SELECT sha256 FROM fetches WHERE (url = :it OR final_url = :it) AND sha256 != ''"
            " UNION SELECT sha256 FROM images WHERE url = :it",
            {"it": what},
        )
        hashes = [row[0] for row in known if row[0] != _NOTHING]
    else:
        raise ValueError(f"{what!r} is neither a URL nor a SHA-256 (or its first {SHORTEST_PREFIX} or more digits)")
    for sha256 in hashes:
        sql = (
            "SELECT url FROM fetches WHERE sha256 = :it UNION SELECT final_url FROM fetches WHERE sha256 = :it"
            " UNION SELECT url FROM images WHERE sha256 = :it UNION SELECT url FROM sightings WHERE sha256 = :it"
        )
        urls.update(row[0] for row in manifest.rows(sql, {"it": sha256}) if row[0])
    return hashes, sorted(urls)


def _is_known(manifest: Manifest, values: list[str]) -> bool:
    """Whether the manifest has, or had and forgot, anything of these hashes and URLs."""
    given = "(SELECT value FROM json_each(:given))"
    sql = (
        f"SELECT EXISTS (SELECT 1 FROM images WHERE sha256 IN {given} OR url IN {given})"
        f" OR EXISTS (SELECT 1 FROM fetches WHERE sha256 IN {given} OR url IN {given} OR final_url IN {given})"
        f" OR EXISTS (SELECT 1 FROM sightings WHERE sha256 IN {given} OR url IN {given})"
        f" OR EXISTS (SELECT 1 FROM tombstones WHERE value IN {given})"
    )
    return bool(manifest.connection.execute(sql, {"given": json.dumps(values)}).fetchone()[0])


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
