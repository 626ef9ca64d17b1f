"""The HTTP client of the collector: guarded addresses, no proxies, no cookies, no redirects by itself, capped bodies.

The environment's proxies are not used, on purpose: a proxy resolves names itself, and then nobody has checked where the connection goes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import metadata

import httpcore2
import httpx2

from hf_bones.collect.addresses import AddressGuard, GuardedBackend

# stamina logs a line for each retry, which would drown the progress bar; retries are counted in the manifest.
logging.getLogger("stamina").setLevel(logging.ERROR)

PRODUCT = "hf_bones"  # the name that robots.txt addresses us by
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
MAX_REDIRECTS = 5
_MAX_CONNECTIONS, _MAX_IDLE, _IDLE_SECONDS = 512, 128, 15.0


class TooLargeError(ValueError):
    """A body over its cap."""


class EncodedError(ValueError):
    """A body in a content encoding that was not asked for and is not read."""


def user_agent(contact: str) -> str:
    """Our name, version, where to reach whoever runs this, and the library: the form that Wikimedia's policy asks for."""
    try:
        version = metadata.version("hf-bones")
    except metadata.PackageNotFoundError:
        version = "0"
    return f"{PRODUCT}/{version} ({contact}) httpx2/{httpx2.__version__}"


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport over a pool whose connections `guard` has permitted."""

    def __init__(self, guard: AddressGuard) -> None:
        context = httpx2.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=GuardedBackend(guard),
        )


def make_client(guard: AddressGuard, agent: str, connect_timeout: float = 15.0, read_timeout: float = 30.0) -> httpx2.AsyncClient:
    """A client whose every connection goes through `guard`; timeouts in seconds, the second for each read and write.

    Bodies are asked for as they are: compression could hide their size.
    """
    return httpx2.AsyncClient(
        transport=_GuardedTransport(guard),
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
        raise EncodedError(f"content encoding {encoding!r} was not asked for")
    length = str(response.headers.get("content-length", ""))
    if length.isdigit() and int(length) > most:
        raise TooLargeError(f"{length} bytes announced, over the limit of {most}")
    body = bytearray() if into is None else into
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise TooLargeError(f"over the limit of {most} bytes")
    return bytes(body)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After asks for, in seconds (RFC 9110: a number or a date); None where there is none or it cannot be read."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
