"""Bing and DuckDuckGo image search through ddgs (the extra `web`), since Microsoft retired the Bing Search API on 2025-08-11.

Documentation: https://github.com/deedy5/ddgs and the announcement at https://learn.microsoft.com/lifecycle/announcements/bing-search-api-retirement.
Neither search has an API for pictures, so ddgs reads the pages that browsers get; they can change or be refused at any time.

- Bing: `GET https://www.bing.com/images/async` with `q`, `first`, `count` (35 a page), `async=1`; HTML. It ignores region and safe search.
- DuckDuckGo: first the token `vqd` from its home page, then `GET https://duckduckgo.com/i.js` with `q`, `l` (region), `p` (safe search),
  `f` (filters) and `s` (offset, 100 a page); JSON. Its pictures come from Bing's index, so the two overlap much.

ddgs brings an HTTP client of its own, which poses as a browser and knows nothing of our User-Agent, address guard or robots.txt. It is used
for these fixed search hosts only: what they find is fetched like everything else. It does not retry. Limits are not published: 429, 403,
418 and 202 are taken for one, and that backend is not asked again in the run. Nothing says under which licence a picture stands: it is
always "unknown", with `licence_filter` too, which is passed on to DuckDuckGo as a wish. Unverified: how often either refuses, and what a
challenge page looks like; a search without a single result counts as failed for that reason.
"""

from __future__ import annotations

import html
import importlib.util
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.config.fields import Checked
from hf_bones.config.loading import parse_json
from hf_bones.config.recipe import nearest, option

BACKENDS = ("bing", "duckduckgo")
_DUCKDUCKGO_HOME = "https://duckduckgo.com"  # as ddgs asks for it
_LIMITED = (202, 403, 418, 429)
_LINK = re.compile(r'"(?:murl|purl|image|url)":\s*("(?:[^"\\]|\\.)*")')


@dataclass
class WebOptions(Checked):
    """Which search is asked, and how."""

    backends: list[str] = field(default_factory=lambda: list(BACKENDS), metadata={"help": "Searches to ask: `bing`, `duckduckgo` or both."})
    region: str = option("us-en", "Country and language (`uk-en`, `wt-wt` for none); DuckDuckGo only.")
    safesearch: str = option("moderate", "`on`, `moderate` or `off` (in quotes: YAML reads on and off as true and false); DuckDuckGo only.")
    licence_filter: str = option("", "DuckDuckGo only: `any`, `Public`, `Share`, `ShareCommercially`, `Modify` or `ModifyCommercially`.")
    pause: float = option(3.0, "Seconds between requests to one search.", within="[0, ∞)")
    timeout: int = option(15, "Seconds for one request.")
    max_pages: int = option(10, "Pages asked of each search for one query at most.")
    bing_endpoint: str = option("https://www.bing.com/images/async", "Where Bing answers.")
    duckduckgo_endpoint: str = option("https://duckduckgo.com/i.js", "Where DuckDuckGo answers.")
    duckduckgo_home: str = option(_DUCKDUCKGO_HOME, "Page that holds DuckDuckGo's token.")


class Web:
    """Image search of the whole web; see the module."""

    name: ClassVar[str] = "web"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = WebOptions

    def __init__(self, options: WebOptions, api: Api | None = None) -> None:
        if importlib.util.find_spec("ddgs") is None:
            raise ProviderError("web: needs the package ddgs: pip install 'hf-bones[web]'")
        for backend in options.backends:
            if backend not in BACKENDS:
                raise ProviderError(f"web: backends: {backend!r} is none of {', '.join(BACKENDS)}{nearest(backend, BACKENDS)}")
        if options.safesearch not in ("on", "moderate", "off"):
            raise ProviderError(f"web: safesearch: {options.safesearch!r} is none of on, moderate, off")
        self._options = options
        self._backends = {backend: _Backend(backend, options) for backend in dict.fromkeys(options.backends)}

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Candidates of all backends, a page of each in turn, each image once.

        Raises `ProviderError` where a backend failed (the other one goes on first) and the limit was not reached, with status 429 for a
        rate limit, or where there was not one result.
        """
        seen: set[str] = set()
        failures: list[ProviderError] = []
        live = dict(self._backends)
        for page in range(1, self._options.max_pages + 1):
            for name, backend in list(live.items()):
                try:
                    found = backend.page(query.strip(), page)
                except ProviderError as error:
                    failures.append(error)
                    del live[name]
                    continue
                new = [candidate for candidate in found if candidate.url not in seen]
                if not new:
                    del live[name]
                for candidate in new:
                    if candidate.url not in seen:
                        seen.add(candidate.url)
                        yield candidate
                        if len(seen) == limit:
                            return
        if failures:
            raise ProviderError("; ".join(map(str, failures)), status=next((error.status for error in failures if error.status), None))
        if not seen:
            raise ProviderError(f"web: {', '.join(self._backends)} gave not one result for {query!r}: a challenge page, or nothing matches")


class _Backend:
    """One engine of ddgs, asked through a client that tells statuses apart: ddgs takes each but 200 for "no results"."""

    def __init__(self, name: str, options: WebOptions) -> None:
        from ddgs.engines import ENGINES

        kind: Callable[..., Any] = ENGINES["images"][name]
        self.engine = kind(timeout=options.timeout)
        self.engine.search_url = options.bing_endpoint if name == "bing" else options.duckduckgo_endpoint
        self._ask = self.engine.http_client.request
        self.engine.http_client = self
        self._options = options
        self._ready = 0.0
        self._answer = ""
        self._limited: ProviderError | None = None

    def page(self, query: str, page: int) -> list[Candidate]:
        """A page of results. Raises `ProviderError` for a refusal, and for an answer that ddgs cannot read."""
        options, endpoint = self._options, self.engine.search_url
        wish = {"license_image": options.licence_filter} if options.licence_filter else {}
        try:
            results = self.engine.search(query, region=options.region, safesearch=options.safesearch, page=page, **wish) or []
        except ProviderError:
            raise
        except Exception as error:  # ddgs reads pages made for browsers, and may stumble in any way
            raise ProviderError(f"{endpoint}: {type(error).__name__}: {error}") from error
        exact = _exact_links(self._answer)
        candidates = []
        for result in results:
            url, link = (exact.get(text, text) for text in (_text(result, "image"), _text(result, "url")))
            if _is_web(url):
                candidates.append(Candidate(url=url, page=link if _is_web(link) else "", title=_text(result, "title")))
        return candidates

    def request(self, method: str, url: str, **arguments: Any) -> Any:
        """What ddgs's client is asked by its engine: paced, and any status but 200 raises."""
        if self._limited is not None:
            raise self._limited
        if url == _DUCKDUCKGO_HOME:
            url = self._options.duckduckgo_home
        time.sleep(max(0.0, self._ready - time.monotonic()))
        try:
            response = self._ask(method, url, **arguments)
        finally:
            self._ready = time.monotonic() + self._options.pause
        if response.status_code in _LIMITED:
            # Every further question would be an affront, and make the refusal last: there is none in this run.
            self._limited = ProviderError(
                f"{url}: answered {response.status_code}: it limits or refuses us; try again tomorrow", status=429
            )
            raise self._limited
        if response.status_code != 200:
            raise ProviderError(f"{url}: answered {response.status_code}", status=response.status_code)
        self._answer = response.text
        return response


def _exact_links(answer: str) -> dict[str, str]:
    """Links as the answer has them, by the form in which ddgs gives them: it decodes `%20` and the like, which breaks many a link."""
    if answer.lstrip().startswith("<"):
        answer = html.unescape(answer)
    links: dict[str, str] = {}
    for quoted in _LINK.findall(answer):
        with suppress(ValueError):
            link = parse_json(quoted)
            links.setdefault(unquote(link).replace(" ", "+"), link)
    return links


def _text(result: Any, name: str) -> str:
    value = getattr(result, name, "")
    return value.strip() if isinstance(value, str) else ""


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
