"""Whole runs of the collector against a real server on loopback. Run: pytest tests/collect/test_collect_run.py"""

import pytest
from collecting import FAST, HERE, Links, files, outcomes, run
from small_collection import jpeg

from hf_bones.collect.candidate import Candidate
from hf_bones.collect.queue import Search
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.run import collect
from hf_bones.collect.upkeep.lock import CollectError
from hf_bones.manifest.store import open_manifest


def test_a_finished_run_given_again_asks_nothing_at_all(tmp_path, rogue):
    rogue.page("/a.jpg", jpeg())
    links = Links(rogue.url + "/a.jpg", rogue.url + "/gone")
    run(tmp_path, links)
    asked = len(rogue.hits)
    again = run(tmp_path, links)
    assert len(rogue.hits) == asked and links.asked == 1
    assert (again.stored, again.refused, again.states) == (0, 0, {"stored": 1, "refused": 1})


def test_the_same_bytes_from_two_places_are_one_image_and_two_sightings(tmp_path, rogue):
    urls = [rogue.page(f"/{n}.jpg", jpeg()) for n in range(3)]
    result = run(tmp_path, *urls, concurrency=1)
    assert (result.stored, result.duplicates) == (1, 2) and len(files(tmp_path)) == 1
    with open_manifest(tmp_path) as manifest:
        assert manifest.connection.execute("SELECT count(*) FROM sightings").fetchone()[0] == 3


def test_a_search_that_fails_keeps_what_it_had_and_is_asked_again(tmp_path, rogue):
    links = Links(rogue.page("/a.jpg", jpeg()), error="the provider is down")
    result = run(tmp_path, links)
    assert result.stored == 1 and result.failed_searches == [("links", "wrist fracture", "the provider is down")]
    links.error = ""
    assert run(tmp_path, links).failed_searches == [] and links.asked == 2
    assert rogue.images_asked() == ["/a.jpg"]


def test_a_provider_that_keeps_failing_is_left_alone_for_the_run_and_asked_again_in_the_next(tmp_path):
    links = Links(error="too many requests")
    searches = [Search(links, f"query {n}") for n in range(6)]
    first = collect(tmp_path, searches, FetchSettings(**FAST), guard=HERE, agent="t")
    assert links.asked == 3 and len(first.failed_searches) == 6 and "not asked" in first.failed_searches[-1][2]
    links.error = ""
    again = collect(tmp_path, searches, FetchSettings(**FAST), guard=HERE, agent="t")
    assert links.asked == 9 and again.failed_searches == []


def test_an_error_that_a_provider_has_not_foreseen_fails_its_search_and_nothing_else(tmp_path, rogue, caplog):
    class Broken(Links):
        name = "broken"

        def search(self, query, limit):
            raise KeyError("results")
            yield

    searches = [Search(Broken(), "wrist"), Search(Links(rogue.page("/a", jpeg())), "wrist")]
    with caplog.at_level("DEBUG", "hf_bones"):
        result = collect(tmp_path, searches, FetchSettings(**FAST), guard=HERE, agent="t")
    assert result.stored == 1
    [(name, query, error)] = result.failed_searches
    assert (name, query) == ("broken", "wrist") and "KeyError: 'results'" in error
    assert "in search" in caplog.text  # the trace, for whoever asks for it


def test_a_licence_that_is_not_accepted_is_not_fetched_until_policy_changes(tmp_path, rogue):
    found = Candidate(rogue.page("/a.jpg", jpeg()), licence="unknown")
    run(tmp_path, found, permits=lambda licence: licence != "unknown")
    assert outcomes(tmp_path) == {"/a.jpg": ("refused", "licence")} and not rogue.hits
    run(tmp_path, found)
    assert outcomes(tmp_path) == {"/a.jpg": ("stored", "")}


def test_a_url_that_a_later_search_knows_under_an_accepted_licence_is_fetched_in_the_same_run(tmp_path, rogue):
    url = rogue.page("/a.jpg", jpeg(1))
    urls = [rogue.page(f"/{n}.jpg", jpeg(n)) for n in range(2, 6)]
    found = [Candidate(url, licence="unknown"), *(Candidate(each, licence="CC0-1.0") for each in urls)]
    searches = [Search(Links(*found), "first"), Search(Links(Candidate(url, licence="CC-BY-4.0")), "second")]
    settings = FetchSettings(**FAST)
    collect(tmp_path, searches, settings, guard=HERE, agent="t", permits=lambda licence: licence != "unknown")
    assert set(outcomes(tmp_path).values()) == {("stored", "")}
    with open_manifest(tmp_path) as manifest:
        assert {record.licence for record in manifest.images()} == {"CC0-1.0", "CC-BY-4.0"}


def test_bytes_with_another_hash_than_expected_are_refused_and_kept(tmp_path, rogue):
    run(tmp_path, Candidate(rogue.page("/a.jpg", jpeg()), sha256="0" * 64, licence="CC0-1.0"))
    assert outcomes(tmp_path) == {"/a.jpg": ("refused", "hash_mismatch")} and not files(tmp_path)
    assert [path.read_bytes() for path in files(tmp_path, "refused")] == [jpeg()]


def test_kept_refusals_are_capped(tmp_path, rogue):
    urls = [rogue.page(f"/{n}", b"no image %d " % n + b"x" * 980) for n in range(5)]
    urls.append(rogue.page("/big", b"y" * 3000))
    run(tmp_path, *urls, refused_file_bytes=2000, refused_total_bytes=2500, concurrency=1)
    assert set(outcomes(tmp_path).values()) == {("refused", "not_an_image")} and len(files(tmp_path, "refused")) == 2


def test_local_files_are_read_and_not_fetched(tmp_path):
    (tmp_path / "a.png").write_bytes(jpeg(kind="PNG"))
    here = Candidate("folder:x/a.png", label="healthy", licence="CC0-1.0", content=(tmp_path / "a.png").read_bytes)
    gone = Candidate("folder:x/b.png", licence="CC0-1.0", content=(tmp_path / "b.png").read_bytes)
    run(tmp_path / "c", here, gone)
    with open_manifest(tmp_path / "c") as manifest:
        assert [record.label for record in manifest.images()] == ["healthy"]
        states = {row["url"]: (row["state"], row["reason"]) for row in manifest.rows("SELECT * FROM fetches")}
    assert states == {"folder:x/a.png": ("stored", ""), "folder:x/b.png": ("failed", "local_source")}


def test_two_runs_at_once_into_one_folder_are_refused(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(CollectError, match="another run"):
        run(tmp_path)


def test_a_disk_with_too_little_room_stops_the_run_before_it_starts(tmp_path, rogue):
    with pytest.raises(CollectError, match="make room"):
        run(tmp_path, rogue.page("/a.jpg", jpeg()), min_free_bytes=2**60)
