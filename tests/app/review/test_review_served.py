"""The review page's pictures and its guard, without a browser: `python -m pytest tests/app/review/test_review_served.py`."""

from __future__ import annotations

import io
import threading

import pytest
from PIL import Image
from small_films import encoded
from small_review import add_film
from starlette.testclient import TestClient

from hf_bones.app.review.page import build_review, serve_review
from hf_bones.collect.upkeep.forget import forget
from hf_bones.manifest.store import open_manifest

ADA = {"reviewer": "ada"}


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
