"""Rebuilding where things go wrong: cut short, half there, forgotten, from others' tables.

Run: pytest tests/collect/upkeep/test_rebuild.py
"""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collecting import FAST, HERE, files
from filelock import FileLock
from small_collection import bring, digest, jpeg, see, small_collection

from hf_bones.collect.candidate import Candidate
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.upkeep.export import export_collection
from hf_bones.collect.upkeep.forget import forget
from hf_bones.collect.upkeep.lock import CollectError
from hf_bones.collect.upkeep.rebuild import rebuild
from hf_bones.collect.upkeep.status import collection_status, label_conflicts
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.manifest.store import open_manifest

A, BOTH, D = (digest(jpeg(n)) for n in (1, 2, 4))


@pytest.fixture
def collection(tmp_path, rogue):
    """The small collection, its four images being served (and nothing else of it)."""
    for name, seed in (("a", 1), ("a-copy", 1), ("both", 2), ("d", 4)):
        rogue.page(f"/{name}.jpg", jpeg(seed))
    return small_collection(tmp_path / "c", rogue.url)


def again(source, out=None, **settings):
    done = rebuild(source, out, FetchSettings(**(FAST | settings)), guard=HERE, agent="hf_bones-tests")
    return {result.sha256: result for result in done}


def outcomes(results):
    return {sha256: result.outcome for sha256, result in results.items()}


def records(folder):
    with open_manifest(folder) as manifest:
        return {record.sha256: record for record in manifest.images()}


@pytest.mark.parametrize("suffix", ["", ".parquet", ".jsonl"])
def test_everything_known_is_carried_over(collection, tmp_path, suffix):
    with open_manifest(collection) as manifest:
        manifest.decide(D, "drop", "blurred", "ada")
        manifest.decide(D, "keep", "good enough", "bea")
        manifest.set_columns(
            D, {"boxes": ((0.5, 0.5, 0.25, 0.25),), "severity": 0.5, "hardware": False, "hashes": {"p": "ff"}, "query": ""}
        )
    source = collection
    if suffix:
        export_collection(collection, source := tmp_path / f"e{suffix}")
    assert outcomes(again(source, tmp_path / "n")) == dict.fromkeys((A, BOTH, D), "rebuilt")
    before, after = records(collection), records(tmp_path / "n")
    for sha256, record in before.items():
        for name in record.__dataclass_fields__:
            if name not in ("fetched_at", "url"):  # copies race for being the first
                assert getattr(after[sha256], name) == getattr(record, name), name
    with open_manifest(tmp_path / "n") as manifest:
        log = [(row["decision"], row["decided_by"]) for row in manifest.rows("SELECT * FROM decisions ORDER BY id")]
        assert label_conflicts(manifest) == {BOTH: ["fractured", "healthy"]}
    assert log == [("drop", "ada"), ("keep", "bea")], "both votes"
    assert {row.provider for row in collection_status(tmp_path / "n").outcomes} == {"openverse", "commons"}
    assert {left.reason for left in collection_rows(tmp_path / "n").left_out} == {
        "seen under different labels: fractured, healthy",
        "needs adjudication: ada drop, bea keep",
    }
    with (tmp_path / "n/rebuild.csv").open(newline="") as stream:
        assert {row["sha256"]: row["outcome"] for row in csv.DictReader(stream)} == dict.fromkeys((A, BOTH, D), "rebuilt")


def test_given_again_it_asks_only_for_what_is_missing(collection, tmp_path, rogue):
    route = rogue.routes.pop("/d.jpg")
    assert outcomes(again(collection, tmp_path / "n"))[D] == "gone"
    asked = len(rogue.images_asked())
    rogue.routes["/d.jpg"] = route
    assert outcomes(again(collection, tmp_path / "n")) == {A: "there", BOTH: "there", D: "rebuilt"}
    assert rogue.images_asked()[asked:] == ["/d.jpg"]
    assert outcomes(again(collection, tmp_path / "n")) == dict.fromkeys((A, BOTH, D), "there")
    assert len(rogue.images_asked()) == asked + 1


def test_a_rebuilt_file_that_was_damaged_since_is_fetched_again(collection, tmp_path):
    again(collection, tmp_path / "n")
    path = tmp_path / "n" / records(tmp_path / "n")[D].file
    path.write_bytes(bytes(len(path.read_bytes())))  # the same size
    assert outcomes(again(collection, tmp_path / "n")) == {A: "there", BOTH: "there", D: "rebuilt"}
    assert path.read_bytes() == jpeg(4)


def test_in_place_only_what_is_missing_is_asked_for_and_nothing_is_deleted(collection, rogue):
    before = records(collection)
    (collection / before[A].file).unlink()
    (collection / before[D].file).write_bytes(b"damaged")
    states = collection_status(collection).outcomes
    assert outcomes(again(collection)) == {A: "rebuilt", BOTH: "there", D: "rebuilt"}
    assert sorted(rogue.images_asked()) == ["/a.jpg", "/d.jpg"]  # not later.jpg, which waits in the collection
    assert records(collection) == before and collection_status(collection).outcomes == states
    assert all((collection / record.file).read_bytes() == jpeg(n) for record, n in zip(before.values(), (1, 2, 4), strict=True))
    assert [path.read_bytes() for path in files(collection, "damaged")] == [b"damaged"]
    assert not (collection / ".rebuild").exists()


def test_what_cannot_be_had_in_place_stays_as_it_was_and_no_url_is_lost(collection, rogue):
    path = collection / records(collection)[A].file
    path.write_bytes(b"damaged")
    routes, rogue.routes = rogue.routes, {}
    rogue.answer("/a.jpg", lambda reply: reply.send(status=500))
    result = again(collection)[A]
    assert result.outcome == "gone" and "500" in result.reason and "404" in result.reason
    assert path.read_bytes() == b"damaged"
    rogue.routes = {"/a-copy.jpg": routes["/a-copy.jpg"]}
    assert again(collection)[A].url.endswith("/a-copy.jpg") and path.read_bytes() == jpeg(1)


def test_changed_bytes_are_kept_in_place_and_noted_with_their_url(collection, rogue):
    (collection / records(collection)[D].file).unlink()
    rogue.page("/d.jpg", jpeg(99))
    assert again(collection)[D].outcome == "changed"
    with open_manifest(collection) as manifest:
        row = next(manifest.rows("SELECT * FROM fetches WHERE url LIKE '%/d.jpg'"))
    assert (collection / row["kept"]).read_bytes() == jpeg(99) and digest(jpeg(99)) in row["detail"]
    assert (row["state"], row["sha256"]) == ("stored", D)
    forget(collection, row["url"])
    assert not list(collection.rglob(f"{digest(jpeg(99))}*"))


def test_what_was_forgotten_is_not_fetched_by_a_rebuild_nor_after_it(collection, tmp_path, rogue):
    export_collection(collection, tmp_path / "e.parquet")  # an export made before still names it
    forget(collection, A)
    assert outcomes(again(collection, tmp_path / "n")) == dict.fromkeys((BOTH, D), "rebuilt")
    result = again(tmp_path / "e.parquet", tmp_path / "n")[A]
    assert (result.outcome, "forgotten" in result.reason) == ("gone", True)
    assert not {"/a.jpg", "/a-copy.jpg"} & set(rogue.images_asked())


def test_local_images_are_copied_where_they_are_whole_and_named_where_they_are_not(tmp_path):
    with open_manifest(tmp_path / "c", create=True) as manifest:
        see(manifest, "folder", "", "healthy", *(Candidate(f"folder:films/{n}.jpg", licence="CC0-1.0") for n in (1, 2)))
        for n in (1, 2):
            manifest.connection.execute("UPDATE fetches SET host = ''")
            bring(manifest, f"folder:films/{n}.jpg", jpeg(n))
    (tmp_path / "c" / records(tmp_path / "c")[digest(jpeg(2))].file).write_bytes(b"damaged")
    results = again(tmp_path / "c", tmp_path / "n")
    assert outcomes(results) == {digest(jpeg(1)): "rebuilt", digest(jpeg(2)): "gone"}
    assert results[digest(jpeg(2))].reason.startswith("local_source")
    export_collection(tmp_path / "c", tmp_path / "e.jsonl")
    assert set(outcomes(again(tmp_path / "e.jsonl", tmp_path / "from_export")).values()) == {"gone"}  # it has no bytes
    assert again(tmp_path / "c")[digest(jpeg(2))].reason.startswith("local_source")  # in place too
    assert (tmp_path / "c" / records(tmp_path / "c")[digest(jpeg(2))].file).read_bytes() == b"damaged"


def test_a_table_of_img2dataset_can_be_rebuilt_from(tmp_path, rogue):
    rows = [
        {"url": rogue.page("/1.jpg", jpeg(1)), "caption": "a wrist", "status": "success", "sha256": A, "license": "CC BY 4.0"},
        {"url": rogue.page("/1b.jpg", jpeg(1)), "caption": "the same", "status": "success", "sha256": A, "license": None},
        {"url": "http://127.0.0.1:9/x", "caption": "", "status": "failed_to_download", "sha256": None, "license": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "00000.parquet")
    assert outcomes(again(tmp_path / "00000.parquet", tmp_path / "n")) == {A: "rebuilt"}
    record = records(tmp_path / "n")[A]
    assert (record.title, record.licence) == ("a wrist", "CC-BY-4.0") and rogue.images_asked() == ["/1.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("e.jsonl", '{"url": "http://h/1"}\n', r"line 1: needs the columns url and sha256; it has url"),
        ("e.jsonl", '{"url": "http://h/1", "sha256": "../../x"}\n', r"line 1: sha256 '../../x' is not 64 hex digits"),
        ("e.jsonl", json.dumps({"url": "http://h/1", "sha256": A, "severity": "bad"}), "line 1: could not convert"),
        ("e.jsonl", "{}\n[1]\n", "line 1: needs"),
        ("e.jsonl", "no json\n", "line 1: not JSON"),
        ("e.parquet", "no parquet", "e.parquet"),
        ("e.txt", "", "neither a collection nor an export"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_named_with_the_line(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=says):
        again(tmp_path / name, tmp_path / "n")


def test_an_export_needs_a_folder_to_be_rebuilt_into(tmp_path):
    (tmp_path / "e.jsonl").write_text("")
    with pytest.raises(ValueError, match="--out"):
        again(tmp_path / "e.jsonl")


def test_a_collector_at_work_is_left_alone(collection):
    (collection / records(collection)[D].file).unlink()
    with FileLock(collection / ".lock"), pytest.raises(CollectError, match="another run is collecting"):
        again(collection)


@pytest.mark.parametrize("in_place", [True, False])
def test_killed_on_the_way_and_given_again_it_is_finished_and_asks_for_nothing_twice(tmp_path, rogue, in_place):
    count, folder = 24, tmp_path / "c"
    urls = [rogue.page(f"/{n}.jpg", jpeg(n)) for n in range(count)]
    with open_manifest(folder, create=True) as manifest:
        see(manifest, "web", "wrist", "healthy", *(Candidate(url, licence="CC0-1.0") for url in urls))
        for n, url in enumerate(urls):
            bring(manifest, url, jpeg(n))
    if in_place:
        for path in files(folder):
            path.write_bytes(b"damaged")
    killed = threading.Event()
    rogue.answer("/12.jpg", lambda reply: reply.send(jpeg(12)) if killed.is_set() else reply.hang())
    code = (
        "import sys, json; from pathlib import Path; from hf_bones.collect.upkeep.rebuild import *\n"
        "if __name__ == '__main__':\n"
        "    out = Path(sys.argv[2]) if sys.argv[2] else None\n"
        "    rebuild(Path(sys.argv[1]), out, FetchSettings(**json.loads(sys.argv[3])), guard=AddressGuard(['127.0.0.0/8']), agent='t')\n"
    )
    target = "" if in_place else str(tmp_path / "n")
    script = tmp_path / "run.py"
    script.write_text(code)
    settings = json.dumps(FAST | {"per_host": 2, "file_timeout": 60})
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), target, settings], env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )
    into = folder / ".rebuild" if in_place else tmp_path / "n"
    for _ in range(600):
        if len(list(into.glob("images/*/*"))) >= 8:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed.set()
    asked = rogue.images_asked()
    results = again(folder, None if in_place else tmp_path / "n")
    assert set(outcomes(results).values()) <= {"rebuilt", "there"} and len(results) == count
    done = files(folder if in_place else tmp_path / "n")
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in done} == set(results)
    twice = [path for path in set(asked) if rogue.images_asked().count(path) > 1]
    assert len(twice) <= 4  # those in flight when it was killed
    assert not (folder / ".rebuild").exists()
