"""No URL leads to a private address: `python -m pytest tests/collect/http/test_addresses.py`."""

import asyncio
import ipaddress
import socket

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hf_bones.collect.http.addresses import (
    AddressGuard,
    AddressRefusedError,
    GuardedBackend,
    UnresolvableError,
    is_public,
    read_number_form,
)
from hf_bones.collect.http.web import make_client

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.170", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1", "203.0.113.7",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
    "2002:7f00:1::1", "2001::1",
    "2001:db8::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "5f00::1", "3fff::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "151.101.1.69", "172.32.0.1", "192.167.255.255", "2606:4700:4700::1111", "2a00:1450:4001::200e"]


@pytest.mark.parametrize("text", PRIVATE)
def test_special_addresses_are_not_public(text):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_ordinary_addresses_are_public(text):
    assert is_public(ipaddress.ip_address(text))


LOOPBACK_FORMS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "[::1]",
    "0",
]


@pytest.mark.parametrize("host", LOOPBACK_FORMS)
def test_every_way_to_spell_loopback_is_read_and_refused(host):
    assert read_number_form(host) is not None
    with pytest.raises(AddressRefusedError, match="not a public address"):
        asyncio.run(AddressGuard().addresses(host, 80))


@pytest.mark.parametrize("host", ["1.2.3.4.5", "999.1.1.1", "0x1ffffffff", "1.2.3.0x100"])
def test_what_only_looks_like_an_address_goes_to_the_name_service_or_is_refused(host):
    guard = AddressGuard(resolver=answers())
    with pytest.raises((AddressRefusedError, UnresolvableError)):
        asyncio.run(guard.addresses(host, 80))


def answers(*addresses):
    async def resolve(host, port):
        return addresses

    return resolve


def test_one_private_address_among_public_ones_refuses_the_host():
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1"):
        asyncio.run(AddressGuard(resolver=answers("8.8.8.8", "10.0.0.1")).addresses("two-faced.example", 80))


def test_a_host_without_an_address_is_unresolvable():
    with pytest.raises(UnresolvableError):
        asyncio.run(AddressGuard(resolver=answers()).addresses("nowhere.example", 80))


def test_allowing_a_network_allows_just_that():
    guard = AddressGuard(["10.1.0.0/16", "searx.lan"], resolver=answers("192.168.7.7"))
    assert asyncio.run(guard.addresses("10.1.2.3", 80)) == [ipaddress.ip_address("10.1.2.3")]
    assert asyncio.run(guard.addresses("SEARX.lan", 80)) == [ipaddress.ip_address("192.168.7.7")]
    for host in ("10.2.0.1", "other.lan", "127.0.0.1", "::ffff:10.1.2.3"):
        with pytest.raises(AddressRefusedError):
            asyncio.run(guard.addresses(host, 80))


@pytest.mark.parametrize("text", ["http://10.0.0.1", "10.0.0.0/99", "a b", "", "127.1"])
def test_what_is_allowed_must_be_an_address_a_network_or_a_name(text):
    with pytest.raises(ValueError, match="--allow-private"):
        AddressGuard([text])


class Listener:
    """A server on loopback that notes every connection."""

    def __init__(self):
        self.connections = 0

    async def __aenter__(self):
        async def serve(reader, writer):
            self.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
            writer.close()

        self._server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()
        await self._server.wait_closed()


def test_a_name_that_rebinds_between_check_and_connection_gains_nothing():
    """The first answer is public, every later one is loopback: the connection goes to what was checked, or nowhere."""
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        return ["192.0.2.1"] if len(asked) > 99 else (["203.0.114.1"] if len(asked) == 1 else ["127.0.0.1"])

    async def main():
        async with Listener() as listener:
            guard = AddressGuard(resolver=rebinding)
            connected = []

            class Network:
                async def connect_tcp(self, host, port, *rest):
                    connected.append(host)
                    raise httpx2.ConnectError("stop here")

            backend = GuardedBackend(guard, Network())
            with pytest.raises(httpx2.ConnectError):
                await backend.connect_tcp("rebinding.example", listener.port, 5.0)
            assert connected == ["203.0.114.1"] and asked == ["rebinding.example"]
            with pytest.raises(AddressRefusedError):
                await backend.connect_tcp("rebinding.example", listener.port, 5.0)
            assert connected == ["203.0.114.1"] and listener.connections == 0

    asyncio.run(main())


def test_an_allowed_server_is_reached_through_the_guarded_client_and_others_are_not():
    async def main():
        async with Listener() as listener:
            async with make_client(AddressGuard(["127.0.0.1"]), "test") as client:
                assert (await client.get(f"http://127.0.0.1:{listener.port}/")).text == "ok"
            before = listener.connections
            async with make_client(AddressGuard(), "test") as client:
                for host in ("127.0.0.1", "localhost", "0x7f000001", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]"):
                    with pytest.raises((AddressRefusedError, httpx2.InvalidURL)):  # httpx itself reads no octal
                        await client.get(f"http://{host}:{listener.port}/")
            assert listener.connections == before

    asyncio.run(main())


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    async def main():
        async with Listener() as listener:
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listener.port}")
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{listener.port}")
            async with make_client(AddressGuard(resolver=answers("127.0.0.1")), "test") as client:
                with pytest.raises(AddressRefusedError):
                    await client.get("http://public.example/")
            assert listener.connections == 0

    asyncio.run(main())


v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
near_private = st.sampled_from([text for text in PRIVATE if "%" not in text]).map(ipaddress.ip_address)
mapped = v4.map(lambda address: ipaddress.IPv6Address(f"::ffff:{address}"))
any_address = st.one_of(v4, v6, near_private, mapped)


def spellings(address):
    """Ways to write an address as a URL's host."""
    if address.version == 6:
        return [f"[{address}]", f"[{address.exploded}]"]
    number, parts = int(address), str(address).split(".")
    dotted_hex, dotted_octal = (".".join(form.format(int(part)) for part in parts) for form in ("0x{:x}", "0{:o}"))
    short = f"{parts[0]}.{number & 0xFFFFFF}"
    return [str(address), str(number), hex(number), f"0{number:o}", dotted_hex, dotted_octal, short, f"[::ffff:{address}]"]


@given(any_address, st.data(), st.sampled_from(["http", "https"]), st.integers(1, 65535), st.text(max_size=8))
@example(ipaddress.ip_address("169.254.169.254"), None, "http", 80, "latest")
def test_no_url_reaches_a_private_address(address, data, scheme, port, path):
    """Whatever the URL, however its host is spelled or resolved: each address that a connection is opened to is public."""
    hosts = [*spellings(address), "name.example"]
    host = data.draw(st.sampled_from(hosts)) if data is not None else hosts[0]
    opened = []

    class Network:
        async def connect_tcp(self, host, port, *rest):
            opened.append(ipaddress.ip_address(host))
            raise httpx2.ConnectError("not for real")

    async def main():
        guard = AddressGuard(resolver=answers(str(address)))
        async with make_client(guard, "test", network=Network()) as client:
            try:
                await client.get(httpx2.URL(f"{scheme}://{host}:{port}/").copy_with(path=f"/{path}"))
            except (AddressRefusedError, httpx2.ConnectError, httpx2.InvalidURL, UnresolvableError):
                pass
            else:
                pytest.fail("nothing answers in this test")

    asyncio.run(main())
    assert all(is_public(each) for each in opened)
    if is_public(address) and host in (str(address), "name.example"):
        assert opened == [address]  # the guard lets through what it should


def test_the_reading_of_number_forms_agrees_with_the_c_library():
    for host in ("1", "1.2", "1.2.3", "0x10.8.010.1", "4294967295"):
        assert str(read_number_form(host)) == socket.inet_ntoa(socket.inet_aton(host))
