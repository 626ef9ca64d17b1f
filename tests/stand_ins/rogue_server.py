"""A web server on loopback that does as it is told, also what no server should: for tests of the collector.

It works on plain sockets, so that a connection can be reset in the middle of a body, drip or hang. `server.hits` lists the paths asked for.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest


class Reply:
    """One request being answered: its path, headers and number (1 for the first of its path), and ways to answer."""

    def __init__(self, connection: socket.socket, path: str, headers: dict[str, str], number: int, closing: threading.Event) -> None:
        self.path, self.headers, self.number = path, headers, number
        self._connection, self._closing = connection, closing

    def send(self, body: bytes = b"", *, status: int = 200, length: int | None = None, **headers: str) -> None:
        """A whole answer; `length` lies in Content-Length. Header names are given with underscores."""
        self.head(status=status, length=len(body) if length is None else length, **headers)
        self._connection.sendall(body)

    def head(self, *, status: int = 200, length: int, **headers: str) -> None:
        lines = [
            f"HTTP/1.1 {status} Answer",
            f"Content-Length: {length}",
            *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items()),
        ]
        self._connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def hang(self, seconds: float = 30.0) -> None:
        self._closing.wait(seconds)

    def drip(self, data: bytes, pause: float) -> None:
        """One byte at a time, until the client has had enough."""
        for index in range(len(data)):
            self._connection.sendall(data[index : index + 1])
            if self._closing.wait(pause):
                return


class RogueServer:
    """Listens on `address`. `routes` maps a path to what answers it; any other path is 404."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.routes: dict[str, Callable[[Reply], None]] = {}
        self.hits: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._counts: Counter[str] = Counter()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._socket = socket.create_server((address, 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self.netloc = f"{address}:{self.port}"
        self.url = f"http://{self.netloc}"
        threading.Thread(target=self._accept, daemon=True).start()

    def page(self, path: str, body: bytes, **headers: str) -> str:
        """Serves `body` at `path` like any good server; returns the URL."""
        self.routes[path] = lambda reply: reply.send(body, **headers)
        return self.url + path

    def answer(self, path: str, how: Callable[[Reply], None]) -> str:
        self.routes[path] = how
        return self.url + path

    def images_asked(self) -> list[str]:
        """The paths asked for, without those that every host is asked for."""
        with self._lock:
            return [path for path in self.hits if path not in ("/robots.txt", "/.well-known/tdmrep.json")]

    def close(self) -> None:
        self._closing.set()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        waiting = b""
        try:
            while not self._closing.is_set():
                while b"\r\n\r\n" not in waiting:
                    data = connection.recv(65536)
                    if not data:
                        return
                    waiting += data
                head, waiting = waiting.split(b"\r\n\r\n", 1)
                first, *rest = head.decode("latin-1").split("\r\n")
                path = first.split(" ")[1]
                headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in rest)}
                with self._lock:
                    self.hits.append(path)
                    self.headers.append(headers)
                    self._counts[path] += 1
                    number = self._counts[path]
                how = self.routes.get(path, lambda reply: reply.send(b"not here", status=404))
                how(Reply(connection, path, headers, number, self._closing))
        except OSError:
            pass  # the client went away, or the answer closed the connection itself
        finally:
            connection.close()


@pytest.fixture
def rogue() -> Iterator[RogueServer]:
    """A fresh server on 127.0.0.1."""
    server = RogueServer()
    yield server
    server.close()
