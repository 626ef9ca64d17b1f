"""A connection to the file of a manifest: made, brought up to date, or only read where this user may not write.

A file that cannot be written is opened for reading alone; one of an older schema, or a dataset's that is not there yet, stands in memory
then, and goes with the process. Not here: what the rows mean (`store.py`), whether a stranger's rows are sound (`foreign.py`).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from hf_bones.manifest.schema import MIGRATIONS, SCHEMA_VERSION

_IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".dcm", ".dicom", ".jp2", ".avif")
_LOOKED_AT = 2000  # entries of a folder in which images are looked for


class ManifestError(ValueError):
    """A manifest that is not there, not ours, damaged, of a newer schema, in use, or to be written where it cannot be."""


def connect(path: Path, *, create: bool = False) -> tuple[sqlite3.Connection, bool]:
    """A connection to the manifest at `path`, of the newest schema, and whether it can be written; `create` makes one where there is none.

    Raises `ManifestError` naming the file where it is empty beside images, is no manifest, or has a newer schema than this version knows.
    """
    writable, existed = _is_writable(path), path.is_file()
    try:
        if not existed:
            connection = _opened(path) if writable else _in_memory()
        else:
            connection = _opened(path) if writable else _opened_to_read(path)
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        _require_ours(connection, path, version)
        if existed:
            _require_filled(connection, path, create)
        if version < SCHEMA_VERSION:
            if not writable:
                connection = _in_memory(connection)
            migrate(connection, path, version, keep_copy=writable)
        if writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        else:
            connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        raise ManifestError(f"{path}: cannot be opened as a manifest ({error})") from error
    return connection, writable


def copy_in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """All of a manifest as one in memory, which can be written and is gone with the process."""
    return _in_memory(connection)


def _is_writable(path: Path) -> bool:
    """Whether the file, and beside it SQLite's log, can be written by this user."""
    if not path.parent.is_dir():
        return True  # it is made
    return os.access(path.parent, os.W_OK | os.X_OK) and (not path.is_file() or os.access(path, os.W_OK))


def _opened(path: Path) -> sqlite3.Connection:
    return _set_up(sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False))


def _opened_to_read(path: Path) -> sqlite3.Connection:
    """Without a log beside it the file is taken as one that nobody changes. Raises `ManifestError` for a log that cannot be read."""
    log = path.with_name(f"{path.name}-wal")
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    if not log.is_file() or log.stat().st_size == 0:
        return _set_up(sqlite3.connect(f"{address}&immutable=1", uri=True, timeout=30, isolation_level=None, check_same_thread=False))
    connection = _set_up(sqlite3.connect(address, uri=True, timeout=30, isolation_level=None, check_same_thread=False))
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        raise ManifestError(
            f"{path}: its last changes stand in {log.name}, which cannot be read in a folder without permission to write ({error}); "
            "copy the whole folder to a place of your own"
        ) from error
    return connection


def _in_memory(source: sqlite3.Connection | None = None) -> sqlite3.Connection:
    connection = _set_up(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
    if source is not None:
        with closing(source):
            source.backup(connection)
    return connection


def _set_up(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    return connection


def _require_ours(connection: sqlite3.Connection, path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise ManifestError(f"{path}: made by a newer version of hf_bones (schema {version}, this one knows {SCHEMA_VERSION}); update it")
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and (version == 0 or not {"images", "sightings", "fetches"} <= tables):
        raise ManifestError(f"{path}: an SQLite file, but not a manifest (tables: {', '.join(sorted(tables))})")


def _require_filled(connection: sqlite3.Connection, path: Path, create: bool) -> None:
    """SQLite leaves an empty file where it was killed at its first step; it may be filled only where nothing was lost with it."""
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        return
    beside = _image_beside(path)
    if beside or not create:
        images = f" though images lie beside it ({beside}, for one)" if beside else ""
        raise ManifestError(
            f"{path}: the manifest is empty{images}, so nothing is known about them; put back a copy of it, or move it away and make a "
            f"collection of the images: hf-bones collection add {path.parent} --out NEW_FOLDER"
        )


def _image_beside(path: Path) -> str:
    """An image in the folder of the manifest or below it, by its suffix; "" where none of the first entries is one."""
    seen = 0
    with suppress(OSError):
        for folder, _, names in os.walk(path.parent):
            for name in names:
                if Path(name).suffix.lower() in _IMAGES:
                    return (Path(folder) / name).relative_to(path.parent).as_posix()
            seen += len(names) + 1
            if seen > _LOOKED_AT:
                break
    return ""


def migrate(connection: sqlite3.Connection, path: Path, version: int, *, keep_copy: bool = True) -> None:
    """Runs the scripts above `version`, in one transaction. A manifest with content is copied first, as `manifest.db.schema-N`."""
    if version > 0 and keep_copy:
        # Not a copy of the file: what another process keeps in the log would be missing from it.
        with closing(sqlite3.connect(path.with_name(f"{path.name}.schema-{version}"))) as copy:
            connection.backup(copy)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if int(connection.execute("PRAGMA user_version").fetchone()[0]) != version:
            raise ManifestError(f"{path}: another process is migrating it; run the command again")
        for script in MIGRATIONS[version:]:
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled it back already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
