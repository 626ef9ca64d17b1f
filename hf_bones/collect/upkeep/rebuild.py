"""A collection fetched again from its manifest alone, every byte checked against its hash.

Links rot and files change: the outcome of each image is one of `there` (its file is in place, and whole), `rebuilt`, `changed` (its URLs
answer with other bytes, which are kept under refused/) and `gone` (with the reason). An image seen at several URLs is tried at each of them
in turn. Labels, provenance, decisions and tombstones are carried over. Run again, only what is missing is requested.

In place, nothing is deleted: what can be fetched again takes the place of a damaged file, which moves to damaged/; the rest stays as it is.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from hf_bones.collect.candidate import Candidate
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.queue import Search
from hf_bones.collect.reasons import FetchReason, Outcome
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.run import collect
from hf_bones.collect.upkeep.forget import DAMAGED, REFETCHED
from hf_bones.collect.upkeep.known import FURTHER, STATED, Known, from_collection, from_export, is_web, is_whole
from hf_bones.collect.upkeep.lock import locked
from hf_bones.collect.upkeep.salvaging import salvage_refused
from hf_bones.images.salvage import salvaged_share
from hf_bones.manifest.store import Manifest, open_manifest
from hf_bones.pages.tables import CsvWriter
from hf_bones.record import sha256_file

REPORT_NAME = "rebuild.csv"


@dataclass(frozen=True)
class Rebuilt:
    """What became of one image: `outcome` is there, rebuilt, changed or gone; `reason` says why it is not there."""

    sha256: str
    outcome: str
    url: str
    reason: str = ""


_Collect = Callable[[Path, Sequence[Search]], object]  # `collect`, given all but folder and searches


def rebuild(
    source: Path, out: Path | None, settings: FetchSettings, *, guard: AddressGuard, agent: str, show_progress: bool = False
) -> list[Rebuilt]:
    """Fetches the images of `source` again into the collection `out`, and writes the outcome of each to `out`/rebuild.csv.

    `source` is a collection's folder, its manifest.db, or an export (.parquet or .jsonl, our columns or img2dataset's). Without `out`, a
    collection is rebuilt in place: files that are whole stay, missing and damaged ones are fetched. Raises ValueError for a source that is
    none of these or has no hashes, `ManifestError` and `CollectError` as opening and collecting do.
    """
    is_collection = source.is_dir() or source.suffix == ".db"
    folder = (source if source.is_dir() else source.parent) if is_collection else None
    target = out or folder
    if target is None:
        raise ValueError(f"{source} is an export: name the folder to rebuild into with --out")
    known = list(from_collection(source) if is_collection else from_export(source))
    fetching = partial(collect, settings=settings, guard=guard, agent=agent, reconsider=False, show_progress=show_progress)
    elsewhere = folder is None or target.resolve() != folder.resolve()
    results: dict[str, Rebuilt] = {}
    new, torn = [], []
    with open_manifest(target, create=True) as manifest:
        if folder is not None and elsewhere:
            _carry_tombstones(folder, manifest)
        for image in known:
            record = manifest.image(image.record.sha256)
            if record is None:
                new.append(image)
            elif is_whole(target, record):
                results[record.sha256] = Rebuilt(record.sha256, "there", image.record.url)
            else:
                torn.append(image)
    results |= _fetch(target, new, fetching)
    if torn:
        results |= _mend(target, torn, fetching)
    if elsewhere:
        with open_manifest(target) as manifest:
            _carry_decisions(manifest, known)
    ordered = [results[image.record.sha256] for image in known]
    _write_report(target / REPORT_NAME, ordered)
    return ordered


def _fetch(folder: Path, images: Sequence[Known], fetching: _Collect) -> dict[str, Rebuilt]:
    """Fetches images that the collection `folder` has no row of, each from its next URL until one brings its bytes."""
    missing = images
    for turn in range(max((len(image.urls) for image in images), default=0)):
        asked = [(image, image.urls[turn]) for image in missing if turn < len(image.urls)]
        with open_manifest(folder, create=True) as manifest:
            _let_wait_again(manifest, asked)
        fetching(folder, [Search(_KnownImages(asked), f"rebuild, URL {turn + 1}")])
        cut_off = {image.record.sha256 for image in missing if salvaged_share(image.record.marks) is not None}
        with open_manifest(folder) as manifest:
            if cut_off:  # their bytes came, and were refused as they had been the first time
                salvage_refused(manifest, 0.0, cut_off)
            missing = [image for image in missing if manifest.image(image.record.sha256) is None]
    if not images:
        return {}
    with open_manifest(folder) as manifest:
        return {image.record.sha256: _result(manifest, image) for image in images}


def _mend(folder: Path, images: Sequence[Known], fetching: _Collect) -> dict[str, Rebuilt]:
    """Fetches images of the collection `folder` whose files are missing or damaged.

    They are fetched into a collection inside it, so that neither URLs that wait in it nor what it knows of these URLs is touched.
    """
    scratch = folder / REFETCHED
    with locked(folder):
        with open_manifest(scratch, create=True) as fetched:
            _carry_tombstones(folder, fetched)
            already = [image for image in images if fetched.image(image.record.sha256) is not None]  # by a run that was cut short
        results = _fetch(scratch, [image for image in images if image not in already], fetching)
        results |= {image.record.sha256: Rebuilt(image.record.sha256, "rebuilt", image.record.url) for image in already}
        with open_manifest(folder) as manifest, open_manifest(scratch) as fetched:
            for image in images:
                there, come = manifest.image(image.record.sha256), fetched.image(image.record.sha256)
                if there is not None and come is not None:
                    _put_in_place(scratch / come.file, folder / there.file, folder / DAMAGED)
            _keep_changed(fetched, manifest)
        shutil.rmtree(scratch)
        return results


def _put_in_place(fetched: Path, final: Path, damaged: Path) -> None:
    if not fetched.is_file():
        return  # a run that was cut short after it had put it there
    if final.is_file():
        aside = damaged / final.parent.name / f"{final.stem}-{sha256_file(final)[:12]}{final.suffix}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        final.replace(aside)
    final.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(final)


def _keep_changed(fetched: Manifest, manifest: Manifest) -> None:
    """Moves what came instead of the bytes wanted to the collection's own refused/, and notes it with the URL."""
    for row in list(fetched.rows("SELECT url, kept, detail FROM fetches WHERE kept != ''")):
        body, kept = fetched.folder / row["kept"], manifest.folder / row["kept"]
        if body.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            body.replace(kept)
        manifest.connection.execute(
            "UPDATE fetches SET kept = ?, detail = ? WHERE url = ?", (row["kept"], f"rebuild: {row['detail']}", row["url"])
        )


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
            if not is_web(url) and image.file is None:
                continue
            values = {name: getattr(record, name) for name in STATED}
            details = {name: value for name in FURTHER if (value := getattr(record, name)) not in (None, "", ())}
            if record.provider:
                details |= {"query": record.query, "label_basis": record.label_basis}  # also where they are empty: not those of this search
            if image.labels:
                details["label_conflict"] = list(image.labels)
            content = None if is_web(url) or image.file is None else image.file.read_bytes
            yield Candidate(**(values | {"url": url}), details=details, content=content)


def _let_wait_again(manifest: Manifest, asked: Sequence[tuple[Known, str]]) -> None:
    """URLs that came to nothing in an earlier rebuild are asked once more; those of other images are left alone."""
    with manifest.transaction() as connection:
        for image, url in asked:
            waits = connection.execute(
                "UPDATE fetches SET state = 'waiting', reason = '', detail = '' WHERE url = ? AND state != 'stored'", (url,)
            )
            if waits.rowcount:
                sql = "UPDATE sightings SET sha256 = ? WHERE id = (SELECT sighting_id FROM fetches WHERE url = ?)"
                connection.execute(sql, (image.record.sha256, url))


def _result(manifest: Manifest, image: Known) -> Rebuilt:
    """What became of an image that was fetched into `manifest`'s collection."""
    record = image.record
    reasons: list[tuple[str, str]] = []
    if manifest.image(record.sha256) is not None:
        sql = "SELECT url FROM fetches WHERE sha256 = ? AND sha256 != '' AND state = 'stored'"
        row = manifest.connection.execute(sql, (record.sha256,)).fetchone()
        return Rebuilt(record.sha256, "rebuilt", row[0] if row else record.url)
    for url in image.urls:
        row = manifest.connection.execute("SELECT state, reason, detail, sha256 FROM fetches WHERE url = ?", (url,)).fetchone()
        if manifest.tombstones((url, record.sha256)):
            reasons.append((FetchReason.FORGOTTEN, url))
        elif row is None or row["state"] == Outcome.WAITING:
            reasons.append((Outcome.WAITING if is_web(url) else FetchReason.LOCAL_SOURCE, url))
        elif row["state"] == Outcome.STORED:
            reasons.append((FetchReason.HASH_MISMATCH, f"{url} has the bytes of image {row['sha256']}"))
        else:
            reasons.append((row["reason"], row["detail"]))
    outcome = "changed" if any(reason == FetchReason.HASH_MISMATCH for reason, _ in reasons) else "gone"
    return Rebuilt(record.sha256, outcome, record.url, "; ".join(f"{reason}: {detail}" for reason, detail in reasons))


def _carry_tombstones(folder: Path, manifest: Manifest) -> None:
    with open_manifest(folder) as source:
        rows = source.connection.execute("SELECT value, reason, at FROM tombstones").fetchall()
    with manifest.transaction() as connection:
        connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)", [tuple(row) for row in rows])


def _carry_decisions(manifest: Manifest, known: Sequence[Known]) -> None:
    """Appends the decisions that are not in the log yet, with whoever made them and when."""
    with manifest.transaction() as connection:
        for image in known:
            if not image.decisions or manifest.image(image.record.sha256) is None:
                continue
            for found in image.decisions:
                values = (found.sha256, found.decision, found.reason, found.decided_by, found.decided_at, found.label, found.subtype)
                columns = "sha256, decision, reason, decided_by, decided_at, label, subtype"
                connection.execute(
                    f"INSERT INTO decisions ({columns}) SELECT ?, ?, ?, ?, ?, ?, ?"
                    f" WHERE NOT EXISTS (SELECT 1 FROM decisions WHERE ({columns}) = (?, ?, ?, ?, ?, ?, ?))",
                    values + values,
                )


def _write_report(path: Path, results: Sequence[Rebuilt]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = CsvWriter(stream)
        writer.writerow(field.name for field in dataclasses.fields(Rebuilt))
        writer.writerows(dataclasses.astuple(result) for result in results)
    partial.replace(path)
