"""No answer of a server ends a collection: what goes wrong with a URL is written down as that URL's outcome.

Run: pytest tests/collect/test_odd_answers.py
"""

import json
import time

import pytest
from collecting import HERE, outcomes, run
from rogue_server import RogueServer
from small_collection import jpeg

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.http.directives import TdmRule, parse_tdmrep, tdm_reserved
from hf_bones.collect.http.fetch import Fetcher
from hf_bones.collect.http.web import header_number, retry_after_seconds
from hf_bones.manifest.store import open_manifest

NOWHERE = ["http://[", "//[", "http://[::1", "http://\u2100/"]  # a location that no URL parser takes


def raw(*lines, status=302, body=b""):
    """An answer with these header lines, in UTF-8."""
    head = "\r\n".join([f"HTTP/1.1 {status} Answer", f"Content-Length: {len(body)}", *lines])
    return lambda reply: reply.raw(head.encode() + b"\r\n\r\n" + body)


def test_a_redirect_to_nowhere_is_refused_and_the_others_are_collected(tmp_path, rogue):
    urls = [rogue.answer(f"/to/{number}", raw(f"Location: {where}")) for number, where in enumerate(NOWHERE)]
    result = run(tmp_path, *urls, rogue.page("/good", jpeg()))
    found = outcomes(tmp_path)
    assert found.pop("/good") == ("stored", "") and result.stored == 1
    assert found["/to/0"] == found["/to/1"] == ("refused", "bad_url")
    assert all(state in ("refused", "failed") for state, _ in found.values()) and len(found) == len(NOWHERE)
    assert run(tmp_path, *urls).refused == 0  # an outcome: not met anew by each run


@pytest.mark.parametrize("path", ["/robots.txt", "/.well-known/tdmrep.json"])
def test_a_redirect_to_nowhere_in_place_of_a_hosts_rules_states_no_rule(tmp_path, rogue, path):
    rogue.answer(path, raw("Location: http://["))
    assert run(tmp_path, rogue.page("/a", jpeg())).stored == 1


def test_headers_that_look_like_numbers_and_dates_are_none(tmp_path, rogue):
    odd = ["²", "٣", "1e9", "Thu, 01 Jan 99999999999 00:00:00 GMT", "Thu, 01 Jan 2020 00:00:00 +99999999999999", ","]
    urls = [rogue.answer(f"/{number}", raw(f"Retry-After: {text}", status=503)) for number, text in enumerate(odd)]
    run(tmp_path, *urls, rogue.page("/good", jpeg()))
    assert outcomes(tmp_path) == {f"/{number}": ("failed", "http_status") for number in range(len(odd))} | {"/good": ("stored", "")}
    assert [retry_after_seconds({"retry-after": text}) for text in odd] == [None] * len(odd)
    assert retry_after_seconds({"retry-after": " 12 "}) == 12 and header_number({"n": "9" * 400}, "n") == 1e15


def test_an_error_that_nobody_foresaw_is_the_outcome_of_its_url(tmp_path, rogue, monkeypatch):
    follow = Fetcher._follow

    async def stumble(self, url, budget, attempt):
        if url.endswith("/odd"):
            raise RecursionError("too deep")
        return await follow(self, url, budget, attempt)

    monkeypatch.setattr(Fetcher, "_follow", stumble)
    run(tmp_path, rogue.page("/odd", jpeg(1)), rogue.page("/good", jpeg(2)))
    assert outcomes(tmp_path) == {"/odd": ("failed", "bad_answer"), "/good": ("stored", "")}
    with open_manifest(tmp_path) as manifest:
        [row] = manifest.rows("SELECT detail FROM fetches WHERE state = 'failed'")
    assert row["detail"] == "RecursionError: too deep"


def test_a_local_file_that_cannot_be_read_costs_itself(tmp_path):
    def damaged():
        raise EOFError("the archive ends early")

    result = run(tmp_path, Candidate("folder:a/1.png", content=damaged), Candidate("folder:a/2.png", content=jpeg))
    assert (result.stored, result.failed) == (1, 1)


def test_texts_that_no_database_takes_cost_a_character_or_their_candidate(tmp_path, rogue):
    url = rogue.page("/a", jpeg())
    halved = json.loads('"Ada \\ud800"')  # half a character, as an API may spell it
    result = run(tmp_path, Candidate(url, title=halved, details={"view": halved}), Candidate(url + "2", title=["a", "list"]))
    assert result.stored == 1
    assert ["left out" in error for _, _, error in result.failed_searches] == [True]
    with open_manifest(tmp_path) as manifest:
        [image] = manifest.images()
    assert image.title == image.view == "Ada \ufffd"


def test_rules_made_to_take_for_ever_are_read_at_once():
    started = time.monotonic()
    reserved = tdm_reserved([TdmRule("/" + "*a" * 2000 + "$", True)], "http://h/" + "a" * 1900 + "b")
    assert not reserved and parse_tdmrep("[" * 100_000) == ()
    assert time.monotonic() - started < 5  # a regular expression of so many asterisks would not end


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [("/a", "/ab", True), ("/a$", "/ab", False), ("/a$", "/a", True), ("/*.png$", "/x.png", True), ("/*.png$", "/x.png?1", False),
     ("*", "/", True), ("/a*b*c", "/a-c-b-c-d", True), ("/a*b$", "/ab-", False), ("/ab*b$", "/ab", False)],
)  # fmt: skip
def test_what_a_reservation_covers(pattern, path, fits):
    assert tdm_reserved([TdmRule(pattern, True)], f"http://h{path}") is fits


@pytest.mark.parametrize(
    ("path", "how"),
    [("/deep", raw(status=200, body=b"[" * 100_000)), ("/br", raw("Content-Encoding: br", status=200, body=b"x")),
     ("/to", raw("Location: http://[")), ("/late", raw("Retry-After: ²", status=400))],
)  # fmt: skip
def test_an_api_that_answers_with_nonsense_fails_its_search(rogue: RogueServer, path, how):
    with Api("t", HERE, attempts=1, pause=0) as api, pytest.raises(ProviderError):
        api.get_json(rogue.answer(path, how))
