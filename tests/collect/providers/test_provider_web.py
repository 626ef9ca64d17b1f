"""python -m pytest tests/collect/providers/test_provider_web.py

Bing's and DuckDuckGo's answers are made here in the form that ddgs reads; what the real ones answer today is not proven by this.
"""

import html
import json
from collections.abc import Sequence
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

pytest.importorskip("ddgs")

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.web import Web, WebOptions


def bing_page(pictures: Sequence[tuple[str, str, str]]) -> str:
    """HTML of Bing's asynchronous image page for (image, page, title)."""
    tiles = []
    for image, page, title in pictures:
        facts = html.escape(json.dumps({"murl": image, "purl": page, "t": title, "turl": "https://th.example/1"}), quote=True)
        tiles.append(
            f'<li><div class="iuscp"><div class="imgpt"><a class="iusc" m="{facts}" href="#"></a>'
            '<div class="img_info hon"><span class="nowrap">800 × 600 · jpeg</span></div></div>'
            '<div class="infopt"><div class="lnkw"><a>clinic.example</a></div></div></div></li>'
        )
    return f'<div class="dg_b"><ul>{"".join(tiles)}</ul></div>'


def duckduckgo_page(pictures: Sequence[tuple[str, str, str]]) -> str:
    """JSON of DuckDuckGo's i.js for (image, page, title)."""
    results = [{"image": i, "url": p, "title": t, "thumbnail": "", "width": 8, "height": 6, "source": "Bing"} for i, p, t in pictures]
    return json.dumps({"query": "x", "results": results, "next": "i.js?s=100"})


def pictures(*numbers: int) -> list[tuple[str, str, str]]:
    return [(f"https://img.example/{n}.jpg", f"https://clinic.example/{n}", f"Case {n}") for n in numbers]


class Searches:
    """Both searches on one loopback server; remembers what it was asked."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.bing: list[list[tuple[str, str, str]]] = []
        self.duckduckgo: list[list[tuple[str, str, str]]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        server.expect_request("/images/async").respond_with_handler(self._bing)
        server.expect_request("/home").respond_with_handler(self._home)
        server.expect_request("/i.js").respond_with_handler(self._duckduckgo)

    def options(self, **changed: Any) -> WebOptions:
        url = self.server.url_for
        return WebOptions(
            pause=0.0, bing_endpoint=url("/images/async"), duckduckgo_endpoint=url("/i.js"), duckduckgo_home=url("/home"), **changed
        )

    def _bing(self, request: Request) -> Response:
        self.asked.append(("bing", request.args.to_dict()))
        page = (int(request.args["first"]) - 1) // 35
        return Response(bing_page(self.bing[page] if page < len(self.bing) else []), mimetype="text/html")

    def _home(self, request: Request) -> Response:
        return Response('<html><script>vqd="4-123"</script></html>', mimetype="text/html")

    def _duckduckgo(self, request: Request) -> Response:
        self.asked.append(("duckduckgo", request.args.to_dict()))
        page = int(request.args.get("s", 0)) // 100
        return Response(duckduckgo_page(self.duckduckgo[page] if page < len(self.duckduckgo) else []), mimetype="application/json")


@pytest.fixture
def searches(httpserver: HTTPServer) -> Searches:
    return Searches(httpserver)


def test_both_searches_are_asked_in_turn_and_each_image_comes_once(searches: Searches) -> None:
    searches.bing = [pictures(1, 2), pictures(5)]
    searches.duckduckgo = [pictures(2, 3)]
    found = list(Web(searches.options()).search(" femur fracture ", None))
    assert [c.url for c in found] == [f"https://img.example/{n}.jpg" for n in (1, 2, 3, 5)]
    assert (found[0].page, found[0].title) == ("https://clinic.example/1", "Case 1")
    assert [name for name, _ in searches.asked] == ["bing", "duckduckgo", "bing", "duckduckgo", "bing"]
    assert {question["q"] for _, question in searches.asked} == {"femur fracture"}


def test_the_licence_is_unknown_whatever_was_wished_for(searches: Searches) -> None:
    searches.duckduckgo = [pictures(1)]
    options = searches.options(backends=["duckduckgo"], licence_filter="Share", region="uk-en", safesearch="off")
    (found,) = Web(options).search("femur", None)
    assert (found.licence, found.attribution) == ("unknown", "")
    question = searches.asked[0][1]
    assert (question["vqd"], question["l"], question["p"]) == ("4-123", "uk-en", "-1")
    assert "license:Share" in question["f"]


def test_links_keep_their_percent_signs(searches: Searches) -> None:
    links = ["https://img.example/a%20b%2Fc.jpg?u=1&v=%26", "https://img.example/caf%C3%A9_(1).jpg"]
    searches.bing = [[(links[0], "https://clinic.example/p%20q", 'A "quoted" <b>title</b>')]]
    searches.duckduckgo = [[(links[1], "https://clinic.example/2", "x")]]
    found = list(Web(searches.options()).search("femur", None))
    assert [c.url for c in found] == links
    assert found[0].page == "https://clinic.example/p%20q"


def test_the_limit_ends_the_search(searches: Searches) -> None:
    searches.bing = [pictures(1, 2, 3)]
    assert len(list(Web(searches.options()).search("femur", 2))) == 2
    assert len(searches.asked) == 1


def test_pages_end_at_max_pages(searches: Searches) -> None:
    searches.bing = [pictures(n) for n in range(20)]
    assert len(list(Web(searches.options(backends=["bing"], max_pages=3)).search("femur", None))) == 3


@pytest.mark.parametrize("status", [202, 403, 429])
def test_a_refusal_is_a_rate_limit(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/images/async").respond_with_data("", status=status)
    options = WebOptions(backends=["bing"], pause=0.0, bing_endpoint=httpserver.url_for("/images/async"))
    with pytest.raises(ProviderError, match=f"/images/async: answered {status}") as failure:
        list(Web(options).search("femur", None))
    assert failure.value.status == 429
    assert len(httpserver.log) == 1


def test_a_search_that_refused_is_not_asked_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/images/async").respond_with_data("", status=429)
    web = Web(WebOptions(backends=["bing"], pause=0.0, bing_endpoint=httpserver.url_for("/images/async")))
    for query in ("femur", "tibia"):
        with pytest.raises(ProviderError, match="answered 429"):
            list(web.search(query, None))
    assert len(httpserver.log) == 1


def test_the_other_search_goes_on_when_one_refuses(searches: Searches) -> None:
    searches.server.clear()
    searches.server.expect_request("/images/async").respond_with_data(bing_page(pictures(1)))
    searches.server.expect_request("/home").respond_with_data("", status=429)
    found = []
    with pytest.raises(ProviderError, match="/home: answered 429"):
        for candidate in Web(searches.options(backends=["duckduckgo", "bing"])).search("femur", None):
            found.append(candidate.url)
    assert found == ["https://img.example/1.jpg"]


def test_a_server_error_keeps_its_status(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/images/async").respond_with_data("", status=503)
    options = WebOptions(backends=["bing"], pause=0.0, bing_endpoint=httpserver.url_for("/images/async"))
    with pytest.raises(ProviderError) as failure:
        list(Web(options).search("femur", None))
    assert failure.value.status == 503


def test_a_token_that_is_not_there_is_an_error(searches: Searches) -> None:
    searches.server.clear()
    searches.server.expect_request("/home").respond_with_data("<html>Are you human?</html>")
    with pytest.raises(ProviderError, match="vqd"):
        list(Web(searches.options(backends=["duckduckgo"])).search("femur", None))


def test_an_answer_that_ddgs_cannot_read_names_the_endpoint(searches: Searches) -> None:
    searches.server.clear()
    searches.server.expect_request("/home").respond_with_data('vqd="1"')
    searches.server.expect_request("/i.js").respond_with_data("<html>")
    with pytest.raises(ProviderError, match=r"/i\.js: JSONDecodeError"):
        list(Web(searches.options(backends=["duckduckgo"])).search("femur", None))


def test_a_search_without_a_single_result_counts_as_failed(searches: Searches) -> None:
    with pytest.raises(ProviderError, match="challenge page"):
        list(Web(searches.options()).search("femur", None))


def test_an_unreachable_search_is_an_error() -> None:
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:9"):
        list(Web(WebOptions(backends=["bing"], pause=0.0, bing_endpoint="http://127.0.0.1:9/async")).search("femur", None))


def test_results_whose_links_lead_nowhere_are_left_out(searches: Searches) -> None:
    searches.bing = [[("data:image/png;base64,AA", "", "x"), *pictures(1)]]
    assert [c.url for c in Web(searches.options(backends=["bing"])).search("femur", None)] == ["https://img.example/1.jpg"]


def test_an_unknown_backend_or_level_names_the_known_ones() -> None:
    with pytest.raises(ProviderError, match="did you mean 'bing'"):
        Web(WebOptions(backends=["bingo"]))
    with pytest.raises(ProviderError, match="on, moderate, off"):
        Web(WebOptions(safesearch="no"))
