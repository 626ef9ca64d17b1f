"""SearXNG: a metasearch engine of one's own, which asks any of some hundred image engines.

Documentation: https://docs.searxng.org/dev/search_api.html and, for the settings of a server, https://docs.searxng.org/admin/settings/.

Asked is `GET {endpoint}/search` with `q`, `format=json`, `categories=images`, `pageno` (from 1), and where given `engines` (comma list),
`language` and `safesearch` (0, 1 or 2). Paging ends with the first page that brings nothing new: the answer does not count the pages.
JSON must be allowed in the server's settings.yml (`search.formats`), or it answers 403; its limiter answers 429. There is no such server of
the project's: public ones mostly refuse programs, so run your own (it needs --allow-private where its address is private).

Fields read: `img_src`, `url` (the page), `title`, `author`, `engines`, and `unresponsive_engines` of the answer. `source`, the name of the
site, is not: the page's address says as much. No engine's licence is passed on, so the licence is always "unknown". Unverified: that every
image engine fills `author` with a person's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import option


@dataclass
class SearxngOptions(Checked):
    """Where the server is, and what it is asked."""

    endpoint: str = option("", "Address of the server, such as http://localhost:8080; needed.")
    engines: list[str] = field(
        default_factory=list, metadata={"help": "Image engines to ask, by SearXNG's names; empty: the server's own."}
    )
    language: str = option("", "Language code such as `en`; empty: the server's own.")
    safesearch: int = option(0, "0 off, 1 moderate, 2 strict.")
    max_pages: int = option(10, "Pages asked for one query at most.")
    pause: float = option(1.0, "Seconds between requests.", within="[0, ∞)")


class SearxNG:
    """A SearXNG server; see the module."""

    name: ClassVar[str] = "searxng"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = SearxngOptions

    def __init__(self, options: SearxngOptions, api: Api) -> None:
        if urlsplit(options.endpoint).scheme not in ("http", "https"):
            raise ProviderError(
                f"searxng: endpoint is {options.endpoint!r}: set the address of your own SearXNG server in the recipe,"
                " `endpoint: http://localhost:8080` under providers.searxng"
            )
        if options.safesearch not in (0, 1, 2):
            raise ProviderError(f"searxng: safesearch is {options.safesearch}; expected 0, 1 or 2")
        self._options, self._api = options, api
        self._url = options.endpoint.rstrip("/").removesuffix("/search") + "/search"

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Page by page, each image once. Raises `ProviderError` where the server refuses JSON, limits us, or its engines fail."""
        seen: set[str] = set()
        helpful: set[str] = set()
        for page in range(1, self._options.max_pages + 1):
            if limit is not None and len(seen) >= limit:
                return
            results, silent = self._page(query.strip(), page)
            new = 0
            for result in results:
                candidate = _candidate(result, self._url)
                if candidate is None or candidate.url in seen:
                    continue
                seen.add(candidate.url)
                new += 1
                helpful.update(engine for engine in result.get("engines") or () if isinstance(engine, str))
                yield candidate
                if len(seen) == limit:
                    return
            if not new:
                # An engine that gave pictures and then fell silent has more; one that never answers must not fail every search.
                if silent and (not seen or helpful & silent.keys()):
                    listed = ", ".join(f"{engine} ({reason})" for engine, reason in silent.items())
                    raise ProviderError(f"{self._url}: page {page} has no results, and these engines did not answer: {listed}")
                return

    def _page(self, query: str, page: int) -> tuple[list[Any], dict[str, str]]:
        """The results of a page, and the engines that gave none with their reasons."""
        options = self._options
        asked: dict[str, Any] = {"q": query, "format": "json", "categories": "images", "pageno": page, "safesearch": options.safesearch}
        if options.engines:
            asked["engines"] = ",".join(options.engines)
        if options.language:
            asked["language"] = options.language
        try:
            answer = self._api.get_json(self._url, asked, pause=options.pause)
        except ProviderError as error:
            if error.status == 403:
                raise ProviderError(
                    f"{self._url}: answered 403: JSON is not among the formats that this server gives. Add `json` to search.formats in its"
                    " settings.yml and restart it",
                    status=403,
                ) from error
            raise
        if not isinstance(answer, Mapping) or not isinstance(answer.get("results"), list):
            raise ProviderError(f"{self._url}: expected a JSON object with a list of results, got {str(answer)[:80]}")
        silent = answer.get("unresponsive_engines")
        return answer["results"], _silent_engines(silent if isinstance(silent, list) else [])


def _silent_engines(entries: list[Any]) -> dict[str, str]:
    """Engine → reason, from pairs as the server lists them."""
    pairs = [entry for entry in entries if isinstance(entry, (list, tuple)) and entry]
    return {str(pair[0]): str(pair[1]) if len(pair) > 1 else "no reason given" for pair in pairs}


def _candidate(result: Any, base: str) -> Candidate | None:
    """A result as a candidate; None without an image that can be fetched (some engines give `data:` URLs)."""
    if not isinstance(result, Mapping):
        return None
    source = _text(result, "img_src")
    try:
        # "/image_proxy?url=…" is relative to the server; "//host/x.jpg" is somebody else's host, under any scheme.
        url = f"https:{source}" if source.startswith("//") else urljoin(base, source) if source else ""
        if urlsplit(url).scheme not in ("http", "https"):
            return None
    except ValueError:
        return None
    return Candidate(url=url, page=_text(result, "url"), title=_text(result, "title"), creator=_text(result, "author"))


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""
