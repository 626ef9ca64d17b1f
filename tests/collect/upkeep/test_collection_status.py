"""What the status says about a collection that is not as it should be.

Run: pytest tests/collect/upkeep/test_collection_status.py
"""

import json

from small_collection import bring, digest, jpeg, see, small_collection
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.upkeep.status import collection_status, label_conflicts
from hf_bones.manifest.store import open_manifest


def test_every_url_counts_once_also_those_that_wait(tmp_path):
    status = collection_status(small_collection(tmp_path))
    with open_manifest(tmp_path) as manifest:
        urls = manifest.connection.execute("SELECT count(*) FROM fetches").fetchone()[0]
    assert sum(row.count for row in status.outcomes) == urls == 9
    counts = {(row.provider, row.label, row.licence, row.state, row.reason): row.count for row in status.outcomes}
    assert counts["openverse", "healthy", "CC0-1.0", "stored", ""] == 1  # both.jpg, for the search that saw it first
    assert counts["commons", "healthy", "CC0-1.0", "waiting", ""] == 1
    assert counts["commons", "fractured", "CC0-1.0", "failed", "too_slow"] == 1
    assert counts["commons", "fractured", "CC0-1.0", "refused", "http_status"] == 1
    assert counts["openverse", "healthy", "CC0-1.0", "refused", "not_an_image"] == 1
    assert counts["openverse", "healthy", "unknown", "refused", "licence"] == 1
    assert (status.images, status.copies, status.searches) == (3, 1, {"done": 3})
    shown = CliRunner().invoke(app, ["collection", "status", str(tmp_path)])
    assert shown.exit_code == 0 and "http_status" in shown.output and "label conflicts: 1" in shown.output


def test_conflicts_are_told_apart_by_whether_there_is_an_image(tmp_path):
    status = collection_status(small_collection(tmp_path))
    assert (status.label_conflicts, status.url_label_conflicts) == (1, 1)  # both.jpg, and gone.jpg


def test_a_label_with_a_comma_is_one_label(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        for provider, label in (("one", "sound, as far as one sees"), ("two", "broken")):
            see(manifest, provider, "wrist", label, Candidate("http://h/x.jpg", licence="CC0-1.0"))
        bring(manifest, "http://h/x.jpg", jpeg(1))
        assert label_conflicts(manifest) == {digest(jpeg(1)): ["broken", "sound, as far as one sees"]}


def test_missing_files_and_room_on_the_disk_are_counted(tmp_path):
    small_collection(tmp_path)
    whole = collection_status(tmp_path)
    with open_manifest(tmp_path) as manifest:
        record = next(manifest.images())
    (tmp_path / record.file).unlink()
    status = collection_status(tmp_path)
    assert (whole.missing, status.missing) == (0, 1) and status.bytes == whole.bytes == sum(len(jpeg(n)) for n in (1, 2, 4))
    assert whole.bytes < status.bytes_on_disk <= whole.bytes_on_disk - record.bytes + 2**16  # the manifest's log may have grown
    done = CliRunner().invoke(app, ["collection", "status", str(tmp_path)])
    assert "missing: the files of 1 images" in done.output
    assert json.loads(CliRunner().invoke(app, ["collection", "status", str(tmp_path), "--json"]).output)["missing"] == 1


def test_an_empty_collection_has_a_status(tmp_path):
    open_manifest(tmp_path, create=True).connection.close()
    assert CliRunner().invoke(app, ["collection", "status", str(tmp_path)]).exit_code == 0
