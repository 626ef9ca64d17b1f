"""The server of the collector's bench: HTTP/1.1 with keep-alive from memory, on 64 loopback addresses and one port, in its own process.

    python scripts/bench/loopback_server.py FOLDER --count 2000 --faulty 0.3 --log requests.log

FOLDER holds JPEGs. Prints its port once it listens, and ends when its standard input is closed. Every request becomes a line of the log, in
the order in which they came, written before the answer: time, address asked, path, what was answered.
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
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from contextlib import suppress
from pathlib import Path

from collect_plan import HOSTS, PRIVATE_TARGETS, TRAP, Item, Served

PLAIN, NOTHING, TRAPPED = "plain", "no such path", "TRAPPED"
ANNOUNCED = 10 * 2**30  # bytes
SIGN_IN = b"<!doctype html><html><title>Sign in</title><body>Please sign in to see this image.</body></html>"


class Site:
    """What is served, and what has been asked for: the state behind all connections."""

    def __init__(self, served: Served, log: Path) -> None:
        self.port = 0
        self._served = served
        self._by_path = {item.path: item for item in served.plan}
        self._asked: Counter[str] = Counter()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    async def connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection: a request at a time, as long as both sides keep it."""
        host = str(writer.get_extra_info("sockname")[0])
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].decode("ascii", "replace")
                item, name = self.find(host, target)
                kept = await self.answer(item, name, target, reader, writer) if item else send(writer, 404, b"nothing here", "text/plain")
                if not kept or b"connection: close" in head.lower():
                    break
        writer.close()

    def find(self, host: str, target: str) -> tuple[Item | None, str]:
        """The item asked for, if it is to be had there, and the name of the answer it gets this time."""
        path, _, query = target.partition("?")
        item = self._by_path.get(path)
        self._asked[target] += 1
        if host == TRAP:
            item, name = None, TRAPPED
        elif item is None or (host != item.host and not query):
            item, name = None, NOTHING
        elif item.fault is None or (item.faulty_attempts is not None and self._asked[target] > item.faulty_attempts):
            name = PLAIN
        else:
            name = item.fault.name
        os.write(self._log, f"{time.time():.4f}\t{host}\t{target}\t{name}\n".encode())
        return item, name

    async def answer(self, item: Item, name: str, target: str, reader: StreamReader, writer: StreamWriter) -> bool:
        """Sends it; False where the connection is to be closed behind it."""
        body = self._served.body(item.source)
        half = len(body) // 2
        match name:
            case "plain":
                return send(writer, 200, body)
            case "reset mid-body":
                send(writer, 200, body[:half], length=len(body))
                await asyncio.sleep(0.05)  # what came before a reset would be thrown away with it, where it was not read yet
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            case "closed before Content-Length":
                send(writer, 200, body[:half], length=len(body))
                return False
            case "closed without an answer":
                return False
            case "hangs":
                await reader.read()  # until the client has had enough
                return False
            case "503, Retry-After 0" | "503, Retry-After 1":
                return send(writer, 503, b"busy", "text/plain", f"Retry-After: {name[-1]}")
            case "429":
                return send(writer, 429, b"too many", "text/plain")
            case "404":
                return send(writer, 404, b"<html>gone</html>", "text/html")
            case "slow drip without end":
                send(writer, 200, body[:half], length=len(body))
                return await drip(writer, 0.1, [bytes([value]) for value in body[half:]])
            case "slow, within the limit":
                send(writer, 200, body[:half], length=len(body))
                return await drip(writer, 0.15, [body[half : half + half // 2], body[half + half // 2 :]])
            case "redirect loop":
                hop = int(target.partition("?hop=")[2] or 0) + 1
                return redirect(writer, f"http://{item.host}:{self.port}{item.path}?hop={hop}")
            case "redirect to a private address":
                authority = PRIVATE_TARGETS[item.index % len(PRIVATE_TARGETS)].format(port=self.port)
                return redirect(writer, f"http://{authority}{item.path}")
            case "redirect to another host":
                other = HOSTS[(item.index + 17) % len(HOSTS)]
                return send(writer, 200, body) if "?" in target else redirect(writer, f"http://{other}:{self.port}{item.path}?moved")
            case "announces 10 GB":
                return send(writer, 200, body, length=ANNOUNCED)
            case "HTML as image/jpeg":
                return send(writer, 200, SIGN_IN)
            case "garbage as image/jpeg":
                return send(writer, 200, random.Random(item.index).randbytes(len(body)))
            case "half a file, its Content-Length right":
                return send(writer, 200, body[:half])
            case "wrong Content-Type, right bytes":
                return send(writer, 200, body, "text/html; charset=utf-8")
        raise ValueError(f"no answer for the fault {name!r}")


def send(writer: StreamWriter, status: int, body: bytes, kind: str = "image/jpeg", *headers: str, length: int | None = None) -> bool:
    """Sends an answer. `length` is what Content-Length says, where that is not the truth. True: the connection can be kept."""
    lines = [f"HTTP/1.1 {status} -", f"Content-Type: {kind}", f"Content-Length: {len(body) if length is None else length}", *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    return True


def redirect(writer: StreamWriter, location: str) -> bool:
    return send(writer, 302, b"", "text/plain", f"Location: {location}")


async def drip(writer: StreamWriter, pause: float, pieces: list[bytes]) -> bool:
    for piece in pieces:
        await asyncio.sleep(pause)
        writer.write(piece)
        await writer.drain()  # raises once the client is gone
    return True


async def serve(site: Site) -> None:
    """Listens on all addresses and on the trap, prints the port, and serves until standard input ends."""
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind((HOSTS[0], 0))
            site.port = int(probe.getsockname()[1])
        with suppress(OSError):  # taken on one of the other addresses: another port, then
            await asyncio.start_server(site.connect, [*HOSTS, TRAP], site.port, backlog=1024)
            break
    else:
        raise OSError("no port is free on all loopback addresses")
    print(site.port, flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, required=True, help="URLs to serve")
    parser.add_argument("--faulty", type=float, default=0.0, help="share of them with a fault")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    parser.add_argument("--log", type=Path, required=True, help="file that requests are written to")
    options = parser.parse_args()
    asyncio.run(serve(Site(Served(options.folder, options.count, options.faulty, options.seed), options.log)))


if __name__ == "__main__":
    main()
