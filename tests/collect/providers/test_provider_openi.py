"""Open-i, asked over HTTP in the wire format that its clients report: `python -m pytest tests/collect/providers/test_provider_openi.py`."""

import json

import pytest
from werkzeug import Request, Response

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.openi import OpenI, OpenIOptions

PATH = "/api/search"


def provider(httpserver, api, **options):
    return OpenI(OpenIOptions(endpoint=httpserver.url_for(""), pause=0.0, **options), api)


def figure(number, **changes):
    return {
        "uid": f"PMC31{number}",
        "pmid": "21234567",
        "pmcid": f"31{number}",
        "title": "A <i>comminuted</i> fracture",
        "authors": "Smith A, Jones B",
        "journal_title": "Case Rep Orthop",
        "imgLarge": f"/imgs/512/1/31{number}/PMC31{number}_g.png",
        "imgThumb": f"/imgs/137/1/31{number}/PMC31{number}_g.png",
        "pmc_url": f"https://www.ncbi.nlm.nih.gov/pmc/articles/PMC31{number}/",
        "pubMed_url": "https://www.ncbi.nlm.nih.gov/pubmed/21234567",
        "image": {"id": "fig1", "caption": f"Lateral <b>radiograph</b> {number} &amp; more.", "modalityMajor": "x"},
        "MeSH": {"major": [], "minor": []},
        "Problems": "fracture",
    } | changes


class Server:
    """Answers /api/search with the figures m … n, both counted from 1, and remembers what it was asked."""

    def __init__(self, httpserver, figures):
        self.figures, self.asked = figures, []
        httpserver.expect_request(PATH, method="GET").respond_with_handler(self)

    def __call__(self, request: Request) -> Response:
        self.asked.append(request.args.to_dict())
        first, last = int(request.args["m"]), int(request.args["n"])
        chosen = self.figures[first - 1 : last]
        answer = {"total": len(self.figures), "count": len(chosen), "min": first, "max": last, "list": chosen, "Query-Fields": []}
        return Response(json.dumps(answer), content_type="application/json")


def test_a_figure_becomes_a_candidate_of_its_article(httpserver, api):
    Server(httpserver, [figure(1)])
    (found,) = provider(httpserver, api).search("fracture", None)
    assert found.url == httpserver.url_for("/imgs/512/1/311/PMC311_g.png")
    assert found.page == "https://europepmc.org/article/PMC/PMC311"
    assert found.title == "A comminuted fracture — Lateral radiograph 1 & more."
    assert found.creator == "Smith A, Jones B"
    assert found.licence == "unknown"
    assert found.region == ""
    assert "licence unknown" in found.attribution


def test_a_licence_is_read_where_the_server_states_it(httpserver, api):
    Server(httpserver, [figure(1, licenseURL="http://creativecommons.org/licenses/by-nc/3.0/", ccLicense="by-nc")])
    (found,) = provider(httpserver, api).search("fracture", None)
    assert (found.licence, found.licence_text) == ("CC-BY-NC-3.0", "by-nc")
    assert found.licence_url == "http://creativecommons.org/licenses/by-nc/3.0/"


@pytest.mark.parametrize(
    ("changes", "page"),
    [
        ({"pmcid": "PMC42"}, "https://europepmc.org/article/PMC/PMC42"),
        ({"pmcid": 42}, "https://europepmc.org/article/PMC/PMC42"),
        ({"pmcid": None}, "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC311/"),
        ({"pmcid": "0", "pmc_url": "/x"}, "https://www.ncbi.nlm.nih.gov/pubmed/21234567"),
        ({"pmcid": "", "pmc_url": None, "pubMed_url": None}, "{server}/detailedresult?img=fig1"),
        ({"pmcid": "", "pmc_url": None, "pubMed_url": None, "image": None}, ""),
    ],
)
def test_the_page_is_the_article_where_there_is_one(httpserver, api, changes, page):
    Server(httpserver, [figure(1, **changes)])
    (found,) = provider(httpserver, api).search("fracture", None)
    assert found.page == page.format(server=httpserver.url_for("").rstrip("/"))


def test_pages_go_from_the_first_to_the_last_figure_counted_from_one(httpserver, api):
    server = Server(httpserver, [figure(n) for n in range(7)])
    found = list(provider(httpserver, api, page_size=3, coll="pmc").search("  bone   fracture ", None))
    assert len(found) == 7
    assert [(asked["m"], asked["n"]) for asked in server.asked] == [("1", "3"), ("4", "6"), ("7", "9")]
    assert server.asked[0] == {"query": "bone fracture", "m": "1", "n": "3", "it": "x", "coll": "pmc"}


def test_the_limit_is_kept_without_asking_for_more_pages(httpserver, api):
    server = Server(httpserver, [figure(n) for n in range(9)])
    assert len(list(provider(httpserver, api, page_size=2, it="").search("fracture", 4))) == 4
    assert len(server.asked) == 2
    assert "it" not in server.asked[0]
    assert len(list(provider(httpserver, api).search("fracture", 3))) == 3
    assert server.asked[-1]["n"] == "3"


def test_a_server_that_sends_its_first_page_for_ever_is_not_asked_for_ever(httpserver, api):
    httpserver.expect_request(PATH).respond_with_json({"total": 1000000, "list": [figure(1), figure(2)]})
    assert len(list(provider(httpserver, api).search("fracture", None))) == 2
    assert len(httpserver.log) == 2


def test_figures_without_an_image_are_passed_over(httpserver, api):
    odd = [figure(1, imgLarge=None), figure(2, imgLarge="ftp://x.org/a"), figure(3, imgLarge="http://["), "text", None, {}]
    Server(httpserver, [*odd, figure(4)])
    found = list(provider(httpserver, api, page_size=3).search("fracture", None))
    assert [candidate.page for candidate in found] == ["https://europepmc.org/article/PMC/PMC314"]


def test_nothing_found_is_no_error(httpserver, api):
    httpserver.expect_request(PATH).respond_with_json({"total": 0})
    assert list(provider(httpserver, api).search("fracture", None)) == []


def test_a_total_in_text_is_read(httpserver, api):
    httpserver.expect_request(PATH).respond_with_json({"total": "1", "list": [figure(1)]})
    assert len(list(provider(httpserver, api).search("fracture", None))) == 1


def test_malformed_json_after_a_page_keeps_what_came_before(httpserver, api):
    httpserver.expect_ordered_request(PATH).respond_with_json({"total": 90, "list": [figure(1)]})
    httpserver.expect_ordered_request(PATH).respond_with_data("{", content_type="application/json")
    found = []
    with pytest.raises(ProviderError, match="not JSON"):
        for candidate in provider(httpserver, api).search("fracture", None):
            found.append(candidate)
    assert len(found) == 1


def test_429_is_waited_out(httpserver, api):
    httpserver.expect_ordered_request(PATH).respond_with_data("slow down", status=429, headers={"Retry-After": "0"})
    httpserver.expect_ordered_request(PATH).respond_with_json({"total": 1, "list": [figure(1)]})
    assert len(list(provider(httpserver, api).search("fracture", None))) == 1


def test_an_empty_page_is_refused_before_asking(httpserver, api):
    with pytest.raises(ProviderError, match="page_size is 0"):
        provider(httpserver, api, page_size=0)
