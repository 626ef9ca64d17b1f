"""The tab that says how good a model is: figures, plots, audit and card, as far as they came with it. The facts come from `about/`."""

from __future__ import annotations

import gradio as gr

from hf_bones.app.demo.about.card import card_html
from hf_bones.app.demo.about.figures import Measured, read_measured
from hf_bones.app.demo.about.shipped import AUDIT_FILE, PLOTS, Shipped, shipped_with
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.in_short import in_short
from hf_bones.app.demo.models.batching import Served
from hf_bones.app.demo.tabs.opened import fill_when_opened
from hf_bones.app.demo.wording import Words
from hf_bones.hub.card import CARD_FILE, METRICS_FILE
from hf_bones.pages.templates import fragment

TEMPLATE = "app/demo/tabs/model.html.j2"


def build_model(page: Page) -> None:
    """The tab for the figures and the card of the chosen model."""
    words = page.words

    def fill(ready: str) -> str:
        return model_html(page.shelf.get(ready), words) if ready else fragment(TEMPLATE, "waiting", words)

    with gr.Tab(words("page.tab_model"), id="model") as tab, gr.Column(elem_classes="bones-tab bones-model"):
        facts = gr.HTML(fragment(TEMPLATE, "waiting", words), elem_id="model-facts")
        fill_when_opened(page, tab, [facts], fill)


def model_html(served: Served, words: Words) -> str:
    """All that came with a model, and what did not."""
    shipped = shipped_with(served.predictor.checkpoint, served.predictor.revision)
    problem, measured = "", None
    try:
        measured = read_measured(shipped)
    except ValueError as error:
        problem = words("model.damaged", model=served.name, why=str(error).rsplit("/", 1)[-1])
    plots = [(words(f"model.plot.{file.removesuffix('.png')}"), address) for file in PLOTS if (address := shipped.picture(file))]
    card, audit = shipped.text(CARD_FILE), shipped.text(AUDIT_FILE)
    return fragment(
        TEMPLATE,
        "facts",
        served.name,
        problem or ("" if measured else words("model.none", model=served.name)),
        measured,
        plots,
        card and card_html(card, shipped),
        audit and card_html(audit, shipped),
        _missing(shipped, measured, words),
        shipped.reached,
        words,
        in_short,
        figure_words,
    )


def figure_words(key: str, words: Words) -> str:
    """The name of a figure of metrics.json, such as `sensitivity_fractured`."""
    if words.has(f"model.figure_name.{key}"):
        return words(f"model.figure_name.{key}")
    kind, _, name = key.partition("_")
    return words(f"model.figure_name.{kind}", name=in_short(name, words))


def _missing(shipped: Shipped, measured: Measured | None, words: Words) -> str:
    """What did not come with a model, in a list of words; "" where all is there."""
    there = {
        "card": shipped.text(CARD_FILE) is not None,
        "figures": (shipped.folder / METRICS_FILE).is_file(),
        "confusion": bool(measured and measured.confusion) or shipped.picture("confusion.png") is not None,
        "reliability": shipped.picture("reliability.png") is not None,
        "risk_coverage": shipped.picture("risk_coverage.png") is not None,
        "audit": shipped.text(AUDIT_FILE) is not None,
    }
    return ", ".join(words(f"model.missing_name.{name}") for name, is_there in there.items() if not is_there)
