"""HTTP requests to the small Hub in `hub_server.py`: bodies, ranges and answers, and the storage host of its large files."""

from __future__ import annotations

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from hub_state import HubState


def handler(hub: HubState, kind: type[Request]) -> type[Request]:
    return type(kind.__name__, (kind,), {"hub": hub})


class Request(BaseHTTPRequestHandler):
    """One HTTP request: JSON and bytes out, body in, a log line in `hub.requests`."""

    hub: HubState
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.hub.requests.append((self.command, self.path, status))
        self.send_response(status)
        fields = {"Content-Type": "application/octet-stream" if isinstance(body, bytes) else "application/json"}
        fields |= {"Content-Length": str(len(content)), **(headers or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})})

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def content(self, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the part of it that a Range header asks for."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            return self.answer(200, content, headers)
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        if start >= len(content):
            return self.answer(416, b"", headers | {"Content-Range": f"bytes */{len(content)}"})
        return self.answer(206, content[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(content)}"})

    def do_GET(self) -> None:
        self.handle_request()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names http.server looks for

    def handle_request(self) -> None:
        raise NotImplementedError


class StorageRequest(Request):
    """The storage host: PUT and GET of LFS objects under their SHA-256. Another origin than the Hub, as in real life."""

    def handle_request(self) -> None:
        if "Authorization" in self.headers:
            self.hub.storage_tokens.append(self.headers["Authorization"])
        oid = urlsplit(self.path).path.rpartition("/")[2]
        if self.command == "PUT":
            content = self.body()
            if hashlib.sha256(content).hexdigest() != oid:
                return self.error(400, "BadDigest", f"content does not have SHA-256 {oid}")
            self.hub.objects[oid] = content
            return self.answer(200, b"", {"ETag": f'"{oid}"'})
        if oid not in self.hub.objects:
            return self.error(404, "NoSuchKey", "no such object")
        return self.content(self.hub.objects[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})
