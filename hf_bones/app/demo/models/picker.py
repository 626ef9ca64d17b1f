"""The picker at the top of the page: which model answers, how far it is loaded, and what went wrong."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hf_bones.app.demo.models.shelf import Shelf, State
from hf_bones.app.demo.wording import Words
from hf_bones.pages.templates import fragment

LOOK_EVERY = 0.4  # s, while a model is being loaded


def build_picker(shelf: Shelf, words: Words) -> tuple[gr.components.Component, gr.State]:
    """The picker and the state with the name of the chosen model once it is loaded."""
    with gr.Row(elem_id="models"):
        model = gr.Dropdown(
            shelf.names,
            value=shelf.first,
            label=words("server.model"),
            info=words("server.any_model") if shelf.allow_any else None,
            allow_custom_value=shelf.allow_any,
            visible=shelf.allow_any or len(shelf.names) > 1,
            elem_id="model",
        )
        status = gr.HTML(_html(shelf.state(shelf.first), shelf.first, words), elem_id="model-state")
    ready, look = gr.State(""), gr.Timer(LOOK_EVERY)

    def chosen(name: str) -> tuple[Any, ...]:
        state = shelf.begin(name)
        done = state.kind in ("ready", "failed")
        return _html(state, name, words), name if state.kind == "ready" else "", gr.Timer(active=not done)

    # Through the queue: gradio's page tells of a changed state (`ready.change`) for events that went through it alone.
    options: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
    look.tick(chosen, model, [status, ready, look], **options)
    model.change(chosen, model, [status, ready, look], trigger_mode="multiple", **options)
    return model, ready


def _html(state: State, name: str, words: Words) -> str:
    said = words(f"server.{state.kind}", name=name, seconds=f"{state.seconds:.0f}", why=state.sentence)
    return fragment("app/demo/models/picker.html.j2", "state", state.kind, said)
