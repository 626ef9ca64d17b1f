"""Which drawn films are one picture, and which only look alike: `python -m pytest tests/curation/duplicates/test_near_duplicates.py`."""

import dataclasses
import sqlite3

import numpy as np
import pytest
from copied_films import CHANGES, FURTHER_CHANGES, film
from small_films import encoded

from hf_bones.curation.duplicates.canonical import VERSION, fingerprint
from hf_bones.curation.duplicates.find import PairLink, find_links, groups
from hf_bones.curation.duplicates.fingerprints import FingerprintStore, make_fingerprints
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.curation.subject import Subject
from hf_bones.manifest.store import ImageRecord, open_manifest

SETTINGS = load_curate_recipe().dedup
FILMS = 24


@pytest.fixture(scope="module")
def pictures():
    """24 drawn films, and of the first five a copy by each of the eight changes."""
    found = {f"film {seed:02}": film(seed) for seed in range(FILMS)}
    for seed in range(5):
        found |= {f"film {seed:02} {name}": change(film(seed)) for name, change in CHANGES.items()}
    return found


@pytest.fixture(scope="module")
def further_pictures():
    """12 of these films, and of three of them a copy by each of the further changes."""
    found = {f"film {seed:02}": film(seed) for seed in range(12)}
    return found | {f"film {seed:02} {name}": change(film(seed)) for seed in (0, 1, 4) for name, change in FURTHER_CHANGES.items()}


@pytest.fixture(scope="module")
def store(pictures, further_pictures, tmp_path_factory):
    """The fingerprints of all these pictures."""
    every = pictures | further_pictures
    with FingerprintStore(tmp_path_factory.mktemp("prints") / "fingerprints.db") as opened:
        opened.add((name, (picture.shape[1], picture.shape[0]), fingerprint(picture)) for name, picture in every.items())
        yield opened


@pytest.fixture(scope="module")
def found(pictures, store):
    return find_links(store.table(list(pictures)), store, SETTINGS, progress=False)


@pytest.fixture(scope="module")
def few(pictures, store):
    """Six films, and the copies of two of them."""
    return store.table([name for name in pictures if name[:7] < "film 02" or name in {f"film {seed:02}" for seed in range(2, 6)}])


def names(links):
    return {tuple(sorted((link.first, link.second))) for link in links}


def test_copies_by_all_eight_changes_are_found_and_no_two_films_are_joined(found):
    pairs = names(found.links)
    wanted = {(f"film {seed:02}", f"film {seed:02} {change}") for seed in range(5) for change in CHANGES}
    assert len(wanted & pairs) >= 38, sorted(wanted - pairs)
    assert all(first[:7] == second[:7] for first, second in pairs)


@pytest.fixture(scope="module")
def further(further_pictures, store):
    return find_links(store.table(list(further_pictures)), store, SETTINGS, progress=False).links


def test_turned_cut_and_watermarked_copies_and_screenshots_are_found(further):
    pairs = names(further)
    wanted = {(f"film {seed:02}", f"film {seed:02} {change}") for seed in (0, 1, 4) for change in FURTHER_CHANGES}
    assert len(wanted & pairs) >= 23, sorted(wanted - pairs)
    assert all(first[:7] == second[:7] for first, second in pairs)


def test_a_link_says_how_far_a_copy_is_turned(further):
    said = {frozenset((link.first, link.second)): link.change for link in further}
    quarter, half, both = (
        said[frozenset(("film 01", f"film 01 {name}"))] for name in ("quarter_turned", "turned_about", "turned_and_mirrored")
    )
    assert (quarter, half) == ("turned 90°", "turned 180°") and both.startswith("mirrored, turned 90°")


def test_a_link_says_what_was_done(found):
    said = {(link.first, link.second): link.change for link in found.links}
    said |= {(second, first): change for (first, second), change in said.items()}
    for change, word in (("mirrored", "mirrored"), ("inverted", "inverted"), ("cropped", "cropped"), ("turned", "turned 4°")):
        assert word in said["film 01", f"film 01 {change}"]
    assert said["film 01", "film 01 scaled"] == "the same view"


def test_groups_are_what_links_join_however_long_the_chain():
    links = [PairLink(first, second, "", 1.0) for first, second in ("ab", "be", "gh", "ea")]
    assert groups(links) == [["a", "b", "e"], ["g", "h"]] and groups([]) == []


def test_an_embedding_can_veto_pairs_in_doubt_and_no_others(few, store):
    # So strict that only pairs that are nearly the same by correlation are sure.
    strict = dataclasses.replace(SETTINGS, sure=0.97)
    asked: list[list[str]] = []

    def nothing_alike(hashes):
        asked.append(list(hashes))
        return np.eye(len(hashes), len(hashes))

    kept = find_links(few, store, strict, embed=nothing_alike, progress=False)
    without = find_links(few, store, SETTINGS, progress=False)
    assert asked and {link.score >= 0.97 for link in kept.links} == {True} and 0 < len(kept.links) < len(without.links)
    agreed = find_links(few, store, strict, embed=lambda hashes: np.ones((len(hashes), 3)), progress=False)
    assert names(kept.links) < names(agreed.links)


def test_nothing_one_film_and_blank_films_have_no_copies(tmp_path):
    with FingerprintStore(tmp_path / "f.db") as store:
        assert find_links(store.table([]), store, SETTINGS, progress=False).links == ()
        blank = np.full((100, 120), 9, np.uint8)
        store.add((name, (120, 100), fingerprint(blank)) for name in ("a", "b", "c"))
        assert find_links(store.table(["a"]), store, SETTINGS, progress=False).links == ()
        assert find_links(store.table(["a", "b", "c"]), store, SETTINGS, progress=False).links == ()


def test_the_answer_is_the_same_each_time_and_on_any_number_of_threads(few, store):
    once, again = (find_links(few, store, SETTINGS, workers=workers, progress=False) for workers in (3, 1))
    assert len(once.links) > 60 and once == again


def subject_of(folder, bodies):
    manifest = open_manifest(folder, create=True)
    for name in bodies:
        manifest.add_image(ImageRecord(name, f"{name}.png", 1))
    return Subject(manifest, lambda record: bodies[record.sha256](), "collection")


def test_fingerprints_are_made_once_and_bad_files_are_named(tmp_path):
    def missing():
        raise FileNotFoundError(2, "No such file or directory")

    read: list[str] = []

    def counted(name, body):
        return lambda: read.append(name) or body

    bodies = {name: counted(name, encoded(film(seed, 96))) for seed, name in enumerate("abc")}
    bodies |= {"gone": missing, "torn": counted("torn", b"<html>")}
    with subject_of(tmp_path, bodies) as subject, FingerprintStore(tmp_path / "f.db") as store:
        records = list(subject.manifest.images())
        unreadable = make_fingerprints(subject, records, store, workers=1, progress=False)
        assert set(unreadable) == {"gone", "torn"} and "not_an_image" in unreadable["torn"] and "No such file" in unreadable["gone"]
        assert store.known() == {"a", "b", "c"} and read == ["a", "b", "c", "torn"]
        make_fingerprints(subject, records, store, workers=1, progress=False)
        assert read == ["a", "b", "c", "torn", "torn"], "only what has no fingerprint is read again"
        with pytest.raises(KeyError, match="torn"):
            store.table(["torn"])


def test_ctrl_c_keeps_what_was_made(tmp_path):
    def stop():
        raise KeyboardInterrupt

    body = encoded(film(1, 96))
    with subject_of(tmp_path, {"a": lambda: body, "b": lambda: body, "c": stop}) as subject, FingerprintStore(tmp_path / "f.db") as store:
        with pytest.raises(KeyboardInterrupt):
            make_fingerprints(subject, list(subject.manifest.images()), store, workers=1, progress=False)
        assert store.known() == {"a", "b"}


def test_fingerprints_of_an_older_version_are_made_anew(tmp_path, monkeypatch):
    picture = film(2, 96)
    with FingerprintStore(tmp_path / "f.db") as store:
        store.add([("a", (96, 96), fingerprint(picture))])
        monkeypatch.setattr("hf_bones.curation.duplicates.fingerprints.VERSION", VERSION + 1)
        assert store.known() == set()


def test_many_processes_make_the_fingerprints_that_one_makes(tmp_path):
    drawn = [encoded(film(seed, 96)) for seed in range(4)]
    bodies = {f"{number:03}": (lambda body: lambda: body)(drawn[number % 4]) for number in range(130)}
    with subject_of(tmp_path, bodies) as subject, FingerprintStore(tmp_path / "f.db") as store:
        assert make_fingerprints(subject, list(subject.manifest.images()), store, workers=2, progress=False) == {}
        table = store.table(list(bodies))
        wholes = table.descriptions[table.first_form]
        assert len(table) == 130 and np.array_equal(wholes[1], wholes[5]) and not np.array_equal(wholes[1], wholes[2])


def test_a_store_of_an_older_release_is_emptied_and_used(tmp_path):
    with sqlite3.connect(tmp_path / "f.db") as older:
        older.execute("CREATE TABLE fingerprints (sha256 TEXT PRIMARY KEY, version INTEGER NOT NULL, thumb BLOB)")
        older.execute("INSERT INTO fingerprints VALUES ('a', 1, x'00')")
    with FingerprintStore(tmp_path / "f.db") as store:
        assert store.known() == set()
        store.add([("a", (96, 96), fingerprint(film(2, 96)))])
        assert store.known() == {"a"} and len(store.table(["a"])) == 1
    with FingerprintStore(tmp_path / "f.db") as again:
        assert again.known() == {"a"}, "what this release wrote stays"
