"""Asking providers' APIs: `python -m pytest tests/collect/http/test_api.py`."""

import itertools
import time

import pytest

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.api import Api


@pytest.fixture
def api():
    with Api(
        "hf_bones-tests (me@example.org)", AddressGuard(["127.0.0.1"]), pause=0.0, first_wait=0.01, attempts=3, longest_wait=1.0
    ) as api:
        yield api


def test_json_text_and_forms_come_back_decoded_and_under_our_name(api, rogue):
    rogue.page("/a?q=wrist+x-ray", b'{"found": 3}')
    rogue.page("/b", "Röntgen".encode())
    rogue.page("/token", b'{"access_token": "t"}')
    assert api.get_json(f"{rogue.url}/a", {"q": "wrist x-ray"}, headers={"X-Key": "k"}) == {"found": 3}
    assert api.get_text(f"{rogue.url}/b") == "Röntgen"
    assert api.post_form(f"{rogue.url}/token", {"client_secret": "s"}) == {"access_token": "t"}
    assert rogue.headers[0]["user-agent"] == "hf_bones-tests (me@example.org)" and rogue.headers[0]["x-key"] == "k"


def test_a_limit_or_an_outage_that_passes_is_waited_for(api, rogue):
    def limited(reply):
        if reply.number == 1:
            reply.send(b"slow down", status=429, Retry_After="0")
        elif reply.number == 2:
            reply.reset()
        else:
            reply.send(b"[]")

    assert api.get_json(rogue.answer("/a", limited)) == []
    assert rogue.hits.count("/a") == 3


def test_a_longer_wait_than_the_longest_is_reported_at_once(api, rogue):
    url = rogue.answer("/a", lambda reply: reply.send(status=429, Retry_After="7200"))
    with pytest.raises(ProviderError, match="asks to wait 7200 s") as caught:
        api.get_json(url)
    assert (caught.value.status, caught.value.retry_after, rogue.hits.count("/a")) == (429, 7200.0, 1)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda reply: reply.send(b"no key", status=401), "answered 401: no key"),
        (lambda reply: reply.send(b"<html>"), "is not JSON"),
        (lambda reply: reply.send(status=500), "answered 500"),
        (lambda reply: reply.head(length=10**9), "over 33554432 bytes"),
        (lambda reply: reply.reset(), "ReadError|RemoteProtocolError"),
    ],
)
def test_what_is_no_answer_is_an_error_that_names_the_address(api, rogue, answer, says):
    url = rogue.answer("/a", answer)
    with pytest.raises(ProviderError, match=says) as caught:
        api.get_json(url)
    assert url in str(caught.value)


def test_an_api_at_a_private_address_is_refused_with_the_way_out(rogue):
    with Api("t", AddressGuard(), pause=0.0) as api, pytest.raises(ProviderError, match="--allow-private"):
        api.get_json(f"{rogue.url}/a")
    assert not rogue.hits


def test_a_redirect_of_an_api_is_followed_but_not_into_a_private_network(api, rogue):
    rogue.page("/new", b"1")
    assert api.get_json(rogue.answer("/old", lambda reply: reply.send(status=301, Location="/new"))) == 1
    trap = rogue.answer("/trap", lambda reply: reply.send(status=302, Location="http://169.254.169.254/latest"))
    with pytest.raises(ProviderError, match="not a public address"):
        api.get_json(trap)


def test_a_secret_never_stands_in_an_error(api, rogue):
    url = rogue.answer("/token", lambda reply: reply.send(b"bad client", status=403))
    with pytest.raises(ProviderError) as caught:
        api.post_form(url, {"client_secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_requests_to_one_host_keep_their_pause(rogue):
    times = []

    def note(reply):
        times.append(time.monotonic())
        reply.send(b"1")

    url = rogue.answer("/a", note)
    with Api("t", AddressGuard(["127.0.0.1"]), pause=0.15) as api:
        for _ in range(3):
            api.get_json(url)
    assert all(later - earlier > 0.12 for earlier, later in itertools.pairwise(times))
