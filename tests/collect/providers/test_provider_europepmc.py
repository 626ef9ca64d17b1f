"""Europe PMC over HTTP: its search in JSON, its articles in JATS XML. Run: pytest tests/collect/providers/test_provider_europepmc.py"""

import pytest
from jats_library import BY, QUERY, Library, entry, fig, jats, only_figure, provider

from hf_bones.collect.candidate import ProviderError
from hf_bones.collect.providers.europepmc import parse_xml


def texts_asked_for(httpserver):
    return [request.path for request, _ in httpserver.log if request.path.endswith("fullTextXML")]


def test_a_figure_whose_caption_fits_becomes_a_candidate_of_its_article(httpserver, api):
    found = only_figure(httpserver, api, jats())
    assert found.url == "https://europepmc.org/articles/PMC7/bin/f1.jpg"
    assert found.page == "https://europepmc.org/article/PMC/PMC7"
    assert found.title == "Case 7 of a tibia — Figure 1 Lateral radiograph of a comminuted fracture of the tibia."
    assert found.creator == "Smith A, Jones B"
    assert (found.licence, found.licence_text, found.licence_url) == ("CC-BY-4.0", "This is an open access article.", BY)
    assert found.attribution == (
        "“Case 7 of a tibia, Figure 1” by Smith A, Jones B (https://europepmc.org/article/PMC/PMC7), licensed under CC BY 4.0"
        " (http://creativecommons.org/licenses/by/4.0/)."
    )


def test_the_search_asks_for_the_words_in_captions_of_open_articles(httpserver, api):
    library = Library(httpserver, [], {})
    list(provider(httpserver, api, also='LICENSE:"CC BY"').search(' "beyond repair"  tibia ', None))
    list(provider(httpserver, api, match="phrase").search("comminuted  fracture", None))
    assert library.searches[0] == {
        "query": '(FIG:"beyond repair" AND FIG:"tibia" AND OPEN_ACCESS:y AND (LICENSE:"CC BY"))',
        "format": "json", "resultType": "core", "pageSize": "25", "cursorMark": "*",
    }  # fmt: skip
    assert library.searches[1]["query"] == '(FIG:"comminuted fracture" AND OPEN_ACCESS:y)'


def test_pages_follow_the_cursor_to_the_end(httpserver, api):
    library = Library(httpserver, [entry(n) for n in range(1, 6)], {f"PMC{n}": jats() for n in range(1, 6)})
    found = list(provider(httpserver, api, page_size=2).search(QUERY, None))
    assert [c.url.split("/")[4] for c in found] == ["PMC1", "PMC2", "PMC3", "PMC4", "PMC5"]
    assert [search["cursorMark"] for search in library.searches] == ["*", "AoE=2", "AoE=4", "AoE=5"]


def test_the_limit_is_kept_without_asking_for_more_pages_or_articles(httpserver, api):
    library = Library(httpserver, [entry(n) for n in range(1, 9)], {f"PMC{n}": jats() for n in range(1, 9)})
    assert len(list(provider(httpserver, api, page_size=2).search(QUERY, 3))) == 3
    assert len(library.searches) == 2
    assert len(texts_asked_for(httpserver)) == 3
    assert list(provider(httpserver, api).search(QUERY, 0)) == []
    assert len(library.searches) == 2


def test_no_more_articles_are_read_than_the_options_allow(httpserver, api):
    Library(httpserver, [entry(n) for n in range(1, 9)], {f"PMC{n}": jats() for n in range(1, 9)})
    assert len(list(provider(httpserver, api, max_articles=3, page_size=2).search(QUERY, None))) == 3
    assert len(texts_asked_for(httpserver)) == 3


@pytest.mark.parametrize(
    ("caption", "fits"),
    [
        ("X‑ray of a comminuted fracture", True),
        ("Radiographs: tibial fractures", True),
        ("Radiograph of a tibia", False),
        ("CT of a comminuted fracture of the tibia", False),
        ("Photograph; autoradiography of a comminuted tibia fracture", False),
        ("", False),
    ],
)
def test_a_caption_must_have_half_of_the_words_and_speak_of_a_radiograph(httpserver, api, caption, fits):
    Library(httpserver, [entry(7)], {"PMC7": jats(fig(caption=caption))})
    assert len(list(provider(httpserver, api).search(QUERY, None))) == fits


def test_what_a_caption_must_have_is_an_option(httpserver, api):
    Library(httpserver, [entry(7)], {"PMC7": jats(fig(caption="CT of a tibia"))})
    assert list(provider(httpserver, api, must_mention=[]).search(QUERY, None)) == []
    assert len(list(provider(httpserver, api, must_mention=[], caption_share=0.3).search(QUERY, None))) == 1
    assert len(list(provider(httpserver, api, must_mention=["ct"], caption_share=0.0).search(QUERY, None))) == 1


def test_the_word_for_radiograph_in_a_query_may_be_another_one_in_the_caption(httpserver, api):
    Library(httpserver, [entry(7)], {"PMC7": jats(fig(caption="Radiograph of a tibia"))})
    assert len(list(provider(httpserver, api, caption_share=1.0).search("tibia x-ray", None))) == 1


def test_the_caption_of_a_group_counts_for_its_figures(httpserver, api):
    group = f"<fig-group><caption><p>Comminuted tibia fracture.</p></caption>{fig('a', 'Radiograph')}{fig('b', 'Photograph')}</fig-group>"
    Library(httpserver, [entry(7)], {"PMC7": jats(group)})
    assert [c.url.rpartition("/")[2] for c in provider(httpserver, api).search(QUERY, None)] == ["a.jpg"]


def test_each_file_of_a_figure_is_a_candidate_and_of_alternatives_the_first(httpserver, api):
    graphics = "".join(f'<graphic xlink:href="{name}"/>' for name in ("p2.tif", "p3.png", "p 4", "", "https://x.org/p5.jpg", "p2.tif"))
    choice = '<alternatives><graphic xlink:href="large"/><graphic xlink:href="small"/></alternatives>'
    Library(httpserver, [entry(7)], {"PMC7": jats(fig(more=graphics + choice))})
    names = [c.url.rpartition("/")[2] for c in provider(httpserver, api).search(QUERY, None)]
    assert names == ["f1.jpg", "p2.jpg", "p3.png", "p%204.jpg", "large.jpg"]


BILLION = '<!DOCTYPE article [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "text", ["<article>", "not xml", "", "<a/><b/>", jats(doctype=BILLION), "<a>" * 400 + "</a>" * 400, "<a>&nbsp;</a>"], ids=range(7)
)
def test_an_article_that_cannot_be_read_is_skipped_and_counted(httpserver, api, text, caplog):
    Library(httpserver, [entry(1), entry(2)], {"PMC1": text, "PMC2": jats()})
    europepmc = provider(httpserver, api)
    assert [c.page for c in europepmc.search(QUERY, None)] == ["https://europepmc.org/article/PMC/PMC2"]
    assert europepmc.articles_skipped == 1
    assert "PMC1/fullTextXML" in caplog.text


def test_an_article_without_full_text_is_skipped_and_counted(httpserver, api):
    Library(httpserver, [entry(1), entry(2)], {"PMC2": jats()})
    httpserver.expect_request("/rest/PMC1/fullTextXML").respond_with_data("", status=404)
    europepmc = provider(httpserver, api)
    assert len(list(europepmc.search(QUERY, None))) == 1
    assert europepmc.articles_skipped == 1


def test_a_page_of_which_no_article_can_be_read_is_an_error_after_what_came_before(httpserver, api):
    Library(httpserver, [entry(n) for n in range(1, 5)], {"PMC1": jats(), "PMC2": jats(), "PMC3": "<", "PMC4": "<"})
    found = []
    with pytest.raises(
        ProviderError, match=r"none of 2 articles could be read; the first: .*PMC3/fullTextXML: expected an article in JATS"
    ):
        for candidate in provider(httpserver, api, page_size=2).search(QUERY, None):
            found.append(candidate)
    assert len(found) == 2


def test_entries_without_a_pmcid_are_passed_over_and_articles_read_once(httpserver, api):
    odd = [entry(1, pmcid=None), entry(2, pmcid="../x"), "text", None, {}, entry(3), entry(3)]
    Library(httpserver, odd, {"PMC3": jats()})
    assert len(list(provider(httpserver, api).search(QUERY, None))) == 1
    assert texts_asked_for(httpserver) == ["/rest/PMC3/fullTextXML"]


def test_a_doctype_and_the_names_of_its_dtd_are_no_obstacle():
    root = parse_xml(jats("<p>5&nbsp;mm</p>"))
    assert "5 mm" in " ".join("".join(root.itertext()).split())


@pytest.mark.parametrize(
    "doctype",
    [BILLION, '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>', '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]>'],
)
def test_a_document_that_declares_entities_is_refused(doctype):
    with pytest.raises(ValueError, match="declares an entity"):
        parse_xml(f"{doctype}<a>&x;</a>")


def test_429_is_waited_out_for_the_search_and_for_articles(httpserver, api):
    page = {"hitCount": 1, "nextCursorMark": "*", "resultList": {"result": [entry(1)]}}
    wait = {"status": 429, "headers": {"Retry-After": "0"}}
    httpserver.expect_ordered_request("/rest/search").respond_with_data("slow", **wait)
    httpserver.expect_ordered_request("/rest/search").respond_with_json(page)
    httpserver.expect_ordered_request("/rest/PMC1/fullTextXML").respond_with_data("slow", **wait)
    httpserver.expect_ordered_request("/rest/PMC1/fullTextXML").respond_with_data(jats())
    assert len(list(provider(httpserver, api).search(QUERY, None))) == 1


def test_a_limit_that_stays_ends_the_search_instead_of_skipping_articles(httpserver, api):
    Library(httpserver, [entry(1), entry(2)], {"PMC2": jats()})
    httpserver.expect_request("/rest/PMC1/fullTextXML").respond_with_data("slow", status=429, headers={"Retry-After": "0"})
    with pytest.raises(ProviderError) as caught:
        list(provider(httpserver, api).search(QUERY, None))
    assert caught.value.status == 429
    assert texts_asked_for(httpserver) == ["/rest/PMC1/fullTextXML"] * 3


@pytest.mark.parametrize(
    ("options", "message"), [({"match": "word"}, "match is 'word'"), ({"caption_share": 2.0}, "0 to 1"), ({"page_size": 0}, "1 to 1000")]
)
def test_options_out_of_range_are_refused(httpserver, api, options, message):
    with pytest.raises(ProviderError, match=message):
        provider(httpserver, api, **options)
