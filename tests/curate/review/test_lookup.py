"""Looking up images: `python -m pytest tests/curate/review/test_lookup.py`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_collection import small_collection
from small_review import add_film, small_review

from hf_bones.curate.review.facets import BLIND_FACETS, FACETS, MINE, band
from hf_bones.curate.review.lookup import Lookup, Query
from hf_bones.manifest.store import open_manifest


@pytest.fixture
def lookup(tmp_path):
    small_review(tmp_path)
    with open_manifest(tmp_path) as manifest:
        yield Lookup(manifest)


def shown(lookup: Lookup, **query) -> list[str]:
    chosen = {name: frozenset(values) for name, values in query.pop("chosen", {}).items()}
    return [lookup.entries[place].record.sha256 for place in lookup.find(Query(chosen, **query)).places]


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
        yield Lookup(manifest)


VALUES = {facet.name: facet.values for facet in FACETS}


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(0, 7), max_size=4))
def test_a_count_is_what_ticking_the_value_would_show(decided, ticks):
    everything = decided.find(Query()).counts
    chosen = {}
    for name, bits in ticks.items():
        chosen[name] = frozenset(value for place, value in enumerate(everything[name]) if bits >> place & 1)
    found = decided.find(Query(chosen))

    def fits(entry, but: str = "") -> bool:
        return all(not values or name == but or values & set(VALUES[name](entry)) for name, values in chosen.items())

    assert sorted(found.places) == [place for place, entry in enumerate(decided.entries) if fits(entry)]
    for name, counts in found.counts.items():
        for value, count in counts.items():
            assert count == sum(value in VALUES[name](entry) for entry in decided.entries if fits(entry, but=name)), (name, value)


def test_every_value_that_images_have_is_counted(decided):
    counts = decided.find(Query()).counts
    for name, values in VALUES.items():
        assert set(counts[name]) == {value for entry in decided.entries for value in values(entry)}


def test_the_most_suspect_labels_come_first_and_those_not_asked_about_last(tmp_path, lookup):
    late = add_film(lookup.manifest, 50)
    lookup.load()
    doubts = [lookup.entry(sha).opinion.suspicion if lookup.entry(sha).opinion else None for sha in shown(lookup, order="suspicion")]
    assert doubts[:-1] == sorted(doubts[:-1], reverse=True) and doubts[-1] is None
    assert shown(lookup, order="suspicion")[-1] == late


def test_suspicion_is_shown_in_bands_that_hold_their_lower_end():
    assert [band(value) for value in (None, 0.0, 0.3, 0.69, 0.7, 1.0)] == [
        "not asked",
        "0.0–0.3",
        "0.3–0.5",
        "0.5–0.7",
        "0.7–0.9",
        "0.9–1.0",
    ]


def test_the_worst_of_a_check_come_first_on_whichever_side_the_bad_ones_are(lookup):
    flagged = {entry.record.sha256 for entry in lookup.entries if any(check.flagged for check in entry.checks)}
    assert set(shown(lookup, order="check:blurry")[: len(flagged)]) == flagged  # low values are flagged there
    with lookup.manifest.transaction() as connection:
        connection.execute("UPDATE checks SET value = 3.1, flagged = 1 WHERE reason = 'odd_aspect' AND sha256 = ?", (shown(lookup)[5],))
    expected = shown(lookup)[5]
    lookup.load()
    assert shown(lookup, order="check:odd_aspect")[0] == expected  # and high ones here


def test_near_duplicates_stand_side_by_side(lookup):
    first, second, *rest = shown(lookup, order="copies")
    assert second in lookup.entry(first).copies and not any(lookup.entry(sha).copies for sha in rest)


def test_dropping_one_of_two_contradicting_copies_settles_it(lookup):
    contradicting = shown(lookup, chosen={"copies": ["labels contradict"]})
    assert len(contradicting) == 2
    lookup.manifest.decide(contradicting[0], "drop", "copy", "ada")
    lookup.reread(contradicting[0])
    assert shown(lookup, chosen={"copies": ["labels contradict"]}) == []
    assert len(shown(lookup, chosen={"copies": ["has copies"]})) == 2


def test_a_decision_moves_an_image_to_another_value_at_once(lookup):
    sha256 = shown(lookup, chosen={"label": ["healthy"]})[0]
    lookup.manifest.decide(sha256, "relabel", "", "ada", label="beyond_repair", subtype="crushed")
    assert lookup.reread(sha256).record.final_label == "beyond_repair"
    assert sha256 not in shown(lookup, chosen={"label": ["healthy"]})
    assert shown(lookup, chosen={"subtype": ["crushed"]}) == shown(lookup, chosen={"decision": ["relabelled"]}) == [sha256]


def test_following_decisions_counts_as_reading_everything_anew_does(lookup):
    query = Query({"decision": frozenset(["dropped", "relabelled"])}, reviewer="ada")
    for place, sha256 in enumerate(shown(lookup)):
        lookup.find(query)
        number = lookup.manifest.decide(sha256, *([["drop", "copy", "ada"], ["keep", "", "bea"]][place % 2]))
        lookup.manifest.decide(sha256, "relabel", "", "ada", label="fractured", subtype=("oblique", "spiral")[place % 2])
        if place % 3 == 0:
            lookup.manifest.undo(number, "ada")
        lookup.reread(sha256)
        followed, anew = lookup.find(query), Lookup(lookup.manifest).find(query)
        assert list(followed.places) == list(anew.places)
        for name, counts in anew.counts.items():
            assert {value: count for value, count in followed.counts[name].items() if count or value in counts} == counts


def test_a_confirmed_label_is_told_from_a_changed_one(lookup):
    sha256 = shown(lookup, chosen={"label": ["healthy"]})[0]
    lookup.manifest.decide(sha256, "relabel", "confirmed", "ada", label="healthy")
    lookup.reread(sha256)
    assert shown(lookup, chosen={"decision": ["confirmed"]}) == [sha256] and not shown(lookup, chosen={"decision": ["relabelled"]})


def test_reviewers_find_what_they_have_not_read_themselves(lookup):
    sha256 = shown(lookup)[3]
    number = lookup.manifest.decide(sha256, "keep", "", "ada")
    lookup.reread(sha256)
    assert shown(lookup, chosen={MINE: ["done"]}, reviewer="ada") == [sha256]
    assert shown(lookup, chosen={MINE: ["done"]}, reviewer="bea") == []
    lookup.manifest.undo(number, "ada")
    lookup.reread(sha256)
    assert shown(lookup, chosen={MINE: ["done"]}, reviewer="ada") == []


def test_what_another_process_writes_is_noticed(lookup):
    assert not lookup.refresh()
    with open_manifest(lookup.manifest.folder) as other:
        other.decide(shown(lookup)[0], "drop", "", "bea")
        add_film(other, 77)
    lookup._next_load = 0.0  # reading anew is held back while it would take too large a share of the time
    assert lookup.refresh() and not lookup.refresh()
    assert len(lookup.entries) == 13 and len(shown(lookup, chosen={"decision": ["dropped"]})) == 1


def test_words_are_looked_for_in_titles_and_hashes(lookup):
    sha256 = shown(lookup)[4]
    assert shown(lookup, words=sha256[:12].upper()) == [sha256]
    assert len(shown(lookup, words="FILM 3")) == 1 and len(shown(lookup, words="broken wrist")) == 6


def test_a_blind_look_up_neither_filters_nor_sorts_nor_searches_by_what_tells_the_label(lookup):
    found = lookup.find(Query(blind=True, reviewer="bea"))
    assert set(found.counts) == BLIND_FACETS
    assert shown(lookup, blind=True, order="suspicion") == shown(lookup, blind=True)
    assert shown(lookup, blind=True, words="broken") == []
    with pytest.raises(ValueError, match="no facet 'label'"):
        shown(lookup, blind=True, chosen={"label": ["healthy"]})


def test_images_that_were_found_under_several_labels_are_listed(tmp_path):
    with open_manifest(small_collection(tmp_path)) as manifest:
        lookup = Lookup(manifest)
        (sha256,) = shown(lookup, chosen={"came": ["several labels"]})
        assert lookup.entry(sha256).came_as == ("fractured", "healthy")


def test_unknown_facets_and_orders_are_named(lookup):
    with pytest.raises(ValueError, match="no facet 'colour'"):
        shown(lookup, chosen={"colour": ["red"]})
    with pytest.raises(ValueError, match="no order 'size'"):
        shown(lookup, order="size")


def test_an_empty_manifest_is_looked_through_too(tmp_path):
    with open_manifest(tmp_path / "empty", create=True) as manifest:
        found = Lookup(manifest).find(Query(reviewer="ada", words="wrist", order="suspicion"))
    assert len(found.places) == 0 and found.counts["label"] == {}
