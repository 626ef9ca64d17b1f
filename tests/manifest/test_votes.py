"""Reviewers who differ: `python -m pytest tests/manifest/test_votes.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from hf_bones.manifest.store import ImageRecord, Manifest, open_manifest
from hf_bones.manifest.votes import ADJUDICATED


@pytest.fixture
def manifest(tmp_path) -> Iterator[Manifest]:
    with open_manifest(tmp_path, create=True) as manifest:
        manifest.add_image(ImageRecord("a", "f", 1, label="healthy"))
        yield manifest


def read(manifest: Manifest) -> ImageRecord:
    record = manifest.image("a")
    assert record is not None
    return record


def label(manifest: Manifest, by: str, label: str, subtype: str = "", reason: str = "relabelled") -> int:
    return manifest.decide("a", "relabel", reason, by, label=label, subtype=subtype)


def says(manifest: Manifest) -> dict[str, str]:
    return {vote.by: vote.says for vote in read(manifest).disputed}


def test_the_last_of_two_reviewers_who_differ_does_not_win(manifest):
    label(manifest, "ada", "fractured", "hairline")
    assert (read(manifest).final_label, read(manifest).disputed) == ("fractured", ())
    label(manifest, "bo", "healthy")
    record = read(manifest)
    assert says(manifest) == {"ada": "fractured", "bo": "healthy"}
    assert (record.final_label, record.final_subtype, record.reviewed_label, record.label) == ("", "", "", "healthy")


def test_who_thinks_again_replaces_the_own_vote_alone(manifest):
    label(manifest, "ada", "fractured")
    label(manifest, "bo", "healthy")
    again = label(manifest, "ada", "healthy")
    assert read(manifest).final_label == "healthy" and not read(manifest).disputed
    manifest.undo(again, "ada")
    assert says(manifest) == {"bo": "healthy", "ada": "fractured"}


@pytest.mark.parametrize(
    ("first", "second", "subtype"), [("hairline", "", "hairline"), ("hairline", "hairline", "hairline"), ("hairline", "oblique", "")]
)
def test_a_subtype_counts_unless_it_is_contradicted(manifest, first, second, subtype):
    label(manifest, "ada", "fractured", first)
    label(manifest, "bo", "fractured", second)
    assert (read(manifest).final_label, read(manifest).final_subtype) == ("fractured", subtype)


def test_an_adjudication_settles_what_was_voted_and_who_differs_later_opens_it_again(manifest):
    label(manifest, "ada", "fractured")
    label(manifest, "bo", "healthy")
    settled = label(manifest, "cem", "fractured", reason=ADJUDICATED)
    assert (read(manifest).final_label, read(manifest).disputed) == ("fractured", ())
    label(manifest, "bo", "beyond_repair")
    assert says(manifest) == {"cem": "fractured", "bo": "beyond_repair"}
    manifest.undo(settled, "cem")
    assert says(manifest) == {"ada": "fractured", "bo": "beyond_repair"}


def test_dropping_against_keeping_needs_adjudication_too_and_commands_do_not_vote(manifest):
    manifest.decide("a", "drop", "blurry", "curate checks")
    manifest.decide("a", "keep", "restored", "ada")
    assert not read(manifest).disputed
    manifest.decide("a", "drop", "blurred", "bo")
    assert says(manifest) == {"ada": "keep", "bo": "drop"} and read(manifest).final_label == "healthy"
    manifest.decide("a", "drop", f"{ADJUDICATED}: blurred", "cem")
    assert (read(manifest).decision, read(manifest).disputed) == ("drop", ())


def test_a_vote_without_a_name_gives_way(manifest):
    label(manifest, "", "healthy")
    assert read(manifest).final_label == "healthy"
    label(manifest, "ada", "fractured")
    assert (read(manifest).final_label, read(manifest).disputed) == ("fractured", ())


def test_every_vote_is_in_the_record(manifest):
    label(manifest, "ada", "fractured", "hairline")
    label(manifest, "bo", "healthy")
    first, second = (dataclasses.asdict(vote) for vote in read(manifest).votes)
    assert first.pop("at") and second.pop("at")
    assert first == {"by": "ada", "decision": "relabel", "label": "fractured", "subtype": "hairline", "reason": "relabelled"}
    assert second == {"by": "bo", "decision": "relabel", "label": "healthy", "subtype": "", "reason": "relabelled"}
