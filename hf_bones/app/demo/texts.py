"""The words of the page, as HTML: verdict, heat map caption, class definitions, what model answers; the template is `texts.html.j2`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_bones.app.demo.classify import Answer
from hf_bones.app.demo.examples import Example
from hf_bones.inference.checkpoint import RECORD_FILE, find_checkpoint
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER
from hf_bones.inference.heat import legend
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import LabelScheme
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.templates import fragment
from hf_bones.pages.text import percent, words
from hf_bones.record import public_name, read_json

TEMPLATE = "app/demo/texts.html.j2"
THUMBNAIL_SIDE = 200  # px
HINT = "Drop, choose or paste a radiograph, or try one of the drawn examples."
OTHER_VERDICTS = {
    REFER: ("Not sure", "The model does not decide here; a radiologist should."),
    NOT_A_BONE_XRAY: ("Not a bone radiograph", "The model was made for radiographs of bones; it has nothing to say about this image."),
}


def verdict_html(answer: Answer | None, scheme: LabelScheme, turn: int = 0) -> str:
    """The card with the answer; None is the empty page. `turn`: which of the page's turns it answers."""
    if answer is None:
        return fragment(TEMPLATE, "empty", HINT, turn)
    finding = answer.finding
    if not finding.readable:
        return fragment(TEMPLATE, "refused", finding, turn)
    if finding.verdict in OTHER_VERDICTS:
        return fragment(TEMPLATE, "verdict", finding, *OTHER_VERDICTS[finding.verdict], "", turn)
    score = percent(finding.probabilities[finding.verdict])
    return fragment(TEMPLATE, "verdict", finding, words(finding.verdict), scheme.definition(finding.verdict), score, turn)


def reading_html(name: str = "", turn: int = 0) -> str:
    """The card while a film is being read."""
    return fragment(TEMPLATE, "reading", name, turn)


def probabilities_html(answer: Answer, scheme: LabelScheme) -> str:
    """A bar for each class, in the scheme's order; "" where the film could not be read."""
    given = answer.finding.probabilities
    return fragment(TEMPLATE, "probabilities", {name: given[name] for name in scheme.names}) if given else ""


def caption_html(answer: Answer | None, normal: str) -> str:
    """What stands under the heat map: its colour bar and what that means, what the frames are; then what was done to the image."""
    if answer is None or answer.radiograph is None:
        return ""
    width, height = answer.radiograph.original_size
    facts = [f"{answer.radiograph.source_format}, {width} × {height} px", *answer.radiograph.steps]
    scale = answer.scale and legend(answer.scale)
    return fragment(TEMPLATE, "caption", answer, answer.finding.probabilities[answer.explained], normal, facts, scale)


def definitions_html(scheme: LabelScheme) -> str:
    """The classes with their written definitions and subtypes."""
    return fragment(TEMPLATE, "definitions", scheme.classes)


def examples_html(examples: Sequence[Example]) -> str:
    """The drawn examples as buttons; `data-example` is the place in the list."""
    cards = [(example.caption, data_url(thumbnail(example.picture(), THUMBNAIL_SIDE))) for example in examples]
    return fragment(TEMPLATE, "examples", cards)


def header_html(predictor: BonePredictor) -> str:
    """The top of the page: title, which model answers, and a warning where it learnt from drawings alone, as its record.json says."""
    record = find_checkpoint(predictor.checkpoint, predictor.revision).folder / RECORD_FILE
    data: Any = read_json(record).get("data") if record.is_file() else None
    parameters = predictor.model.num_parameters()
    facts = {
        "name": public_name(predictor.checkpoint),
        "revision": predictor.revision,
        "architecture": type(predictor.model).__name__.removesuffix("ForImageClassification"),
        "parameters": f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters:,}",
        "image_size": predictor.spec.size,
        "calibrated": predictor.calibrated,
        "synthetic_only": isinstance(data, dict) and data.get("synthetic_only") is True,
    }
    return fragment(TEMPLATE, "header", facts)
