"""Keeps other sites out of an app on this machine: a page open in the same browser must neither change nor read anything here.

gradio answers a request from any site (it only keeps the site from reading the answer), and a decision made on somebody's behalf needs no
answer. So a request passes only if it names this server by an address, "localhost" or a name of its own (a foreign name that was made to
resolve to this machine is turned away), and if the browser does not say that another site sent it. By a public name (of a Space, of a
gradio link) everybody may call anyway, from any page.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_READING = ("GET", "HEAD")
_EVERYWHERE = ("0.0.0.0", "::")
_SPACE_HOST = "SPACE_HOST"  # the platform tells a Space its name by this variable
_LINKS = ".gradio.live"  # of `share`: the name is known only when the page is served


def guard(host: str | None = None, *, allowed: Sequence[str] = (), share: bool = False) -> Middleware:
    """The guard of a server that listens at `host` (None: GRADIO_SERVER_NAME, else this machine alone), for starlette.

    Its own names are `host`, this machine's name where it listens at all addresses, and those `allowed`. Public are the name of the Space
    that it runs in and, with `share`, those of gradio links.
    """
    host = (os.environ.get("GRADIO_SERVER_NAME") if host is None else host) or ""
    machine = socket.gethostname()
    names = [machine, f"{machine}.local"] if host in _EVERYWHERE else [host]
    public = [name for name in (os.environ.get(_SPACE_HOST, ""), _LINKS if share else "") if name]
    return Middleware(SameOriginOnly, names=(*names, *allowed), public=public)


class SameOriginOnly:
    """ASGI middleware. `names` are host names by which the server may be called, beside its addresses and "localhost"; `public` those by
    which it may be called from any page, a name with a dot in front standing for all below it."""

    def __init__(self, app: ASGIApp, names: Sequence[str] = (), public: Sequence[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.casefold() for name in names if name)
        self._public = tuple(name.casefold() for name in public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            fault = self.fault(str(scope.get("method", "GET")), Headers(scope=scope))
            if fault and scope["type"] == "http":
                await PlainTextResponse(fault, status_code=403)(scope, receive, send)
                return
            if fault:
                await send({"type": "websocket.close", "code": 1008, "reason": fault[:120]})
                return
        await self._app(scope, receive, send)

    def fault(self, method: str, headers: Headers) -> str:
        """Why a request is turned away, "" if it is not."""
        host = headers.get("host", "")
        name = _host_name(host)
        if self._is_public(name):
            return ""
        if not self._ours(name):
            return f"This server is not called {host}. Where that is a name of its own, start it with --allow-host {name or 'NAME'}."
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host.casefold():
            return "Requests from other sites are not answered."
        site = headers.get("sec-fetch-site", "same-origin")
        opened_by_hand = method in _READING and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site not in ("same-origin", "none") and not opened_by_hand:
            return "Requests from other sites are not answered."
        return ""

    def _is_public(self, name: str) -> bool:
        return any(name.endswith(one) if one.startswith(".") else name == one for one in self._public)

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


def _place(origin: str) -> str:
    """Host and port of an Origin header; "" for one that has none, such as "null"."""
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return ""
