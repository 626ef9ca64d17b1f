"""The page: the picker of the model, and a tab for each thing that it does. Each tab is made in a file of its own below `tabs/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr

from hf_bones.app.demo.agents import agents_server, require_mcp
from hf_bones.app.demo.asked import Asked
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.models.picker import build_picker
from hf_bones.app.demo.models.shelf import ModelEntry, Shelf
from hf_bones.app.demo.programs import build_programs
from hf_bones.app.demo.tabs.classify import build_classify
from hf_bones.app.demo.wording import DEFAULT, load_words
from hf_bones.app.no_fetching import take_no_addresses
from hf_bones.app.serving import serve, serving
from hf_bones.inference.checkpoint import BUNDLED
from hf_bones.pages.templates import fragment

CLEAN_EVERY, KEEP_FOR = 600, 600  # s; uploads older than KEEP_FOR are deleted every CLEAN_EVERY, and all of them at the end

TABS: tuple[Callable[[Page], None], ...] = (build_classify,)  # in their order on the page


def build_demo(
    *models: str | Path | ModelEntry,
    revision: str | None = None,
    allow_any_model: bool = False,
    language: str = DEFAULT,
) -> gr.Blocks:
    """The page for one model or several: `bundled`, folders, or Hub ids; `revision` is that of a single Hub id.

    The first model is being loaded when this returns; the page shows how far it is. The endpoint `/predict` takes one film and the name of
    a model, and gives the finding. Raises ValueError for a language without words, and CheckpointError for a folder without a checkpoint.
    """
    demo, _ = make_page(models, revision, allow_any_model, language)
    return demo


def launch(
    *models: str | Path | ModelEntry,
    revision: str | None = None,
    allow_any_model: bool = False,
    language: str = DEFAULT,
    host: str | None = None,
    port: int | None = None,
    allowed: Sequence[str] = (),
    share: bool = False,
    open_browser: bool = True,
    auth: tuple[str, str] | None = None,
    mcp: bool = False,
) -> None:
    """Opens the demo and stays until it is stopped. See `build_demo` and `serve`.

    auth: user and password. mcp: agents are served too (`agents.py`); raises ValueError where the package for that is missing.
    """
    if mcp:
        require_mcp()
    with serving():
        demo, page = make_page(models, revision, allow_any_model, language)
        serve(
            demo,
            host=host,
            port=port,
            allowed=allowed,
            share=share,
            open_browser=open_browser,
            auth=auth,
            auth_message=page.words("server.log_in"),
            app_kwargs=agents_server(page.shelf, page.asked, auth) if mcp else None,
        )


def make_page(
    models: Sequence[str | Path | ModelEntry], revision: str | None = None, allow_any: bool = False, language: str = DEFAULT
) -> tuple[gr.Blocks, Page]:
    """As `build_demo`, with what the page is made of."""
    entries = [one if isinstance(one, ModelEntry) else ModelEntry(one, revision) for one in models or (BUNDLED,)]
    shelf, words = Shelf(entries, allow_any=allow_any), load_words(language)
    for entry in entries:
        entry.check()
    asked = Asked(words)
    with gr.Blocks(title="hf_bones", analytics_enabled=False, delete_cache=(CLEAN_EVERY, KEEP_FOR)) as demo:
        model, ready = build_picker(shelf, words)
        page = Page(shelf, words, asked, model, ready)
        with gr.Tabs():
            for build in TABS:
                build(page)
        gr.HTML(fragment("app/demo/page.html.j2", "notice", words), elem_id="notice")
        build_programs(shelf, asked)
    take_no_addresses(demo)
    demo.queue(max_size=None)
    asked.keep_line(demo)
    shelf.start()
    return demo, page
