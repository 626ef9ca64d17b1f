"""A manifest from elsewhere, one that is empty, one that cannot be written: `python -m pytest tests/manifest/test_foreign.py`."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from small_collection import digest, jpeg, keep

from hf_bones.curation.subject import collection_subject
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.manifest import connecting
from hf_bones.manifest.connecting import ManifestError
from hf_bones.manifest.schema import MIGRATIONS
from hf_bones.manifest.store import ImageRecord, open_manifest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE images SET sha256 = '\"><img src=x onerror=alert(1)>'", "a hash that is not 64"),
        ("UPDATE images SET sha256 = '../../../etc/passwd'", "a hash that is not 64"),
        ("UPDATE images SET sha256 = upper(sha256)", "a hash that is not 64"),
        ("UPDATE images SET title = x'ff'", "'title'"),
        ("UPDATE images SET width = 'wide'", "'width'"),
        ("INSERT INTO checks VALUES ('a', 'blurry', 'much', 1, 1, '', '')", "'value'"),
        ("INSERT INTO links VALUES ('a', 'b', 'mirror', 'very', '')", "'score'"),
    ],
)
def test_values_that_no_manifest_of_ours_holds_are_refused_before_anything_is_shown(tmp_path: Path, change: str, told: str) -> None:
    with open_manifest(tmp_path, create=True) as manifest:
        keep(manifest, jpeg())
        manifest.connection.execute(change)
    for opened in (collection_subject, collection_rows):
        with pytest.raises(ManifestError, match=told):
            opened(tmp_path)


def test_boxes_nested_without_end_are_a_sentence(tmp_path: Path) -> None:
    with open_manifest(tmp_path, create=True) as manifest:
        keep(manifest, jpeg())
        for boxes in ("[" * 100_000, '[["a", 0, 0, 0]]', "[[0, 0, 0]]", "7"):
            manifest.connection.execute("UPDATE images SET boxes = ?", (boxes,))
            with pytest.raises(ManifestError, match="boxes or hashes"):
                list(manifest.images())


@pytest.mark.parametrize("how", ["above", "rooted", "link", "other bytes", "gone"])
def test_a_file_is_opened_only_inside_the_collection_and_with_the_bytes_of_its_hash(tmp_path: Path, how: str) -> None:
    folder, body = tmp_path / "collection", jpeg(1)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(body)  # of the very hash: inside it would be read
    with open_manifest(folder, create=True) as manifest:
        sha256 = keep(manifest, body, label="healthy")
        file = folder / manifest.image(sha256).file
        if how in ("above", "rooted"):
            manifest.set_columns(sha256, {"file": "../secret.jpg" if how == "above" else str(secret)})
        elif how == "other bytes":
            file.write_bytes(jpeg(2))
        else:
            file.unlink()
            if how == "link":
                file.symlink_to(secret)
    with collection_subject(folder) as subject:
        record = subject.manifest.image(sha256)
        with pytest.raises(OSError, match={"other bytes": "does not hold the bytes", "gone": "No such file"}.get(how, "lies outside")):
            subject.read(record)
    reading = collection_rows(folder)
    if how in ("above", "rooted", "link"):
        assert not reading.rows and "lies outside" in reading.left_out[0].reason


def test_an_empty_manifest_beside_images_is_refused_and_elsewhere_filled(tmp_path: Path) -> None:
    (tmp_path / "manifest.db").touch()
    with pytest.raises(ManifestError, match="manifest is empty"):
        open_manifest(tmp_path)
    with open_manifest(tmp_path, create=True) as manifest:  # what a run leaves that was killed at its first step
        assert not list(manifest.images())
    lost = tmp_path / "lost"
    (lost / "images" / "ab").mkdir(parents=True)
    (lost / "images" / "ab" / "film.JPG").write_bytes(jpeg())
    (lost / "manifest.db").touch()
    for create in (False, True):
        with pytest.raises(ManifestError, match=r"empty though images lie beside it \(images/ab/film.JPG.*collection add"):
            open_manifest(lost, create=create)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of one film that this user may only read; root may write anywhere, so access is denied by hand."""
    with open_manifest(tmp_path, create=True) as manifest:
        keep(manifest, jpeg(), label="healthy")
    monkeypatch.setattr(connecting.os, "access", lambda path, mode: not mode & os.W_OK)
    return tmp_path


def test_a_collection_that_cannot_be_written_is_read_and_nothing_changes(locked: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in locked.rglob("*")}
    with collection_subject(locked) as subject:
        (record,) = subject.manifest.images()
        assert subject.read(record) == jpeg() and not subject.manifest.writable
        with pytest.raises(ManifestError, match="cannot be written: it can be looked at"):
            subject.manifest.decide(record.sha256, "keep", "", "ada")
        with pytest.raises(ManifestError, match="cannot be written"), subject.manifest.transaction():
            pass
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            subject.manifest.set_fact("a", "b")
    assert {path: path.stat().st_mtime_ns for path in locked.rglob("*")} == before


def test_what_stands_in_the_log_alone_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_manifest(tmp_path, create=True) as manifest:
        keep(manifest, jpeg())  # while it is open, the rows are in the log
        monkeypatch.setattr(connecting.os, "access", lambda path, mode: not mode & os.W_OK)
        with open_manifest(tmp_path) as second:
            assert [record.sha256 for record in second.images()] == [digest(jpeg())]


def test_an_older_schema_that_cannot_be_written_is_brought_up_to_date_in_memory(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE later (x TEXT)"))
    monkeypatch.setattr(connecting, "SCHEMA_VERSION", len(MIGRATIONS) + 1)
    before = sorted(locked.iterdir())
    with open_manifest(locked) as manifest:
        assert len(list(manifest.images())) == 1 and not list(manifest.rows("SELECT * FROM later"))
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            manifest.add_image(ImageRecord("a", "f", 1))
    assert sorted(locked.iterdir()) == before
