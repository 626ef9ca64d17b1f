"""Fetching one URL: politely, within caps, hop by hop, with every address checked. What comes back is bytes, not yet an image.

A redirect is a new URL: its scheme, tombstone, robots.txt and address are checked as those of the first. Whether the bytes are an image is
told by decoding them (`collect/examine.py`), never by the name or the Content-Type.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx2
import stamina

from hf_bones.collect.http.addresses import AddressRefusedError, UnresolvableError
from hf_bones.collect.http.directives import forbidding_tag, header_reservation, tdm_reserved
from hf_bones.collect.http.hosts import HostRules, SiteRules
from hf_bones.collect.http.pace import Pace
from hf_bones.collect.http.web import RETRIED_STATUS, EncodedError, TooLargeError, read_body, retry_after_seconds
from hf_bones.collect.reasons import FetchFailedError, FetchReason, FetchRefusedError, HostAsksToWaitError
from hf_bones.collect.recipe import FetchSettings

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, eq=False)
class Download:
    """The bytes of a URL, and where they came from in the end. `attempts` counts the requests' rounds."""

    body: bytes
    final_url: str
    status: int
    content_type: str
    attempts: int


class Fetcher:
    """Fetches URLs with one client. `forgotten` tells whether a URL has a tombstone."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        pace: Pace,
        site_rules: SiteRules,
        settings: FetchSettings,
        forgotten: Callable[[str], bool] = lambda url: False,
    ) -> None:
        self._client, self._pace, self._site_rules, self._settings, self._forgotten = client, pace, site_rules, settings, forgotten

    async def fetch(self, url: str) -> Download:
        """The bytes at `url`.

        Raises `FetchRefusedError` for what will stay so, `FetchFailedError` when the attempts or the time for a file are used up, and
        `HostAsksToWaitError` when the host wants a longer pause than is waited for. Whatever else an answer brings about is a
        `FetchFailedError` too: it is this URL's, not the run's. Only what the manifest raises goes on as it is.
        """
        try:
            return await self._fetch(url)
        except (FetchRefusedError, FetchFailedError, HostAsksToWaitError, sqlite3.Error):
            raise
        except Exception as error:
            raise FetchFailedError(FetchReason.BAD_ANSWER, f"{type(error).__name__}: {error}", tried_enough=True) from error

    async def _fetch(self, url: str) -> Download:
        budget = _Budget(self._settings.file_timeout)
        try:
            return await self._follow(url, budget, 1)
        except FetchFailedError as error:
            first = error
        # Nearly every file comes at once, and setting up the retries takes longer than a small file's transfer.
        retries = stamina.retry_context(
            on=lambda error: self._wait(error, budget),
            attempts=self._settings.attempts,
            timeout=None,
            wait_initial=self._settings.first_wait,
            wait_max=max(30.0, self._settings.first_wait),
            wait_jitter=self._settings.first_wait,
        )
        async for attempt in retries:
            with attempt:
                if attempt.num == 1:
                    raise first
                return await self._follow(url, budget, attempt.num)
        raise AssertionError("the retry loop ends by returning or raising")

    def _wait(self, error: Exception, budget: _Budget) -> bool | float:
        """For stamina: whether to try again, and the seconds that the host asked for."""
        if not isinstance(error, FetchFailedError) or error.tried_enough or budget.left() <= 0:
            return False
        return True if error.retry_after is None else error.retry_after

    async def _follow(self, url: str, budget: _Budget, attempt: int) -> Download:
        for _ in range(self._settings.max_redirects + 1):
            host = check_url(url)
            if self._forgotten(url):
                raise FetchRefusedError(FetchReason.FORGOTTEN, url)
            rules = await self._site_rules.of(url)
            if not rules.allow(url):
                raise FetchRefusedError(FetchReason.ROBOTS_TXT, f"robots.txt of {host} does not allow {url}")
            async with self._pace.turn(host, rules.crawl_delay):
                answer = await self._request(url, host, rules, budget, attempt)
            if isinstance(answer, Download):
                return answer
            url = answer
        raise FetchRefusedError(FetchReason.TOO_MANY_REDIRECTS, f"over {self._settings.max_redirects}, the last to {url}")

    async def _request(self, url: str, host: str, rules: HostRules, budget: _Budget, attempt: int) -> Download | str:
        """One request: the file, or where it redirects to."""
        body = bytearray()
        try:
            async with budget, self._client.stream("GET", url) as response:
                status = response.status_code
                if status in _REDIRECTS and "location" in response.headers:
                    return _redirected(url, response.headers["location"], status)
                if status != 200:
                    raise self._status_error(response, host)
                self._check_directives(response.headers, rules, url)
                await read_body(response, self._settings.max_bytes, body)
                return Download(bytes(body), url, status, response.headers.get("content-type", ""), attempt)
        except AddressRefusedError as error:
            raise FetchRefusedError(FetchReason.PRIVATE_ADDRESS, str(error)) from error
        except TooLargeError as error:
            raise FetchRefusedError(FetchReason.FILE_TOO_LARGE, str(error)) from error
        except EncodedError as error:
            raise FetchRefusedError(FetchReason.CONTENT_ENCODING, str(error)) from error
        except UnresolvableError as error:
            raise FetchFailedError(FetchReason.UNRESOLVABLE, str(error)) from error
        except TimeoutError as error:
            detail = f"not there within {self._settings.file_timeout:g} s, {len(body)} bytes had come"
            raise FetchFailedError(FetchReason.TOO_SLOW, detail, body=bytes(body)) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise FetchRefusedError(FetchReason.BAD_URL, f"{url}: {error}") from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            slow = isinstance(error, httpx2.TimeoutException)
            reason = FetchReason.TOO_SLOW if slow else FetchReason.INCOMPLETE if body else FetchReason.CONNECTION
            detail = f"{type(error).__name__} {error}".rstrip() + (f", {len(body)} bytes had come" if body else "")
            raise FetchFailedError(reason, detail, body=bytes(body)) from error

    def _status_error(self, response: httpx2.Response, host: str) -> FetchRefusedError | FetchFailedError | HostAsksToWaitError:
        status = response.status_code
        if status not in RETRIED_STATUS:
            return FetchRefusedError(FetchReason.HTTP_STATUS, f"answered {status}", status=status)
        wait = retry_after_seconds(response.headers)
        if wait is not None:
            self._pace.hold(host, wait)
            if wait > self._settings.longest_wait:
                return HostAsksToWaitError(host, wait)
        return FetchFailedError(FetchReason.HTTP_STATUS, f"answered {status}", status=status, retry_after=wait)

    def _check_directives(self, headers: httpx2.Headers, rules: HostRules, url: str) -> None:
        tag = forbidding_tag(headers)
        if tag is not None:
            raise FetchRefusedError(FetchReason.X_ROBOTS_TAG, tag)
        reserved = header_reservation(headers)
        if reserved or (reserved is None and tdm_reserved(rules.tdm, url)):
            raise FetchRefusedError(FetchReason.TDM_RESERVATION, "rights to text and data mining are reserved")


class _Budget:
    """The time that one file may take, over its attempts and hops; pauses between them do not count."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._scope: asyncio.Timeout | None = None
        self._started = 0.0

    def left(self) -> float:
        return self._left

    async def __aenter__(self) -> None:
        self._started = time.monotonic()
        self._scope = asyncio.timeout(max(self._left, 0.0))
        await self._scope.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        assert self._scope is not None
        self._left -= time.monotonic() - self._started
        await self._scope.__aexit__(*error)  # type: ignore[arg-type]


def _redirected(url: str, location: str, status: int) -> str:
    """Where a redirect leads. Raises `FetchRefusedError` for a location that is no address, such as `http://[`."""
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchRefusedError(FetchReason.BAD_URL, f"redirects to {location!r}: {error}", status=status) from error


def check_url(url: str) -> str:
    """The host (with port) of an http or https URL. Raises `FetchRefusedError` for any other, and for one that carries a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise FetchRefusedError(FetchReason.BAD_URL, f"{url}: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise FetchRefusedError(FetchReason.BAD_URL, f"{url}: only http and https are fetched")
    if not host:
        raise FetchRefusedError(FetchReason.BAD_URL, f"{url}: no host")
    if parts.username or parts.password:
        raise FetchRefusedError(FetchReason.BAD_URL, f"{parts.scheme}://…@{host}: URLs with credentials are not fetched")
    return parts.netloc.lower()
