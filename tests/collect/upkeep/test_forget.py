"""Forgetting, cut short at every step, and what it must not leave behind: `python -m pytest tests/collect/upkeep/test_forget.py`."""

import os
import sqlite3

import pytest
from filelock import FileLock
from small_collection import bring, digest, fail, jpeg, see, small_collection
from typer.testing import CliRunner

import hf_bones.collect.upkeep.forget as forget_module
from hf_bones.cli.main import app
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.reasons import Outcome
from hf_bones.collect.upkeep.forget import finish_forgetting, forget
from hf_bones.manifest.store import ImageRecord, open_manifest

BASE = "http://127.0.0.1:9"
ADA = digest(jpeg(1))


def traces(folder):
    """What is still there of Ada's picture: its file, its rows, its words in the database's bytes."""
    with open_manifest(folder) as manifest:
        one = manifest.connection.execute
        rows = one("SELECT count(*) FROM images WHERE sha256 = ?", (ADA,)).fetchone()[0]
        for table in ("fetches", "sightings"):
            rows += one(f"SELECT count(*) FROM {table} WHERE url IN (?, ?)", (f"{BASE}/a.jpg", f"{BASE}/a-copy.jpg")).fetchone()[0]
    words = b"".join(path.read_bytes() for path in folder.glob("manifest.db*"))
    return list(folder.rglob(f"{ADA}*")), rows, b"of Ada's" in words


def forget_and_be_killed(folder, after):
    """Forgets in a process of its own that ends, as by kill -9, before the SQL statement or file deletion `after`; whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = after

    def step(*_):
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(9)

    def traced(folder):
        manifest = open_manifest(folder)
        manifest.connection.set_trace_callback(step)
        return manifest

    delete = forget_module._delete

    def deleting(folder, names):
        found = []
        for name in names:
            step()
            found += delete(folder, [name])
        return found

    forget_module.open_manifest, forget_module._delete = traced, deleting
    try:
        forget(folder, f"{BASE}/a.jpg", "asked", "bea")
    finally:
        os._exit(0)


def test_killed_at_any_step_it_is_whole_or_finished_by_the_next_run(tmp_path):
    steps = 0
    while True:
        folder = small_collection(tmp_path / str(steps))
        killed = forget_and_be_killed(folder, steps)
        with open_manifest(folder) as manifest:
            promised = manifest.tombstones([ADA, f"{BASE}/a.jpg", f"{BASE}/a-copy.jpg"])
            finish_forgetting(manifest)
        if promised:
            assert len(promised) == 3 and traces(folder) == ([], 0, False), steps
        else:
            assert killed and len(traces(folder)[0]) == 1, steps  # nothing was promised, and nothing is gone
        if not killed:
            break
        steps += 1
    assert steps > 10


def test_what_stays_is_the_tombstone_and_a_line_in_the_log(tmp_path):
    small_collection(tmp_path)
    gone = forget(tmp_path, ADA[:10].upper(), "asked by its owner", "bea")
    assert set(gone.urls) == {f"{BASE}/a.jpg", f"{BASE}/a-copy.jpg"} and len(gone.files) == 1 and gone.was_known
    assert forget(tmp_path, ADA).was_known  # once more: nothing to do, and nothing added
    with open_manifest(tmp_path) as manifest:
        log = [tuple(row)[1:5] for row in manifest.rows("SELECT * FROM decisions")]
        assert log == [(ADA, "forget", "asked by its owner", "bea")]
        assert {row["reason"] for row in manifest.rows("SELECT * FROM tombstones")} == {"asked by its owner"}
    assert traces(tmp_path) == ([], 0, False)


def test_a_url_that_was_never_seen_gets_its_tombstone(tmp_path):
    small_collection(tmp_path)
    gone = forget(tmp_path, "http://elsewhere/x.jpg")
    assert (gone.hashes, gone.urls, gone.files, gone.was_known) == ((), ("http://elsewhere/x.jpg",), (), False)
    with open_manifest(tmp_path) as manifest:
        see(manifest, "openverse", "again", "healthy", Candidate("http://elsewhere/x.jpg", title="back", licence="CC0-1.0"))
        assert not list(manifest.rows("SELECT 1 FROM sightings WHERE title = 'back'"))


def test_the_command_says_whether_anything_was_known(tmp_path):
    small_collection(tmp_path)
    command = ["collection", "forget", str(tmp_path)]
    unknown = CliRunner().invoke(app, [*command, "http://elsewhere/x.jpg"]).output
    assert unknown.splitlines() == ["nothing of it was known: http://elsewhere/x.jpg", "will not come: http://elsewhere/x.jpg"]
    known = CliRunner().invoke(app, [*command, f"{BASE}/a.jpg"]).output
    assert f"will not come back: {BASE}/a.jpg" in known and "make them again" in known and "nothing of it" not in known


def test_the_address_that_a_redirect_led_to_is_known_too(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        see(manifest, "openverse", "wrist", "healthy", Candidate("http://short/1", licence="CC0-1.0"))
        bring(manifest, "http://short/1", jpeg(5), final_url="http://long/film.jpg")
    gone = forget(tmp_path, "http://long/film.jpg")
    assert gone.hashes == (digest(jpeg(5)),) and set(gone.urls) == {"http://short/1", "http://long/film.jpg"} and gone.files


def test_a_url_that_led_to_forgotten_bytes_is_forgotten_by_the_next_run(tmp_path):
    small_collection(tmp_path)
    forget(tmp_path, ADA)
    with open_manifest(tmp_path) as manifest:
        see(manifest, "web", "wrist", "healthy", Candidate("http://mirror/ada.jpg", title="A wrist of Ada's", licence="CC0-1.0"))
        fail(manifest, "http://mirror/ada.jpg", Outcome.REFUSED, "forgotten", detail=ADA)
        finish_forgetting(manifest)
        assert manifest.tombstones(["http://mirror/ada.jpg"])
    assert traces(tmp_path)[2] is False


def test_empty_answers_have_nothing_in_common(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        see(manifest, "web", "wrist", "healthy", *(Candidate(f"http://h/{n}", licence="CC0-1.0") for n in range(3)))
        for n in range(3):
            bring(manifest, f"http://h/{n}", b"")
    assert forget(tmp_path, "http://h/1").urls == ("http://h/1",)


def test_copies_of_the_manifest_and_bytes_without_a_row_go_too(tmp_path):
    small_collection(tmp_path)
    (tmp_path / "manifest.db.schema-1").write_bytes((tmp_path / "manifest.db").read_bytes())
    orphan, aside = digest(b"left behind"), tmp_path / "damaged" / ADA[:2] / f"{ADA}-0123.jpg"
    for path in (tmp_path / "images" / orphan[:2] / f"{orphan}.jpg", aside):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left behind")
    assert forget(tmp_path, orphan).files == (f"images/{orphan[:2]}/{orphan}.jpg",)
    assert aside.relative_to(tmp_path).as_posix() in forget(tmp_path, ADA).files
    assert traces(tmp_path) == ([], 0, False)


def test_no_file_outside_the_collection_is_deleted_whatever_the_manifest_says(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("not an image")
    with open_manifest(tmp_path / "c", create=True) as manifest:
        manifest.add_image(ImageRecord("ab" * 32, "../mine.txt", 1, url="http://h/1"))
    assert forget(tmp_path / "c", "http://h/1").files == () and mine.exists()


def test_a_collector_at_work_is_not_interfered_with(tmp_path):
    small_collection(tmp_path)
    with FileLock(tmp_path / ".lock"):
        done = CliRunner().invoke(app, ["collection", "forget", str(tmp_path), ADA])
    assert done.exit_code == 2 and "another run is collecting" in done.output and traces(tmp_path)[1]


def test_a_prefix_of_two_images_is_not_enough(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        for end in "01":
            manifest.add_image(ImageRecord("ab" * 31 + f"a{end}", "images/x", 1))
    with pytest.raises(ValueError, match=r"2 images of .* give more digits"):
        forget(tmp_path, "ab" * 10)


def test_a_reader_does_not_stop_it_and_what_the_log_still_holds_is_said(tmp_path):
    small_collection(tmp_path)
    reader = sqlite3.connect(tmp_path / "manifest.db")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM images").fetchone()[0] == 3
    done = CliRunner().invoke(app, ["collection", "forget", str(tmp_path), ADA])
    assert done.exit_code == 1 and "another program has the manifest open" in done.output
    assert traces(tmp_path)[:2] == ([], 0)
    reader.close()
    assert CliRunner().invoke(app, ["collection", "forget", str(tmp_path), ADA]).exit_code == 0
    assert traces(tmp_path) == ([], 0, False)
