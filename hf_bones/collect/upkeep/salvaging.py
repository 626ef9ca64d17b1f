"""Refused files of a collection that were only cut off: made images of it, where enough of their rows is there.

The file's bytes stay as they came; it moves from refused/ to images/, and its row says what share of it is real (`marks`). Whoever opens
it completes it first (`curate.Subject.read`, `dataset/encode.py`). Label, licence and provenance come from its sighting, as always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hf_bones.collect import queue
from hf_bones.collect.examine import IMAGES, PARTIAL, store
from hf_bones.collect.queue import Arrival
from hf_bones.collect.reasons import Outcome
from hf_bones.collect.upkeep.lock import locked
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.images.refusals import Refusal
from hf_bones.images.salvage import NotSalvageableError, Salvaged, mark, salvage
from hf_bones.manifest.store import ImageRecord, Manifest


@dataclass(frozen=True)
class RefusedFile:
    """A file that was refused as undecodable and kept at `path`; `urls` are all that brought these bytes."""

    sha256: str
    path: Path
    urls: tuple[str, ...]
    detail: str


def refused_files(manifest: Manifest) -> list[RefusedFile]:
    """The files that were refused as undecodable or truncated and are still there, in the order in which they came."""
    found: dict[str, RefusedFile] = {}
    sql = "SELECT url, sha256, kept, detail FROM fetches WHERE state = ? AND reason = ? AND kept != '' AND sha256 != '' ORDER BY rowid"
    for row in manifest.rows(sql, (Outcome.REFUSED, Refusal.UNDECODABLE)):
        path = manifest.folder / row["kept"]
        if not path.is_file() or not path.resolve().is_relative_to(manifest.folder.resolve()):
            continue  # a manifest from elsewhere may name files that are none of its own
        before = found.get(row["sha256"])
        urls = (*before.urls, row["url"]) if before else (row["url"],)
        found[row["sha256"]] = RefusedFile(row["sha256"], path, urls, row["detail"])
    return list(found.values())


def read_cut_off(file: RefusedFile) -> tuple[bytes, Salvaged]:
    """The file's bytes, and what is made of them. Raises `NotSalvageableError` saying why nothing can be."""
    try:
        body = file.path.read_bytes()
    except OSError as error:
        raise NotSalvageableError(f"{file.path.name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise NotSalvageableError(f"{file.path.name} no longer holds what was fetched")
    salvaged = salvage(body)
    try:
        open_image(salvaged.data)
    except ImageRefusedError as refusal:
        raise NotSalvageableError(f"{refusal.reason}: {refusal.detail}") from refusal
    return body, salvaged


def salvage_refused(manifest: Manifest, least_rows: float, only: Collection[str] | None = None) -> list[str]:
    """Makes images of the refused files that have at least this share of their rows; `only` narrows that to some hashes.

    Returns the hashes of the new images. Safe to be killed at: a file is stored before its row is written, and its refused copy goes last.
    Raises ValueError while a collector is at work in the folder.
    """
    with locked(manifest.folder):
        (manifest.folder / PARTIAL).mkdir(exist_ok=True)
        chosen = [file for file in refused_files(manifest) if only is None or file.sha256 in only]
        return [file.sha256 for file in chosen if _salvage_one(manifest, file, least_rows)]


def _salvage_one(manifest: Manifest, file: RefusedFile, least_rows: float) -> bool:
    try:
        body, salvaged = read_cut_off(file)
    except NotSalvageableError:
        return False  # the checks say why
    if salvaged.share < least_rows or manifest.tombstones((file.sha256, *file.urls)):
        return False
    width, height = open_image(salvaged.data).original_size
    name = store(body, file.sha256, str(manifest.folder), IMAGES, ".jpg")
    image = ImageRecord(file.sha256, name, len(body), width, height, "JPEG", marks=mark(salvaged.share))
    for url in file.urls:
        row = manifest.connection.execute("SELECT status, final_url, content_type FROM fetches WHERE url = ?", (url,)).fetchone()
        queue.record_stored(manifest, url, image, Arrival(row["status"], row["final_url"], row["content_type"]))
    file.path.unlink()
    return True
