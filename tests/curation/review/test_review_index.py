"""Filters and orders of the review: `python -m pytest tests/curation/review/test_review_index.py`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_collection import small_collection
from small_review import add_film, small_review

from hf_bones.curation.review.facets import BLIND_FACETS, FACETS, MINE, band
from hf_bones.curation.review.index import ReviewIndex, ReviewQuery
from hf_bones.manifest.store import open_manifest


@pytest.fixture
def index(tmp_path):
    small_review(tmp_path)
    with open_manifest(tmp_path) as manifest:
        yield ReviewIndex(manifest)


def shown(index: ReviewIndex, **query) -> list[str]:
    chosen = {name: frozenset(values) for name, values in query.pop("chosen", {}).items()}
    return [index.entries[place].record.sha256 for place in index.find(ReviewQuery(chosen, **query)).places]


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """Images of which some are decided about, for counting."""
    folder = tmp_path_factory.mktemp("decided")
    hashes = small_review(folder, 30)
    with open_manifest(folder) as manifest:
        for place, sha256 in enumerate(hashes[:20]):
            if place % 2:
                manifest.decide(sha256, "drop", "poor quality", "ada")
            if place % 3 == 0:
                manifest.decide(sha256, "relabel", "", "bea", label="fractured", subtype="oblique")
        yield ReviewIndex(manifest)


VALUES = {facet.name: facet.values for facet in FACETS}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(0, 7), max_size=4))
def test_a_count_is_what_ticking_the_value_would_show(decided, ticks):
    everything = decided.find(ReviewQuery()).counts
    chosen = {}
    for name, bits in ticks.items():
        chosen[name] = frozenset(value for place, value in enumerate(everything[name]) if bits >> place & 1)
    found = decided.find(ReviewQuery(chosen))

    def fits(entry, but: str = "") -> bool:
        return all(not values or name == but or values & set(VALUES[name](entry)) for name, values in chosen.items())

    assert sorted(found.places) == [place for place, entry in enumerate(decided.entries) if fits(entry)]
    for name, counts in found.counts.items():
        for value, count in counts.items():
            assert count == sum(value in VALUES[name](entry) for entry in decided.entries if fits(entry, but=name)), (name, value)


def test_every_value_that_images_have_is_counted(decided):
    counts = decided.find(ReviewQuery()).counts
    for name, values in VALUES.items():
        assert set(counts[name]) == {value for entry in decided.entries for value in values(entry)}


def test_the_most_suspect_labels_come_first_and_those_not_asked_about_last(tmp_path, index):
    late = add_film(index.manifest, 50)
    index.load()
    doubts = [index.entry(sha).opinion.suspicion if index.entry(sha).opinion else None for sha in shown(index, order="suspicion")]
    assert doubts[:-1] == sorted(doubts[:-1], reverse=True) and doubts[-1] is None
    assert shown(index, order="suspicion")[-1] == late


def test_suspicion_is_shown_in_bands_that_hold_their_lower_end():
    assert [band(value) for value in (None, 0.0, 0.3, 0.69, 0.7, 1.0)] == [
        "not asked",
        "0.0–0.3",
        "0.3–0.5",
        "0.5–0.7",
        "0.7–0.9",
        "0.9–1.0",
    ]


def test_the_worst_of_a_check_come_first_on_whichever_side_the_bad_ones_are(index):
    flagged = {entry.record.sha256 for entry in index.entries if any(check.flagged for check in entry.checks)}
    assert set(shown(index, order="check:blurry")[: len(flagged)]) == flagged  # low values are flagged there
    with index.manifest.transaction() as connection:
        connection.execute("UPDATE checks SET value = 3.1, flagged = 1 WHERE reason = 'odd_aspect' AND sha256 = ?", (shown(index)[5],))
    expected = shown(index)[5]
    index.load()
    assert shown(index, order="check:odd_aspect")[0] == expected  # and high ones here


def test_near_duplicates_stand_side_by_side(index):
    first, second, *rest = shown(index, order="copies")
    assert second in index.entry(first).copies and not any(index.entry(sha).copies for sha in rest)


def test_dropping_one_of_two_contradicting_copies_settles_it(index):
    contradicting = shown(index, chosen={"copies": ["labels contradict"]})
    assert len(contradicting) == 2
    index.manifest.decide(contradicting[0], "drop", "copy", "ada")
    index.reread(contradicting[0])
    assert shown(index, chosen={"copies": ["labels contradict"]}) == []
    assert len(shown(index, chosen={"copies": ["has near-duplicates"]})) == 2


def test_a_decision_moves_an_image_to_another_value_at_once(index):
    sha256 = shown(index, chosen={"label": ["healthy"]})[0]
    index.manifest.decide(sha256, "relabel", "", "ada", label="beyond_repair", subtype="crushed")
    assert index.reread(sha256).record.final_label == "beyond_repair"
    assert sha256 not in shown(index, chosen={"label": ["healthy"]})
    assert shown(index, chosen={"subtype": ["crushed"]}) == shown(index, chosen={"decision": ["relabelled"]}) == [sha256]


def test_following_decisions_counts_as_reading_everything_anew_does(index):
    query = ReviewQuery({"decision": frozenset(["dropped", "relabelled"])}, reviewer="ada")
    for place, sha256 in enumerate(shown(index)):
        index.find(query)
        number = index.manifest.decide(sha256, *([["drop", "copy", "ada"], ["keep", "", "bea"]][place % 2]))
        index.manifest.decide(sha256, "relabel", "", "ada", label="fractured", subtype=("oblique", "spiral")[place % 2])
        if place % 3 == 0:
            index.manifest.undo(number, "ada")
        index.reread(sha256)
        followed, anew = index.find(query), ReviewIndex(index.manifest).find(query)
        assert list(followed.places) == list(anew.places)
        for name, counts in anew.counts.items():
            assert {value: count for value, count in followed.counts[name].items() if count or value in counts} == counts


def test_a_confirmed_label_is_told_from_a_changed_one(index):
    sha256 = shown(index, chosen={"label": ["healthy"]})[0]
    index.manifest.decide(sha256, "relabel", "confirmed", "ada", label="healthy")
    index.reread(sha256)
    assert shown(index, chosen={"decision": ["confirmed"]}) == [sha256] and not shown(index, chosen={"decision": ["relabelled"]})


def test_reviewers_find_what_they_have_not_read_themselves(index):
    sha256 = shown(index)[3]
    number = index.manifest.decide(sha256, "keep", "", "ada")
    index.reread(sha256)
    assert shown(index, chosen={MINE: ["done"]}, reviewer="ada") == [sha256]
    assert shown(index, chosen={MINE: ["done"]}, reviewer="bea") == []
    index.manifest.undo(number, "ada")
    index.reread(sha256)
    assert shown(index, chosen={MINE: ["done"]}, reviewer="ada") == []


def test_what_another_process_writes_is_noticed(index):
    assert not index.refresh()
    with open_manifest(index.manifest.folder) as other:
        other.decide(shown(index)[0], "drop", "", "bea")
        add_film(other, 77)
    index._next_load = 0.0  # reading anew is held back while it would take too large a share of the time
    assert index.refresh() and not index.refresh()
    assert len(index.entries) == 13 and len(shown(index, chosen={"decision": ["dropped"]})) == 1


def test_words_are_looked_for_in_titles_and_hashes(index):
    sha256 = shown(index)[4]
    assert shown(index, words=sha256[:12].upper()) == [sha256]
    assert len(shown(index, words="FILM 3")) == 1 and len(shown(index, words="broken wrist")) == 6


def test_a_blind_look_up_neither_filters_nor_sorts_nor_searches_by_what_tells_the_label(index):
    found = index.find(ReviewQuery(blind=True, reviewer="bea"))
    assert set(found.counts) == BLIND_FACETS
    assert shown(index, blind=True, order="suspicion") == shown(index, blind=True)
    assert shown(index, blind=True, words="broken") == []
    with pytest.raises(ValueError, match="no facet 'label'"):
        shown(index, blind=True, chosen={"label": ["healthy"]})


def test_images_that_were_found_under_several_labels_are_listed(tmp_path):
    with open_manifest(small_collection(tmp_path)) as manifest:
        index = ReviewIndex(manifest)
        (sha256,) = shown(index, chosen={"came": ["several labels"]})
        assert index.entry(sha256).came_as == ("fractured", "healthy")


def test_unknown_facets_and_orders_are_named(index):
    with pytest.raises(ValueError, match="no facet 'colour'"):
        shown(index, chosen={"colour": ["red"]})
    with pytest.raises(ValueError, match="no order 'size'"):
        shown(index, order="size")


def test_an_empty_manifest_is_looked_through_too(tmp_path):
    with open_manifest(tmp_path / "empty", create=True) as manifest:
        found = ReviewIndex(manifest).find(ReviewQuery(reviewer="ada", words="wrist", order="suspicion"))
    assert len(found.places) == 0 and found.counts["label"] == {}
