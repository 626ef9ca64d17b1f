"""What the review page is given, and decisions, without a browser: `python -m pytest tests/app/review/test_review_app.py`."""

from __future__ import annotations

import os
import re
import sqlite3

import pytest
from small_films import build, rows_of
from small_review import add_film

from hf_bones.app.review.pictures import Pictures
from hf_bones.app.review.session import Review
from hf_bones.dataset.subject import open_subject
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import open_manifest

ADA, BEA = {"reviewer": "ada"}, {"reviewer": "bea"}


def decide(review: Review, sha: str, action: str, by=ADA, **more):
    return review.decide({"sha": sha, "action": action, "query": by, **more})


def listed(answer) -> list[str]:
    return re.findall(r'class="card" tabindex="-1" data-sha="([0-9a-f]{64})"', answer["cards"])


def test_a_decision_is_in_the_log_with_name_and_time_before_the_answer_leaves(review, hashes, tmp_path):
    answer = decide(review, hashes[3], "drop", reason="  several \n pictures ")
    with sqlite3.connect(tmp_path / "manifest.db") as other:
        row = other.execute("SELECT id, sha256, decision, reason, decided_by, decided_at FROM decisions").fetchone()
    assert row[:5] == (answer["number"], hashes[3], "drop", "several pictures", "ada") and row[5].endswith("+00:00")
    assert answer["message"] == f"Saved: {hashes[3][:8]} dropped (several pictures), by ada." and "data-dropped" in answer["card"]
    assert review.subject.manifest.connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_decisions_survive_a_restart(review, hashes, tmp_path):
    decide(review, hashes[0], "relabel", label="beyond_repair", subtype="crushed")
    review.subject.manifest.connection.close()
    with open_subject(tmp_path) as subject:
        record = Review(subject, THREE_CLASS).record(hashes[0])
    assert (record.final_label, record.final_subtype, record.label) == ("beyond_repair", "crushed", "healthy")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"action": "drop", "query": {}}, "First give your name"),
        ({"action": "drop", "query": {"reviewer": " \t"}}, "First give your name"),
        ({"action": "relabel", "label": "broken", "query": ADA}, "There is no class 'broken'"),
        ({"action": "relabel", "label": "healthy", "subtype": "crushed", "query": ADA}, "healthy has no subtype 'crushed'"),
        ({"action": "burn", "query": ADA}, "There is no decision 'burn'"),
        ({"action": "drop", "sha": "0" * 64, "query": ADA}, "There is no such image"),
    ],
)
def test_what_cannot_be_decided_is_said_and_not_written(review, hashes, asked, told):
    answer = review.decide({"sha": hashes[0], **asked})
    assert "ok" not in answer and told in answer["error"]
    assert not list(review.subject.manifest.decisions())


def test_a_locked_manifest_says_that_nothing_was_saved(review, hashes, tmp_path):
    review.subject.manifest.connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "manifest.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert decide(review, hashes[0], "drop")["error"].startswith("Not saved: database is locked")
    other.execute("ROLLBACK")
    assert decide(review, hashes[0], "drop")["ok"]


def test_undo_takes_back_the_reviewers_own_decisions_one_after_the_other(review, hashes):
    decide(review, hashes[0], "drop", ADA)
    decide(review, hashes[1], "relabel", ADA, label="healthy")
    decide(review, hashes[0], "keep", BEA)
    assert review.undo({"query": ADA})["sha"] == hashes[1] and review.record(hashes[1]).reviewed_label == ""
    assert review.undo({"query": ADA})["sha"] == hashes[0]
    assert "no decision of ada left" in review.undo({"query": ADA})["error"]
    assert review.record(hashes[0]).decision == "keep"  # bea's stands
    assert len(list(review.subject.manifest.decisions())) == 5  # appended, nothing overwritten


def test_pages_stay_where_they_are_while_decisions_are_made(review, tmp_path):
    with open_manifest(tmp_path) as manifest:
        for seed in range(100, 170):
            add_film(manifest, seed)
    review.index.load()
    query = {"reviewer": "ada", "chosen": {"decision": ["undecided"]}}
    first = review.look_up({"query": query, "page": 0, "size": 30})
    assert (first["total"], first["pages"], first["next"]) == (82, 3, listed(review.look_up({"query": query, "page": 1, "size": 30})))
    for sha in listed(first):
        decide(review, sha, "keep")
    second = review.look_up({"query": query, "page": 1, "size": 30, "token": first["token"]})
    assert listed(second) == first["next"]  # none is skipped
    assert review.look_up({"query": query, "page": 0, "size": 30})["total"] == 52  # looked up anew, those decided are gone


def test_a_second_reviewer_who_hides_labels_is_not_led(review, hashes):
    decide(review, hashes[4], "relabel", ADA, label="beyond_repair")
    decide(review, hashes[5], "drop", ADA, reason="adas reason")
    blind = {"reviewer": "bea", "blind": True}
    seen = [review.look_up({"query": blind})["cards"], *(review.show({"sha": sha, "query": blind})["panel"] for sha in hashes[:6])]
    for word in ("Healthy", "Fractured", "Beyond repair", "fractured", "film", "broken bone", "ada", "labels contradict", "0.33"):
        assert not any(word in text for text in seen), word
    assert review.show({"sha": hashes[4], "query": blind})["boxes"] == [] and review.show({"sha": hashes[4], "query": ADA})["boxes"]
    assert "would influence you" in review.ask_model({"sha": hashes[4], "query": blind})["error"]
    decide(review, hashes[4], "relabel", blind, label="fractured")
    assert "Fractured" in review.look_up({"query": blind})["cards"]  # one's own reading is shown
    assert review.record(hashes[4]).disputed and review.record(hashes[4]).final_label == ""
    seen = [review.look_up({"query": blind})["cards"], review.show({"sha": hashes[4], "query": blind})["panel"]]
    assert not any(word in text for text in seen for word in ("adjudicat", "beyond", "ada"))
    log = [(d.decided_by, d.reason) for d in review.subject.manifest.decisions("d.sha256 = ?", (hashes[4],))]
    assert log[-1] == ("bea", "read without seeing labels")


def test_reviewers_who_differ_make_needs_adjudication_which_somebody_settles(review, hashes):
    sha, cem = hashes[4], {"reviewer": "cem"}
    assert "nothing to adjudicate" in decide(review, sha, "relabel", cem, label="fractured", adjudicate=True)["error"]
    decide(review, sha, "relabel", ADA, label="beyond_repair")
    answer = decide(review, sha, "relabel", BEA, label="fractured")
    assert answer["message"].endswith("Reviewers differ (ada: beyond repair, bea: fractured): it needs adjudication.")
    assert "Needs adjudication" in answer["card"] and "Fractured" not in answer["card"]
    found = review.look_up({"query": {**cem, "chosen": {"decision": ["needs adjudication"]}}})
    assert listed(found) == [sha]
    shown = review.show({"sha": sha, "query": cem})
    assert shown["panel"].count('data-act="adjudicate"') == 3 and "<b>ada</b> beyond repair" in shown["panel"] and shown["label"] == ""
    assert "Needs adjudication" in shown["caption"]
    assert "hidden" in decide(review, sha, "relabel", {**cem, "blind": True}, label="fractured", adjudicate=True)["error"]
    assert "whether it is used" in decide(review, sha, "drop", cem, adjudicate=True)["error"]
    settled = decide(review, sha, "relabel", cem, label="fractured", adjudicate=True)
    assert settled["message"] == f"Saved: {sha[:8]} adjudicated as fractured, by cem." and "Needs" not in settled["card"]
    assert (review.record(sha).final_label, review.record(sha).disputed) == ("fractured", ())
    assert review.agreement({"query": cem})["names"] == ["ada", "bea", "labels as they came"], "an adjudication is no reading"
    review.undo({"query": cem})
    assert review.record(sha).disputed


def test_a_drop_that_another_reviewer_keeps_is_adjudicated_and_a_typed_reason_settles_nothing(review, hashes):
    decide(review, hashes[0], "drop", ADA, reason="blurred")
    decide(review, hashes[0], "keep", BEA)
    decide(review, hashes[0], "drop", ADA, reason="adjudicated: blurred")
    assert [vote.says for vote in review.record(hashes[0]).disputed] == ["keep", "drop"]
    assert review.show({"sha": hashes[0], "query": ADA})["panel"].count('data-act="adjudicate"') == 2
    assert "data-dropped" in decide(review, hashes[0], "drop", {"reviewer": "cem"}, adjudicate=True)["card"]
    assert review.record(hashes[0]).decision_reason == "adjudicated: not of use"


def test_agreement_is_shown_with_the_images_that_differ(review, hashes):
    assert "Nobody has read" in review.agreement({"query": ADA})["html"]
    for place, sha in enumerate(hashes):
        decide(review, sha, "relabel", ADA, label="fractured" if place % 2 else "healthy")
        decide(review, sha, "relabel", BEA, label="fractured" if place % 2 or place < 3 else "healthy")
    answer = review.agreement({"query": ADA})
    assert answer["shas"] == sorted([hashes[0], hashes[2]]) and "10 of 12 images read alike" in answer["html"]
    assert "0.67" in answer["html"] and "95 % interval" in answer["html"]
    against = review.agreement({"query": ADA, "first": "ada", "second": "labels as they came"})
    assert (against["first"], against["second"]) == ("ada", "labels as they came") and len(against["shas"]) == 8


def test_words_from_the_web_are_escaped_and_links_lead_to_the_web_only(review, tmp_path):
    bad = {"title": "<script>alert(1)</script>", "creator": '"><img onerror=x>', "creator_url": "javascript:alert(1)", "page": "https://a.example/?a=1&b=2",
           "provider": "<b>src", "licence": "<i>", "query": "'\"><svg>", "copy_group": "g"}  # fmt: skip
    with open_manifest(tmp_path) as manifest:
        sha = add_film(manifest, 200, **bad)
        add_film(manifest, 201, **bad)
        manifest.decide(sha, "drop", "<u>no</u>", "<em>eve")
    review.index.load()
    answer = review.show({"sha": sha, "query": ADA})
    html = "".join([answer["panel"], answer["caption"], *answer["captions"].values(), review.look_up({"query": ADA})["cards"]])
    for raw in ("<script", "<img onerror", "<svg", "<b>src", "<i>", "<u>", "<em>", 'href="javascript'):
        assert raw not in html.replace("<i style", ""), raw
    assert '<a href="https://a.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow"' in html


def test_a_collection_that_cannot_be_written_is_shown_and_no_decision_is_taken(hashes, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_bones.manifest.connecting.os.access", lambda path, mode: mode & os.W_OK == 0)
    with open_subject(tmp_path) as subject:
        review = Review(subject, THREE_CLASS)
        assert review.look_up({"query": ADA})["total"] == len(hashes) and review.show({"sha": hashes[0], "query": ADA})["ok"]
        assert len(review.pictures.thumbnail(review.record(hashes[0]))) > 100 and not (tmp_path / "thumbnails").exists()
        assert "cannot be written: it can be looked at" in decide(review, hashes[0], "keep")["error"]
        assert "cannot be written" not in review.undo({"query": ADA})["error"], "there is nothing to undo"


def test_a_built_dataset_is_reviewed_like_a_collection(tmp_path):
    folder = build(rows_of(9), tmp_path / "built").folder
    with open_subject(folder) as subject:
        review = Review(subject, THREE_CLASS)
        answer = review.look_up({"query": {**ADA, "chosen": {"label": ["fractured"]}}})
        assert answer["total"] == 3 and len(review.pictures.thumbnail(review.record(listed(answer)[0]))) > 100
        assert decide(review, listed(answer)[0], "drop")["ok"]


def test_the_model_is_asked_by_button_only(review, hashes, monkeypatch):
    assert review._predictor is None
    answer = review.ask_model({"sha": hashes[0], "query": ADA})
    assert answer["ok"] and "Healthy" in answer["html"] and "bundled" in answer["html"]
    assert Pictures(review.subject).view(review.record(hashes[0]))[1] == "image/png"
    assert review._predictor is not None
