"""What depends on the chosen model is made when a tab is first opened, and anew when another model is chosen after that."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from hf_bones.app.demo.context import Page


def fill_when_opened(page: Page, tab: gr.Tab, outputs: list[gr.components.Component], fill: Callable[[str], object]) -> None:
    """Puts `fill(name of the model)` into `outputs`; the name is "" while the model is being loaded. Call it within `tab`: between two tabs
    gradio takes nothing, not even a state."""
    is_open = gr.State(False)

    def opened(ready: str) -> tuple[object, ...]:
        return True, *_as_tuple(fill(ready))

    def another(ready: str, was_opened: bool) -> object:
        if not was_opened:
            return (gr.skip(),) * len(outputs) if len(outputs) > 1 else gr.skip()
        return fill(ready)

    tab.select(opened, page.ready, [is_open, *outputs], show_progress="hidden", api_visibility="private")
    page.ready.change(another, [page.ready, is_open], outputs, show_progress="hidden", api_visibility="private")


def _as_tuple(found: object) -> tuple[object, ...]:
    return found if isinstance(found, tuple) else (found,)
