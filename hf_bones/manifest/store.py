"""The manifest: where each image of a collection came from, its licence, its hash, and each decision about it. One SQLite file.

Its tables are described in `schema.py`. The file is in WAL mode: readers do not wait for the collector, and a process that is
killed loses nothing that was committed. Opening the file, and bringing it up to date, is in `connecting.py`.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hf_bones.config.loading import parse_json
from hf_bones.manifest.connecting import ManifestError, connect, copy_in_memory
from hf_bones.manifest.queries import DECISIONS, IMAGES
from hf_bones.manifest.votes import Vote, agreed_label, differ, on_label, on_use, votes_that_stand
from hf_bones.record import now

MANIFEST_NAME = "manifest.db"
# What later stages make of the images, beside the manifest. All of it can be made anew; what holds several goes when one is forgotten.
THUMBNAILS_FOLDER, FINGERPRINTS_NAME, FEATURES_FOLDER = "thumbnails", "fingerprints.db", "features"
DERIVED = (FINGERPRINTS_NAME, f"{FINGERPRINTS_NAME}-wal", f"{FINGERPRINTS_NAME}-shm", FEATURES_FOLDER)


@dataclass(frozen=True)
class ImageRecord:
    """One image of a collection: what a row of the manifest, and of its exports, says.

    `file` is relative to the collection's folder; `bytes` its size; `width` and `height` in pixels, as stored. `licence` is an SPDX
    identifier or "unknown", `licence_text` the source's words. `label_basis` says where the label comes from: "query" (a search term, to be
    checked), "folder", "table", "dataset" …. `boxes` are (cx, cy, w, h) in [0, 1]; `severity` in [0, 1] or None; `hashes` perceptual
    hashes by name. `copy_group` names the near-duplicates that this image is one of; `marks` say in words what was done to the file
    ("salvaged: 99.7 % of the rows"). `decision` ("keep", "drop" …) and what follows is the last one that stands: "" for none yet. `votes`
    are the reviewers' own; `reviewed_label` and `reviewed_subtype` what they agree on, or "". Times are UTC, ISO 8601.
    """

    sha256: str
    file: str
    bytes: int
    width: int | None = None
    height: int | None = None
    format: str = ""
    url: str = ""
    page: str = ""
    provider: str = ""
    query: str = ""
    title: str = ""
    creator: str = ""
    creator_url: str = ""
    licence: str = "unknown"
    licence_text: str = ""
    licence_url: str = ""
    attribution: str = ""
    fetched_at: str = ""
    label: str = ""
    subtype: str = ""
    label_basis: str = ""
    region: str = ""
    view: str = ""
    hardware: bool | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    severity: float | None = None
    synthetic: bool = False
    patient: str = ""
    group: str = ""
    split: str = ""
    hashes: dict[str, str] | None = None
    copy_group: str = ""
    marks: str = ""
    decision: str = ""
    decision_reason: str = ""
    decided_by: str = ""
    decided_at: str = ""
    reviewed_label: str = ""
    reviewed_subtype: str = ""
    votes: tuple[Vote, ...] = ()

    @property
    def disputed(self) -> tuple[Vote, ...]:
        """The votes that differ, about the label or else about use; such an image needs adjudication. Empty where reviewers agree."""
        return next((votes for votes in (on_label(self.votes), on_use(self.votes)) if differ(votes)), ())

    @property
    def final_label(self) -> str:
        """The label that counts: the reviewers', else the one it came with; none while reviewers differ about it."""
        return "" if differ(on_label(self.votes)) else self.reviewed_label or self.label

    @property
    def final_subtype(self) -> str:
        """The subtype that counts; a reviewer who changes the label changes the subtype with it."""
        if differ(on_label(self.votes)):
            return ""
        return self.reviewed_subtype if self.reviewed_label and self.reviewed_label != self.label else self.reviewed_subtype or self.subtype


@dataclass(frozen=True)
class Decision:
    """A row of the log. `decision` is "keep", "drop", "relabel" (to `label`, `subtype`; to the label it has: a confirmation), "undo" …

    `undoes` is the row that an "undo" takes back; `undone` says that a later row takes this one back.
    """

    id: int
    sha256: str
    decision: str
    reason: str
    decided_by: str
    decided_at: str
    label: str = ""
    subtype: str = ""
    undoes: int | None = None
    undone: bool = False


RECORD_COLUMNS = tuple(field.name for field in dataclasses.fields(ImageRecord))
DECISION_COLUMNS = ("decision", "decision_reason", "decided_by", "decided_at", "reviewed_label", "reviewed_subtype", "votes")
_OF_VOTES = ("reviewed_label", "reviewed_subtype", "votes")
IMAGE_COLUMNS = tuple(name for name in RECORD_COLUMNS if name not in DECISION_COLUMNS)


class Manifest:
    """An open manifest. Use as a context manager; `with manifest.transaction():` makes several changes one.

    `connection` is for the stages that keep tables of their own here; each is in autocommit mode outside a transaction. Without `writable`
    it only reads.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, writable: bool = True) -> None:
        self.path = path
        self.connection = connection
        self.writable = writable

    @property
    def folder(self) -> Path:
        """The collection's folder, which `ImageRecord.file` is relative to."""
        return self.path.parent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()

    def require_writable(self) -> None:
        """Raises `ManifestError` where nothing can be written."""
        if not self.writable:
            raise ManifestError(
                f"{self.path} cannot be written: it can be looked at, and nothing can be noted in it. Change the permissions of file and "
                "folder, or copy the folder to a place of your own"
            )

    @contextmanager
    def in_memory(self) -> Iterator[None]:
        """Within, a manifest that cannot be written takes changes that are gone with the process."""
        if not self.writable:
            self.connection, self.writable = copy_in_memory(self.connection), True
            try:
                yield
            finally:
                self.writable = False
                self.connection.execute("PRAGMA query_only = ON")
        else:
            yield

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, rolls back on any exception. Raises `ManifestError` where it cannot be written."""
        self.require_writable()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            if self.connection.in_transaction:  # a full disk may have rolled it back already
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[sqlite3.Row]:
        """The rows of a query, one at a time."""
        yield from self.connection.execute(sql, parameters)

    def images(self, where: str = "", parameters: Sequence[Any] = ()) -> Iterator[ImageRecord]:
        """Every image with its last decision, in the order in which they came; `where` is an SQL condition on the columns of `images`."""
        for row in self.rows(f"{IMAGES} {'WHERE ' + where if where else ''} ORDER BY images.rowid", parameters):
            yield _record(row)

    def image(self, sha256: str) -> ImageRecord | None:
        """One image by its hash, None if it is not there."""
        return next(self.images("images.sha256 = ?", (sha256,)), None)

    def add_image(self, record: ImageRecord) -> bool:
        """Adds an image; False, and nothing changes, where its bytes are there already."""
        values = [_stored(getattr(record, name)) for name in IMAGE_COLUMNS]
        columns = ", ".join(f'"{name}"' for name in IMAGE_COLUMNS)
        sql = f"INSERT OR IGNORE INTO images ({columns}) VALUES ({', '.join('?' * len(values))})"
        return self.connection.execute(sql, values).rowcount == 1

    def set_columns(self, sha256: str, values: Mapping[str, Any]) -> None:
        """Changes columns of an image. Raises KeyError for an unknown hash, ValueError for a column that is none or is the hash."""
        wrong = [name for name in values if name not in IMAGE_COLUMNS or name == "sha256"]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not a column of images that can be changed")
        sets = ", ".join(f'"{name}" = ?' for name in values)
        if not self.connection.execute(f"UPDATE images SET {sets} WHERE sha256 = ?", [*map(_stored, values.values()), sha256]).rowcount:
            raise KeyError(f"{self.path}: no image {sha256}")

    def decide(self, sha256: str, decision: str, reason: str, by: str, *, label: str = "", subtype: str = "") -> int:
        """Appends a decision about an image ("keep", "drop", "relabel" …) with its reason and who made it; earlier ones stay in the log.

        `label` and `subtype` are what a "relabel" changes to. Returns the decision's number. Raises ValueError for a "relabel" without
        label, and for "undo", which is `undo`'s.
        """
        if decision == "undo" or (decision == "relabel") != bool(label):
            raise ValueError(
                f"decision {decision!r} with label {label!r}: a relabel needs a label, others have none, undoing is Manifest.undo"
            )
        return self._append(sha256, decision, reason, by, label, subtype, None)

    def undo(self, number: int, by: str) -> int:
        """Takes back decision `number`, by appending that. Raises ValueError where there is none, or it is taken back already."""
        found = next(self.decisions("d.id = ?", (number,)), None)
        if found is None or found.decision == "undo" or found.undone:
            raise ValueError(f"{self.path}: there is no decision {number} that could be undone")
        return self._append(found.sha256, "undo", f"undoes {found.decision}", by, "", "", number)

    def _append(self, sha256: str, decision: str, reason: str, by: str, label: str, subtype: str, undoes: int | None) -> int:
        self.require_writable()
        columns = "sha256, decision, reason, decided_by, decided_at, label, subtype, undoes"
        values = (sha256, decision, reason, by, now(), label, subtype, undoes)
        done = self.connection.execute(f"INSERT INTO decisions ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        return int(done.lastrowid or 0)

    def decisions(self, where: str = "", parameters: Sequence[Any] = ()) -> Iterator[Decision]:
        """The log, oldest first; `where` is an SQL condition on `d`, the decisions."""
        for row in self.rows(f"{DECISIONS} {'WHERE ' + where if where else ''} ORDER BY d.id", parameters):
            yield Decision(**{**dict(row), "undone": bool(row["undone"])})

    def tombstones(self, values: Iterable[str]) -> set[str]:
        """Which of `values` (URLs, hashes) were forgotten."""
        return {value for value in values if self.connection.execute("SELECT 1 FROM tombstones WHERE value = ?", (value,)).fetchone()}

    def fact(self, key: str) -> str | None:
        """A fact about the collection as a whole (the recipe it was made with, say)."""
        row = self.connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, key: str, value: str) -> None:
        self.connection.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))


def open_manifest(place: Path, *, create: bool = False) -> Manifest:
    """Opens the manifest at `place`: a collection's folder, or the file itself; `create` makes folder and file where there is none.

    What this user may not write is opened to be read (`Manifest.writable`). Raises `ManifestError` naming the file where it is missing, is
    empty, is no manifest, or has a newer schema than this version knows.
    """
    path = place if place.suffix == ".db" else place / MANIFEST_NAME
    if not path.is_file():
        if not create:
            raise ManifestError(f"{place}: no collection there ({path.name} is missing); make one with: hf-bones collect --out {place}")
        path.parent.mkdir(parents=True, exist_ok=True)
    return Manifest(path, *connect(path, create=create))


def _stored(value: Any) -> Any:
    """A field as SQLite keeps it: collections as JSON (empty ones as NULL), truth as 0 or 1."""
    if isinstance(value, (tuple, list, dict)):
        return json.dumps(value) if value else None
    return int(value) if isinstance(value, bool) else value


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return float(x), float(y), float(width), float(height)


def _record(row: sqlite3.Row) -> ImageRecord:
    values = {name: row[name] for name in RECORD_COLUMNS if name not in _OF_VOTES}
    votes = votes_that_stand(Vote(*said) for _, *said in sorted(json.loads(row["standing"] or "[]")))
    label, subtype = agreed_label(votes)
    values.update(votes=votes, reviewed_label=label, reviewed_subtype=subtype)
    try:
        values["boxes"] = tuple(_box(*box) for box in parse_json(values["boxes"] or "[]"))
        values["hashes"] = parse_json(values["hashes"]) if values["hashes"] else None
    except (ValueError, TypeError) as error:
        raise ManifestError(f"image {str(values['sha256'])[:12]} has boxes or hashes in the manifest that cannot be read") from error
    values["hardware"] = None if values["hardware"] is None else bool(values["hardware"])
    values["synthetic"] = bool(values["synthetic"])
    return ImageRecord(**values)
