"""How the pages are served: gradio's server with nothing that leaves this machine, records what is done, or fetches from elsewhere, and
which no other site can use (`same_origin.py`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr

from hf_bones.app.assets import css, function, theme
from hf_bones.app.no_fetching import no_fetching
from hf_bones.app.same_origin import guard
from hf_bones.app.uploads import ended_like_ctrl_c, uploads_folder
from hf_bones.images.opening import DEFAULT_LIMITS

DEMO_STYLES = ("app/demo/browser/demo.css", "app/demo/browser/tabs.css")


@contextmanager
def serving() -> Iterator[None]:
    """Around a page's making and its whole life: what is uploaded is gone when it ends, by Ctrl-C, by SIGTERM or by an error."""
    with ended_like_ctrl_c(), uploads_folder():
        yield


def serve(
    demo: gr.Blocks,
    *,
    host: str | None = None,
    port: int | None = None,
    allowed: Sequence[str] = (),
    share: bool = False,
    open_browser: bool = False,
    wait: bool = True,
    styles: tuple[str, ...] = DEMO_STYLES,
    js: str | None = None,
    footer_links: tuple[str, ...] = ("api", "settings"),
    app_kwargs: Mapping[str, Any] | None = None,
    auth: tuple[str, str] | None = None,
    auth_message: str | None = None,
) -> str:
    """Serves a page and returns its address; with `wait` only when it is stopped.

    host: None is this machine alone, or GRADIO_SERVER_NAME (Spaces set it). port: None is the first free one from 7860. allowed: names by
    which it may be called beside `host`. `app_kwargs` go to the FastAPI application, which has the guard against other sites too.
    auth: user and password, without which nothing but a page to log in is given.
    """
    os.environ.pop("GRADIO_ALLOWED_PATHS", None)  # only what was uploaded or made here may be read
    _, address, _ = demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        inbrowser=open_browser,
        prevent_thread_lock=not wait,
        quiet=not wait,
        theme=theme(),
        css=css(*styles),
        js=function(js) if js else None,
        footer_links=list(footer_links),
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        max_file_size=DEFAULT_LIMITS.max_bytes,
        auth=auth,
        auth_message=auth_message,
        app_kwargs={**(app_kwargs or {}), "middleware": [guard(host, allowed=allowed, share=share), no_fetching()]},
    )
    return address
