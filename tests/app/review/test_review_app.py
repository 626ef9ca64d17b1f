"""What the review page is given, its pictures and its guard, without a browser: `python -m pytest tests/app/review/test_review_app.py`."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import threading

import pytest
from PIL import Image
from small_films import build, encoded, rows_of
from small_review import add_film, small_review
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hf_bones.app.review.page import app_kwargs, build_review, serve_review
from hf_bones.app.review.pictures import Pictures
from hf_bones.app.review.session import Review
from hf_bones.app.same_origin import guard
from hf_bones.collect.upkeep.forget import forget
from hf_bones.dataset.subject import open_subject
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import open_manifest

ADA, BEA = {"reviewer": "ada"}, {"reviewer": "bea"}


@pytest.fixture
def hashes(tmp_path):
    return small_review(tmp_path)


@pytest.fixture
def review(tmp_path, hashes):
    with open_subject(tmp_path) as subject:
        yield Review(subject, THREE_CLASS)


@pytest.fixture
def client(review):
    """A browser's way to the pictures."""
    return TestClient(Starlette(**app_kwargs(review), middleware=[guard()]), base_url="http://127.0.0.1:7860")


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


def test_thumbnails_are_made_once_small_and_go_with_a_forgotten_image(client, hashes, tmp_path):
    answer = client.get(f"/pictures/thumbnail/{hashes[0]}")
    assert answer.headers["content-type"] == "image/jpeg" and "immutable" in answer.headers["cache-control"]
    kept = tmp_path / "thumbnails" / hashes[0][:2] / f"{hashes[0]}.jpg"
    assert kept.read_bytes() == answer.content and Image.open(io.BytesIO(answer.content)).mode == "L"
    kept.write_bytes(b"\xff\xd8\xff as it was kept")
    assert client.get(f"/pictures/thumbnail/{hashes[0]}").content == b"\xff\xd8\xff as it was kept"
    forget(tmp_path, hashes[0])
    assert not kept.exists()


def test_thumbnails_are_made_in_the_background_and_an_unreadable_image_stops_nothing(review, client, hashes, tmp_path):
    (tmp_path / review.record(hashes[0]).file).unlink()
    (tmp_path / review.record(hashes[1]).file).write_bytes(b"not an image at all")
    review.pictures.make_all([entry.record for entry in review.index.entries], threading.Event())
    assert len(list((tmp_path / "thumbnails").rglob("*.jpg"))) == 10
    assert review.progress({}) == {"ok": True, "made": 12, "wanted": 12, "failed": 2}
    assert client.get(f"/pictures/thumbnail/{hashes[0]}").status_code == 422
    broken = client.get(f"/pictures/view/{hashes[1]}")
    assert broken.status_code == 422 and "does not hold the bytes" in broken.text and broken.headers["cache-control"] == "no-store"
    with open_manifest(tmp_path) as manifest:
        text = add_film(manifest, 0, b"not an image at all")
    review.index.load()
    assert "This is not an image" in client.get(f"/pictures/view/{text}").text


def test_what_lies_among_thumbnails_of_a_strangers_folder_is_not_served(client, hashes, tmp_path):
    secret = tmp_path.parent / f"{tmp_path.name}-secret.jpg"
    secret.write_bytes(b"\xff\xd8\xff of somebody else")
    for sha, place in ((hashes[0], "link"), (hashes[1], "page")):
        kept = tmp_path / "thumbnails" / sha[:2] / f"{sha}.jpg"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if place == "link":
            kept.symlink_to(secret)
        else:
            kept.write_bytes(b"<script>alert(1)</script>")
        assert Image.open(io.BytesIO(client.get(f"/pictures/thumbnail/{sha}").content)).size == (40, 48)


def test_a_collection_that_cannot_be_written_is_shown_and_no_decision_is_taken(hashes, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_bones.manifest.connecting.os.access", lambda path, mode: mode & os.W_OK == 0)
    with open_subject(tmp_path) as subject:
        review = Review(subject, THREE_CLASS)
        assert review.look_up({"query": ADA})["total"] == len(hashes) and review.show({"sha": hashes[0], "query": ADA})["ok"]
        assert len(review.pictures.thumbnail(review.record(hashes[0]))) > 100 and not (tmp_path / "thumbnails").exists()
        assert "cannot be written: it can be looked at" in decide(review, hashes[0], "keep")["error"]
        assert "cannot be written" not in review.undo({"query": ADA})["error"], "there is nothing to undo"


def test_a_large_image_is_shrunk_unless_all_of_it_is_asked_for(review, client, tmp_path):
    with open_manifest(tmp_path) as manifest:
        sha = add_film(manifest, 300, encoded(Image.new("L", (3000, 1500), 90)))
    review.index.load()
    sizes = [Image.open(io.BytesIO(client.get(f"/pictures/view/{sha}{more}").content)).size for more in ("", "?full=1")]
    assert sizes == [(1280, 640), (3000, 1500)]


@pytest.mark.parametrize("name", ["0" * 64, "..%2f..%2fmanifest.db", "manifest.db", "%2e%2e", "' OR 1=1 --"])
def test_only_hashes_that_the_manifest_knows_are_served(client, name):
    for kind in ("thumbnail", "view"):
        assert client.get(f"/pictures/{kind}/{name}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:7860"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Host": "192.168.1.20:7860"}, 200),
        ({"Origin": "http://127.0.0.1:7860", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example:7860"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
    ],
)
def test_other_sites_are_kept_out(client, hashes, headers, status):
    assert client.get(f"/pictures/thumbnail/{hashes[0]}", headers=headers).status_code == status


def test_another_site_cannot_post_a_decision_to_the_page(review, hashes):
    page = build_review(review)
    address = serve_review(page, review)
    try:
        with TestClient(page.app, base_url=address.rstrip("/")) as client:
            component = next(number for number, block in page.blocks.items() if block.elem_id == "review")
            body = {
                "data": {"sha": hashes[0], "action": "drop", "query": ADA},
                "component_id": component,
                "fn_name": "decide",
                "session_hash": "s",
            }
            for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                assert client.post("/gradio_api/component_server", json=body, headers=headers).status_code == 403
            assert not list(review.subject.manifest.decisions())
            assert client.post("/gradio_api/component_server", json=body, headers={"Origin": address.rstrip("/")}).json()["ok"]
            assert review.record(hashes[0]).decision == "drop"
    finally:
        page.close(verbose=False)


def test_the_contact_sheet_shows_the_images_of_the_list(review, client):
    token = review.look_up({"query": {"chosen": {"label": ["fractured"]}}})["token"]
    answer = client.get(f"/pictures/sheet.png?token={token}")
    assert "attachment" in answer.headers["content-disposition"]
    assert Image.open(io.BytesIO(answer.content)).format == "PNG"
    assert client.get("/pictures/sheet.png?token=old").status_code == 410


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
