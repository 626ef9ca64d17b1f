"""The tab that classifies a film: layout and events. What an image becomes is in `classify.py`, the words are in `texts.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.assets import call, function
from hf_bones.app.demo import texts
from hf_bones.app.demo.classify import Answer, answer
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.examples import Example, draw_examples
from hf_bones.app.demo.inputs import AnyFileButton, RadiographInput
from hf_bones.app.demo.turns import Turns
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.templates import fragment

IMAGE_HEIGHT = 360  # px

Outputs = tuple[dict[str, Any] | None, str, str, Any, str, Any]


def build_classify(page: Page) -> None:
    """The tab for one film."""
    examples = draw_examples()
    announce = call("app/demo/browser/verdict.js", "element", "watch")
    choose = call("app/demo/browser/examples.js", "element", "trigger")

    def outputs(found: Answer | None, turn: int = 0, predictor: BonePredictor | None = None) -> Outputs:
        if found is None or predictor is None:
            return None, texts.verdict_html(None, THREE_CLASS, turn), "", None, "", None
        return (
            found.finding.to_dict(),
            texts.verdict_html(found, predictor.scheme, turn),
            texts.probabilities_html(found, predictor.scheme),
            found.heat,
            texts.caption_html(found, predictor.scheme.normal),
            found.view,
        )

    def begin(turn: float, turns: Turns, film: str | Example | None, view: Any) -> Any:
        """The page while a film is being read: no result, and `view` in the image's place. What comes too late changes nothing."""
        if not turns.begin(int(turn), film):
            return gr.skip()
        if film is None:
            return outputs(None, int(turn))
        name = film.name if isinstance(film, Example) else Path(film).name
        return None, texts.reading_html(name, int(turn)), "", None, "", view

    def begin_file(turn: float, turns: Turns, path: str) -> Any:
        return begin(turn, turns, path, None)  # the view comes with the answer: a browser may not be able to draw the file

    def begin_removed(turn: float, turns: Turns) -> Any:
        return begin(turn, turns, None, None)

    def begin_example(turn: float, turns: Turns, event: gr.EventData) -> Any:
        example = examples[event.example]
        return begin(turn, turns, example, example.picture())

    def classify_newest(turns: Turns, model: str, request: gr.Request) -> Any:
        if (taken := turns.take()) is None:
            return gr.skip()
        turn, film = taken
        with page.asked.admit(request):
            served = page.shelf.get(model)
            if isinstance(film, Example):
                found = answer(served.predictor, film.png, film.name)
            else:
                found = answer(served.predictor, film, Path(film).name, served.open)
        return outputs(found, turn, served.predictor) if turns.stands(turn) else gr.skip()

    def describe(ready: str) -> Any:
        if not ready:
            return "", ""
        predictor = page.shelf.get(ready).predictor
        return texts.header_html(predictor), texts.definitions_html(predictor.scheme)

    with gr.Tab(page.words("page.tab_classify"), id="classify"):
        header = gr.HTML()
        turns, turn = gr.State(Turns()), gr.Number(visible=False)  # its number comes from `turn.js`
        with gr.Row(elem_classes="bones-page"):
            with gr.Column(elem_classes="bones-input"):
                image = RadiographInput(
                    label="Radiograph",
                    sources=["upload", "clipboard"],
                    placeholder="Drop a radiograph here\nor click to choose one",
                    format="png",
                    height=IMAGE_HEIGHT,
                    buttons=["fullscreen"],
                    alt_text="Your radiograph, as the model sees it",
                    elem_id="radiograph",
                )
                other = AnyFileButton("Open a file of another kind: DICOM, TIFF …", size="sm", elem_id="other-file")
                gr.HTML(fragment(texts.TEMPLATE, "not_read", DEFAULT_LIMITS.max_bytes), elem_id="not-read")
            with gr.Column(elem_classes="bones-answer"):
                verdict = gr.HTML(
                    texts.verdict_html(None, THREE_CLASS),
                    label="Verdict",
                    elem_id="verdict",
                    js_on_load=announce,
                )
                with gr.Column(elem_classes="bones-results"):
                    probabilities = gr.HTML(label="Probability of each class", elem_id="probabilities")
                    heat = gr.Image(
                        label="Heat map",
                        format="png",
                        height=IMAGE_HEIGHT,
                        interactive=False,
                        buttons=["fullscreen", "download"],
                        alt_text="The radiograph with a heat map and frames; the scale of its colours is below",
                        elem_id="heat",
                    )
                    caption = gr.HTML(label="Caption", elem_id="caption")
                    with gr.Accordion("The finding as JSON", open=False):
                        finding = gr.JSON(label="Finding", show_label=False, elem_id="finding")
                with gr.Accordion("What the classes mean", open=False, elem_id="definitions"):
                    definitions = gr.HTML()
            with gr.Column(elem_classes="bones-examples"):
                chosen = gr.HTML(texts.examples_html(examples), elem_id="examples", js_on_load=choose)
                gr.HTML(fragment(texts.TEMPLATE, "privacy"))

    shown = [finding, verdict, probabilities, heat, caption, image]
    count = function("app/demo/browser/turn.js")
    empty, reading = json.dumps(texts.verdict_html(None, THREE_CLASS)), json.dumps(texts.reading_html())
    take_back = call("app/demo/browser/late.js", "verdict", f"empty: {empty}", f"reading: {reading}")
    # Files come through `other` (`files.js` hands them over), a picture from the clipboard's own button through the box.
    for event, first, given, film in (
        (other.upload, begin_file, [other], "given"),
        (image.upload, begin_file, [image], "given"),
        (chosen.click, begin_example, [], "given"),
        (image.clear, begin_removed, [], "removed"),
    ):
        begun = event(
            first,
            [turn, turns, *given],
            shown,
            js=f"(...given) => ({count})('{film}', ...given)",
            queue=False,
            trigger_mode="multiple",
            show_progress="hidden",
            api_visibility="private",
        )
        done = begun.then(
            classify_newest,
            [turns, page.model],
            shown,
            api_visibility="private",
            trigger_mode="multiple",
            concurrency_id="model",
            concurrency_limit=1,
            show_progress_on=verdict,
        )
        done.then(None, verdict, shown, js=f"(verdict) => {take_back}", show_progress="hidden")
    page.ready.change(describe, page.ready, [header, definitions], queue=False, show_progress="hidden", api_visibility="private")
