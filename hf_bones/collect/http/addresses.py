"""Which addresses may be connected to: public ones, and those that the user allows. The defence against server-side request forgery.

A name in a URL says nothing about where it leads, and it may lead elsewhere the second time (DNS rebinding). So the check is made where the
connection is: `GuardedBackend` resolves the host, refuses it when any of its addresses is forbidden, and connects to the very address that
it checked. Every connection of the collector, each redirect included, is made through it. Number forms of an address (decimal, octal, hex,
short: `0x7f000001`, `127.1`) are read as the C library reads them, and meet the same check.

Sources: IANA special-purpose address registries (RFC 6890 and its updates); RFC 6052 (NAT64), 3056 (6to4), 4380 (Teredo).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import select
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

FORBIDDEN_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out for global unicast; mapped, NAT64, ULA, link-local lie outside
FORBIDDEN_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")  # Teredo, documentation, 6to4, AS112
)

_NUMBER_FORM = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?")
_RESOLVING_THREADS = 32  # asyncio's own pool has a few threads a core, and a slow name server would hold them all


class AddressRefusedError(ValueError):
    """A host that leads to an address which must not be connected to."""


class UnresolvableError(OSError):
    """A host without an address."""


def is_public(address: Address) -> bool:
    """Whether an address is plain global unicast: not private, loopback, link-local, multicast, reserved, nor a wrapper of an IPv4 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in FORBIDDEN_V4) and address.is_global
    if address.scope_id is not None or address not in PUBLIC_V6 or any(address in network for network in FORBIDDEN_V6):
        return False
    return address.is_global and not address.is_multicast


def read_number_form(host: str) -> Address | None:
    """The address that `host` spells out, in any form that C libraries read ("[::1]", "0x7f000001", "127.1"); None for a name."""
    text = host.strip("[]")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    if not _NUMBER_FORM.fullmatch(text):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text.rstrip(".")))
    except OSError as error:
        raise AddressRefusedError(f"{host!r} looks like an address but is not one") from error


def parse_allowed(texts: Iterable[str]) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Host names and networks from what `--allow-private` was given: "searx.lan", "10.1.2.3", "10.1.0.0/16", "::1".

    Raises ValueError for anything else, a URL for example.
    """
    names, networks = set(), []
    for text in texts:
        word = text.strip().strip("[]").lower()
        try:
            networks.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?", word) or _NUMBER_FORM.fullmatch(word):
                raise ValueError(f"--allow-private {text!r}: give an address, a network (10.0.0.0/8) or a host name, not a URL") from None
            names.add(word)
    return frozenset(names), tuple(networks)


class AddressGuard:
    """Decides where connections may go. `allowed` are addresses, networks and host names of one's own that may be private.

    `resolver` gives a host's addresses as text (by default the system's, in threads of its own).
    """

    def __init__(self, allowed: Iterable[str] = (), resolver: Resolver | None = None) -> None:
        self.names, self.networks = parse_allowed(allowed)
        self._resolver = resolver or system_resolver()

    def permits(self, address: Address, host: str = "") -> bool:
        """Whether `address`, to which `host` leads, may be connected to."""
        if is_public(address) or host.lower().rstrip(".") in self.names:
            return True
        return any(address.version == network.version and address in network for network in self.networks)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Where `host` leads, all of it checked; at least one address.

        Raises `AddressRefusedError` when one of them is forbidden (a name with a public and a private address is a trap, or a mistake), and
        `UnresolvableError` when there is none.
        """
        spelled = read_number_form(host)
        if spelled is not None:
            found = [spelled]
        else:
            found = [ipaddress.ip_address(text) for text in dict.fromkeys(await self._resolver(host, port))]
        if not found:
            raise UnresolvableError(f"{host} has no address")
        for address in found:
            if not self.permits(address, host):
                raise AddressRefusedError(f"{host} leads to {address}, which is not a public address")
        return found


def system_resolver() -> Resolver:
    """The system's name service, asked in threads. Raises `UnresolvableError` for a name that it does not know."""
    pool = ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="resolve")

    def look_up(host: str, port: int) -> list[str]:
        try:
            return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise UnresolvableError(f"{host}: {error}") from error

    async def resolve(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(pool, look_up, host, port)

    return resolve


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection. It remembers its socket: the pool asks before each request whether an idle one was closed, which anyio answers
    slowly."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket: Any = stream.get_extra_info("socket")
        self._poll = select.poll() if hasattr(select, "poll") and self._socket is not None else None  # Windows has none
        if self._poll is not None:
            self._poll.register(self._socket, select.POLLIN)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable" or self._poll is None:
            return self._stream.get_extra_info(info)
        return self._socket.fileno() < 0 or bool(self._poll.poll(0))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """httpcore's way to the network, where every connection goes to an address that `guard` has permitted.

    `network` makes the connections, to addresses in numbers; by default the real one.
    """

    def __init__(self, guard: AddressGuard, network: httpcore2.AsyncNetworkBackend | None = None) -> None:
        self._guard = guard
        self._network = network or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connects to the first checked address of `host` that answers.

        Raises as `AddressGuard.addresses` does, or httpcore's ConnectError.
        """
        deadline = time.monotonic() + (timeout or 60.0)
        try:
            addresses = await asyncio.wait_for(self._guard.addresses(host, port), timeout)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host}: the name service does not answer") from error
        failure: Exception | None = None
        for index, address in enumerate(addresses):
            # A dead address (IPv6 without a route, often) must leave time for the ones after it.
            left = (deadline - time.monotonic()) / (len(addresses) - index)
            try:
                return _Stream(await self._network.connect_tcp(str(address), port, max(left, 0.1), local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Never: no URL leads to a socket file."""
        raise AddressRefusedError(f"{path}: connections to socket files are not made")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
