"""How the pages are served: gradio's server with nothing that leaves this machine, records what is done, or fetches from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from hf_bones.app.assets import css, function, theme
from hf_bones.images.opening import DEFAULT_LIMITS

DEMO_STYLES = ("app/demo/browser/demo.css",)


def serve(
    demo: gr.Blocks,
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    open_browser: bool = False,
    wait: bool = True,
    styles: tuple[str, ...] = DEMO_STYLES,
    js: str | None = "app/demo/browser/files.js",
    footer_links: tuple[str, ...] = ("api", "settings"),
    app_kwargs: Mapping[str, Any] | None = None,
) -> str:
    """Serves a page and returns its address; with `wait` only when it is stopped.

    host: None is this machine alone, or GRADIO_SERVER_NAME (Spaces set it). port: None is the first free one from 7860. `app_kwargs` go to
    the FastAPI application: further routes and middleware.
    """
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
        app_kwargs=dict(app_kwargs or {}),
    )
    return address
