"""python -m pytest tests/collect/providers/test_provider_searxng.py"""

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.providers.searxng import SearxNG, SearxngOptions


def result(number: int, **changed: Any) -> dict[str, Any]:
    """A result as SearXNG's image template has it."""
    return {
        "template": "images.html", "url": f"https://clinic.example/case/{number}", "title": f"Case {number}", "content": "",
        "img_src": f"https://img.example/{number}.jpg", "thumbnail_src": f"https://img.example/{number}_t.jpg", "source": "clinic",
        "resolution": "800 x 600", "engine": "bing images", "engines": ["bing images"], "category": "images", "score": 1.0, **changed,
    }  # fmt: skip


def answer(results: list[Any], silent: list[list[str]] | None = None) -> dict[str, Any]:
    return {
        "query": "x", "number_of_results": 0, "results": results, "answers": [], "corrections": [], "infoboxes": [], "suggestions": [],
        "unresponsive_engines": silent or [],
    }  # fmt: skip


def serve(server: HTTPServer, pages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Gives `pages` by `pageno`, empty ones after the last; returns the list in which the questions will stand."""
    asked: list[dict[str, str]] = []

    def page(request: Request) -> Response:
        asked.append(request.args.to_dict())
        number = int(request.args["pageno"])
        return Response(json.dumps(pages[number - 1] if number <= len(pages) else answer([])), mimetype="application/json")

    server.expect_request("/search").respond_with_handler(page)
    return asked


def provider(server: HTTPServer, api: Api, **options: Any) -> SearxNG:
    return SearxNG(SearxngOptions(endpoint=server.url_for("/"), pause=0.0, **options), api)


def test_pages_are_read_until_one_brings_nothing_new(httpserver: HTTPServer, api: Api) -> None:
    asked = serve(httpserver, [answer([result(1), result(2)]), answer([result(2), result(3)])])
    found = list(provider(httpserver, api).search(" femur x-ray ", None))
    assert [c.url for c in found] == [f"https://img.example/{n}.jpg" for n in (1, 2, 3)]
    assert [q["pageno"] for q in asked] == ["1", "2", "3"]
    assert asked[0] == {"q": "femur x-ray", "format": "json", "categories": "images", "pageno": "1", "safesearch": "0"}


def test_a_result_becomes_a_candidate_of_unknown_licence(httpserver: HTTPServer, api: Api) -> None:
    serve(httpserver, [answer([result(1, author="A. Ray")])])
    (found,) = provider(httpserver, api).search("femur", None)
    assert (found.page, found.title, found.creator) == ("https://clinic.example/case/1", "Case 1", "A. Ray")
    assert (found.licence, found.attribution, found.label) == ("unknown", "", "")


def test_links_without_a_scheme_are_completed_and_those_that_cannot_be_fetched_are_left_out(httpserver: HTTPServer, api: Api) -> None:
    odd = ["//cdn.example/a.jpg", "/image_proxy?url=x", "data:image/png;base64,AAAA", "", None, 7, "http://[broken/x.jpg"]
    serve(httpserver, [answer([result(n, img_src=source) for n, source in enumerate(odd)] + ["not a mapping"])])
    found = [c.url for c in provider(httpserver, api).search("femur", None)]
    assert found == ["https://cdn.example/a.jpg", httpserver.url_for("/image_proxy?url=x")]


def test_the_limit_ends_the_search_without_a_further_question(httpserver: HTTPServer, api: Api) -> None:
    asked = serve(httpserver, [answer([result(1), result(2)]), answer([result(3)])])
    assert len(list(provider(httpserver, api).search("femur", 2))) == 2
    assert len(asked) == 1


def test_engines_language_and_safe_search_are_passed_on(httpserver: HTTPServer, api: Api) -> None:
    asked = serve(httpserver, [])
    list(provider(httpserver, api, engines=["openverse", "bing images"], language="en", safesearch=2).search("femur", None))
    assert (asked[0]["engines"], asked[0]["language"], asked[0]["safesearch"]) == ("openverse,bing images", "en", "2")


def test_a_403_says_how_to_allow_json(httpserver: HTTPServer, api: Api) -> None:
    httpserver.expect_request("/search").respond_with_data("Forbidden", status=403)
    with pytest.raises(ProviderError, match=r"search\.formats.*settings\.yml") as failure:
        list(provider(httpserver, api).search("femur", None))
    assert failure.value.status == 403


def test_the_limiter_of_a_server_is_waited_for_and_then_reported(httpserver: HTTPServer, api: Api) -> None:
    httpserver.expect_request("/search").respond_with_data("Too Many Requests", status=429)
    with pytest.raises(ProviderError, match="429") as failure:
        list(provider(httpserver, api).search("femur", None))
    assert failure.value.status == 429
    assert len(httpserver.log) == 3


def test_silent_engines_are_named_where_nothing_was_found(httpserver: HTTPServer, api: Api) -> None:
    serve(httpserver, [answer([], [["bing images", "CAPTCHA"], ["qwant images", "timeout"]])])
    with pytest.raises(ProviderError, match=r"bing images \(CAPTCHA\), qwant images \(timeout\)"):
        list(provider(httpserver, api).search("femur", None))


def test_an_engine_that_falls_silent_half_way_fails_the_search_after_what_it_gave(httpserver: HTTPServer, api: Api) -> None:
    serve(httpserver, [answer([result(1)]), answer([], [["bing images", "too many requests"]])])
    found: list[Candidate] = []
    with pytest.raises(ProviderError, match="page 2"):
        found.extend(provider(httpserver, api).search("femur", None))
    found = list(provider(httpserver, api).search("femur", 1))
    assert [c.url for c in found] == ["https://img.example/1.jpg"]


def test_an_engine_that_never_answers_does_not_fail_the_others(httpserver: HTTPServer, api: Api) -> None:
    dead = [["qwant images", "access denied"]]
    serve(httpserver, [answer([result(1)], dead), answer([], dead)])
    assert len(list(provider(httpserver, api).search("femur", None))) == 1


def test_a_server_that_repeats_itself_is_left_after_max_pages(httpserver: HTTPServer, api: Api) -> None:
    asked = serve(httpserver, [answer([result(n)]) for n in range(50)])
    assert len(list(provider(httpserver, api, max_pages=4).search("femur", None))) == 4
    assert len(asked) == 4


@pytest.mark.parametrize("endpoint", ["", "localhost:8080", "ftp://x"])
def test_a_missing_endpoint_says_how_to_set_it(api: Api, endpoint: str) -> None:
    with pytest.raises(ProviderError, match=r"endpoint: http://localhost:8080.* under providers\.searxng"):
        SearxNG(SearxngOptions(endpoint=endpoint), api)
