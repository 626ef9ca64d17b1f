"""Wikimedia Commons, asked over HTTP in MediaWiki's wire format: `python -m pytest tests/collect/providers/test_provider_commons.py`."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug import Request, Response

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.commons import Commons, CommonsOptions, plain_text, read_html

PATH = "/w/api.php"


def provider(httpserver, api, **options):
    return Commons(CommonsOptions(**{"endpoint": httpserver.url_for(PATH), "pause": 0.0, "lag_wait": 0.0} | options), api)


def metadata(**values):
    return {name: {"value": value, "source": "commons-desc-page", "hidden": ""} for name, value in values.items()}


def page(number, mime="image/jpeg", **values):
    said = {
        "Artist": '<a href="//commons.wikimedia.org/wiki/User:Hellerhoff" title="User:Hellerhoff">Hellerhoff</a>',
        "LicenseShortName": "CC BY-SA 3.0",
        "LicenseUrl": "https://creativecommons.org/licenses/by-sa/3.0",
        "UsageTerms": "Creative Commons Attribution-Share Alike 3.0",
    } | values
    info = {
        "size": 80000, "width": 900, "height": 1200, "mime": mime, "sha1": f"{number:040x}",
        "url": f"https://upload.wikimedia.org/wikipedia/commons/a/ab/Fracture_{number}.jpg",
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Fracture_{number}.jpg",
        "descriptionshorturl": f"https://commons.wikimedia.org/w/index.php?curid={number}",
        "extmetadata": metadata(**{name: value for name, value in said.items() if value}),
    }  # fmt: skip
    return {
        "pageid": number,
        "ns": 6,
        "title": f"File:Fracture {number}.jpg",
        "index": number,
        "imagerepository": "local",
        "imageinfo": [info],
    }


class Wiki:
    """Answers api.php with the pages of a search, gsrlimit at a time, in an order of its own, and remembers what it was asked."""

    def __init__(self, httpserver, pages):
        self.pages, self.asked = pages, []
        httpserver.expect_request(PATH, method="GET").respond_with_handler(self)

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        start, size = int(request.args.get("gsroffset", 0)), int(request.args["gsrlimit"])
        answer = {"batchcomplete": True}
        if self.pages:
            answer["query"] = {"pages": self.pages[start : start + size][::-1]}
        if start + size < len(self.pages):
            answer["continue"] = {"gsroffset": start + size, "continue": "gsroffset||"}
        return Response(json.dumps(answer), content_type="application/json")


def test_a_file_becomes_a_candidate_with_its_licence_in_plain_text(httpserver, api):
    Wiki(httpserver, [page(1)])
    (found,) = provider(httpserver, api).search("fracture", None)
    assert found.url == "https://upload.wikimedia.org/wikipedia/commons/a/ab/Fracture_1.jpg"
    assert found.page == "https://commons.wikimedia.org/wiki/File:Fracture_1.jpg"
    assert found.title == "Fracture 1.jpg"
    assert found.creator == "Hellerhoff"
    assert found.creator_url == "http://commons.wikimedia.org/wiki/User:Hellerhoff"
    assert (found.licence, found.licence_text) == ("CC-BY-SA-3.0", "CC BY-SA 3.0")
    assert found.licence_url == "https://creativecommons.org/licenses/by-sa/3.0"
    assert found.attribution.startswith("“Fracture 1.jpg” by Hellerhoff (https://commons.wikimedia.org/wiki/File:Fracture_1.jpg), licensed")
    assert found.sha256 == ""


@pytest.mark.parametrize(
    ("name", "url", "identifier"),
    [
        ("Public domain", "", "LicenseRef-Public-Domain"),
        ("CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
        ("CC BY-SA 3.0 de", "https://creativecommons.org/licenses/by-sa/3.0/de/deed.en", "CC-BY-SA-3.0-DE"),
        ("GFDL", "http://www.gnu.org/copyleft/fdl.html", "LicenseRef-GFDL"),
        ("", "", "unknown"),
    ],
)
def test_the_licences_of_commons_are_normalised(httpserver, api, name, url, identifier):
    Wiki(httpserver, [page(1, LicenseShortName=name, LicenseUrl=url, UsageTerms="")])
    (found,) = provider(httpserver, api).search("fracture", None)
    assert found.licence == identifier


def test_an_attribution_that_the_author_words_is_kept(httpserver, api):
    Wiki(httpserver, [page(1, Attribution="Photo: <b>Dr.&nbsp;James</b>, Radiopaedia")])
    (found,) = provider(httpserver, api).search("fracture", None)
    assert found.attribution == "Photo: Dr. James, Radiopaedia"


def test_pages_are_followed_and_sorted_by_the_index_of_the_search(httpserver, api):
    wiki = Wiki(httpserver, [page(n) for n in range(1, 8)])
    found = list(provider(httpserver, api, page_size=3).search(" fracture  tibia ", None))
    assert [candidate.title for candidate in found] == [f"Fracture {n}.jpg" for n in range(1, 8)]
    assert [request.args.get("gsroffset") for request in wiki.asked] == [None, "3", "6"]
    asked = wiki.asked[1].args.to_dict()
    assert asked.pop("continue") == "gsroffset||"
    assert asked == {
        "action": "query", "format": "json", "formatversion": "2", "generator": "search", "gsrsearch": "fracture tibia filetype:bitmap",
        "gsrnamespace": "6", "gsrlimit": "3", "gsroffset": "3", "maxlag": "5", "prop": "imageinfo",
        "iiprop": "url|size|mime|sha1|extmetadata",
        "iiextmetadatafilter": "LicenseShortName|LicenseUrl|UsageTerms|Artist|Attribution",
    }  # fmt: skip
    assert {request.headers["User-Agent"] for request in wiki.asked} == {"hf_bones-tests"}


def test_the_limit_is_kept_without_asking_for_more_pages(httpserver, api):
    wiki = Wiki(httpserver, [page(n) for n in range(1, 20)])
    assert len(list(provider(httpserver, api, page_size=3).search("fracture", 6))) == 6
    assert len(wiki.asked) == 2
    assert len(list(provider(httpserver, api).search("fracture", 2))) == 2
    assert wiki.asked[-1].args["gsrlimit"] == "2"


def test_a_file_whose_imageinfo_was_cut_off_is_taken_from_the_next_answer(httpserver, api):
    bare = {name: value for name, value in page(2).items() if name != "imageinfo"}
    first = {"continue": {"iicontinue": "x", "continue": "||"}, "query": {"pages": [page(1), bare]}}
    httpserver.expect_ordered_request(PATH).respond_with_json(first)
    httpserver.expect_ordered_request(PATH).respond_with_json({"batchcomplete": True, "query": {"pages": [page(1), page(2)]}})
    assert [c.title for c in provider(httpserver, api).search("fracture", None)] == ["Fracture 1.jpg", "Fracture 2.jpg"]


def test_a_search_without_results_has_no_query_and_is_no_error(httpserver, api):
    Wiki(httpserver, [])
    assert list(provider(httpserver, api).search("fracture", None)) == []


def test_drawings_documents_and_odd_entries_are_passed_over(httpserver, api):
    nowhere, listless = page(3), page(4)
    nowhere["imageinfo"][0]["url"] = None
    listless["imageinfo"] = "none"
    odd = [page(1, "image/svg+xml"), page(2, "application/pdf"), nowhere, listless, "text", None, {"title": "File:X"}]
    Wiki(httpserver, [*odd, page(9)])
    assert [c.title for c in provider(httpserver, api).search("fracture", None)] == ["Fracture 9.jpg"]


def test_which_types_are_kept_is_an_option(httpserver, api):
    Wiki(httpserver, [page(1, "image/svg+xml"), page(2)])
    assert len(list(provider(httpserver, api, mimes=[]).search("fracture", None))) == 2
    assert len(list(provider(httpserver, api, mimes=["image/svg+xml"]).search("fracture", None))) == 1


def test_metadata_of_another_shape_leaves_the_licence_unknown(httpserver, api):
    for extmetadata in (None, [], {"LicenseShortName": "CC0"}, {"LicenseShortName": {"value": 7}}):
        httpserver.clear()
        file = page(1)
        file["imageinfo"][0]["extmetadata"] = extmetadata
        Wiki(httpserver, [file])
        (found,) = provider(httpserver, api).search("fracture", None)
        assert (found.licence, found.creator) == ("unknown", "")


LAG = {"error": {"code": "maxlag", "info": "Waiting for db1155: 6.2 seconds lagged", "host": "db1155", "lag": 6.2, "type": "db"}}


def test_lagging_databases_are_waited_for(httpserver, api):
    for _ in range(2):
        httpserver.expect_ordered_request(PATH).respond_with_json(LAG, headers={"Retry-After": "5", "X-Database-Lag": "6"})
    httpserver.expect_ordered_request(PATH).respond_with_json({"batchcomplete": True, "query": {"pages": [page(1)]}})
    assert len(list(provider(httpserver, api).search("fracture", None))) == 1


def test_lag_that_stays_is_an_error_that_says_what_to_do(httpserver, api):
    httpserver.expect_request(PATH).respond_with_json(LAG)
    with pytest.raises(ProviderError, match=r"turned away 3 times, maxlag: Waiting for db1155.*Try again later"):
        list(provider(httpserver, api, lag_attempts=3).search("fracture", None))
    assert len(httpserver.log) == 3


def test_maxlag_can_be_left_out(httpserver, api):
    wiki = Wiki(httpserver, [page(1)])
    list(provider(httpserver, api, maxlag=0).search("fracture", None))
    assert "maxlag" not in wiki.asked[0].args


def test_an_error_of_the_api_is_passed_on(httpserver, api):
    httpserver.expect_request(PATH).respond_with_json({"error": {"code": "cirrussearch-too-long", "info": "Query too long"}})
    with pytest.raises(ProviderError, match="cirrussearch-too-long: Query too long"):
        list(provider(httpserver, api).search("fracture", None))


def test_429_is_waited_out(httpserver, api):
    httpserver.expect_ordered_request(PATH).respond_with_data("slow down", status=429, headers={"Retry-After": "0"})
    httpserver.expect_ordered_request(PATH).respond_with_json({"batchcomplete": True, "query": {"pages": [page(1)]}})
    assert len(list(provider(httpserver, api).search("fracture", None))) == 1


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<br>b", "a b"),
        ("<p>one</p><p>two", "one two"),
        ("Smith &amp; S&ouml;hne", "Smith & Söhne"),
        ('<span style="display: none;">hidden <b>too</b></span>seen', "seen"),
        ("<style>p {}</style><script>x()</script>text", "text"),
        ("p < 0.05", "p < 0.05"),
        ("", ""),
    ],
)
def test_html_becomes_one_line_of_text(html, text):
    assert plain_text(html) == text


def test_the_first_link_that_can_be_opened_is_the_authors():
    html = '<a href="javascript:x()">a</a> <a href="http://[">b</a> <a href="/wiki/User:C">c</a> <a href="https://d.org">d</a>'
    assert read_html(html, "https://commons.wikimedia.org/w/api.php")[1] == "https://commons.wikimedia.org/wiki/User:C"


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from(["<", ">", "!", "[", "]", "a", "/", "--", "&", "x;", '"', "=", "CDATA", " ", "?"])).map("".join)
    )
)
@example("<![foo[ x ]]> y")
def test_no_markup_breaks_the_reader(html):
    assert "\n" not in plain_text(html)
