"""What hosts allow, reserve and ask for is honoured. Run: pytest tests/collect/test_politeness.py"""

import itertools
import time

import pytest
from collecting import files, outcomes, run
from rogue_server import RogueServer
from small_collection import jpeg


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

    run(tmp_path, *(rogue.answer(f"/{n}", note) for n in range(4)), delay=0.3)  # the server may see each of them late
    assert all(later - earlier > 0.2 for earlier, later in itertools.pairwise(times))
