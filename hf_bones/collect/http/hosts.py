"""What each host allows: its robots.txt and TDM reservation, asked for once a day and kept in the manifest."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin, urlsplit

import httpx2
import stamina
from protego import Protego

from hf_bones.collect.http.addresses import AddressRefusedError, UnresolvableError
from hf_bones.collect.http.directives import TdmRule, parse_tdmrep
from hf_bones.collect.http.web import MAX_REDIRECTS, PRODUCT, EncodedError, TooLargeError, read_body
from hf_bones.collect.reasons import FetchFailedError, FetchReason, FetchRefusedError
from hf_bones.manifest.store import Manifest
from hf_bones.record import now

MAX_ROBOTS_BYTES = 512 * 1024  # RFC 9309 asks to read at least 500 KiB
KEPT_FOR = timedelta(hours=24)  # RFC 9309: no longer than a day
_ASK_SECONDS = 20.0
_IN_MEMORY = 1000


@dataclass(frozen=True, eq=False)
class HostRules:
    """The rules of one origin. `crawl_delay` in seconds; `robots` None where all is allowed."""

    robots: Protego | None
    tdm: tuple[TdmRule, ...]
    crawl_delay: float = 0.0

    def allow(self, url: str) -> bool:
        return self.robots is None or bool(self.robots.can_fetch(url, PRODUCT))


class SiteRules:
    """The rules of all hosts: from the manifest where they are fresh, else from the hosts."""

    def __init__(self, client: httpx2.AsyncClient, manifest: Manifest, attempts: int = 3, first_wait: float = 1.0) -> None:
        self._client, self._manifest, self._attempts, self._first_wait = client, manifest, attempts, first_wait
        self._known: OrderedDict[str, asyncio.Task[HostRules]] = OrderedDict()

    async def of(self, url: str) -> HostRules:
        """The rules for `url`'s origin.

        A robots.txt that answers 4xx allows all. One that cannot be reached, or answers 5xx, forbids all (RFC 9309, 2.3.1.4): raises
        `FetchFailedError`, since that may pass; the host is then left alone for the rest of the run. Raises `FetchRefusedError` where the
        address must not be connected to.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc.lower()}"
        task = self._known.get(origin)
        if task is None or task.cancelled():
            task = self._known[origin] = asyncio.create_task(self._ask(origin))
            while len(self._known) > _IN_MEMORY:
                self._known.popitem(last=False)
        self._known.move_to_end(origin)
        return await asyncio.shield(task)

    async def _ask(self, origin: str) -> HostRules:
        try:
            async for attempt in stamina.retry_context(
                on=FetchFailedError, attempts=self._attempts, timeout=None, wait_initial=self._first_wait, wait_jitter=self._first_wait
            ):
                with attempt:
                    return await self._ask_once(origin)
        except FetchFailedError as error:
            error.tried_enough = True
            raise
        raise AssertionError("the retry loop ends by returning or raising")

    async def _ask_once(self, origin: str) -> HostRules:
        row = self._manifest.connection.execute("SELECT * FROM hosts WHERE origin = ?", (origin,)).fetchone()
        if row is None or datetime.fromisoformat(row["asked_at"]) < datetime.now(UTC) - KEPT_FOR:
            status, robots = await self._get(f"{origin}/robots.txt")
            if status >= 500 or status == 429:
                raise FetchFailedError(FetchReason.ROBOTS_UNREACHABLE, f"{origin}/robots.txt answered {status}", status=status)
            robots = robots if status == 200 else ""
            tdm_status, tdm = await self._get(f"{origin}/.well-known/tdmrep.json")
            if tdm_status >= 500 or tdm_status == 429:
                detail = f"{origin}/.well-known/tdmrep.json answered {tdm_status}"
                raise FetchFailedError(FetchReason.ROBOTS_UNREACHABLE, detail, status=tdm_status)
            tdm = tdm if tdm_status == 200 else ""
            self._manifest.connection.execute(
                "INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?, ?)", (origin, status, robots, tdm if parse_tdmrep(tdm) else "", now())
            )
        else:
            robots, tdm = row["robots"], row["tdm"]
        if not robots.strip():
            return HostRules(None, parse_tdmrep(tdm))
        parsed = Protego.parse(robots)
        delay = float(parsed.crawl_delay(PRODUCT) or 0.0)
        rate = parsed.request_rate(PRODUCT)
        if rate is not None and rate.requests:
            delay = max(delay, rate.seconds / rate.requests)
        return HostRules(parsed, parse_tdmrep(tdm), delay)

    async def _get(self, url: str) -> tuple[int, str]:
        """Status and text of a small file of the host's, over at most 5 redirects; more of them count as 404 (RFC 9309, 2.3.1.2)."""
        start = url
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                for _ in range(MAX_REDIRECTS + 1):
                    async with self._client.stream("GET", url) as response:
                        location = response.headers.get("location")
                        if response.status_code not in (301, 302, 303, 307, 308) or location is None:
                            body = bytearray()
                            try:
                                await read_body(response, MAX_ROBOTS_BYTES, body)
                            except (TooLargeError, EncodedError):
                                body = body[:MAX_ROBOTS_BYTES]
                            return response.status_code, body.decode("utf-8", "replace")
                    try:
                        url = urljoin(url, location)
                    except ValueError:  # `http://[`: leads nowhere, as one redirect too many does
                        return 404, ""
        except AddressRefusedError as error:
            raise FetchRefusedError(FetchReason.PRIVATE_ADDRESS, str(error)) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            return 404, ""
        except UnresolvableError as error:
            raise FetchFailedError(FetchReason.UNRESOLVABLE, str(error)) from error
        except (httpx2.HTTPError, httpx2.StreamError, TimeoutError) as error:
            raise FetchFailedError(FetchReason.ROBOTS_UNREACHABLE, f"{start}: {type(error).__name__} {error}".rstrip()) from error
        return 404, ""
