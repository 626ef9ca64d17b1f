"""Openverse: a catalogue of openly licensed images from some fifty sites (Flickr, Wikimedia, museums).

Documentation: https://api.openverse.org/v1/ and https://docs.openverse.org/api/.

Asked is `GET {endpoint}/images/` with `q` (at most 200 characters: the server would cut it silently, so a longer one is refused here),
`page`, `page_size`, `mature`, and where given `license`, `license_type`, `source` or `excluded_source`, `extension`, `size`, `category`,
`aspect_ratio` and `filter_dead`. The answer is `{"result_count", "page_count", "page_size", "page", "results": […]}`.

Limits: 20 pages of a query; 20 results a page without a token, and a larger `page_size` is answered 401. With a token 100 requests a minute
and 10,000 a day; without one a setting of the server, of which 5 an hour and 100 a day, and 20 a minute and 200 a day, have been read. Its
terms forbid scraping the catalogue: ask for candidates, fetch from the sources, stay small.

A token is had by OAuth2 client credentials: `POST {endpoint}/auth_tokens/token/` with the id and secret of a registered application. They
are read from the environment, OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET, never from a recipe, and never shown.

Licence fields read: `license` ("by-nc-sa", "cc0", "pdm"), `license_version`, `license_url`, and `attribution`, a finished sentence. The
image's `url` is on the host of its source. Unverified: the largest page with a token (500 in other clients), the limits of today.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.licences import attribution_text, licence_url, spdx
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import option

CLIENT_ID, CLIENT_SECRET = "OPENVERSE_CLIENT_ID", "OPENVERSE_CLIENT_SECRET"
LONGEST_QUERY = 200
DEEPEST_PAGE = 20
LARGEST_ANONYMOUS_PAGE = 20


@dataclass
class OpenverseOptions(Checked):
    """What Openverse is asked, beside the query. Lists become its comma lists; empty: no such filter."""

    endpoint: str = option("https://api.openverse.org/v1", "Address of the API, with its version.")
    license: list[str] = field(default_factory=list, metadata={"help": "Licence codes: by, by-sa, by-nc, by-nc-sa, cc0, pdm …"})
    license_type: list[str] = field(default_factory=list, metadata={"help": "Groups of licences: commercial, modification."})
    source: list[str] = field(default_factory=list, metadata={"help": "Only these sources (flickr, wikimedia …)."})
    excluded_source: list[str] = field(default_factory=list, metadata={"help": "All but these sources; not together with `source`."})
    extension: list[str] = field(default_factory=list, metadata={"help": "File name extensions: jpg, png …"})
    size: list[str] = field(default_factory=list, metadata={"help": "small, medium, large."})
    category: list[str] = field(default_factory=list, metadata={"help": "photograph, illustration, digitized_artwork."})
    aspect_ratio: list[str] = field(default_factory=list, metadata={"help": "tall, wide, square."})
    mature: bool = option(False, "Whether to include what is marked as sensitive.")
    filter_dead: bool | None = option(None, "Whether the server leaves out dead links; empty: as it is set.")
    page_size: int = option(20, "Results a page; over 20 only with credentials.")
    pause: float = option(3.0, "Seconds between requests.", within="[0, ∞)")


class Openverse:
    """The Openverse API; see the module."""

    name: ClassVar[str] = "openverse"
    label_basis: ClassVar[str] = "query"
    takes_queries: ClassVar[bool] = True
    options_type: ClassVar[type] = OpenverseOptions

    def __init__(self, options: OpenverseOptions, api: Api) -> None:
        if options.source and options.excluded_source:
            raise ProviderError(
                f"openverse: source ({', '.join(options.source)}) and excluded_source ({', '.join(options.excluded_source)}) are both set;"
                " the API takes one of them"
            )
        if options.page_size < 1:
            raise ProviderError(f"openverse: page_size is {options.page_size}; expected 1 or more")
        self._options, self._api = options, api
        self._endpoint = options.endpoint.rstrip("/")
        self._client_id, self._client_secret = os.environ.get(CLIENT_ID, ""), os.environ.get(CLIENT_SECRET, "")
        if bool(self._client_id) != bool(self._client_secret):
            missing = CLIENT_SECRET if self._client_id else CLIENT_ID
            raise ProviderError(f"openverse: {missing} is not set, but its partner is; set both or neither")
        if options.page_size > LARGEST_ANONYMOUS_PAGE and not self._client_id:
            raise ProviderError(
                f"openverse: page_size {options.page_size} needs credentials: set {CLIENT_ID} and {CLIENT_SECRET},"
                f" or a page_size of at most {LARGEST_ANONYMOUS_PAGE}"
            )
        self._token = ""

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Candidates page by page, at most 20 pages, each image once. Raises `ProviderError`: 401, a limit, an answer of another shape."""
        text = " ".join(query.split())
        if not text or len(text) > LONGEST_QUERY:
            raise ProviderError(f"openverse: a query has 1 to {LONGEST_QUERY} characters, this one {len(text)}: {text[:60]!r}")
        seen: set[str] = set()
        size = self._options.page_size if limit is None else min(self._options.page_size, max(limit, 1))
        for page in range(1, DEEPEST_PAGE + 1):
            if limit is not None and len(seen) >= limit:
                return
            results, pages = self._page(text, page, size)
            for entry in results:
                candidate = _candidate(entry)
                if candidate is None or candidate.url in seen:
                    continue
                seen.add(candidate.url)
                yield candidate
                if len(seen) == limit:
                    return
            if not results or (pages is not None and page >= pages):
                return

    def _page(self, query: str, page: int, size: int) -> tuple[list[Any], int | None]:
        """The results of a page, and how many pages there are, where the answer says."""
        options = self._options
        asked: dict[str, Any] = {"q": query, "page": page, "page_size": size, "mature": str(options.mature).lower()}
        for name in ("license", "license_type", "source", "excluded_source", "extension", "size", "category", "aspect_ratio"):
            values: list[str] = getattr(options, name)
            if values:
                asked[name] = ",".join(values)
        if options.filter_dead is not None:
            asked["filter_dead"] = str(options.filter_dead).lower()
        url = f"{self._endpoint}/images/"
        answer = self._ask(url, asked)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("results"), list):
            raise ProviderError(f"{url}: expected a JSON object with a list of results, got {str(answer)[:80]}")
        pages = answer.get("page_count")
        return answer["results"], pages if isinstance(pages, int) else None

    def _ask(self, url: str, asked: Mapping[str, Any]) -> Any:
        """The answer to a GET; with credentials, a token that is no longer taken is renewed once."""
        if not self._client_id:
            return self._api.get_json(url, asked, pause=self._options.pause)
        fresh = not self._token
        if fresh:
            self._token = self._new_token()
        try:
            return self._get_with_token(url, asked)
        except ProviderError as error:
            if error.status != 401:
                raise
            self._token = ""
            if fresh:
                raise
        self._token = self._new_token()
        return self._get_with_token(url, asked)

    def _get_with_token(self, url: str, asked: Mapping[str, Any]) -> Any:
        try:
            return self._api.get_json(url, asked, headers={"Authorization": f"Bearer {self._token}"}, pause=self._options.pause)
        except ProviderError as error:
            raise self._without_secrets(error) from None

    def _new_token(self) -> str:
        url = f"{self._endpoint}/auth_tokens/token/"
        form = {"grant_type": "client_credentials", "client_id": self._client_id, "client_secret": self._client_secret}
        try:
            answer = self._api.post_form(url, form, pause=self._options.pause)
        except ProviderError as error:
            hint = f". Check {CLIENT_ID} and {CLIENT_SECRET}" if error.status in (400, 401, 403) else ""
            raise self._without_secrets(error, hint) from None
        token = answer.get("access_token") if isinstance(answer, Mapping) else None
        if not isinstance(token, str) or not token:
            raise ProviderError(f"{url}: expected a JSON object with an access_token")  # what came instead may hold a secret
        return token

    def _without_secrets(self, error: ProviderError, hint: str = "") -> ProviderError:
        """The same error; a server may have sent back what it was sent."""
        message = str(error)
        for secret in (self._client_secret, self._client_id, self._token):
            message = message.replace(secret, "…") if secret else message
        return ProviderError(message + hint, status=error.status, retry_after=error.retry_after)


def _candidate(entry: Any) -> Candidate | None:
    """A result as a candidate; None without a URL that can be fetched."""
    if not isinstance(entry, Mapping):
        return None
    url, page = _text(entry, "url"), _text(entry, "foreign_landing_url")
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            return None
    except ValueError:
        return None
    title, creator = _text(entry, "title"), _text(entry, "creator")
    words = f"{_text(entry, 'license')} {_text(entry, 'license_version')}".strip()
    licence = spdx(words, _text(entry, "license_url"))
    deed = _text(entry, "license_url") or licence_url(licence)
    return Candidate(
        url=url,
        page=page,
        title=title,
        creator=creator,
        creator_url=_text(entry, "creator_url"),
        licence=licence,
        licence_text=words,
        licence_url=deed,
        attribution=_text(entry, "attribution")
        or attribution_text(title=title, creator=creator, licence=licence, licence_url=deed, page=page),
    )


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""
