"""Films that a checkpoint had before are found among those scored, at another size too. Run: pytest tests/evaluation/test_seen_rows.py"""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from tiny import bone_row, bone_rows, grey

from hf_bones.curation.duplicates.film_code import film_codes
from hf_bones.curation.duplicates.seen_films import CHOSEN, LEARNT, seen_films, write_seen_films
from hf_bones.evaluation.seen import FilmsOf, SeenRows, counted_words, seen_by, seen_rows, seen_words

FILMS = [grey(200, 150, seed=number) for number in range(8)]


def digest(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def halved(number: int) -> bytes:
    """A film at half its size, as a JPEG."""
    stream = io.BytesIO()
    FILMS[number].resize((75, 100)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


@pytest.fixture
def part():
    """Test rows: film 0 as it was, copies of 1 and 2 (validated on) at half size, 6 and 7 never seen, and one that cannot be opened."""
    rows = [bone_row(np.asarray(FILMS[number]), number, sha256=digest(number)) for number in (0, 1, 2, 6, 7, 7)]
    for row, number in ((1, 1), (2, 2)):
        rows[row] |= {"image": {"bytes": halved(number), "path": None}, "sha256": hashlib.sha256(halved(number)).hexdigest()}
    rows[5] |= {"image": {"bytes": b"no picture", "path": None}, "sha256": digest(99)}
    return bone_rows(rows)


@pytest.fixture
def checkpoint(tmp_path):
    codes = [film_codes(np.asarray(film)) for film in FILMS[:6]]
    write_seen_films(seen_films([digest(n) for n in range(6)], [False, False, True, False, False, False], codes), tmp_path / "seen.npz")
    return tmp_path


def test_copies_at_half_size_count_and_unrelated_films_do_not(checkpoint, part):
    found = seen_by(str(checkpoint), None, part, "test")
    assert found.how == (LEARNT, LEARNT, CHOSEN, "", "", "")
    assert (found.learnt, found.chosen, found.unseen.tolist()) == (2, 1, [False, False, False, True, True, True])
    assert seen_words(found) == "2 of these 6 films were learnt from, and the checkpoint was chosen by 1 more"
    assert seen_words(found.of([3, 4])) == ""


def test_on_validation_the_films_it_was_chosen_by_are_as_they_should_be(checkpoint, part):
    assert seen_by(str(checkpoint), None, part, "validation").how == (LEARNT, LEARNT, "", "", "", "")


def test_films_are_opened_once_for_several_checkpoints_and_not_at_all_where_hashes_do(checkpoint, part, monkeypatch):
    from hf_bones.evaluation import seen as module

    opened = []
    before = module.film_codes_every_way
    monkeypatch.setattr(module, "film_codes_every_way", lambda pixels: opened.append(pixels.shape) or before(pixels))
    films, seen = FilmsOf(part), module.find_seen_films(checkpoint)
    assert seen_rows(films, seen, "test") == seen_rows(films, seen, "test")
    assert len(opened) == 4, "of six, one has a known hash and one cannot be opened"


def test_a_checkpoint_without_a_list_says_nothing(tmp_path, part):
    assert seen_by(str(tmp_path), None, part, "test") == SeenRows(None)
    assert seen_by("a model in memory", None, part, "test").unseen is None
    assert seen_words(SeenRows(None)) == ""


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 5), ""),
        ((1, 0, 5), "1 of these 5 films was learnt from"),
        ((0, 2, 5), "The checkpoint was chosen by 2 of these 5 films"),
        ((5, 0, 5), "All 5 films were learnt from"),
        ((1, 0, 1), "This film was learnt from"),
    ],
)
def test_the_words(counts, words):
    assert counted_words(*counts) == words
