"""What is done with a collection: rebuild, forget, build. `python -m pytest tests/collect/test_collection.py`."""

import pytest
from collecting import FAST, HERE, Links, files, outcomes
from rogue_server import RogueServer
from small_collection import jpeg
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.queue import Search
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.run import collect
from hf_bones.collect.upkeep.forget import forget
from hf_bones.collect.upkeep.rebuild import rebuild
from hf_bones.collect.upkeep.status import collection_status
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.manifest.connecting import ManifestError
from hf_bones.manifest.store import open_manifest

SETTINGS = FetchSettings(**FAST)
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(2)) **b**"


def gather(out, searches, **choices):
    return collect(out, searches, SETTINGS, guard=HERE, agent="hf_bones-tests", **choices)


@pytest.fixture
def collection(tmp_path, rogue):
    """Four images of two labels, one at two URLs, one seen under both labels; a refused, a failed and an unlicensed URL; a local file."""
    page = rogue.page
    healthy = [
        Candidate(
            page("/a.jpg", jpeg(1)), page="http://p/1", title=HOSTILE, creator="Ada", creator_url="javascript:x", licence="CC-BY-4.0"
        ),
        Candidate(page("/both.jpg", jpeg(2)), licence="CC0-1.0"),
        Candidate(page("/no.jpg", b"<html>"), licence="CC0-1.0"),
        Candidate(rogue.url + "/gone.jpg", licence="CC0-1.0"),
        Candidate(rogue.answer("/down.jpg", lambda reply: reply.send(status=500)), licence="CC0-1.0"),
        Candidate(page("/secret.jpg", jpeg(5)), licence="unknown"),
    ]
    local = Candidate("folder:films/c.png", label="fractured", licence="CC0-1.0", content=lambda: jpeg(3, kind="PNG"))
    fractured = [Candidate(rogue.url + "/both.jpg", licence="CC0-1.0"), local, Candidate(page("/d.jpg", jpeg(4)), page="http://p/1")]
    fractured[2] = Candidate(fractured[2].url, page="http://p/1", licence="CC-BY-4.0", attribution="Photo: Bea & sons")
    out = tmp_path / "c"
    copy = Candidate(page("/a-copy.jpg", jpeg(1)), page="http://p/2", licence="CC-BY-4.0")
    for search in (
        Search(Links(*healthy), "normal wrist", "healthy"),
        Search(Links(*fractured), "broken wrist", "fractured", region="wrist"),
        Search(Links(copy), "healthy wrist", "healthy"),
    ):
        gather(out, [search], permits=lambda licence: licence != "unknown")
    return out


def hf_bones(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def rebuilt(source, out=None):
    return {result.url.rsplit("/", 1)[1]: result for result in rebuild(source, out, SETTINGS, guard=HERE, agent="t")}


def test_rebuilding_says_what_changed_and_what_is_gone_and_tries_every_url(collection, tmp_path, rogue):
    del rogue.routes["/a.jpg"]  # its copy is still there
    rogue.page("/d.jpg", jpeg(99))
    del rogue.routes["/both.jpg"]
    results = rebuilt(collection, tmp_path / "again")
    assert {name: result.outcome for name, result in results.items()} == {
        "a-copy.jpg": "rebuilt", "both.jpg": "gone", "d.jpg": "changed", "c.png": "rebuilt",
    }  # fmt: skip
    assert "hash_mismatch" in results["d.jpg"].reason and "404" in results["both.jpg"].reason
    assert [path.read_bytes() for path in files(tmp_path / "again", "refused")] == [jpeg(99)]


def test_the_command_mends_in_place_and_ends_with_1_where_something_is_missing(collection, rogue, tmp_path):
    (file,) = (path for path in files(collection) if path.read_bytes() == jpeg(1))
    file.unlink()
    asked = len(rogue.images_asked())
    options = ("--contact", "me@example.org", "--allow-private", "127.0.0.1")
    done = hf_bones("collection", "rebuild", collection, *options)
    assert done.exit_code == 0 and "3 there, 1 rebuilt" in done.output, done.output
    assert file.read_bytes() == jpeg(1) and len(rogue.images_asked()) == asked + 1
    del rogue.routes["/d.jpg"]
    done = hf_bones("collection", "rebuild", collection, "--out", tmp_path / "x", *options)
    assert done.exit_code == 1 and "3 rebuilt, 1 gone" in done.output, done.output


def everything(folder):
    """All bytes of the manifest's files, as one string to look for traces in."""
    return b"".join(path.read_bytes() for path in folder.glob("manifest.db*"))


def test_forgetting_deletes_bytes_and_provenance_and_keeps_them_from_coming_back(collection, rogue):
    with open_manifest(collection) as manifest:
        record = next(record for record in manifest.images() if record.title)
    assert b"Ada" in everything(collection)
    gone = forget(collection, f"{rogue.url}/a-copy.jpg", "asked by its owner", "bea")
    assert gone.hashes == (record.sha256,) and gone.files == (record.file,)
    assert set(gone.urls) == {rogue.url + "/a.jpg", rogue.url + "/a-copy.jpg"}
    left = everything(collection)
    assert not (collection / record.file).exists() and b"Ada" not in left and HOSTILE.encode() not in left
    asked = len(rogue.images_asked())
    again = [Candidate(rogue.url + "/a.jpg", licence="CC0-1.0"), Candidate(rogue.page("/new-place.jpg", jpeg(1)), licence="CC0-1.0")]
    gather(collection, [Search(Links(*again), "wrist once more", "healthy")])
    assert "/a.jpg" not in rogue.images_asked()[asked:]
    assert outcomes(collection)["/new-place.jpg"] == ("refused", "forgotten") and not (collection / record.file).exists()


def test_a_redirect_to_a_forgotten_url_is_not_followed(collection, rogue):
    forget(collection, rogue.url + "/later.jpg")
    rogue.page("/later.jpg", jpeg(50))
    url = rogue.answer("/short-link", lambda reply: reply.send(status=302, Location="/later.jpg"))
    gather(collection, [Search(Links(url), "again")])
    assert outcomes(collection)["/short-link"] == ("refused", "forgotten") and "/later.jpg" not in rogue.hits


def test_a_forgetting_that_was_cut_short_is_finished_by_the_next_run(collection, monkeypatch):
    import hf_bones.collect.upkeep.forget as forget_module

    with open_manifest(collection) as manifest:
        record = next(manifest.images())
    monkeypatch.setattr(forget_module, "finish_forgetting", lambda manifest: [])  # killed after the tombstones
    forget(collection, record.sha256)
    monkeypatch.undo()
    assert (collection / record.file).exists()
    gather(collection, [])
    assert not (collection / record.file).exists()
    with open_manifest(collection) as manifest:
        assert manifest.image(record.sha256) is None


def test_refused_bytes_are_forgotten_too(collection, rogue):
    assert len(files(collection, "refused")) == 1
    forget(collection, rogue.url + "/no.jpg")
    assert not files(collection, "refused")


@pytest.mark.parametrize(("what", "says"), [("abc", "the first 8 or more"), ("0123456789", "0 images"), ("film.jpg", "neither a URL nor")])
def test_what_to_forget_must_be_clear(collection, what, says):
    done = hf_bones("collection", "forget", collection, what)
    assert done.exit_code == 2 and says in done.output


def test_a_build_takes_the_collection_and_leaves_out_what_is_unclear(collection, tmp_path):
    with open_manifest(collection) as manifest:
        dropped = next(record for record in manifest.images() if record.format == "PNG")
        manifest.decide(dropped.sha256, "drop", "a drawing", "ada")
    reading = collection_rows(collection)
    assert sorted((row.label, row.group, row.licence, row.region) for row in reading.rows) == [
        ("fractured", "http://p/1", "CC-BY-4.0", "wrist"),
        ("healthy", "http://p/1", "CC-BY-4.0", ""),
    ]
    assert sorted(row.reason for row in reading.left_out) == ["dropped: a drawing", "seen under different labels: fractured, healthy"]
    assert "search terms that nobody has checked" in reading.notes[0]


def test_hf_bones_build_detects_a_collection(tmp_path):
    server = RogueServer()
    found = {
        label: [server.page(f"/{label}{n}.jpg", jpeg(hash((label, n)) % 2**31)) for n in range(6)]
        for label in ("healthy", "fractured", "beyond_repair")
    }
    gather(tmp_path / "c", [Search(Links(*urls), label, label) for label, urls in found.items()])
    server.close()
    done = hf_bones("build", tmp_path / "c", "--output", tmp_path / "d")
    assert done.exit_code == 0 and "beyond_repair" in done.output and "nobody has checked" in done.output, done.output


def test_a_folder_without_a_collection_is_named(tmp_path):
    with pytest.raises(ManifestError, match="hf-bones collect"):
        collection_status(tmp_path)
    assert hf_bones("collection", "status", tmp_path).exit_code == 2
