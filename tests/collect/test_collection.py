"""What is done with a collection: status, export, rebuild, forget, credits, build. `python -m pytest tests/collect/test_collection.py`."""

import csv
import html.parser
import json

import pyarrow.parquet as pq
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
from hf_bones.collect.upkeep.credits import write_credits
from hf_bones.collect.upkeep.export import export_collection
from hf_bones.collect.upkeep.forget import forget
from hf_bones.collect.upkeep.rebuild import rebuild
from hf_bones.collect.upkeep.status import collection_status
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.manifest.store import ManifestError, open_manifest

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


def test_the_status_counts_each_url_once_and_adds_up(collection):
    status = collection_status(collection)
    counts = {(row.label, row.licence, row.state, row.reason): row.count for row in status.outcomes}
    assert counts == {
        ("healthy", "CC-BY-4.0", "stored", ""): 2,
        ("healthy", "CC0-1.0", "stored", ""): 1,
        ("healthy", "CC0-1.0", "refused", "not_an_image"): 1,
        ("healthy", "CC0-1.0", "refused", "http_status"): 1,
        ("healthy", "CC0-1.0", "failed", "http_status"): 1,
        ("healthy", "unknown", "refused", "licence"): 1,
        ("fractured", "CC0-1.0", "stored", ""): 1,
        ("fractured", "CC-BY-4.0", "stored", ""): 1,
    }
    assert (status.images, status.copies, status.label_conflicts, status.searches) == (4, 1, 1, {"done": 3})
    shown = hf_bones("collection", "status", collection)
    assert shown.exit_code == 0 and "http_status" in shown.output and "label conflicts: 1" in shown.output
    assert json.loads(hf_bones("collection", "status", collection, "--json").output)["images"] == 4


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_an_export_has_a_row_for_each_image_with_everything_known(collection, tmp_path, suffix):
    out = tmp_path / f"e{suffix}"
    assert export_collection(collection, out) == 4
    rows = pq.read_table(out).to_pylist() if suffix == ".parquet" else [json.loads(line) for line in out.read_text().splitlines()]
    by_url = {row["url"].rsplit("/", 1)[1]: row for row in rows}
    assert by_url["a.jpg"]["title"] == HOSTILE and [url[-10:] for url in by_url["a.jpg"]["other_urls"]] == ["a-copy.jpg"]
    assert by_url["both.jpg"]["label_conflict"] == "fractured, healthy" and by_url["d.jpg"]["region"] == "wrist"
    assert not list(tmp_path.glob(".e*"))


def test_an_export_in_img2datasets_columns_has_a_row_for_each_url_that_was_tried(collection, tmp_path):
    done = hf_bones("collection", "export", collection, "--out", tmp_path / "e.parquet", "--columns", "img2dataset")
    assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "e.parquet")
    theirs = ["url", "caption", "key", "status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256"]
    assert table.column_names[: len(theirs)] == theirs
    status = {row["url"].rsplit("/", 1)[1]: row["status"] for row in table.to_pylist()}
    assert status["a.jpg"] == "success" and status["no.jpg"] == "failed_to_resize" and status["down.jpg"] == "failed_to_download"
    assert len(status) == 9


def test_an_export_to_another_kind_of_file_is_refused(collection, tmp_path):
    assert "must end in one of .parquet, .jsonl" in hf_bones("collection", "export", collection, "--out", tmp_path / "e.xlsx").output


def rebuilt(source, out=None):
    return {result.url.rsplit("/", 1)[1]: result for result in rebuild(source, out, SETTINGS, guard=HERE, agent="t")}


@pytest.mark.parametrize("export", ["", ".parquet", ".jsonl"])
def test_a_collection_is_rebuilt_from_its_manifest_alone(collection, tmp_path, export):
    with open_manifest(collection) as manifest:
        first = next(record for record in manifest.images() if record.url.endswith("/a.jpg"))
        manifest.decide(first.sha256, "drop", "a chest film", "ada")
    source = collection
    if export:
        source = tmp_path / f"e{export}"
        export_collection(collection, source)
    results = rebuilt(source, tmp_path / "again")
    assert {name: result.outcome for name, result in results.items()} == {
        "a.jpg": "rebuilt", "both.jpg": "rebuilt", "d.jpg": "rebuilt", "c.png": "gone" if export else "rebuilt",
    }  # fmt: skip
    with open_manifest(tmp_path / "again") as manifest:
        again = {record.sha256: record for record in manifest.images()}
    record = again[first.sha256]
    assert (record.label, record.provider, record.query, record.label_basis) == ("healthy", "links", "normal wrist", "query")
    assert (record.title, record.licence, record.decision, record.decided_by) == (HOSTILE, "CC-BY-4.0", "drop", "ada")
    with (tmp_path / "again/rebuild.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4


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


def test_a_collection_is_mended_in_place(collection, rogue):
    with open_manifest(collection) as manifest:
        by_name = {record.url.rsplit("/", 1)[1]: collection / record.file for record in manifest.images()}
    whole = {name: path.read_bytes() for name, path in by_name.items()}
    by_name["a.jpg"].unlink()
    by_name["d.jpg"].write_bytes(b"damaged" + whole["d.jpg"][7:])
    asked = len(rogue.images_asked())
    done = hf_bones("collection", "rebuild", collection, "--contact", "me@example.org", "--allow-private", "127.0.0.1")
    assert done.exit_code == 0 and "2 there, 2 rebuilt" in done.output, done.output
    assert {name: path.read_bytes() for name, path in by_name.items()} == whole
    assert len(rogue.images_asked()) == asked + 2


def test_a_rebuild_that_misses_something_ends_with_1(collection, rogue, tmp_path):
    del rogue.routes["/d.jpg"]
    done = hf_bones("collection", "rebuild", collection, "--out", tmp_path / "x", "--contact", "m@e.org", "--allow-private", "127.0.0.1")
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


def test_a_prefix_of_a_hash_is_enough_where_it_is_the_only_one(collection):
    with open_manifest(collection) as manifest:
        record = next(manifest.images())
    assert forget(collection, record.sha256[:10].upper()).hashes == (record.sha256,)


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.links = set(), []

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.links += [value for name, value in attributes if name == "href"]


def test_credits_name_everybody_and_nothing_in_them_runs(collection, tmp_path):
    with open_manifest(collection) as manifest:
        dropped = next(record for record in manifest.images() if record.url.endswith("both.jpg"))
        manifest.decide(dropped.sha256, "drop", "blurred", "ada")
    markdown, page, count = write_credits(collection, tmp_path / "credits")
    text, source = markdown.read_text(), page.read_text()
    tags = Tags()
    tags.feed(source)
    assert count == 3 and "script" not in tags.names
    assert all(link.startswith(("http://", "https://")) for link in tags.links) and "http://p/1" in tags.links
    assert "creativecommons.org/licenses/by/4.0" in source and "Photo: Bea &amp; sons" in source and "Ada" in source
    assert "<script>" not in text and "](javascript:" not in text and "\\*\\*b\\*\\*" in text
    assert dropped.sha256[:12] not in source


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
