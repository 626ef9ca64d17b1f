"""The collector against a real server on loopback, good and bad: `python -m pytest tests/collect/test_collect_run.py`."""

import gzip
import hashlib
import io
import itertools
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import rogue_server
from PIL import Image
from rogue_server import RogueServer

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.queue import Search
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.run import CollectError, collect
from hf_bones.manifest.store import open_manifest


def jpeg(seed=0, side=48, kind="JPEG"):
    """A small picture of its own bytes for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


class Links:
    """A provider that names given candidates."""

    name: ClassVar[str] = "links"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = dict

    def __init__(self, *candidates: Candidate | str, error: str = "") -> None:
        self.candidates = [each if isinstance(each, Candidate) else Candidate(each, licence="CC0-1.0") for each in candidates]
        self.error = error
        self.asked = 0

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        self.asked += 1
        yield from self.candidates
        if self.error:
            raise ProviderError(self.error)


FAST = {
    "delay": 0.0,
    "per_host": 4,
    "concurrency": 8,
    "first_wait": 0.01,
    "attempts": 3,
    "file_timeout": 10.0,
    "min_free_bytes": 0,
    "workers": 1,
}
HERE = AddressGuard(["127.0.0.0/8"])


def run(out, *links, guard=HERE, permits=lambda licence: True, retry_failed=False, label="fractured", error="", **settings):
    provider = links[0] if links and isinstance(links[0], Links) else Links(*links, error=error)
    search = Search(provider, "wrist fracture", label, "hairline", "wrist")
    return collect(
        out, [search], FetchSettings(**(FAST | settings)), guard=guard, agent="hf_bones-tests", permits=permits, retry_failed=retry_failed
    )


def outcomes(out):
    """URL path → (state, reason)."""
    with open_manifest(out) as manifest:
        rows = manifest.rows("SELECT * FROM fetches WHERE url LIKE 'http%' OR url LIKE '%://%'")
        return {"/" + row["url"].split("/", 3)[3]: (row["state"], row["reason"]) for row in rows}


def files(out, part="images"):
    return sorted(path for path in (out / part).rglob("*") if path.is_file())


def test_a_good_image_is_stored_by_its_hash_with_its_provenance(tmp_path, rogue):
    body = jpeg()
    url = rogue.page("/a.jpg", body, Content_Type="image/jpeg")
    found = Candidate(url, page="http://page/1", title="A wrist", creator="Ada", licence="CC-BY-4.0", details={"view": "lateral"})
    result = run(tmp_path / "c", found)
    sha256 = hashlib.sha256(body).hexdigest()
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


def test_robots_txt_is_asked_once_and_obeyed(tmp_path, rogue):
    rogue.page("/robots.txt", b"User-agent: otherbot\nDisallow: /\n\nUser-agent: hf_bones\nDisallow: /private/\n")
    run(tmp_path, rogue.page("/private/a.jpg", jpeg(1)), rogue.page("/open/b.jpg", jpeg(2)))
    assert outcomes(tmp_path) == {"/private/a.jpg": ("refused", "robots_txt"), "/open/b.jpg": ("stored", "")}
    assert rogue.hits.count("/robots.txt") == 1 and "/private/a.jpg" not in rogue.hits


def test_a_robots_txt_that_cannot_be_had_forbids_for_now(tmp_path, rogue):
    rogue.answer("/robots.txt", lambda reply: reply.send(status=503))
    url = rogue.page("/a.jpg", jpeg())
    run(tmp_path, url)
    assert outcomes(tmp_path) == {"/a.jpg": ("failed", "robots_unreachable")} and not rogue.images_asked()
    del rogue.routes["/robots.txt"]
    run(tmp_path, url, retry_failed=True)
    assert outcomes(tmp_path) == {"/a.jpg": ("stored", "")}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X_Robots_Tag": "noai"}, "x_robots_tag"),
        ({"X_Robots_Tag": "nofollow, NoImageAI"}, "x_robots_tag"),
        ({"X_Robots_Tag": "unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"}, "x_robots_tag"),
        ({"X_Robots_Tag": "hf_bones: noindex"}, "x_robots_tag"),
        ({"X_Robots_Tag": "otherbot: noindex, noai"}, ""),
        ({"X_Robots_Tag": "nofollow"}, ""),
        ({"TDM_Reservation": "1"}, "tdm_reservation"),
        ({"TDM_Reservation": "0"}, ""),
    ],
)
def test_headers_that_reserve_a_file_are_honoured_and_its_bytes_not_kept(tmp_path, rogue, headers, reason):
    run(tmp_path, rogue.page("/a.jpg", jpeg(), **headers))
    assert outcomes(tmp_path)["/a.jpg"] == (("refused", reason) if reason else ("stored", ""))
    assert not (reason and (files(tmp_path) or files(tmp_path, "refused")))


def test_a_reservation_file_reserves_its_paths_unless_the_answer_says_otherwise(tmp_path, rogue):
    rogue.page(
        "/.well-known/tdmrep.json", b'[{"location": "/open/*", "tdm-reservation": 0}, {"location": "/*.jpg$", "tdm-reservation": 1}]'
    )
    urls = [rogue.page(path, jpeg(n)) for n, path in enumerate(("/open/a.jpg", "/b.jpg", "/b.jpg.png"))]
    urls.append(rogue.page("/released.jpg", jpeg(9), TDM_Reservation="0"))
    run(tmp_path, *urls)
    reserved = ("refused", "tdm_reservation")
    assert outcomes(tmp_path) == {
        "/open/a.jpg": ("stored", ""),
        "/b.jpg": reserved,
        "/b.jpg.png": ("stored", ""),
        "/released.jpg": ("stored", ""),
    }


def test_a_host_that_asks_for_a_long_pause_keeps_its_urls_for_a_later_run(tmp_path, rogue):
    quick = RogueServer("127.0.0.3")
    rogue.answer("/0", lambda reply: reply.send(status=429, Retry_After="3600"))
    result = run(tmp_path, *(f"{rogue.url}/{n}" for n in range(5)), quick.page("/x.jpg", jpeg()), per_host=1, longest_wait=1.0)
    quick.close()
    states = outcomes(tmp_path)
    assert states.pop("/x.jpg") == ("stored", "") and set(states.values()) == {("waiting", "")}
    assert list(result.held_hosts) == [rogue.netloc] and len(rogue.images_asked()) == 1


def test_requests_to_one_host_start_as_far_apart_as_asked(tmp_path, rogue):
    times = []

    def note(reply):
        times.append(time.monotonic())
        reply.send(jpeg(len(times)))

    run(tmp_path, *(rogue.answer(f"/{n}", note) for n in range(4)), delay=0.15)
    assert all(later - earlier > 0.12 for earlier, later in itertools.pairwise(times))


def test_a_finished_run_given_again_asks_nothing_at_all(tmp_path, rogue):
    rogue.page("/a.jpg", jpeg())
    links = Links(rogue.url + "/a.jpg", rogue.url + "/gone")
    run(tmp_path, links)
    asked = len(rogue.hits)
    again = run(tmp_path, links)
    assert len(rogue.hits) == asked and links.asked == 1
    assert (again.stored, again.refused, again.states) == (0, 0, {"stored": 1, "refused": 1})


def test_the_same_bytes_from_two_places_are_one_image_and_two_sightings(tmp_path, rogue):
    urls = [rogue.page(f"/{n}.jpg", jpeg()) for n in range(3)]
    result = run(tmp_path, *urls, concurrency=1)
    assert (result.stored, result.duplicates) == (1, 2) and len(files(tmp_path)) == 1
    with open_manifest(tmp_path) as manifest:
        assert manifest.connection.execute("SELECT count(*) FROM sightings").fetchone()[0] == 3


def test_a_search_that_fails_keeps_what_it_had_and_is_asked_again(tmp_path, rogue):
    links = Links(rogue.page("/a.jpg", jpeg()), error="the provider is down")
    result = run(tmp_path, links)
    assert result.stored == 1 and result.failed_searches == [("links", "wrist fracture", "the provider is down")]
    links.error = ""
    assert run(tmp_path, links).failed_searches == [] and links.asked == 2
    assert rogue.images_asked() == ["/a.jpg"]


def test_a_provider_that_keeps_failing_is_left_alone_for_the_run_and_asked_again_in_the_next(tmp_path):
    links = Links(error="too many requests")
    searches = [Search(links, f"query {n}") for n in range(6)]
    first = collect(tmp_path, searches, FetchSettings(**FAST), guard=HERE, agent="t")
    assert links.asked == 3 and len(first.failed_searches) == 6 and "not asked" in first.failed_searches[-1][2]
    links.error = ""
    again = collect(tmp_path, searches, FetchSettings(**FAST), guard=HERE, agent="t")
    assert links.asked == 9 and again.failed_searches == []


def test_an_error_in_a_provider_that_is_a_bug_is_not_swallowed(tmp_path):
    class Broken(Links):
        def search(self, query, limit):
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Broken())


def test_a_licence_that_is_not_accepted_is_not_fetched_until_policy_changes(tmp_path, rogue):
    found = Candidate(rogue.page("/a.jpg", jpeg()), licence="unknown")
    run(tmp_path, found, permits=lambda licence: licence != "unknown")
    assert outcomes(tmp_path) == {"/a.jpg": ("refused", "licence")} and not rogue.hits
    run(tmp_path, found)
    assert outcomes(tmp_path) == {"/a.jpg": ("stored", "")}


def test_a_url_that_a_later_search_knows_under_an_accepted_licence_is_fetched_in_the_same_run(tmp_path, rogue):
    url = rogue.page("/a.jpg", jpeg(1))
    urls = [rogue.page(f"/{n}.jpg", jpeg(n)) for n in range(2, 6)]
    found = [Candidate(url, licence="unknown"), *(Candidate(each, licence="CC0-1.0") for each in urls)]
    searches = [Search(Links(*found), "first"), Search(Links(Candidate(url, licence="CC-BY-4.0")), "second")]
    settings = FetchSettings(**FAST)
    collect(tmp_path, searches, settings, guard=HERE, agent="t", permits=lambda licence: licence != "unknown")
    assert set(outcomes(tmp_path).values()) == {("stored", "")}
    with open_manifest(tmp_path) as manifest:
        assert {record.licence for record in manifest.images()} == {"CC0-1.0", "CC-BY-4.0"}


def test_bytes_with_another_hash_than_expected_are_refused_and_kept(tmp_path, rogue):
    run(tmp_path, Candidate(rogue.page("/a.jpg", jpeg()), sha256="0" * 64, licence="CC0-1.0"))
    assert outcomes(tmp_path) == {"/a.jpg": ("refused", "hash_mismatch")} and not files(tmp_path)
    assert [path.read_bytes() for path in files(tmp_path, "refused")] == [jpeg()]


def test_kept_refusals_are_capped(tmp_path, rogue):
    urls = [rogue.page(f"/{n}", b"no image %d " % n + b"x" * 980) for n in range(5)]
    urls.append(rogue.page("/big", b"y" * 3000))
    run(tmp_path, *urls, refused_file_bytes=2000, refused_total_bytes=2500, concurrency=1)
    assert set(outcomes(tmp_path).values()) == {("refused", "not_an_image")} and len(files(tmp_path, "refused")) == 2


def test_local_files_are_read_and_not_fetched(tmp_path):
    (tmp_path / "a.png").write_bytes(jpeg(kind="PNG"))
    here = Candidate("folder:x/a.png", label="healthy", licence="CC0-1.0", content=(tmp_path / "a.png").read_bytes)
    gone = Candidate("folder:x/b.png", licence="CC0-1.0", content=(tmp_path / "b.png").read_bytes)
    run(tmp_path / "c", here, gone)
    with open_manifest(tmp_path / "c") as manifest:
        assert [record.label for record in manifest.images()] == ["healthy"]
        states = {row["url"]: (row["state"], row["reason"]) for row in manifest.rows("SELECT * FROM fetches")}
    assert states == {"folder:x/a.png": ("stored", ""), "folder:x/b.png": ("failed", "local_source")}


def test_two_runs_at_once_into_one_folder_are_refused(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(CollectError, match="another run"):
        run(tmp_path)


def test_a_disk_with_too_little_room_stops_the_run_before_it_starts(tmp_path, rogue):
    with pytest.raises(CollectError, match="make room"):
        run(tmp_path, rogue.page("/a.jpg", jpeg()), min_free_bytes=2**60)


CHILD = """
import resource, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_collect_run import run
if {limit}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
if __name__ == "__main__":
    try:
        run(Path({out!r}), *{urls!r})
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        print(type(error).__name__, error)
        sys.exit(3)
"""


def child(tmp_path, urls, limit=0):
    script = tmp_path / "child.py"
    paths = [str(Path(__file__).parent), str(Path(rogue_server.__file__).parent)]
    script.write_text(CHILD.format(paths=paths, out=str(tmp_path / "c"), urls=urls, limit=limit))
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)


def check_whole(out, bodies):
    """One file and one row for each body, all bytes right, nothing besides."""
    with open_manifest(out) as manifest:
        stored = {record.sha256: record.file for record in manifest.images()}
        assert manifest.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert set(stored) == {hashlib.sha256(body).hexdigest() for body in bodies}
    assert {path.relative_to(out).as_posix() for path in files(out)} == set(stored.values())
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in files(out))
    assert not files(out, "partial")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_at_any_moment_goes_on_and_fetches_nothing_twice(tmp_path, rogue, how):
    bodies = [jpeg(seed, side=64) for seed in range(60)]

    def slowly(body):
        def answer(reply):
            time.sleep(0.02)
            reply.send(body)

        return answer

    urls = [rogue.answer(f"/{n}.jpg", slowly(body)) for n, body in enumerate(bodies)]
    for target in (10, 30):
        process = child(tmp_path, urls)
        deadline = time.monotonic() + 60
        while len(rogue.images_asked()) < target and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, how) if how == signal.SIGKILL else process.send_signal(how)
        process.wait(30)
        recorded = recorded_paths(tmp_path / "c")
        before = len(rogue.images_asked())
    process = child(tmp_path, urls)
    assert process.wait(120) == 0, process.stdout.read()
    assert not set(rogue.images_asked()[before:]) & recorded
    check_whole(tmp_path / "c", bodies)


def recorded_paths(out):
    if not (out / "manifest.db").is_file():
        return set()
    return {path for path, (state, _) in outcomes(out).items() if state != "waiting"}


def test_a_full_disk_stops_the_run_loses_nothing_and_room_lets_it_go_on(tmp_path, rogue):
    """A limit on the size of files stands in for the full disk: the same error comes from the same call."""
    bodies = [jpeg(1), jpeg(2), jpeg(3, side=2000)]
    urls = [rogue.page(f"/{n}.jpg", body) for n, body in enumerate(bodies)]
    process = child(tmp_path, urls, limit=800_000)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 3 and "make room" in said, said
    assert not files(tmp_path / "c", "partial")
    run(tmp_path / "c", *urls)
    check_whole(tmp_path / "c", bodies)


def test_a_decoder_that_dies_takes_down_one_file_and_no_other(tmp_path, rogue, monkeypatch):
    """A worker is killed from outside while it decodes, over and over, for one file; the others come through."""
    import hf_bones.collect.examine as examine_module

    monkeypatch.setattr(examine_module, "_examine_in_time", dies_on_the_marked)
    urls = [rogue.page(f"/{n}.jpg", jpeg(n)) for n in range(6)]
    urls.append(rogue.page("/deadly.jpg", jpeg(7) + b"DEADLY"))
    run(tmp_path, *urls)
    states = outcomes(tmp_path)
    assert states.pop("/deadly.jpg") == ("refused", "decoder_died") and set(states.values()) == {("stored", "")}


def dies_on_the_marked(body, sha256, folder, limits, keep_refused):
    from hf_bones.collect.examine import examine

    if body.endswith(b"DEADLY"):
        os.kill(os.getpid(), signal.SIGKILL)
    return examine(body, sha256, folder, limits, keep_refused)


def test_what_a_killed_run_left_without_a_row_is_cleared_away(tmp_path, rogue):
    run(tmp_path, rogue.page("/a.jpg", jpeg()))
    (tmp_path / "images/ff").mkdir()
    (tmp_path / "images/ff/stray.jpg").write_bytes(b"stray")
    (tmp_path / "partial/half").write_bytes(b"half")
    with sqlite3.connect(tmp_path / "manifest.db") as connection:
        connection.execute("UPDATE facts SET value = 'yes' WHERE key = 'interrupted'")
    run(tmp_path)
    assert len(files(tmp_path)) == 1 and not files(tmp_path, "partial")
