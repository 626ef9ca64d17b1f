"""The tab that says what a model learnt from, and whether a film was among it: layout and events. The facts come from `about/`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.demo.about.seen_before import seen_before
from hf_bones.app.demo.about.shipped import shipped_with
from hf_bones.app.demo.about.trained_on import read_trained_on
from hf_bones.app.demo.batch.archive import shown_name
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.examples import Example, draw_examples
from hf_bones.app.demo.in_short import in_short
from hf_bones.app.demo.models.batching import Served
from hf_bones.app.demo.tabs.drop import build_drop, first_of
from hf_bones.app.demo.tabs.opened import fill_when_opened
from hf_bones.app.demo.wording import Words
from hf_bones.inference.checkpoint import CheckpointError, find_seen_films
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.templates import fragment

TEMPLATE = "app/demo/tabs/data.html.j2"
SHEET_SIDE = 180  # px of a drawn film


def build_data(page: Page) -> None:
    """The tab for the data of the chosen model."""
    words = page.words

    def fill(ready: str) -> tuple[str, str]:
        if not ready:
            return fragment(TEMPLATE, "waiting", words), ""
        return facts_html(page.shelf.get(ready), words), sheet_html(draw_examples(), words)

    with gr.Tab(words("page.tab_data"), id="data") as tab, gr.Column(elem_classes="bones-tab bones-data"):
        facts = gr.HTML(fragment(TEMPLATE, "waiting", words), elem_id="data-facts")
        gr.HTML(fragment(TEMPLATE, "seen_head", words))
        texts = {"drop": words("data.drop"), "choose": words("data.choose"), "uploading": words.texts["batch.uploading"]}
        texts |= {"failed": words.texts["batch.upload_failed"], "too_large": words.texts["batch.too_large"], "busy": words("batch.busy")}
        area, files, hand_over = build_drop("data", texts)
        result = gr.HTML(elem_id="data-seen")
        sheet = gr.HTML(elem_id="data-sheet")
        fill_when_opened(page, tab, [facts, sheet], fill)

    def look(uploads: list[tuple[Path, str]], model: str, request: gr.Request) -> str:
        found = first_of(uploads)
        if found is None:
            return ""
        path, name = found
        try:
            with page.asked.admit(request):
                return seen_html(page.shelf.get(model), path, shown_name(name), words)
        except CheckpointError as error:
            return fragment(TEMPLATE, "note", str(error))

    options: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    comparing = json.dumps(fragment(TEMPLATE, "note", words("data.comparing")))
    area.upload(None, None, result, js=f"() => {comparing}", **options)
    area.upload(look, [files, page.model], result, js=hand_over, concurrency_id="data", concurrency_limit=4, **options)
    page.ready.change(lambda ready: "", page.ready, result, queue=False, **options)  # the answer was about another model


def facts_html(served: Served, words: Words) -> str:
    """What the record of a model says of its data, or that it says nothing."""
    predictor = served.predictor
    try:
        found = read_trained_on(shipped_with(predictor.checkpoint, predictor.revision))
    except ValueError as error:
        return fragment(TEMPLATE, "note", words("data.damaged", model=served.name, why=_without_path(error)))
    if found is None:
        return fragment(TEMPLATE, "note", words("data.none", model=served.name))
    return fragment(TEMPLATE, "facts", served.name, found, words, in_short)


def seen_html(served: Served, path: Path, name: str, words: Words) -> str:
    """Whether the film at `path` was among those of a model's list."""
    predictor = served.predictor
    try:
        found = seen_before(find_seen_films(predictor.checkpoint, predictor.revision), path, served.open)
    except ValueError as error:
        return fragment(TEMPLATE, "note", words("data.list_damaged", why=_without_path(error)))
    return fragment(TEMPLATE, "seen", name, found, words)


def sheet_html(examples: Sequence[Example], words: Words) -> str:
    """Drawn films, for what the labels stand for."""
    cells = [
        (data_url(thumbnail(one.picture(), SHEET_SIDE)), words("data.drawn_film", label=in_short(one.label, words))) for one in examples
    ]
    return fragment(TEMPLATE, "sheet", cells, words)


def _without_path(error: ValueError) -> str:
    """An error's words without the folder that they begin with."""
    return str(error).rsplit("/", 1)[-1]
