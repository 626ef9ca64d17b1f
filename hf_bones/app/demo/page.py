"""The page: the picker of the model, and a tab for each thing that it does. Each tab is made in a file of its own below `tabs/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr

from hf_bones.app.demo.asked import ALL, Asked
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.models.picker import build_picker
from hf_bones.app.demo.models.shelf import ModelEntry, Shelf
from hf_bones.app.demo.tabs.batch import build_batch
from hf_bones.app.demo.tabs.classify import build_classify
from hf_bones.app.demo.tabs.compare import build_compare
from hf_bones.app.demo.tabs.data import build_data
from hf_bones.app.demo.tabs.model import build_model
from hf_bones.app.demo.wording import load_words
from hf_bones.app.serving import serve, serving
from hf_bones.pages.templates import fragment

CLEAN_EVERY, KEEP_FOR = 600, 600  # s; uploads older than KEEP_FOR are deleted every CLEAN_EVERY, and all of them at the end

TABS: tuple[Callable[[Page], None], ...] = (
    build_classify,
    build_batch,
    build_compare,
    build_data,
    build_model,
)  # in their order on the page


def build_demo(
    *models: str | Path | ModelEntry,
    revision: str | None = None,
    allow_any_model: bool = False,
    language: str = "en",
) -> gr.Blocks:
    """The page for one model or several: `bundled`, folders, or Hub ids; `revision` is that of a single Hub id.

    The first model is being loaded when this returns; the page shows how far it is. Raises ValueError for a language without words.
    """
    entries = [one if isinstance(one, ModelEntry) else ModelEntry(one, revision) for one in models or ("bundled",)]
    shelf, words = Shelf(entries, allow_any=allow_any_model), load_words(language)
    with gr.Blocks(title="hf_bones", analytics_enabled=False, delete_cache=(CLEAN_EVERY, KEEP_FOR)) as demo:
        model, ready = build_picker(shelf)
        page = Page(shelf, words, Asked(), model, ready)
        with gr.Tabs():
            for build in TABS:
                build(page)
        gr.HTML(fragment("app/demo/page.html.j2", "notice", words), elem_id="notice")
    shelf.start()
    return demo.queue(max_size=ALL)


def launch(
    *models: str | Path | ModelEntry,
    revision: str | None = None,
    allow_any_model: bool = False,
    language: str = "en",
    host: str | None = None,
    port: int | None = None,
    allowed: Sequence[str] = (),
    share: bool = False,
    open_browser: bool = True,
) -> None:
    """Opens the demo and stays until it is stopped. See `build_demo` and `serve`."""
    with serving():
        demo = build_demo(*models, revision=revision, allow_any_model=allow_any_model, language=language)
        serve(demo, host=host, port=port, allowed=allowed, share=share, open_browser=open_browser)
