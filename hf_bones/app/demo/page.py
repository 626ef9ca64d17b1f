"""The page: layout and events. What an image becomes is in `classify.py`, the words are in `texts.py`, serving is in `app/serving.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.assets import call, function
from hf_bones.app.demo import texts
from hf_bones.app.demo.classify import Answer, answer
from hf_bones.app.demo.examples import Example, draw_examples
from hf_bones.app.demo.turns import Turns
from hf_bones.app.serving import serve, serving
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.inference.predictor import BonePredictor
from hf_bones.pages.templates import fragment

CLEAN_EVERY, KEEP_FOR = 600, 600  # s; uploads older than KEEP_FOR are deleted every CLEAN_EVERY, and all of them at the end
WAITING = 20  # people in line; one image at a time is classified
IMAGE_HEIGHT = 360  # px

Outputs = tuple[dict[str, Any] | None, str, str, Any, str, Any]


class RadiographInput(gr.Image):
    """gradio's image input that hands over the uploaded file untouched, whatever it holds: `open_image` is to judge it."""

    is_template = True  # shown by gradio's own Image

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path


class AnyFileButton(gr.UploadButton):
    """gradio's upload button, likewise; its own way leaves an empty file behind for each upload."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path


def build_demo(model: str | Path = "bundled", *, revision: str | None = None) -> gr.Blocks:
    """The page for a checkpoint: `bundled`, a folder, or a Hub id with an optional `revision`.

    The endpoint `/classify` takes one image file and gives (finding, verdict HTML, probabilities HTML, heat map, caption HTML, the image as
    the model sees it). Raises `CheckpointError` when the checkpoint cannot be loaded.
    """
    predictor = BonePredictor.from_pretrained(model, revision=revision)
    scheme = predictor.scheme
    processes = OpeningProcesses()  # one, as one image at a time is classified
    examples = draw_examples()
    announce = call("app/demo/browser/verdict.js", "element", "watch")
    choose = call("app/demo/browser/examples.js", "element", "trigger")

    def outputs(found: Answer | None, turn: int = 0) -> Outputs:
        if found is None:
            return None, texts.verdict_html(None, scheme, turn), "", None, "", None
        return (
            found.finding.to_dict(),
            texts.verdict_html(found, scheme, turn),
            texts.probabilities_html(found, scheme),
            found.heat,
            texts.caption_html(found, scheme.normal),
            found.view,
        )

    def classify(path: str | None) -> Outputs:
        """Classifies one radiograph (JPEG, PNG, TIFF, WebP or DICOM)."""
        return outputs(None if path is None else answer(predictor, path, Path(path).name, processes.open))

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

    def classify_newest(turns: Turns) -> Any:
        if (taken := turns.take()) is None:
            return gr.skip()
        turn, film = taken
        if isinstance(film, Example):
            found = answer(predictor, film.png, film.name)
        else:
            found = answer(predictor, film, Path(film).name, processes.open)
        return outputs(found, turn) if turns.stands(turn) else gr.skip()

    with gr.Blocks(title="hf_bones", analytics_enabled=False, delete_cache=(CLEAN_EVERY, KEEP_FOR)) as demo:
        gr.HTML(texts.header_html(predictor))
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
                    texts.verdict_html(None, scheme),
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
                    gr.HTML(texts.definitions_html(scheme))
            with gr.Column(elem_classes="bones-examples"):
                chosen = gr.HTML(texts.examples_html(examples), elem_id="examples", js_on_load=choose)
                gr.HTML(fragment(texts.TEMPLATE, "privacy"))
        gr.HTML(fragment(texts.TEMPLATE, "notice"), elem_id="notice")

        shown = [finding, verdict, probabilities, heat, caption, image]
        turns, turn = gr.State(Turns()), gr.Number(visible=False)  # its number comes from `turn.js`
        count = function("app/demo/browser/turn.js")
        empty, reading = json.dumps(texts.verdict_html(None, scheme)), json.dumps(texts.reading_html())
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
                turns,
                shown,
                api_visibility="private",
                trigger_mode="multiple",
                concurrency_id="model",
                concurrency_limit=1,
                show_progress_on=verdict,
            )
            done.then(None, verdict, shown, js=f"(verdict) => {take_back}", show_progress="hidden")
        # For programs; nothing on the page triggers it.
        gr.on([], classify, image, shown, api_name="classify", concurrency_id="model", concurrency_limit=1)
    return demo.queue(max_size=WAITING)


def launch(
    model: str | Path = "bundled",
    *,
    revision: str | None = None,
    host: str | None = None,
    port: int | None = None,
    allowed: Sequence[str] = (),
    share: bool = False,
    open_browser: bool = True,
) -> None:
    """Opens the demo for a checkpoint and stays until it is stopped. See `build_demo` and `serve`."""
    with serving():
        serve(build_demo(model, revision=revision), host=host, port=port, allowed=allowed, share=share, open_browser=open_browser)
