"""The manifest store: `python -m pytest tests/manifest/test_manifest.py`."""

import dataclasses
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hf_bones.manifest.connecting as manifest_module
from hf_bones.manifest.connecting import ManifestError
from hf_bones.manifest.schema import MIGRATIONS, SCHEMA_VERSION
from hf_bones.manifest.store import IMAGE_COLUMNS, ImageRecord, open_manifest

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
share = st.floats(0, 1)
maybe = st.none()
texts = dict.fromkeys(
    ("file", "format", "url", "page", "provider", "query", "title", "creator", "creator_url", "licence", "licence_text", "licence_url",
     "attribution", "fetched_at", "label", "subtype", "label_basis", "region", "view", "patient", "group", "split"), text,
)  # fmt: skip
records = st.builds(
    ImageRecord,
    sha256=text.filter(bool),
    bytes=st.integers(0, 2**40),
    width=maybe | st.integers(1, 10**5),
    height=maybe | st.integers(1, 10**5),
    hardware=maybe | st.booleans(),
    boxes=st.lists(st.tuples(share, share, share, share), max_size=3).map(tuple),
    severity=maybe | share,
    synthetic=st.booleans(),
    hashes=maybe | st.dictionaries(text, text, min_size=1, max_size=2),
    **texts,
)


@given(records)
def test_every_field_of_a_record_comes_back_as_it_went_in(tmp_path_factory, record):
    with open_manifest(tmp_path_factory.mktemp("m"), create=True) as manifest:
        assert manifest.add_image(record)
        assert manifest.image(record.sha256) == record


def test_bytes_that_are_there_are_not_added_again(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        assert manifest.add_image(ImageRecord("a", "images/a.jpg", 1, title="first"))
        assert not manifest.add_image(ImageRecord("a", "images/a.jpg", 1, title="second"))
        assert manifest.image("a").title == "first" and manifest.image("b") is None


def test_decisions_are_appended_and_the_last_one_counts(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.add_image(ImageRecord("a", "f", 1))
        manifest.decide("a", "drop", "a chest film", "ada")
        manifest.decide("a", "keep", "a shoulder after all", "bea")
        record = manifest.image("a")
        assert (record.decision, record.decision_reason, record.decided_by) == ("keep", "a shoulder after all", "bea")
        assert [row["decision"] for row in manifest.rows("SELECT decision FROM decisions ORDER BY id")] == ["drop", "keep"]


def test_columns_can_be_changed_but_not_the_hash(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.add_image(ImageRecord("a", "f", 1))
        manifest.set_columns("a", {"group": "g", "boxes": ((0.1, 0.2, 0.3, 0.4),), "hardware": True})
        assert dataclasses.asdict(manifest.image("a"))["boxes"] == ((0.1, 0.2, 0.3, 0.4),) and manifest.image("a").hardware is True
        with pytest.raises(ValueError, match="sha256, colour"):
            manifest.set_columns("a", {"sha256": "b", "colour": "red"})
        with pytest.raises(KeyError, match="no image b"):
            manifest.set_columns("b", {"group": "g"})


def test_a_transaction_is_all_or_nothing(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        with pytest.raises(ZeroDivisionError), manifest.transaction():
            manifest.add_image(ImageRecord("a", "f", 1))
            raise ZeroDivisionError
        assert manifest.image("a") is None


def test_a_process_killed_in_a_transaction_loses_that_and_nothing_before(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from hf_bones.manifest.store import *\n"
        "with open_manifest(Path(sys.argv[1]), create=True) as m:\n"
        "    m.add_image(ImageRecord('kept', 'f', 1))\n"
        "    with m.transaction():\n"
        "        m.add_image(ImageRecord('lost', 'f', 1)); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    with open_manifest(tmp_path) as manifest:
        assert [record.sha256 for record in manifest.images()] == ["kept"]


def test_a_manifest_of_an_older_schema_is_migrated_and_a_copy_kept(tmp_path, monkeypatch):
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.add_image(ImageRecord("a", "f", 1))
    monkeypatch.setattr(
        manifest_module, "MIGRATIONS", (*manifest_module.MIGRATIONS, "CREATE TABLE later (x TEXT);\nINSERT INTO later VALUES ('here')")
    )
    monkeypatch.setattr(manifest_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with open_manifest(tmp_path) as manifest:
        assert manifest.image("a") is not None and manifest.connection.execute("SELECT x FROM later").fetchone()[0] == "here"
    with sqlite3.connect(tmp_path / f"manifest.db.schema-{SCHEMA_VERSION}") as copy:
        assert copy.execute("SELECT sha256 FROM images").fetchall() == [("a",)]
        assert copy.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


def test_a_newer_schema_another_database_and_no_database_are_refused_by_name(tmp_path):
    with open_manifest(tmp_path / "new", create=True) as manifest:
        manifest.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ManifestError, match="newer version of hf_bones"):
        open_manifest(tmp_path / "new")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(ManifestError, match=r"not a manifest \(tables: songs\)"):
        open_manifest(tmp_path / "other.db")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at " * 9)
    with pytest.raises(ManifestError, match="cannot be opened"):
        open_manifest(tmp_path / "text.db")
    with pytest.raises(ManifestError, match="hf-bones collect --out"):
        open_manifest(tmp_path / "nowhere")


def test_another_programs_database_is_refused_whatever_version_it_gives_itself(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE images (name TEXT)")
        other.execute("PRAGMA user_version = 1")
    with pytest.raises(ManifestError, match=r"not a manifest \(tables: images\)"):
        open_manifest(tmp_path / "other.db")


def test_the_copy_before_a_migration_holds_what_is_still_in_the_log(tmp_path, monkeypatch):
    with open_manifest(tmp_path, create=True) as manifest:
        reader = sqlite3.connect(tmp_path / "manifest.db")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM images").fetchone()  # holds the log, so that nothing moves from it into the file
        manifest.add_image(ImageRecord("a", "f", 1))
        monkeypatch.setattr(manifest_module, "MIGRATIONS", (*manifest_module.MIGRATIONS, "CREATE TABLE later (x TEXT)"))
        monkeypatch.setattr(manifest_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        open_manifest(tmp_path).connection.close()
        reader.close()
    with sqlite3.connect(tmp_path / f"manifest.db.schema-{SCHEMA_VERSION}") as copy:
        assert copy.execute("SELECT sha256 FROM images").fetchall() == [("a",)]


def test_the_table_of_images_has_the_columns_of_the_record(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        assert {row["name"] for row in manifest.rows("PRAGMA table_info(images)")} == set(IMAGE_COLUMNS)


def test_a_manifest_of_the_first_schema_keeps_its_rows_and_log(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "MIGRATIONS", MIGRATIONS[:1])
    monkeypatch.setattr(manifest_module, "SCHEMA_VERSION", 1)
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.connection.execute("INSERT INTO images (sha256, file, bytes, label) VALUES ('a', 'f', 1, 'healthy')")
        manifest.connection.execute(
            "INSERT INTO decisions (sha256, decision, reason, decided_by, decided_at) VALUES ('a', 'drop', 'blurred', 'ada', '2026')"
        )
    monkeypatch.undo()
    with open_manifest(tmp_path) as manifest:
        record = manifest.image("a")
        assert (record.label, record.decision, record.copy_group, record.final_label) == ("healthy", "drop", "", "healthy")
    assert (tmp_path / "manifest.db.schema-1").is_file()


def test_relabelling_and_dropping_are_decided_apart_and_undone_apart(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.add_image(ImageRecord("a", "f", 1, label="healthy", subtype="none"))
        first = manifest.decide("a", "relabel", "a hairline", "ada", label="fractured", subtype="hairline")
        dropped = manifest.decide("a", "drop", "blurred", "bea")
        record = manifest.image("a")
        assert (record.label, record.final_label, record.final_subtype, record.decision) == ("healthy", "fractured", "hairline", "drop")
        manifest.undo(dropped, "bea")
        assert (manifest.image("a").final_label, manifest.image("a").decision) == ("fractured", "")
        manifest.undo(first, "ada")
        record = manifest.image("a")
        assert (record.final_label, record.final_subtype, record.reviewed_label) == ("healthy", "none", "")
        assert [(d.decision, d.undone, d.undoes) for d in manifest.decisions()] == [
            ("relabel", True, None), ("drop", True, None), ("undo", False, dropped), ("undo", False, first),
        ]  # fmt: skip


def test_nothing_is_undone_twice_and_no_relabel_goes_without_a_label(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.add_image(ImageRecord("a", "f", 1))
        undo = manifest.undo(manifest.decide("a", "drop", "", "ada"), "ada")
        for number in (1, undo, 99):
            with pytest.raises(ValueError, match="no decision"):
                manifest.undo(number, "ada")
        for word, label in (("relabel", ""), ("drop", "healthy"), ("undo", "")):
            with pytest.raises(ValueError, match="relabel needs a label"):
                manifest.decide("a", word, "", "ada", label=label)
        assert len(list(manifest.decisions())) == 2
