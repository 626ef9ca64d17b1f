"""The tab that gives one film to two models: layout and events."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.demo.batch.archive import shown_name
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.examples import Example, draw_examples
from hf_bones.app.demo.in_short import in_short, remarks
from hf_bones.app.demo.models.batching import Judged
from hf_bones.app.demo.models.shelf import Shelf
from hf_bones.app.demo.result.pictures import picture_with_overlay, view_of
from hf_bones.app.demo.tabs.drop import build_drop, first_of
from hf_bones.app.demo.wording import Words
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.pages.pictures import data_url
from hf_bones.pages.templates import fragment

TEMPLATE = "app/demo/tabs/compare.html.j2"
QUALITY = 90  # of a JPEG with fine lines in it


def build_compare(page: Page) -> None:
    """The tab for two models and one film. Where the page offers one model, it says how to offer several."""
    words, shelf = page.words, page.shelf
    with gr.Tab(words("page.tab_compare"), id="compare"), gr.Column(elem_classes="bones-tab bones-compare"):
        gr.HTML(fragment("app/demo/tabs/parts.html.j2", "lead", words("compare.lead")))
        if len(shelf.names) < 2 and not shelf.allow_any:
            gr.HTML(fragment(TEMPLATE, "only_one", words), elem_id="compare-only-one")
            return
        with gr.Row():
            chosen = [
                gr.Dropdown(
                    shelf.names,
                    value=shelf.names[min(place, len(shelf.names) - 1)],
                    label=words(f"compare.{name}"),
                    allow_custom_value=shelf.allow_any,
                    elem_id=f"compare-{name}",
                )
                for place, name in enumerate(("first", "second"))
            ]
        texts = {"drop": words("compare.drop"), "choose": words("compare.choose"), "uploading": words.texts["batch.uploading"]}
        texts |= {"failed": words.texts["batch.upload_failed"], "too_large": words.texts["batch.too_large"], "busy": words("batch.busy")}
        area, files, hand_over = build_drop("compare", texts)
        drawn = gr.Button(words("compare.example"), size="sm", elem_id="compare-example")
        result = gr.HTML(fragment(TEMPLATE, "hint", words("compare.hint")), elem_id="compare-result")
        film = gr.State(None)

    def both(given: tuple[Path | bytes, str] | None, first: str, second: str, request: gr.Request) -> Any:
        if given is None:
            return gr.skip()
        source, name = given
        with page.asked.admit(request):
            return compared_html(shelf, (first, second), source, name, words)

    def take(uploads: list[tuple[Path, str]]) -> Any:
        found = first_of(uploads)
        return gr.skip() if found is None else (found[0], shown_name(found[1]))

    def take_example() -> tuple[bytes, str]:
        example: Example = random.choice(draw_examples())
        return example.png, example.name

    options: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    asked: dict[str, Any] = {**options, "concurrency_id": "compare", "concurrency_limit": 4}
    reading = f"() => {json.dumps(fragment(TEMPLATE, 'hint', words('compare.reading')))}"
    given = [film, *chosen]
    for event in (area.upload(take, files, film, js=hand_over, **options), drawn.click(take_example, None, film, **options)):
        event.then(None, None, result, js=reading, **options).then(both, given, result, **asked)
    for model in chosen:
        model.change(both, given, result, trigger_mode="always_last", **{**asked, "show_progress": "minimal"})


def compared_html(shelf: Shelf, models: tuple[str, str], source: Path | bytes, name: str, words: Words) -> str:
    """The film and what both models say of it. A model that cannot be loaded says why in its place."""
    sides: list[dict[str, Any]] = []
    view = ""
    for model in models:
        try:
            served = shelf.get(model)
        except CheckpointError as error:
            sides.append({"model": model, "problem": words("compare.failed", model=model, why=str(error))})
            continue
        judged = served.predict(source, name, heatmap=True)
        if judged.radiograph is not None:
            view = view or data_url(view_of(judged.radiograph.pixels))
        sides.append(_side(model, judged, served.predictor.names, words))
    verdicts = [side["finding"].verdict for side in sides if "finding" in side]
    agree = "" if len(verdicts) < 2 else words("compare.same" if len(set(verdicts)) == 1 else "compare.differ")
    return fragment(TEMPLATE, "both", sides, view, words("compare.film", name=name), agree, words, in_short)


def _side(model: str, judged: Judged, names: tuple[str, ...], words: Words) -> dict[str, Any]:
    finding = judged.finding
    return {
        "model": model,
        "problem": "",
        "finding": finding,
        "names": names,
        "remarks": remarks(finding, words),
        "heat": _heat(judged),
    }


def _heat(judged: Judged) -> str:
    """The film with heat map, frames and the scale of its colours, as an address that a page can hold; "" without a map."""
    finding = judged.finding
    if judged.radiograph is None or finding.heatmap is None or finding.heat_scale is None:
        return ""
    return data_url(picture_with_overlay(judged.radiograph.pixels, finding.heatmap, finding.heat_scale, finding.boxes), QUALITY)
