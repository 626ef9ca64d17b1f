"""No address is fetched for a visitor: neither through gradio's `/file=` and `/proxy=`, nor where a file of a request is named by one.

gradio fetches what is public. A server that does so is a stranger's errand boy: it hides who asks, and what it gets stands under its name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote

import gradio as gr
from gradio.utils import is_in_or_equal
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

REFUSAL = "Addresses are not fetched here. Upload the file itself."
_FETCHING = re.compile(r"/(gradio_api/)?(proxy=|file=/*\s*[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_OWN = "/gradio_api/file="
Move = Callable[[str | Path | None], Awaitable[str | None]]


def no_fetching() -> Middleware:
    """For starlette: turns away requests for what lies at another address."""
    return Middleware(_NoFetching)


class _NoFetching:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _FETCHING.search(unquote(scope["path"])):
            await PlainTextResponse(REFUSAL, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def take_no_addresses(demo: gr.Blocks) -> None:
    """Makes every part of a page refuse a file that is named by an address, except an upload by its address here. Call when it is whole."""
    for block in demo.blocks.values():
        move = block.async_move_resource_to_block_cache

        async def move_own(place: str | Path | None, block: gr.blocks.Block = block, move: Move = move) -> str | None:
            if _ADDRESS.match(str(place or "")):
                if (upload := upload_here(str(place), block.GRADIO_CACHE)) is None:
                    raise gr.Error(REFUSAL, print_exception=False)
                place = upload
            return await move(place)

        block.async_move_resource_to_block_cache = move_own


def upload_here(text: str, folder: str) -> Path | None:
    """The file in `folder`, where this server keeps uploads, that a path or an address of this server stands for; None for any other."""
    _, ours, path = text.rpartition(_OWN)
    path = unquote(path) if ours else text
    if len(path) > 4096 or not Path(path).is_absolute() or not is_in_or_equal(path, folder):
        return None
    return Path(path) if Path(path).is_file() else None
