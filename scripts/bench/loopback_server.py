"""The server of the collector's bench: HTTP/1.1 with keep-alive from memory, on 64 loopback addresses and one port, in its own process.

    python scripts/bench/loopback_server.py FOLDER --count 2000 --faulty 0.3 --log requests.log

FOLDER holds JPEGs. Prints its port once it listens, and ends when its standard input is closed. Every request becomes a line of the log, in
the order in which they came, written before the answer: time, address asked, path, how often this path was asked, what was answered.
Linux only: elsewhere the addresses of 127.0.0.0/8 beyond the first have to be configured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from collect_plan import HOSTS, PRIVATE_TARGETS, TRAP, Bodies, Item, make_plan

PLAIN, NOTHING, TRAPPED = "plain", "no such path", "TRAPPED"
ANNOUNCED = 10 * 2**30  # bytes


class Site:
    """What is served, and what has been asked for: the state behind all connections."""

    def __init__(self, bodies: Bodies, plan: Sequence[Item], log: Path) -> None:
        self.bodies = bodies
        self.port = 0
        self._by_path = {item.path: item for item in plan}
        self._asked: dict[str, int] = {}
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def find(self, host: str, target: str) -> tuple[Item | None, str]:
        """The item asked for, and the name of the answer it gets this time."""
        path, _, query = target.partition("?")
        item = self._by_path.get(path)
        asked = self._asked[target] = self._asked.get(target, 0) + 1
        if host == TRAP:
            name = TRAPPED
        elif item is None or (host != item.host and not query):
            name = NOTHING
        elif item.fault is None or (item.faulty_attempts is not None and asked > item.faulty_attempts):
            name = PLAIN
        else:
            name = item.fault.name
        os.write(self._log, f"{time.time():.4f}\t{host}\t{target}\t{asked}\t{name}\n".encode())
        return item, name


class Connection(asyncio.Protocol):
    """One connection: a request at a time, as long as the client keeps it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = b""
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = str(transport.get_extra_info("sockname")[0])

    def connection_lost(self, error: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        target = head.split(b" ", 2)[1].decode("ascii", "replace")
        last = b"connection: close" in head.lower()
        item, name = self._site.find(self._host, target)
        if item is None or name in (NOTHING, TRAPPED):
            self._send(404, b"nothing here", "text/plain", last=last)
        elif name == PLAIN:
            self._send(200, self._site.bodies(item.source), last=last)
        else:
            self._go_wrong(item, name, target, last)

    def _go_wrong(self, item: Item, name: str, target: str, last: bool) -> None:
        body = self._site.bodies(item.source)
        half = len(body) // 2
        if name == "reset mid-body":
            self._send(200, body[:half], length=len(body))
            self._later(0.05, self._reset)  # what came before a reset would be thrown away with it, where it was not read yet
        elif name == "closed before Content-Length":
            self._send(200, body[:half], length=len(body), last=True)
        elif name == "closed without an answer":
            self._transport.close()
        elif name.startswith("503"):
            self._send(503, b"busy", "text/plain", (f"Retry-After: {name[-1]}",), last=last)
        elif name == "429":
            self._send(429, b"too many", "text/plain", last=last)
        elif name == "slow drip without end":
            self._send(200, body[:half], length=len(body))
            self._drip(0.1, [bytes([value]) for value in body[half:]], last)
        elif name == "slow, within the limit":
            self._send(200, body[:half], length=len(body))
            self._drip(0.15, [body[half : half + half // 2], body[half + half // 2 :]], last)
        elif name == "404":
            self._send(404, b"<html>gone</html>", "text/html", last=last)
        elif name == "redirect loop":
            hop = int(target.partition("?hop=")[2] or 0) + 1
            self._redirect(f"http://{item.host}:{self._site.port}{item.path}?hop={hop}", last)
        elif name == "redirect to a private address":
            authority = PRIVATE_TARGETS[item.index % len(PRIVATE_TARGETS)].format(port=self._site.port)
            self._redirect(f"http://{authority}{item.path}", last)
        elif name == "redirect to another host" and "?" not in target:
            host = HOSTS[(item.index + 17) % len(HOSTS)]
            self._redirect(f"http://{host}:{self._site.port}{item.path}?moved", last)
        elif name == "redirect to another host":
            self._send(200, body, last=last)
        elif name == "announces 10 GB":
            self._send(200, body, length=ANNOUNCED)
        elif name == "HTML as image/jpeg":
            self._send(200, b"<!doctype html><html><title>Sign in</title><body>Please sign in to see this image.</body></html>", last=last)
        elif name == "garbage as image/jpeg":
            self._send(200, random.Random(item.index).randbytes(len(body)), last=last)
        elif name == "half a file, its Content-Length right":
            self._send(200, body[:half], last=last)
        elif name == "wrong Content-Type, right bytes":
            self._send(200, body, "text/html; charset=utf-8", last=last)
        elif name != "hangs":
            raise ValueError(f"no answer for the fault {name!r}")

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "image/jpeg",
        headers: Sequence[str] = (),
        *,
        length: int | None = None,
        last: bool = False,
    ) -> None:
        """Sends an answer. `length` is what Content-Length says, where that is not the truth; `last` closes the connection."""
        lines = [f"HTTP/1.1 {status} -", f"Content-Type: {kind}", f"Content-Length: {len(body) if length is None else length}", *headers]
        if last:
            lines.append("Connection: close")
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        if last:
            self._transport.close()

    def _redirect(self, location: str, last: bool) -> None:
        self._send(302, b"", "text/plain", (f"Location: {location}",), last=last)

    def _drip(self, pause: float, pieces: Sequence[bytes], last: bool) -> None:
        def drop(number: int) -> None:
            self._transport.write(pieces[number])
            if number + 1 < len(pieces):
                self._later(pause, lambda: drop(number + 1))
            elif last:
                self._transport.close()

        self._later(pause, lambda: drop(0))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > asyncio.get_running_loop().time()]
        self._timers.append(asyncio.get_running_loop().call_later(seconds, action))

    def _reset(self) -> None:
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


async def serve(site: Site) -> None:
    """Listens on all addresses and on the trap, prints the port, and serves until standard input ends."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind((HOSTS[0], 0))
            site.port = int(probe.getsockname()[1])
        with suppress(OSError):  # taken on one of the other addresses: another port, then
            await loop.create_server(lambda: Connection(site), [*HOSTS, TRAP], site.port, backlog=1024)
            break
    else:
        raise OSError("no port is free on all loopback addresses")
    print(site.port, flush=True)
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, required=True, help="URLs to serve")
    parser.add_argument("--faulty", type=float, default=0.0, help="share of them with a fault")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    parser.add_argument("--log", type=Path, required=True, help="file that requests are written to")
    options = parser.parse_args()
    asyncio.run(serve(Site(Bodies(options.folder), make_plan(options.count, options.faulty, options.seed), options.log)))


if __name__ == "__main__":
    main()
