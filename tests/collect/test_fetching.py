"""What comes from a server, good or bad, through redirects and within caps. Run: pytest tests/collect/test_fetching.py"""

import gzip
import struct
import time
import zlib

import pytest
from collecting import files, outcomes, run
from rogue_server import RogueServer
from small_collection import digest, jpeg

from hf_bones.collect.candidate import Candidate
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.manifest.store import open_manifest


def test_a_good_image_is_stored_by_its_hash_with_its_provenance(tmp_path, rogue):
    body = jpeg()
    url = rogue.page("/a.jpg", body, Content_Type="image/jpeg")
    found = Candidate(url, page="http://page/1", title="A wrist", creator="Ada", licence="CC-BY-4.0", details={"view": "lateral"})
    result = run(tmp_path / "c", found)
    sha256 = digest(body)
    assert (result.stored, result.refused, result.failed) == (1, 0, 0)
    with open_manifest(tmp_path / "c") as manifest:
        record = manifest.image(sha256)
    assert record.file == f"images/{sha256[:2]}/{sha256}.jpg" and (tmp_path / "c" / record.file).read_bytes() == body
    assert (record.width, record.height, record.bytes, record.format) == (48, 48, len(body), "JPEG")
    assert (record.label, record.subtype, record.region, record.label_basis) == ("fractured", "hairline", "wrist", "query")
    assert (record.provider, record.query, record.page, record.title, record.creator) == (
        "links", "wrist fracture", "http://page/1", "A wrist", "Ada",
    )  # fmt: skip
    assert (record.licence, record.view, record.url) == ("CC-BY-4.0", "lateral", url)
    assert record.fetched_at
    assert rogue.headers[0]["user-agent"] == "hf_bones-tests"


def test_the_name_and_the_type_say_nothing_the_bytes_do(tmp_path, rogue):
    urls = [
        rogue.page("/html.jpg", b"<!doctype html><title>not found</title>", Content_Type="image/jpeg"),
        rogue.page("/image.html", jpeg(1), Content_Type="text/html"),
        rogue.page("/png.jpg", jpeg(2, kind="PNG"), Content_Type="application/octet-stream"),
        rogue.page("/empty.jpg", b"", Content_Type="image/jpeg"),
        rogue.page("/half.jpg", jpeg(3)[:-400]),
    ]
    run(tmp_path, *urls)
    assert outcomes(tmp_path) == {
        "/html.jpg": ("refused", "not_an_image"),
        "/image.html": ("stored", ""),
        "/png.jpg": ("stored", ""),
        "/empty.jpg": ("refused", "not_an_image"),
        "/half.jpg": ("refused", "undecodable_or_truncated"),
    }
    assert {path.suffix for path in files(tmp_path)} == {".jpg", ".png"}
    kept = {path.read_bytes() for path in files(tmp_path, "refused")}
    assert kept == {b"<!doctype html><title>not found</title>", jpeg(3)[:-400]}


def test_what_passes_is_tried_again_and_what_stays_is_not(tmp_path, rogue):
    def after(count, otherwise, seed):
        return lambda reply: reply.send(jpeg(seed)) if reply.number > count else otherwise(reply)

    def reset_in_the_body(reply):
        reply.head(length=5000)
        reply.raw(b"x" * 2000)
        reply.reset()

    def short(reply):
        reply.send(jpeg(9)[:-10], length=len(jpeg(9)))
        reply.reset()

    urls = [
        rogue.answer("/busy", after(2, lambda reply: reply.send(status=503), 1)),
        rogue.answer("/limited", after(1, lambda reply: reply.send(status=429, Retry_After="0"), 2)),
        rogue.answer("/reset", after(1, lambda reply: reply.reset(), 3)),
        rogue.answer("/reset-body", after(2, reset_in_the_body, 4)),
        rogue.answer("/always-short", short),
        rogue.answer("/always-500", lambda reply: reply.send(status=500)),
        rogue.answer("/gone", lambda reply: reply.send(status=410)),
        rogue.answer("/garbage", lambda reply: reply.raw(b"\x00\x01 what is HTTP\r\n\r\n") or reply.reset()),
    ]
    run(tmp_path, *urls)
    assert outcomes(tmp_path) == {
        "/busy": ("stored", ""),
        "/limited": ("stored", ""),
        "/reset": ("stored", ""),
        "/reset-body": ("stored", ""),
        "/always-short": ("failed", "incomplete"),
        "/always-500": ("failed", "http_status"),
        "/gone": ("refused", "http_status"),
        "/garbage": ("failed", "connection"),
    }
    assert rogue.hits.count("/gone") == 1 and rogue.hits.count("/always-500") == 3
    assert [path.read_bytes() for path in files(tmp_path, "refused")] == [jpeg(9)[:-10]]  # the picture may be salvaged


def test_a_slow_drip_and_a_hang_end_with_the_time_for_a_file(tmp_path, rogue):
    def drip_headers(reply):
        reply.raw(b"HTTP/1.1 200 OK\r\n")
        reply.drip(b"X-Slow: " + b"a" * 1000, 0.05)

    def drip_body(reply):
        reply.head(length=1000)
        reply.drip(b"a" * 1000, 0.05)

    urls = [rogue.answer("/headers", drip_headers), rogue.answer("/body", drip_body), rogue.answer("/hang", lambda reply: reply.hang())]
    started = time.monotonic()
    run(tmp_path, *urls, file_timeout=0.6)
    assert outcomes(tmp_path) == dict.fromkeys(("/headers", "/body", "/hang"), ("failed", "too_slow"))
    assert time.monotonic() - started < 8


def test_bytes_are_capped_by_announcement_and_by_count(tmp_path, rogue):
    def endless(reply):
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(10_000):
            reply.raw(b"a" * 10_000)

    bomb = gzip.compress(b"\0" * 50_000_000)
    urls = [
        rogue.answer("/announced", lambda reply: reply.head(length=10**9)),
        rogue.answer("/endless", endless),
        rogue.page("/gzip", bomb, Content_Encoding="gzip"),
        rogue.page("/brotli", b"xx", Content_Encoding="br"),
        rogue.page("/gzipped-image", gzip.compress(jpeg(5)), Content_Encoding="gzip"),
    ]
    run(tmp_path, *urls, max_bytes=1_000_000)
    assert outcomes(tmp_path) == {
        "/announced": ("refused", "file_too_large"),
        "/endless": ("refused", "file_too_large"),
        "/gzip": ("refused", "file_too_large"),
        "/brotli": ("refused", "content_encoding"),
        "/gzipped-image": ("stored", ""),
    }


def test_a_decompression_bomb_is_refused_without_being_unpacked(tmp_path, rogue):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4_000_000))) + chunk(b"IEND", b"")
    run(tmp_path, rogue.page("/bomb.png", bomb), rogue.page("/good.jpg", jpeg()))
    assert outcomes(tmp_path) == {"/bomb.png": ("refused", "decompression_bomb"), "/good.jpg": ("stored", "")}
    assert [path.read_bytes() for path in files(tmp_path, "refused")] == [bomb]


TRAPS = [
    "http://127.0.0.1:1/x", "http://169.254.169.254/latest/meta-data/", "http://[::1]:1/", "http://0x7f000001:1/", "http://2130706433/", "http://10.0.0.1/",
    "http://[::ffff:127.0.0.1]/",
]  # fmt: skip


@pytest.mark.parametrize("target", TRAPS)
def test_a_redirect_into_a_private_network_is_refused_at_that_hop(tmp_path, target):
    server = RogueServer("127.0.0.5")
    url = server.answer("/go", lambda reply: reply.send(status=302, Location=target))
    run(tmp_path, url, guard=AddressGuard(["127.0.0.5"]))
    server.close()
    assert outcomes(tmp_path) == {"/go": ("refused", "private_address")}


def test_redirects_are_followed_five_times_and_only_over_http(tmp_path, rogue):
    for step in range(7):
        rogue.answer(f"/{step}", lambda reply, step=step: reply.send(status=302, Location=f"/{step + 1}"))
    rogue.page("/7", jpeg())
    rogue.answer("/file", lambda reply: reply.send(status=301, Location="file:///etc/passwd"))
    rogue.answer("/loop", lambda reply: reply.send(status=307, Location="/loop"))
    run(tmp_path, *(rogue.url + path for path in ("/2", "/1", "/file", "/loop")))
    assert outcomes(tmp_path) == {
        "/2": ("stored", ""),
        "/1": ("refused", "too_many_redirects"),
        "/file": ("refused", "bad_url"),
        "/loop": ("refused", "too_many_redirects"),
    }


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "http://user:pw@host/x", "http:///x", "http://[bad/x", "javascript:alert(1)", "http://h:99999/x"]
)
def test_what_is_no_plain_web_address_is_refused_and_no_password_is_written_down(tmp_path, url):
    run(tmp_path, url)
    with open_manifest(tmp_path) as manifest:
        row = next(manifest.rows("SELECT * FROM fetches"))
    assert (row["state"], row["reason"]) == ("refused", "bad_url") and "pw" not in row["detail"]
