"""Codes and the tables in which near ones are found: `python -m pytest tests/curation/duplicates/test_hash_index.py`."""

from functools import partial

import numpy as np
import pytest

from hf_bones.curation.duplicates.canonical import NUMBERS, symmetric
from hf_bones.curation.duplicates.hash_index import BITS, code, find_candidates, fit_projection, index_codes, probe_codes


def entries_of(projection, descriptions):
    return index_codes(
        projection, descriptions, np.arange(len(descriptions)), np.zeros(len(descriptions), np.int64), np.zeros(len(descriptions), np.bool_)
    )


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def descriptions():
    """400 descriptions whose low frequencies are strong and alike, as those of radiographs are."""
    random = np.random.default_rng(0)
    return unit(random.normal(size=(400, NUMBERS)) / np.arange(1, NUMBERS + 1) + np.eye(1, NUMBERS)[0])


def search(descriptions, asked, owners, **options):
    projection = fit_projection(descriptions)
    entries = entries_of(projection, descriptions)
    queries = probe_codes(projection, asked, owners, *np.zeros((2, len(asked)), np.int64), np.zeros(len(asked), np.bool_))
    given = {"radius": 24, "tables": 16, "fullest": 1000} | options
    return find_candidates(entries, [lambda: queries], **given)


def pairs(found):
    return {(min(a, b), max(a, b)) for a, b in zip(found.first.tolist(), found.second.tolist(), strict=True)}


def test_an_inverted_picture_has_the_same_code(descriptions):
    projection = fit_projection(descriptions)
    straight, doubtful = code(projection, descriptions)
    turned, _ = code(projection, -descriptions)
    assert np.array_equal(straight[~doubtful], turned[~doubtful]) and doubtful.mean() < 0.5


def test_bits_are_balanced_however_alike_the_descriptions_are(descriptions):
    codes, _ = code(fit_projection(descriptions), descriptions)
    set_bits = np.unpackbits(codes.view(np.uint8), axis=1).mean(axis=0)
    assert set_bits.shape == (BITS,) and np.median(np.abs(set_bits - 0.5)) < 0.1


def test_planted_copies_are_found_also_mirrored_and_turned_and_few_others(descriptions):
    random = np.random.default_rng(1)
    nearly = unit(descriptions[:40] + random.normal(size=(40, NUMBERS)) * 0.002)
    nearly[20:] = np.stack([symmetric(nearly[20 + place], 1 + place % 7) for place in range(20)])
    found = search(np.concatenate([descriptions, nearly]), np.concatenate([descriptions, nearly]), np.arange(440))
    planted = {(number, 400 + number) for number in range(40)}
    assert len(planted & pairs(found)) >= 38
    assert len(pairs(found) - planted) < 440
    assert all(first != second for first, second in pairs(found))
    symmetry = {(min(a, b), max(a, b)): s for a, b, s in zip(found.first.tolist(), found.second.tolist(), found.symmetry, strict=True)}
    assert not any(symmetry[pair] for pair in planted & set(symmetry) if pair[0] < 20)
    assert all(symmetry[pair] for pair in planted & set(symmetry) if pair[0] >= 20)


def test_a_part_is_compared_with_whole_pictures_and_not_with_parts(descriptions):
    projection, twice = fit_projection(descriptions), np.concatenate([descriptions[:30], descriptions[:30]])
    owner, none = np.arange(60), np.zeros(60, np.int64)

    def found(first, second):
        part = np.repeat([first, second], 30)
        entries = index_codes(projection, twice, owner, none, part)
        asked = probe_codes(projection, twice, owner, none, none, part)
        return pairs(find_candidates(entries, [lambda: asked], radius=5, tables=8, fullest=1000))

    wanted = {(number, 30 + number) for number in range(30)}
    assert wanted <= found(False, True) and wanted <= found(False, False) and not wanted & found(True, True)


def test_every_pair_comes_once_and_within_the_radius(descriptions):
    found = search(descriptions, descriptions, np.arange(400), radius=40)
    assert len(found) == len(pairs(found)) > 0 and found.distance.max() <= 40


def test_the_answer_does_not_depend_on_how_the_queries_are_parted(descriptions):
    projection = fit_projection(descriptions)
    entries = entries_of(projection, descriptions)
    options = {"radius": 40, "tables": 8, "fullest": 1000}

    def parts(size):
        for start in range(0, 400, size):
            some = np.arange(start, min(start + size, 400))
            yield partial(
                probe_codes, projection, descriptions[some], some, *np.zeros((2, len(some)), np.int64), np.zeros(len(some), np.bool_)
            )

    whole = find_candidates(entries, parts(400), workers=1, **options)
    pieces = find_candidates(entries, parts(37), workers=3, **options)
    assert pairs(whole) == pairs(pieces)


def test_cells_that_are_too_full_are_passed_over_and_counted(descriptions):
    same = np.repeat(descriptions[:1], 60, axis=0)
    found = search(np.concatenate([descriptions, same]), same, np.arange(400, 460), fullest=50)
    assert found.skipped > 0


def test_blank_pictures_are_neither_asked_nor_found(descriptions):
    blank = np.zeros((5, NUMBERS))
    found = search(np.concatenate([descriptions, blank]), blank, np.arange(400, 405))
    assert len(found) == 0 and found.skipped == 0


def test_a_projection_can_be_fitted_to_hardly_anything(descriptions):
    for few in (descriptions[:1], descriptions[:3], np.zeros((2, NUMBERS))):
        projection = fit_projection(few)
        assert np.isfinite(projection.matrix).all() and projection.matrix.shape == (NUMBERS, BITS)
