"""Europe PMC: figures of open-access articles, found by their captions.

Documentation: https://europepmc.org/RestfulWebService, https://europepmc.org/searchsyntax (the field FIG) and, for the XML of the articles,
https://jats.nlm.nih.gov/archiving/. No key, and no limit is stated; requests are made in series, half a second apart.

Asked is `GET {endpoint}/search` with `query`, `format=json`, `resultType=core`, `pageSize` and `cursorMark`, from "*" on and then what
`nextCursorMark` says, until it stays the same. The query is `FIG:"word" AND FIG:"word" … AND OPEN_ACCESS:y`; words in double quotes stay
together. Then, for each article, `GET {endpoint}/{pmcid}/fullTextXML`. A search finds articles, not figures: a figure is a candidate if its
own caption has enough of the query's words and speaks of a radiograph. Its file is `{images}/articles/{pmcid}/bin/{href}.jpg`.

The licence is that of the figure's own `<permissions>`, else one that its caption names. A caption that says that the figure is reprinted,
adapted or used with permission makes it unknown: the article's licence does not cover it. Else it is the article's `<license>` (its link,
`ali:license_ref`, or its words), else, where the XML has none, the `license` of the search result ("cc by", without a version).

XML is read without expanding anything: a document that declares entities is refused. An article without full text, or whose XML cannot be
read, is skipped, logged and counted in `articles_skipped`; if that is every article of a page, the search fails.

Unverified: the address of the images (two clients report it to work; hrefs ending in .tif are taken to be served as .jpg), and that
FIG matches each word within one caption rather than in all captions of an article.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from hf_bones.collect.candidate import UNKNOWN_LICENCE, Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.licences import attribution_text, licence_url, spdx
from hf_bones.collect.providers.commons import plain_text
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import option

log = logging.getLogger(__name__)

_HREF = "http://www.w3.org/1999/xlink href"
_LICENCE_REF = "http://www.niso.org/schemas/ali/1.0/ license_ref"
_DEEPEST = 200  # nested elements; articles have about twenty
_SOMEONE_ELSES = re.compile(
    r"\b(?:re-?printed|re-?produced|re-?published|adapted|modified|redrawn|borrowed)\s+(?:\w+\s+){0,3}?(?:from|by permission)\b"
    r"|\bwith\s+(?:\w+\s+){0,2}permission\b|\bpermission\s+(?:of|from)\b|\bcourtesy\b|©|\bcopyright\b"
)
_EMPTY_WORDS = frozenset(("a", "an", "and", "at", "by", "for", "in", "is", "of", "on", "or", "the", "to", "with"))


@dataclass
class EuropePmcOptions(Checked):
    """What Europe PMC is asked, and which of an article's figures are taken."""

    endpoint: str = option("https://www.ebi.ac.uk/europepmc/webservices/rest", "Address of the REST service.")
    images: str = option("https://europepmc.org", "Address of the server that has the figures' files.")
    match: str = option("words", "`words`: every word of the query in captions; `phrase`: the query as it stands.")
    also: str = option("", 'Further search terms, in Europe PMC\'s syntax (`LICENSE:"CC BY"`, `PUB_YEAR:[2015 TO 2026]`).')
    caption_share: float = option(0.5, "Least share of the query's words that a figure's caption must have, 0 to 1.")
    must_mention: list[str] = field(
        default_factory=lambda: ["radiograph", "x-ray", "xray", "radiography"],
        metadata={"help": "A caption must have one of these (as the start of a word). Empty: no such condition."},
    )
    max_articles: int = option(200, "Articles that are read for one query at most.")
    page_size: int = option(25, "Articles a page of the search, 1 to 1000.")
    pause: float = option(0.5, "Seconds between requests.", within="[0, ∞)")


class EuropePmc:
    """Europe PMC's open-access articles; see the module. `articles_skipped` counts those that could not be read."""

    name: ClassVar[str] = "europepmc"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = EuropePmcOptions

    def __init__(self, options: EuropePmcOptions, api: Api) -> None:
        for name, holds, wanted in (
            ("match", options.match in ("words", "phrase"), "words or phrase"),
            ("caption_share", 0 <= options.caption_share <= 1, "0 to 1"),
            ("page_size", 1 <= options.page_size <= 1000, "1 to 1000"),
            ("max_articles", options.max_articles >= 1, "1 or more"),
        ):
            if not holds:
                raise ProviderError(f"europepmc: {name} is {getattr(options, name)!r}; expected {wanted}")
        self._options, self._api = options, api
        self._endpoint, self._images = options.endpoint.rstrip("/"), options.images.rstrip("/")
        self.articles_skipped = 0

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Figures article by article, as the search ranks them. Raises `ProviderError`: a limit, another shape, no article readable."""
        terms = self._terms(query)
        seen: set[str] = set()
        read: set[str] = set()
        cursor = "*"
        while limit is None or len(seen) < limit:
            articles, following = self._page(terms, cursor)
            failures: list[ProviderError] = []
            tried = 0
            for article in articles:
                pmcid = _text(article, "pmcid")
                if not re.fullmatch(r"PMC\d+", pmcid) or pmcid in read:
                    continue
                if len(read) == self._options.max_articles:
                    return
                read.add(pmcid)
                tried += 1
                try:
                    root = self._full_text(pmcid)
                except ProviderError as error:
                    if error.status == 429:
                        raise
                    self.articles_skipped += 1
                    failures.append(error)
                    log.warning("europepmc: article skipped: %s", error)
                    continue
                for candidate in self._figures(root, article, pmcid, query):
                    if candidate.url in seen:
                        continue
                    seen.add(candidate.url)
                    yield candidate
                    if len(seen) == limit:
                        return
            if tried and len(failures) == tried:
                first = failures[0]
                raise ProviderError(f"{self._endpoint}: none of {tried} articles could be read; the first: {first}", status=first.status)
            if not articles or not following or following == cursor:
                return
            cursor = following

    def _terms(self, query: str) -> str:
        """The query in Europe PMC's syntax."""
        phrases = [" ".join((quoted or word).replace("\\", " ").split()) for quoted, word in re.findall(r'"([^"]+)"|([^\s"]+)', query)]
        if self._options.match == "phrase":
            phrases = [" ".join(phrases)]
        fields = [f'FIG:"{phrase}"' for phrase in phrases if phrase]
        if not fields:
            raise ProviderError("europepmc: the query is empty")
        also = [f"({self._options.also})"] if self._options.also.strip() else []
        return f"({' AND '.join([*fields, 'OPEN_ACCESS:y', *also])})"

    def _page(self, terms: str, cursor: str) -> tuple[list[Mapping[str, Any]], str]:
        """The articles of a page, and the cursor of the next."""
        url = f"{self._endpoint}/search"
        asked = {"query": terms, "format": "json", "resultType": "core", "pageSize": self._options.page_size, "cursorMark": cursor}
        answer = self._api.get_json(url, asked, pause=self._options.pause)
        found = answer.get("resultList") if isinstance(answer, Mapping) else None
        results = found.get("result") if isinstance(found, Mapping) else None
        if not isinstance(results, list):
            raise ProviderError(f"{url}: expected a JSON object with resultList.result, a list, got {str(answer)[:80]}")
        return [result for result in results if isinstance(result, Mapping)], _text(answer, "nextCursorMark")

    def _full_text(self, pmcid: str) -> Element:
        url = f"{self._endpoint}/{pmcid}/fullTextXML"
        text = self._api.get_text(url, pause=self._options.pause)
        try:
            return parse_xml(text)
        except (ParseError, expat.ExpatError, ValueError) as error:
            raise ProviderError(f"{url}: expected an article in JATS XML: {error}") from error

    def _figures(self, root: Element, article: Mapping[str, Any], pmcid: str, query: str) -> Iterator[Candidate]:
        """The figures of an article that fit the query, one candidate for each of their files."""
        page = f"https://europepmc.org/article/PMC/{pmcid}"
        title, creator = plain_text(_text(article, "title")), _text(article, "authorString").rstrip(".")
        of_article = _licence_of(root.find("front/article-meta/permissions"), _text(article, "license"))
        of_group = {figure: _words(group.find("caption")) for group in root.iter("fig-group") for figure in group.iter("fig")}
        for figure in root.iter("fig"):
            caption = " ".join(part for part in (of_group.get(figure, ""), _words(figure.find("caption"))) if part)
            if not self._fits(caption, query):
                continue
            label = _words(figure.find("label"))
            licence, words, deed = _licence_of_figure(figure, caption) or of_article
            deed = deed or licence_url(licence)
            work = ", ".join(part for part in (title, label) if part)
            for href in _files(figure):
                yield Candidate(
                    url=f"{self._images}/articles/{pmcid}/bin/{quote(href)}",
                    page=page,
                    title=" — ".join(part for part in (title, f"{label} {caption}".strip()) if part),
                    creator=creator,
                    licence=licence,
                    licence_text=words,
                    licence_url=deed,
                    attribution=attribution_text(title=work, creator=creator, licence=licence, licence_url=deed, page=page),
                )

    def _fits(self, caption: str, query: str) -> bool:
        low = _plain(caption)
        mentions = [_plain(word) for word in self._options.must_mention]
        if mentions and not any(re.search(rf"(?<![a-z0-9]){re.escape(mention)}", low) for mention in mentions):
            return False
        wanted = [word for word in _tokens(query) if word not in _EMPTY_WORDS and word not in mentions]
        there = _tokens(caption)
        found = sum(any(token.startswith(_stem(word)) for token in there) for word in wanted)
        return not wanted or found / len(wanted) >= self._options.caption_share


def parse_xml(text: str) -> Element:
    """The root of a document; names with a namespace are "uri name". Nothing outside it is read, and no entity is expanded.

    Raises ValueError for declared entities and for nesting deeper than 200, ParseError or ExpatError for what is not XML.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"elements are nested deeper than {_DEEPEST}")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse_entity(name: str, *_: object) -> None:
        raise ValueError(f"it declares an entity, {name!r}")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse_entity
    parser.SkippedEntityHandler = lambda *_: builder.data(" ")  # &nbsp; and the like, which only the DTD knows
    parser.Parse(text.encode("utf-8", "replace"), True)
    root = builder.close()
    if not isinstance(root, Element):
        raise ValueError("it has no element")
    return root


def _licence_of(permissions: Element | None, otherwise: str) -> tuple[str, str, str]:
    """Licence, its words and its link, from `<permissions>`; from the words `otherwise` where it names no licence."""
    licences = [] if permissions is None else permissions.findall("license")
    if permissions is None or (not licences and spdx(_words(permissions)) == UNKNOWN_LICENCE):
        return spdx(otherwise), otherwise, ""
    links: list[str] = []
    for element in licences or [permissions]:
        links += [element.get(_HREF, "")] + [_words(reference) for reference in element.iter(_LICENCE_REF)]
    links = list(dict.fromkeys(link for link in links if link))
    words = " ".join(_words(element) for element in licences or [permissions])
    further = [link.get(_HREF, "") for element in licences for link in element.iter("ext-link")]
    named = " ".join([words, *further, *links[1:]])
    return spdx(named, links[0] if links else ""), words, links[0] if links else ""


def _licence_of_figure(figure: Element, caption: str) -> tuple[str, str, str] | None:
    """What a figure says of itself; None where it says nothing, and the article's licence holds."""
    permissions = figure.find("permissions")
    if permissions is not None:
        return _licence_of(permissions, "") if permissions.find("license") is not None else (UNKNOWN_LICENCE, _words(permissions), "")
    said = " ".join(part for part in (caption, *(_words(element) for element in figure.iter("attrib"))) if part)
    licence = spdx(said)
    if licence != UNKNOWN_LICENCE:
        return licence, said, ""
    return (UNKNOWN_LICENCE, said, "") if _SOMEONE_ELSES.search(said.lower()) else None


def _files(figure: Element) -> list[str]:
    """File names of a figure's images; of alternatives for one image, the first."""
    spare = {graphic for choice in figure.iter("alternatives") for graphic in choice.findall("graphic")[1:]}
    names = []
    for graphic in figure.iter("graphic"):
        href = graphic.get(_HREF, "").strip()
        if graphic in spare or not href or "://" in href:
            continue
        href = re.sub(r"\.(?:tiff?|eps)$", "", href, flags=re.IGNORECASE)
        names.append(href if re.search(r"\.(?:jpe?g|png|gif)$", href, re.IGNORECASE) else f"{href}.jpg")
    return list(dict.fromkeys(names))


def _words(element: Element | None) -> str:
    return "" if element is None else " ".join(" ".join(element.itertext()).split())


def _plain(text: str) -> str:
    return re.sub(r"[\u2010-\u2015\u2212]", "-", text.lower())


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:-[^\W_]+)*", _plain(text))


def _stem(word: str) -> str:
    """The start that a word shares with its plural and its other forms: "fractured", "fractures" and "fracture" meet."""
    return re.sub(r"(?:ed|es|s|e)$", "", word) if len(word) > 4 else word


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""
