"""The page: layout, events, and how it is served. What an image becomes is in `classify.py`, the words are in `texts.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app import style, texts
from hf_bones.app.classify import Answer, answer
from hf_bones.app.examples import draw_examples
from hf_bones.imaging import DEFAULT_LIMITS
from hf_bones.inference.predictor import BonePredictor

CLEAN_EVERY, KEEP_FOR = 600, 600  # s; uploads older than KEEP_FOR are deleted every CLEAN_EVERY, and all of them at the end
WAITING = 20  # people in line; one image at a time is classified
IMAGE_HEIGHT = 380  # px

Outputs = tuple[dict[str, Any] | None, str, dict[str, float] | None, Any, str, Any]


class RadiographInput(gr.Image):
    """gradio's image input that hands over the uploaded file untouched, whatever it holds: `imaging.open_image` is to judge it."""

    is_template = True  # shown by gradio's own Image

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def build_demo(model: str | Path = "bundled", *, revision: str | None = None) -> gr.Blocks:
    """The page for a checkpoint: `bundled`, a folder, or a Hub id with an optional `revision`.

    The endpoint `/classify` takes one image file and gives (finding, verdict HTML, probabilities, heat map, caption HTML, the image as the
    model sees it). Raises `CheckpointError` when the checkpoint cannot be loaded.
    """
    predictor = BonePredictor.from_pretrained(model, revision=revision)
    scheme = predictor.scheme
    examples = draw_examples()

    def outputs(found: Answer | None) -> Outputs:
        if found is None:
            return None, texts.verdict_html(None, scheme), None, None, "", None
        finding = found.finding
        probabilities = {texts.words(name): p for name, p in finding.probabilities.items()} or None
        return (
            finding.to_dict(),
            texts.verdict_html(found, scheme),
            probabilities,
            found.heat,
            texts.caption_html(found),
            found.view,
        )

    def classify(path: str | None) -> Outputs:
        """Classifies one radiograph (JPEG, PNG, TIFF, WebP or DICOM)."""
        return outputs(None if path is None else answer(predictor, path, Path(path).name))

    def classify_example(event: gr.SelectData) -> Outputs:
        example = examples[event.index]
        return outputs(answer(predictor, example.pixels, example.name))

    with gr.Blocks(title="hf_bones", analytics_enabled=False, delete_cache=(CLEAN_EVERY, KEEP_FOR)) as demo:
        gr.HTML(texts.header_html(texts.model_facts(predictor)))
        with gr.Row(elem_classes="bones-page"):
            with gr.Column(scale=5, min_width=300):
                image = RadiographInput(
                    label="Radiograph",
                    sources=["upload", "clipboard"],
                    format="png",
                    height=IMAGE_HEIGHT,
                    buttons=["fullscreen"],
                    alt_text="The radiograph you gave, as the model sees it",
                    elem_id="radiograph",
                )
                other = gr.UploadButton("Open a DICOM or TIFF file", size="sm", elem_id="other-file")
                gallery = gr.Gallery(
                    [(example.pixels, example.caption) for example in examples],
                    label="Examples: drawn by a program, no patients",
                    columns=3,
                    object_fit="contain",
                    format="png",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    elem_id="examples",
                )
            with gr.Column(scale=6, min_width=300):
                verdict = gr.HTML(
                    texts.verdict_html(None, scheme),
                    elem_id="verdict",
                    js_on_load="element.setAttribute('role', 'status'); element.setAttribute('aria-live', 'polite')",
                )
                with gr.Column(elem_classes="bones-results"):
                    probabilities = gr.Label(label="Probability of each class", show_heading=False, elem_id="probabilities")
                    heat = gr.Image(
                        label="Heat map",
                        format="png",
                        height=IMAGE_HEIGHT,
                        interactive=False,
                        buttons=["fullscreen", "download"],
                        alt_text="The radiograph with the areas in warm colours that raised the score of the class named below",
                        elem_id="heat",
                    )
                    caption = gr.HTML(elem_id="caption")
                    with gr.Accordion("The finding as JSON", open=False):
                        finding = gr.JSON(label="Finding", show_label=False, elem_id="finding")
                with gr.Accordion("What the classes mean", open=False, elem_id="definitions"):
                    gr.HTML(texts.definitions_html(scheme))
        gr.HTML(f'<p class="privacy">{texts.PRIVACY}</p>')
        gr.HTML(f"<p>{texts.NOTICE}</p>", elem_id="notice")

        shown = [finding, verdict, probabilities, heat, caption, image]
        # `input` is the user's own doing (upload, paste, clear) and not the view that is put in the image's place.
        image.input(
            classify, image, shown, api_name="classify", trigger_mode="always_last", concurrency_limit=1, concurrency_id="model", show_progress_on=verdict
        )
        other.upload(
            classify, other, shown, api_visibility="private", trigger_mode="always_last", concurrency_id="model", show_progress_on=verdict
        )
        gallery.select(
            classify_example, None, shown, api_visibility="private", trigger_mode="always_last", concurrency_id="model", show_progress_on=verdict
        )
    return demo.queue(max_size=WAITING)


def serve(
    demo: gr.Blocks, *, host: str | None = None, port: int | None = None, share: bool = False, open_browser: bool = False, wait: bool = True
) -> str:
    """Serves a page and returns its address; with `wait` only when it is stopped.

    host: None is this machine alone, or GRADIO_SERVER_NAME (Spaces set it). port: None is the first free one from 7860.
    """
    _, address, _ = demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        inbrowser=open_browser,
        prevent_thread_lock=not wait,
        quiet=not wait,
        theme=style.theme(),
        css=style.CSS,
        footer_links=["api", "settings"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        max_file_size=DEFAULT_LIMITS.max_bytes,
    )
    return address


def launch(
    model: str | Path = "bundled",
    *,
    revision: str | None = None,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    open_browser: bool = True,
) -> None:
    """Opens the demo for a checkpoint and stays until it is stopped. See `build_demo` and `serve`."""
    serve(build_demo(model, revision=revision), host=host, port=port, share=share, open_browser=open_browser)
class AnyFileButton(gr.UploadButton):
    """gradio's upload button, likewise; its own way leaves an empty file behind for each upload."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

