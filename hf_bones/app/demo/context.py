"""What every tab of the page is built from."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from hf_bones.app.demo.asked import Asked
from hf_bones.app.demo.models.shelf import Shelf
from hf_bones.app.demo.wording import Words


@dataclass(frozen=True, eq=False)
class Page:
    """Handed to each `build_…` function, which makes a `gr.Tab` of its own.

    shelf: the models; `page.shelf.get(name)` waits until one is loaded. words: the texts of the page's language. asked: the limits;
    `with page.asked.admit(request)` around work that a visitor asks for. model: the picker, whose value is the name of the chosen model:
    use it as an input of events. ready: a state that holds the name of the chosen model once it is loaded, "" before: what depends on a
    model (its name, figures, classes) is filled in by `page.ready.change(fill, page.ready, …)`, as the page is up before the weights are.
    """

    shelf: Shelf
    words: Words
    asked: Asked
    model: gr.components.Component
    ready: gr.State
