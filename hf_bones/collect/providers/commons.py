"""Wikimedia Commons: freely licensed media, each file with a page of its own.

Documentation: https://commons.wikimedia.org/w/api.php?action=help&modules=query (generator=search, prop=imageinfo),
https://www.mediawiki.org/wiki/API:Etiquette, https://www.mediawiki.org/wiki/Manual:Maxlag_parameter and
https://www.mediawiki.org/wiki/Help:CirrusSearch for the words a search may have.

Asked is `GET {endpoint}` with `action=query`, `generator=search`, `gsrsearch`, `gsrnamespace=6` (files), `gsrlimit`, `prop=imageinfo`,
`iiprop=url|size|mime|sha1|extmetadata`, `iiextmetadatafilter`, `format=json`, `formatversion=2` and `maxlag`. A query has at most 300
characters, with the `keywords` that are added to it. The next page is asked for with what `continue` says; pages come in no order and are
sorted by their `index`. A file whose imageinfo is cut off comes again in the next answer.

Limits: requests in series, a User-Agent with a contact (both are `Api`'s), and `maxlag`: when the databases lag, the answer is an error
with status 200, and the request is made again after a pause. 429 and Retry-After are `Api`'s.

Licence fields read, HTML all of them: `LicenseShortName` ("CC BY-SA 4.0"), `LicenseUrl`, `UsageTerms`, `Artist` and `Attribution`. Where a
file has several licences, Commons names one. The SHA-1 that Commons states is not used: a manifest's hashes are SHA-256. Unverified: that
Commons always passes `Attribution` where an author asks for words of their own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.licences import attribution_text, licence_url, spdx
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import option

LONGEST_QUERY = 300
_LONGEST_HTML = 50_000  # characters
_METADATA = ("LicenseShortName", "LicenseUrl", "UsageTerms", "Artist", "Attribution")
_PASSING_ERRORS = ("maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryTimeoutError")


@dataclass
class CommonsOptions(Checked):
    """What Commons is asked, beside the query."""

    endpoint: str = option("https://commons.wikimedia.org/w/api.php", "Address of the MediaWiki API.")
    keywords: str = option("filetype:bitmap", "Search keywords added to every query (`haslicense:`, `filew:>500` …).")
    mimes: list[str] = field(
        default_factory=lambda: ["image/jpeg", "image/png", "image/tiff", "image/webp", "image/gif"],
        metadata={"help": "Types that are kept; drawings (SVG), PDF and DjVu are not among them. Empty: every type."},
    )
    page_size: int = option(50, "Files a page, 1 to 500.")
    maxlag: int = option(5, "Seconds that the databases may lag; 0: do not ask.")
    lag_wait: float = option(5.0, "Seconds to wait when they lag more; Wikimedia asks for 5 or more.")
    lag_attempts: int = option(5, "How often a request is tried that is refused for lag.")
    pause: float = option(1.0, "Seconds between requests.", within="[0, ∞)")


class Commons:
    """Wikimedia Commons, or another MediaWiki with its extensions; see the module."""

    name: ClassVar[str] = "commons"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = CommonsOptions

    def __init__(self, options: CommonsOptions, api: Api) -> None:
        if not 1 <= options.page_size <= 500:
            raise ProviderError(f"commons: page_size is {options.page_size}; expected 1 to 500")
        if options.lag_attempts < 1:
            raise ProviderError(f"commons: lag_attempts is {options.lag_attempts}; expected 1 or more")
        self._options, self._api = options, api

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Candidates page by page, in the search's order. Raises `ProviderError`: lag that stays, an API error, another shape."""
        options = self._options
        text = " ".join(f"{query} {options.keywords}".split())
        if not query.strip() or len(text) > LONGEST_QUERY:
            raise ProviderError(
                f"commons: a query has 1 to {LONGEST_QUERY} characters with its keywords, this one {len(text)}: {text[:60]!r}"
            )
        asked: dict[str, Any] = {
            "action": "query", "format": "json", "formatversion": 2, "generator": "search", "gsrsearch": text, "gsrnamespace": 6,
            "gsrlimit": options.page_size if limit is None else min(options.page_size, max(limit, 1)),
            "prop": "imageinfo", "iiprop": "url|size|mime|sha1|extmetadata", "iiextmetadatafilter": "|".join(_METADATA),
        }  # fmt: skip
        if options.maxlag:
            asked["maxlag"] = options.maxlag
        seen: set[str] = set()
        following: dict[str, Any] = {}
        while limit is None or len(seen) < limit:
            pages, further = self._page({**asked, **following})
            for page in pages:
                candidate = self._candidate(page)
                if candidate is None or candidate.url in seen:
                    continue
                seen.add(candidate.url)
                yield candidate
                if len(seen) == limit:
                    return
            if not further or further == following:
                return
            following = further

    def _page(self, asked: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The pages of an answer, best first, and the parameters that ask for the next ones."""
        url, answer = self._options.endpoint, self._ask(asked)
        query = answer.get("query", {})
        pages = query.get("pages", []) if isinstance(query, Mapping) else None
        known = answer.keys() & {"query", "batchcomplete", "continue"}
        if not isinstance(pages, list) or not known:
            raise ProviderError(f"{url}: expected a JSON object with query.pages, a list (formatversion 2), got {str(answer)[:80]}")
        further = answer.get("continue")
        return sorted(pages, key=_index), dict(further) if isinstance(further, Mapping) else {}

    def _ask(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of the API, asked again while its databases lag."""
        url, options = self._options.endpoint, self._options
        message = ""
        for attempt in range(options.lag_attempts):
            if attempt:
                time.sleep(options.lag_wait)
            answer = self._api.get_json(url, asked, pause=options.pause)
            if not isinstance(answer, Mapping):
                raise ProviderError(f"{url}: expected a JSON object, got {str(answer)[:80]}")
            error = answer.get("error")
            if error is None:
                return answer
            code = error.get("code") if isinstance(error, Mapping) else None
            message = f"{code}: {error.get('info', '')}" if isinstance(error, Mapping) else str(error)[:80]
            if code not in _PASSING_ERRORS:
                raise ProviderError(f"{url}: answered with an error, {message}")
        raise ProviderError(
            f"{url}: turned away {options.lag_attempts} times, {message}. Try again later, or set a longer lag_wait or a higher maxlag",
            retry_after=options.lag_wait,
        )

    def _candidate(self, page: Any) -> Candidate | None:
        """A file's page as a candidate; None without a URL, without imageinfo (yet), or of a type that is not wanted."""
        infos = page.get("imageinfo") if isinstance(page, Mapping) else None
        info = infos[0] if isinstance(infos, list) and infos else None
        if not isinstance(info, Mapping):
            return None
        url = _text(info.get("url"))
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                return None
        except ValueError:
            return None
        if self._options.mimes and info.get("mime") not in self._options.mimes:
            return None
        metadata = info.get("extmetadata")
        said = {name: _metadata(metadata, name) for name in _METADATA}
        title = _text(page.get("title")).partition(":")[2]
        creator, creator_url = read_html(said["Artist"], self._options.endpoint)
        name, deed = plain_text(said["LicenseShortName"]), plain_text(said["LicenseUrl"])
        licence = spdx(name or plain_text(said["UsageTerms"]), deed)
        description = _text(info.get("descriptionurl"))
        deed = deed or licence_url(licence)
        return Candidate(
            url=url,
            page=description,
            title=title,
            creator=creator,
            creator_url=creator_url,
            licence=licence,
            licence_text=name or plain_text(said["UsageTerms"]),
            licence_url=deed,
            attribution=plain_text(said["Attribution"])
            or attribution_text(title=title, creator=creator, licence=licence, licence_url=deed, page=description),
        )


def plain_text(html: str) -> str:
    """The text of an HTML fragment on one line, without tags, scripts, styles and what is hidden by an inline style."""
    return read_html(html)[0]


def read_html(html: str, base: str = "") -> tuple[str, str]:
    """The text of an HTML fragment on one line, and its first http or https link, absolute by `base`; "" where there is none."""
    reader = _Reader()
    try:
        reader.feed(html[:_LONGEST_HTML])
        reader.close()
    except AssertionError:  # html.parser's answer to a marked section of no known kind
        return " ".join(re.sub(r"<[^<>]*>", " ", html[:_LONGEST_HTML]).split()), ""
    link = ""
    for href in reader.links:
        try:
            link = urljoin(base, href)
            if urlsplit(link).scheme in ("http", "https"):
                break
        except ValueError:
            pass
        link = ""
    return " ".join("".join(reader.words).split()), link


class _Reader(HTMLParser):
    """Collects text and links. Void elements are never closed, so they do not count as open."""

    _VOID = frozenset({"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
    _APART = frozenset({"br", "p", "div", "li", "td", "tr", "th", "ul", "ol", "table", "dd", "dt"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.links: list[str] = []
        self._hidden: list[str] = []  # open elements, from the first hidden one on

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        hidden = tag in ("script", "style") or "display:none" in (values.get("style") or "").replace(" ", "").lower()
        if tag not in self._VOID and (hidden or self._hidden):
            self._hidden.append(tag)
        if tag in self._APART:
            self.words.append(" ")
        if tag == "a" and values.get("href") and not self._hidden:
            self.links.append(values["href"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.words.append(" " if tag in self._APART else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        if tag in self._APART:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _metadata(metadata: Any, name: str) -> str:
    """A value of extmetadata, which is {"value": …, "source": …}; numbers and lists do not count."""
    entry = metadata.get(name) if isinstance(metadata, Mapping) else None
    return _text(entry.get("value")) if isinstance(entry, Mapping) else ""


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _index(page: Any) -> float:
    index = page.get("index") if isinstance(page, Mapping) else None
    return index if isinstance(index, int) else float("inf")
