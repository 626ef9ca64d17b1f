"""The page: layout and events. What an image becomes is in `classify.py`, the words are in `texts.py`, serving is in `app/serving.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.assets import call
from hf_bones.app.demo import texts
from hf_bones.app.demo.classify import Answer, answer
from hf_bones.app.demo.examples import draw_examples
from hf_bones.app.serving import serve, serving
from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.inference.predictor import BonePredictor
from hf_bones.pages.templates import fragment
from hf_bones.pages.text import words

CLEAN_EVERY, KEEP_FOR = 600, 600  # s; uploads older than KEEP_FOR are deleted every CLEAN_EVERY, and all of them at the end
WAITING = 20  # people in line; one image at a time is classified
IMAGE_HEIGHT = 360  # px

Outputs = tuple[dict[str, Any] | None, str, dict[str, float] | None, Any, str, Any]


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

    The endpoint `/classify` takes one image file and gives (finding, verdict HTML, probabilities, heat map, caption HTML, the image as the
    model sees it). Raises `CheckpointError` when the checkpoint cannot be loaded.
    """
    predictor = BonePredictor.from_pretrained(model, revision=revision)
    scheme = predictor.scheme
    processes = OpeningProcesses()  # one, as one image at a time is classified
    examples = draw_examples()
    announce = call("app/demo/browser/verdict.js", "element", "watch")
    choose = call("app/demo/browser/examples.js", "element", "trigger")

    def outputs(found: Answer | None) -> Outputs:
        if found is None:
            return None, texts.verdict_html(None, scheme), None, None, "", None
        finding = found.finding
        probabilities = {words(name): p for name, p in finding.probabilities.items()} or None
        return (
            finding.to_dict(),
            texts.verdict_html(found, scheme),
            probabilities,
            found.heat,
            texts.caption_html(found, scheme.normal),
            found.view,
        )

    def classify(path: str | None) -> Outputs:
        """Classifies one radiograph (JPEG, PNG, TIFF, WebP or DICOM)."""
        return outputs(None if path is None else answer(predictor, path, Path(path).name, processes.open))

    def classify_example(event: gr.EventData) -> Outputs:
        example = examples[event.example]
        return outputs(answer(predictor, example.png, example.name))

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
            with gr.Column(elem_classes="bones-answer"):
                verdict = gr.HTML(
                    texts.verdict_html(None, scheme),
                    label="Verdict",
                    elem_id="verdict",
                    js_on_load=announce,
                )
                with gr.Column(elem_classes="bones-results"):
                    probabilities = gr.Label(label="Probability of each class", show_heading=False, elem_id="probabilities")
                    heat = gr.Image(
                        label="Heat map",
                        format="png",
                        height=IMAGE_HEIGHT,
                        interactive=False,
                        buttons=["fullscreen", "download"],
                        alt_text="The radiograph; areas in warm colours raised the score of the class named below",
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
        # `input` is the user's own doing (upload, paste, clear) and not the view that is put in the image's place.
        for event, function, source, name in (
            (image.input, classify, image, "classify"),
            (other.upload, classify, other, None),
            (chosen.click, classify_example, None, None),
        ):
            event(
                function,
                source,
                shown,
                api_name=name,
                api_visibility="public" if name else "private",
                trigger_mode="always_last",
                concurrency_id="model",
                concurrency_limit=1,
                show_progress_on=verdict,
            )
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
