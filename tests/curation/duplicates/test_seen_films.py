"""The list of films that a checkpoint has seen: found by hash or code, merged, kept small.

Run: pytest tests/curation/duplicates/test_seen_films.py"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hf_bones.curation.duplicates.film_code import NEAR
from hf_bones.curation.duplicates.seen_films import CHOSEN, LEARNT, merged, read_seen_films, seen_films, write_seen_films

HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(6)]
CODES = [np.random.default_rng(number).integers(0, 2**63, (1 + number % 2, 4)).astype(np.uint64) for number in range(6)]


def never():
    raise AssertionError("its hash is known: nobody needs its pixels")


def near(code: np.ndarray, bits: int):
    """A code that differs from the last one of a film in that many bits."""
    changed = code[-1:].copy()
    for bit in range(bits):
        changed[0, bit // 64] ^= np.uint64(1 << bit % 64)
    return lambda: changed


@pytest.fixture
def seen():
    return seen_films(HASHES[:4], [False, False, True, True], [*CODES[:3], None])


def test_a_film_is_found_by_its_hash_without_being_opened(seen):
    assert [seen.find(digest, never) for digest in HASHES[:4]] == [LEARNT, LEARNT, CHOSEN, CHOSEN]


def test_a_copy_is_found_by_its_code_up_to_the_limit_and_no_further(seen):
    assert seen.find(HASHES[5], near(CODES[1], NEAR)) == LEARNT
    assert seen.find("", near(CODES[2], NEAR)) == CHOSEN, "where a dataset has no hashes"
    assert seen.find(HASHES[5], near(CODES[1], NEAR + 1)) == ""
    assert seen.find(HASHES[5], lambda: CODES[5]) == ""
    assert seen.find(HASHES[5], lambda: np.zeros((0, 4), np.uint64)) == ""


def test_a_near_duplicate_of_both_kinds_was_learnt_from():
    both = seen_films(HASHES[:2], [True, False], [CODES[0], CODES[0]])
    assert both.find("", near(CODES[0], 3)) == LEARNT


def test_what_is_there_twice_was_learnt_from_and_names_that_are_no_hash_are_left_out():
    seen = seen_films([HASHES[0], HASHES[0], "drawn-1-300"], [True, False, False], [CODES[0], CODES[0], CODES[1]])
    assert len(seen) == 1 and seen.find(HASHES[0], never) == LEARNT


def test_lists_are_merged_with_their_codes(seen):
    other = seen_films([HASHES[2], HASHES[4]], [False, True], [CODES[2], CODES[4]])
    both = merged(seen, other)
    assert [both.find(digest, never) for digest in HASHES[:5]] == [LEARNT, LEARNT, LEARNT, CHOSEN, CHOSEN]
    assert both.find("", near(CODES[1], 2)) == LEARNT and both.find("", near(CODES[4], 2)) == CHOSEN
    assert both.find("", near(CODES[2], 2)) == LEARNT and both.find("", lambda: CODES[5]) == ""
    assert len(both.codes) == sum(len(CODES[film]) for film in (0, 1, 2, 4)), "the codes of a film are kept once"


def test_the_file_gives_back_what_was_written_and_holds_no_whole_hash(seen, tmp_path):
    path = tmp_path / "seen.npz"
    write_seen_films(seen, path)
    again = read_seen_films(path)
    assert [again.find(digest, never) for digest in HASHES[:4]] == [LEARNT, LEARNT, CHOSEN, CHOSEN]
    assert again.find("", near(CODES[1], 5)) == LEARNT
    assert not any(bytes.fromhex(digest) in path.read_bytes() for digest in HASHES)
    first = path.read_bytes()
    write_seen_films(again, path)
    assert path.read_bytes() == first, "the same films give the same bytes"


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "seen.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"seen\.npz: it cannot be read as the list of films"):
        read_seen_films(tmp_path / "seen.npz")


def test_codes_of_another_version_are_not_compared_and_hashes_still_are(seen, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_bones.curation.duplicates.seen_films.VERSION", 99)
    write_seen_films(seen, tmp_path / "seen.npz")
    monkeypatch.undo()
    again = read_seen_films(tmp_path / "seen.npz")
    assert again.find(HASHES[1], never) == LEARNT and again.find("", near(CODES[1], 0)) == ""


def test_an_empty_list_finds_nothing(tmp_path):
    write_seen_films(seen_films([], [], []), tmp_path / "seen.npz")
    assert read_seen_films(tmp_path / "seen.npz").find(HASHES[0], never) == ""
