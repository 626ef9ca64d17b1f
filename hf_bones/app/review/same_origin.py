"""Keeps other sites out of an app on this machine: a page open in the same browser must neither change nor read anything here.

gradio answers a request from any site (it only keeps the site from reading the answer), and a decision made on somebody's behalf needs no
answer. So a request passes only if it names this server by an address, "localhost" or the name it was told to listen on (a foreign
name that was made to resolve to this machine is turned away), and if the browser does not say that another site sent it.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_READING = ("GET", "HEAD")


class SameOriginOnly:
    """ASGI middleware. `names` are host names by which the server may be called, beside its addresses and "localhost"."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...] = ()) -> None:
        self._app = app
        self._names = frozenset(name.casefold() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            fault = self.fault(str(scope.get("method", "GET")), Headers(scope=scope))
            if fault and scope["type"] == "http":
                await PlainTextResponse(fault, status_code=403)(scope, receive, send)
                return
            if fault:
                await send({"type": "websocket.close", "code": 1008, "reason": fault})
                return
        await self._app(scope, receive, send)

    def fault(self, method: str, headers: Headers) -> str:
        """Why a request is turned away, "" if it is not."""
        host = headers.get("host", "")
        if not self._ours(_host_name(host)):
            return f"This server is not called {host}."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.casefold() != host.casefold():
            return "Requests from other sites are not answered."
        site = headers.get("sec-fetch-site", "same-origin")
        opened_by_hand = method in _READING and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site not in ("same-origin", "none") and not opened_by_hand:
            return "Requests from other sites are not answered."
        return ""

    def _ours(self, name: str) -> bool:
        if name == "localhost" or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").casefold()
    except ValueError:
        return ""
