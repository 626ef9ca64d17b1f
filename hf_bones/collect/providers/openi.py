"""Open-i of the US National Library of Medicine: figures of PubMed Central articles, MedPix and a few collections, by caption.

Documentation: https://openi.nlm.nih.gov/services and the Swagger file https://openi.nlm.nih.gov/v2/api-docs. Neither could be read when
this was written; what stands here comes from other clients' code and notes, tested by them in 2026.

Asked is `GET {endpoint}/api/search` with `query`, `m` and `n` (the first and the last result wanted, counted from 1), and where given
`it` and `coll`. No key. The answer is `{"total", "count", "list": […]}`; paging ends at `total` or with an empty list. Calls take 2 to 9 s,
longer for large pages, since the whole abstract comes with every figure. The index seems not to have grown since about 2020.

Fields read: `imgLarge` (a path on the same host; `imgThumb` is not served), `title`, `image.caption`, `image.id`, `pmcid`, `authors`,
`pmc_url`, `fulltext_html_url`, `pubMed_url`, and for the licence `ccLicense` and `licenseURL`, which one client has seen on about a third
of the figures. Without them the licence is "unknown".

`page` is the article at Europe PMC, as the europepmc provider has it, so that an article found by both stays in one split.

Unverified, and to be checked before trusting counts: what `it` means. Three clients agree that `x` is X-ray; `xg` is X-ray to one of them
and "exclude graphics" by an older page; the values that are allowed are said to be xg, xm, x, u, ph, p, mc, m, g, c. `coll` takes pmc, cxr
(or iu), mpx and others. Some clients send `q` for `query`: an answer to another query than asked would show as captions that do not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote, urljoin, urlsplit

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.licences import attribution_text, licence_url, spdx
from hf_bones.collect.providers.commons import plain_text
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import option


@dataclass
class OpenIOptions(Checked):
    """What Open-i is asked, beside the query."""

    endpoint: str = option("https://openi.nlm.nih.gov", "Address of the server.")
    it: str = option("x", "Image types, a comma list; `x` is X-ray by most accounts (see the module). Empty: every type.")
    coll: str = option("", "Collections, a comma list (pmc, mpx, cxr …); empty: all of them.")
    page_size: int = option(30, "Figures a request; over about 60 answers are slow.")
    pause: float = option(2.0, "Seconds between requests.", within="[0, ∞)")


class OpenI:
    """NLM's Open-i; see the module."""

    name: ClassVar[str] = "openi"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = OpenIOptions

    def __init__(self, options: OpenIOptions, api: Api) -> None:
        if options.page_size < 1:
            raise ProviderError(f"openi: page_size is {options.page_size}; expected 1 or more")
        self._options, self._api = options, api
        self._endpoint = options.endpoint.rstrip("/")

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Candidates page by page, each image once. Raises `ProviderError` for a limit or an answer of another shape."""
        text = " ".join(query.split())
        if not text:
            raise ProviderError("openi: the query is empty")
        size = self._options.page_size if limit is None else min(self._options.page_size, max(limit, 1))
        seen: set[str] = set()
        first = 1
        before: list[Any] = []
        while limit is None or len(seen) < limit:
            entries, total = self._page(text, first, first + size - 1)
            for entry in entries:
                candidate = self._candidate(entry)
                if candidate is None or candidate.url in seen:
                    continue
                seen.add(candidate.url)
                yield candidate
                if len(seen) == limit:
                    return
            first += size
            # A server that ignores m would send its first page for ever.
            if not entries or entries == before or first > total:
                return
            before = entries

    def _page(self, query: str, first: int, last: int) -> tuple[list[Any], int]:
        """The figures `first` … `last`, and how many there are."""
        asked: dict[str, Any] = {"query": query, "m": first, "n": last}
        for name, value in (("it", self._options.it), ("coll", self._options.coll)):
            if value:
                asked[name] = value
        url = f"{self._endpoint}/api/search"
        answer = self._api.get_json(url, asked, pause=self._options.pause)
        total = answer.get("total") if isinstance(answer, Mapping) else None
        if isinstance(total, str) and total.isdecimal():
            total = int(total)
        entries = answer.get("list", [] if total == 0 else None) if isinstance(answer, Mapping) else None
        if not isinstance(total, int) or not isinstance(entries, list):
            raise ProviderError(f"{url}: expected a JSON object with total and list, got {str(answer)[:80]}")
        return entries, total

    def _candidate(self, entry: Any) -> Candidate | None:
        """A figure as a candidate; None without an image that can be fetched."""
        if not isinstance(entry, Mapping) or not _text(entry, "imgLarge"):
            return None
        try:
            url = urljoin(f"{self._endpoint}/", _text(entry, "imgLarge"))
            if urlsplit(url).scheme not in ("http", "https"):
                return None
        except ValueError:
            return None
        figure = entry.get("image")
        figure = figure if isinstance(figure, Mapping) else {}
        article, caption = plain_text(_text(entry, "title")), plain_text(_text(figure, "caption"))
        creator, page = plain_text(_text(entry, "authors")), self._page_of(entry, figure)
        words, deed = _text(entry, "ccLicense"), _text(entry, "licenseURL")
        licence = spdx(words, deed)
        deed = deed or licence_url(licence)
        return Candidate(
            url=url,
            page=page,
            title=" — ".join(part for part in (article, caption) if part),
            creator=creator,
            licence=licence,
            licence_text=words,
            licence_url=deed,
            attribution=attribution_text(title=article, creator=creator, licence=licence, licence_url=deed, page=page),
        )

    def _page_of(self, entry: Mapping[str, Any], figure: Mapping[str, Any]) -> str:
        """The article, else what the entry links to, else Open-i's page of the figure."""
        pmcid = entry.get("pmcid")
        match = re.fullmatch(r"(?:PMC)?(\d+)", str(pmcid).strip(), re.IGNORECASE)
        if match and int(match[1]):
            return f"https://europepmc.org/article/PMC/PMC{match[1]}"
        for name in ("pmc_url", "fulltext_html_url", "pubMed_url"):
            if _text(entry, name).startswith(("http://", "https://")):
                return _text(entry, name)
        identifier = _text(figure, "id")
        return f"{self._endpoint}/detailedresult?img={quote(identifier, safe='', errors='replace')}" if identifier else ""


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""
