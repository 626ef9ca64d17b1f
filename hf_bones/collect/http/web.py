"""The HTTP client of the collector: guarded addresses, no proxies, no cookies, no redirects by itself, capped bodies.

The environment's proxies are not used, on purpose: a proxy resolves names itself, and then nobody has checked where the connection goes.
"""

from __future__ import annotations

import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import metadata

import httpcore2
import httpx2

from hf_bones.collect.http.addresses import AddressGuard, GuardedBackend

# stamina logs a line for each retry, which would drown the progress bar; retries are counted in the manifest.
logging.getLogger("stamina").setLevel(logging.ERROR)

PRODUCT = "hf_bones"  # the name that robots.txt addresses us by
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
MAX_REDIRECTS = 5
_LARGEST = 1e15  # of a number in a header: a thousand digits make no infinity
_MAX_CONNECTIONS, _IDLE_SECONDS = 128, 15.0  # of one host
_MAX_HOSTS = 256  # whose connections are kept open


class TooLargeError(ValueError):
    """A body over its cap."""


class EncodedError(ValueError):
    """A body in a content encoding that was not requested and is not read."""


def user_agent(contact: str) -> str:
    """Our name, version, where to reach whoever runs this, and the library: the form that Wikimedia's policy asks for.

    Raises ValueError for a contact that cannot stand in a header.
    """
    if any(character in contact for character in "\r\n()") or not contact.isascii():
        raise ValueError(f"contact {contact!r}: plain ASCII without brackets and line ends, since it stands in an HTTP header")
    try:
        version = metadata.version("hf-bones")
    except metadata.PackageNotFoundError:
        version = "0"
    return f"{PRODUCT}/{version} ({contact}) httpx2/{httpx2.__version__}"


class _HostTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport to one host, over a pool whose connections `backend` makes."""

    def __init__(self, context: ssl.SSLContext, backend: GuardedBackend) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context, max_connections=_MAX_CONNECTIONS, keepalive_expiry=_IDLE_SECONDS, network_backend=backend
        )
        self.in_use = 0


class _GuardedTransport(httpx2.AsyncBaseTransport):
    """A transport for all hosts, each with a pool of its own: one pool looks through all its connections at each request."""

    def __init__(self, guard: AddressGuard, network: httpcore2.AsyncNetworkBackend | None) -> None:
        self._context = httpx2.create_ssl_context(trust_env=False)
        self._backend = GuardedBackend(guard, network)
        self._hosts: OrderedDict[bytes, _HostTransport] = OrderedDict()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        name = request.url.raw_host + b":%d" % (request.url.port or 0) + request.url.raw_scheme
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _HostTransport(self._context, self._backend)
        self._hosts.move_to_end(name)
        response = await host.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _CountedStream(response.stream, host)
        await self._close_unused()
        return response

    async def _close_unused(self) -> None:
        """Keeps the connections of the hosts used last: a long run meets thousands."""
        for name in list(self._hosts)[: max(0, len(self._hosts) - _MAX_HOSTS)]:
            if not self._hosts[name].in_use:
                await self._hosts.pop(name).aclose()

    async def aclose(self) -> None:
        for host in self._hosts.values():
            await host.aclose()
        self._hosts.clear()


class _CountedStream(httpx2.AsyncByteStream):
    """A body that is being read: its host's connections are in use until it is closed."""

    def __init__(self, stream: httpx2.AsyncByteStream, host: _HostTransport) -> None:
        self._stream, self._host = stream, host
        host.in_use += 1

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        self._host.in_use -= 1
        await self._stream.aclose()


def make_client(
    guard: AddressGuard,
    agent: str,
    connect_timeout: float = 15.0,
    read_timeout: float = 30.0,
    network: httpcore2.AsyncNetworkBackend | None = None,
) -> httpx2.AsyncClient:
    """A client whose every connection goes through `guard`; timeouts in seconds, the second for each read and write.

    Bodies are asked for as they are: compression could hide their size. `network` makes the connections, by default the real one.
    """
    return httpx2.AsyncClient(
        transport=_GuardedTransport(guard, network),
        headers={"User-Agent": agent, "Accept-Encoding": "identity", "Accept": "*/*"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx2.Timeout(read_timeout, connect=connect_timeout),
        follow_redirects=False,
        max_redirects=MAX_REDIRECTS,
        trust_env=False,
    )


async def read_body(response: httpx2.Response, most: int, into: bytearray | None = None) -> bytes:
    """The body, at most `most` bytes; `into` gets them as they come, so that what came before an error is not lost.

    Raises `TooLargeError` over the cap, by Content-Length or by count, and `EncodedError` for an encoding that is not read. gzip and
    deflate are read where a server sends them unasked; what they unpack to is counted too.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise EncodedError(f"content encoding {encoding!r} was not requested")
    length = header_number(response.headers, "content-length")
    if length is not None and length > most:
        raise TooLargeError(f"{length:.0f} bytes announced, over the limit of {most}")
    body = bytearray() if into is None else into
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise TooLargeError(f"over the limit of {most} bytes")
    return bytes(body)


def header_number(headers: Mapping[str, str], name: str) -> float | None:
    """The number that a header holds, of ASCII digits alone; None where there is none. `str.isdigit` is true of "²", which no number is."""
    value = headers.get(name, "").strip()
    return min(float(value), _LARGEST) if value.isascii() and value.isdigit() else None


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After asks for, in seconds (RFC 9110: a number or a date); None where there is none or it cannot be read."""
    seconds = header_number(headers, "retry-after")
    if seconds is not None:
        return seconds
    value = headers.get("retry-after", "").strip()
    if not value.isascii():
        return None
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
