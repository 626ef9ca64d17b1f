"""Openverse, asked over HTTP in its own wire format: `python -m pytest tests/collect/providers/test_provider_openverse.py`."""

import json

import pytest
from werkzeug import Request, Response

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.openverse import Openverse, OpenverseOptions

ID, SECRET = "an-application-id", "s3cret-of-the-application"


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setenv("OPENVERSE_CLIENT_ID", ID)
    monkeypatch.setenv("OPENVERSE_CLIENT_SECRET", SECRET)


def provider(httpserver, api, **options):
    return Openverse(OpenverseOptions(endpoint=httpserver.url_for("/v1"), pause=0.0, **options), api)


def result(number, **changes):
    return {
        "id": f"00000000-{number}",
        "title": f"Wrist {number}",
        "foreign_landing_url": f"https://www.flickr.com/photos/1/{number}",
        "url": f"https://live.staticflickr.com/1/{number}_b.jpg",
        "creator": "A. Smith",
        "creator_url": "https://www.flickr.com/photos/1",
        "license": "by-sa",
        "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
        "provider": "flickr",
        "source": "flickr",
        "category": "photograph",
        "attribution": f'"Wrist {number}" by A. Smith is licensed under CC BY-SA 2.0.',
        "mature": False,
        "height": 768,
        "width": 1024,
        "thumbnail": f"https://api.openverse.org/v1/images/00000000-{number}/thumb/",
    } | changes


def answer(results, page=1, pages=1, size=20):
    return {"result_count": pages * size, "page_count": pages, "page_size": size, "page": page, "results": results}


class Catalogue:
    """Answers GET /v1/images/ page by page and remembers what it was asked."""

    def __init__(self, httpserver, images, path="/v1/images/"):
        self.images, self.asked = images, []
        httpserver.expect_request(path, method="GET").respond_with_handler(self)

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        page, size = int(request.args["page"]), int(request.args["page_size"])
        pages = -(-len(self.images) // size)
        chosen = self.images[(page - 1) * size : page * size]
        return Response(json.dumps(answer(chosen, page, pages, size)), content_type="application/json")


def test_a_result_becomes_a_candidate_with_its_licence_and_attribution(httpserver, api):
    Catalogue(httpserver, [result(1)])
    (found,) = provider(httpserver, api).search("wrist", None)
    assert found.url == "https://live.staticflickr.com/1/1_b.jpg"
    assert found.page == "https://www.flickr.com/photos/1/1"
    assert (found.title, found.creator, found.creator_url) == ("Wrist 1", "A. Smith", "https://www.flickr.com/photos/1")
    assert (found.licence, found.licence_text) == ("CC-BY-SA-2.0", "by-sa 2.0")
    assert found.licence_url == "https://creativecommons.org/licenses/by-sa/2.0/"
    assert found.attribution == '"Wrist 1" by A. Smith is licensed under CC BY-SA 2.0.'
    assert (found.label, found.region, found.sha256) == ("", "", "")


@pytest.mark.parametrize(
    ("code", "version", "identifier"),
    [("cc0", "1.0", "CC0-1.0"), ("pdm", "1.0", "CC-PDM-1.0"), ("by", None, "LicenseRef-CC-BY"), ("", "", "unknown")],
)
def test_what_has_no_deed_or_no_version_keeps_its_own_meaning(httpserver, api, code, version, identifier):
    Catalogue(httpserver, [result(1, license=code, license_version=version, license_url=None, attribution=None)])
    (found,) = provider(httpserver, api).search("wrist", None)
    assert found.licence == identifier
    assert found.attribution.startswith("“Wrist 1” by A. Smith")


def test_pages_are_read_to_the_last_one(httpserver, api):
    catalogue = Catalogue(httpserver, [result(n) for n in range(5)])
    found = list(provider(httpserver, api, page_size=2).search("  wrist \n x-ray ", None))
    assert [candidate.title for candidate in found] == [f"Wrist {n}" for n in range(5)]
    assert [request.args["page"] for request in catalogue.asked] == ["1", "2", "3"]
    assert {request.args["q"] for request in catalogue.asked} == {"wrist x-ray"}
    assert {request.headers["User-Agent"] for request in catalogue.asked} == {"hf_bones-tests"}


def test_the_limit_is_kept_without_asking_for_more_pages(httpserver, api):
    catalogue = Catalogue(httpserver, [result(n) for n in range(9)])
    assert len(list(provider(httpserver, api, page_size=2).search("wrist", 4))) == 4
    assert len(catalogue.asked) == 2
    assert len(list(provider(httpserver, api).search("wrist", 3))) == 3
    assert catalogue.asked[-1].args["page_size"] == "3"
    assert list(provider(httpserver, api).search("wrist", 0)) == []
    assert len(catalogue.asked) == 3


def test_no_page_beyond_the_twentieth_is_asked_for(httpserver, api):
    catalogue = Catalogue(httpserver, [result(n) for n in range(30)])
    assert len(list(provider(httpserver, api, page_size=1).search("wrist", None))) == 20
    assert len(catalogue.asked) == 20


def test_options_become_parameters(httpserver, api):
    catalogue = Catalogue(httpserver, [])
    options = {"license": ["by", "cc0"], "excluded_source": ["flickr"], "extension": ["jpg", "png"], "size": ["large"], "filter_dead": True}
    assert list(provider(httpserver, api, category=["photograph"], **options).search("wrist", None)) == []
    asked = catalogue.asked[0].args.to_dict()
    assert asked == {
        "q": "wrist", "page": "1", "page_size": "20", "mature": "false", "license": "by,cc0", "excluded_source": "flickr",
        "extension": "jpg,png", "size": "large", "category": "photograph", "filter_dead": "true",
    }  # fmt: skip


def test_source_and_excluded_source_exclude_each_other(httpserver, api):
    with pytest.raises(ProviderError, match=r"source \(met\) and excluded_source \(flickr\)"):
        provider(httpserver, api, source=["met"], excluded_source=["flickr"])


def test_entries_without_a_usable_url_are_passed_over(httpserver, api):
    odd = [result(1, url=None), result(2, url="ftp://x.org/a.jpg"), result(3, url="http://[bad"), "text", None, 7, {}, result(4)]
    Catalogue(httpserver, [*odd, result(4)])
    assert [candidate.title for candidate in provider(httpserver, api).search("wrist", None)] == ["Wrist 4"]


def test_what_came_before_an_error_counts(httpserver, api):
    httpserver.expect_ordered_request("/v1/images/").respond_with_json(answer([result(1)], 1, 2))
    httpserver.expect_ordered_request("/v1/images/").respond_with_data("{", content_type="application/json")
    found = []
    with pytest.raises(ProviderError):
        for candidate in provider(httpserver, api).search("wrist", None):
            found.append(candidate.title)
    assert found == ["Wrist 1"]


def test_429_is_waited_out(httpserver, api):
    httpserver.expect_ordered_request("/v1/images/").respond_with_json({"detail": "throttled"}, status=429, headers={"Retry-After": "0"})
    httpserver.expect_ordered_request("/v1/images/").respond_with_json(answer([result(1)]))
    assert len(list(provider(httpserver, api).search("wrist", None))) == 1


def test_a_401_without_credentials_says_what_the_server_said(httpserver, api):
    httpserver.expect_request("/v1/images/").respond_with_json({"detail": "page_size over 20"}, status=401)
    with pytest.raises(ProviderError, match="page_size over 20") as caught:
        list(provider(httpserver, api).search("wrist", None))
    assert caught.value.status == 401


def test_a_large_page_needs_credentials(httpserver, api):
    with pytest.raises(ProviderError, match=r"OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET"):
        provider(httpserver, api, page_size=50)


def test_half_of_the_credentials_is_an_error_that_names_the_other_half(httpserver, api, monkeypatch):
    monkeypatch.setenv("OPENVERSE_CLIENT_ID", ID)
    with pytest.raises(ProviderError, match="OPENVERSE_CLIENT_SECRET is not set"):
        provider(httpserver, api)


class Tokens:
    """Answers POST /v1/auth_tokens/token/ with token-1, token-2 … and remembers the forms."""

    def __init__(self, httpserver):
        self.forms = []
        httpserver.expect_request("/v1/auth_tokens/token/", method="POST").respond_with_handler(self)

    def __call__(self, request: Request) -> Response:
        self.forms.append(request.form.to_dict())
        body = {"access_token": f"token-{len(self.forms)}", "expires_in": 36000, "token_type": "Bearer", "scope": "read write"}
        return Response(json.dumps(body), content_type="application/json")


def test_one_token_serves_many_pages_and_searches(httpserver, api, registered):
    tokens, catalogue = Tokens(httpserver), Catalogue(httpserver, [result(n) for n in range(60)])
    openverse = provider(httpserver, api, page_size=50)
    assert len(list(openverse.search("wrist", None))) == 60
    assert len(list(openverse.search("ankle", 5))) == 5
    assert tokens.forms == [{"grant_type": "client_credentials", "client_id": ID, "client_secret": SECRET}]
    assert {request.headers["Authorization"] for request in catalogue.asked} == {"Bearer token-1"}


def test_a_token_that_has_run_out_is_renewed_once(httpserver, api, registered):
    tokens = Tokens(httpserver)
    for number, token in ((1, "token-1"), (2, "token-2")):
        httpserver.expect_request("/v1/images/", headers={"Authorization": f"Bearer {token}"}, query_string=None).respond_with_json(
            answer([result(number)])
        )
    openverse = provider(httpserver, api)
    assert [c.title for c in openverse.search("wrist", None)] == ["Wrist 1"]
    httpserver.clear()
    tokens.forms.append({})  # the next one is token-3
    httpserver.expect_request("/v1/auth_tokens/token/", method="POST").respond_with_handler(tokens)
    httpserver.expect_request("/v1/images/", headers={"Authorization": "Bearer token-1"}).respond_with_json(
        {"detail": "expired"}, status=401
    )
    httpserver.expect_request("/v1/images/", headers={"Authorization": "Bearer token-3"}).respond_with_json(answer([result(3)]))
    assert [c.title for c in openverse.search("wrist", None)] == ["Wrist 3"]


def test_a_fresh_token_that_is_refused_is_not_asked_for_again(httpserver, api, registered):
    tokens = Tokens(httpserver)
    httpserver.expect_request("/v1/images/").respond_with_json({"detail": "no"}, status=401)
    with pytest.raises(ProviderError) as caught:
        list(provider(httpserver, api).search("wrist", None))
    assert caught.value.status == 401
    assert len(tokens.forms) == 1


def test_no_error_shows_a_secret_even_if_the_server_sends_it_back(httpserver, api, registered):
    echo = {"error": "invalid_client", "sent": f"{ID} {SECRET}"}
    httpserver.expect_request("/v1/auth_tokens/token/").respond_with_json(echo, status=401)
    with pytest.raises(ProviderError, match="Check OPENVERSE_CLIENT_ID") as caught:
        list(provider(httpserver, api).search("wrist", None))
    assert SECRET not in str(caught.value)
    assert ID not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_error_shows_a_token(httpserver, api, registered):
    Tokens(httpserver)
    httpserver.expect_request("/v1/images/").respond_with_json({"detail": "bad: Bearer token-1"}, status=400)
    with pytest.raises(ProviderError) as caught:
        list(provider(httpserver, api).search("wrist", None))
    assert "token-1" not in str(caught.value)


@pytest.mark.parametrize("body", [[], {"token": SECRET}, {"access_token": None}])
def test_a_token_answer_of_another_shape_is_an_error(httpserver, api, registered, body):
    httpserver.expect_request("/v1/auth_tokens/token/").respond_with_json(body)
    with pytest.raises(ProviderError, match="expected a JSON object with an access_token") as caught:
        list(provider(httpserver, api).search("wrist", None))
    assert SECRET not in str(caught.value)
