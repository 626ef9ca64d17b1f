"""The way in for agents, by the Model Context Protocol: a tool `predict` that gives the same finding as `/predict`.

It is served beside the page, by the package `mcp` itself: gradio's own server for the protocol would make a tool of every endpoint,
answer in Python's notation instead of JSON, leave films that come as base64 in the
system's temporary folder, and let agents in without a password.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from anyio import to_thread
from gradio.utils import get_upload_folder
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hf_bones.app.demo.asked import Asked
from hf_bones.app.demo.models.shelf import Shelf
from hf_bones.app.demo.programs import description, judging
from hf_bones.app.no_fetching import upload_here
from hf_bones.images.opening import DEFAULT_LIMITS

if TYPE_CHECKING:
    from mcp.server.fastmcp import FastMCP

PATH = "/gradio_api/mcp"
MISSING = "--mcp needs the package mcp: install it with `pip install 'hf-bones[mcp]'`"


def require_mcp() -> None:
    """Raises ValueError saying what to install where the package for agents is missing."""
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise ValueError(MISSING) from error


def agents_server(shelf: Shelf, asked: Asked, auth: tuple[str, str] | None = None) -> dict[str, Any]:
    """What a FastAPI application takes to serve agents at `PATH`: `routes` and `lifespan`. `auth`: user and password, by HTTP Basic.

    Raises ValueError where the package is missing.
    """
    require_mcp()
    server = _server(shelf, asked)
    routes = [Route(route.path, _Locked(route.endpoint, auth)) for route in server.streamable_http_app().routes if isinstance(route, Route)]
    return {"routes": routes, "lifespan": lambda app: server.session_manager.run()}


def _server(shelf: Shelf, asked: Asked) -> FastMCP:
    from mcp.server.fastmcp import FastMCP
    from mcp.server.fastmcp.exceptions import ToolError
    from mcp.server.transport_security import TransportSecuritySettings

    judge = judging(shelf)
    server = FastMCP(
        "hf_bones",
        log_level="WARNING",
        stateless_http=True,
        json_response=True,
        streamable_http_path=PATH,
        max_request_body_size=DEFAULT_LIMITS.max_bytes * 4 // 3 + 2**20,  # base64, and what stands around it
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # `same_origin.py` does that for all
    )

    async def predict(film: str, name: str = "film", model: str = "") -> dict[str, Any]:
        request = server.get_context().request_context.request
        try:
            with asked.admit(request):
                return await to_thread.run_sync(partial(_judged, judge, film, name, model))
        except (ValueError, gr.Error) as error:
            raise ToolError(str(error)) from error

    predict.__doc__ = f"""{description(shelf)}

    film: the file, as base64 or a data: URL; or the path that POST /gradio_api/upload gave for it. Addresses are not fetched.
    name: what the finding calls the film.
    model: one of the models, by its name; the first by default.
    """
    server.add_tool(predict, name="predict", structured_output=True)
    return server


def _judged(judge: Callable[..., dict[str, Any]], film: str, name: str, model: str) -> dict[str, Any]:
    if (upload := upload_here(film, get_upload_folder())) is not None:
        return judge(str(upload), upload.name if name == "film" else name, model)
    _, _, data = film.partition("base64,") if film.startswith("data:") else ("", "", film)
    try:
        return judge(base64.b64decode("".join(data.split()), validate=True), name, model)
    except binascii.Error as error:
        raise ValueError("film is neither base64 nor an upload; send the file's bytes as base64. Addresses are not fetched") from error


class _Locked:
    """An ASGI endpoint behind HTTP Basic, where there is a user and a password."""

    def __init__(self, app: ASGIApp, auth: tuple[str, str] | None) -> None:
        self._app = app
        self._wanted = None if auth is None else b"Basic " + base64.b64encode(":".join(auth).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._wanted is not None:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(given, self._wanted):
                refused = PlainTextResponse("Log in with user and password.", 401, {"WWW-Authenticate": 'Basic realm="hf_bones"'})
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)
