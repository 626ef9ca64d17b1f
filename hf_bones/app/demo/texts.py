"""The words of the page, as HTML: verdict, heat map caption, class definitions, what model answers.

Whatever comes from a file, a checkpoint or its definitions is escaped. Not here: colours and layout (`style.py`).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import Any

from PIL import Image

from hf_bones.app.demo.classify import Answer
from hf_bones.app.demo.examples import Example
from hf_bones.inference.checkpoint import RECORD_FILE, find_checkpoint
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY, LabelScheme
from hf_bones.record import public_name, read_json

TITLE = "Bone radiographs: healthy, fractured or beyond repair?"
NOTICE = "<strong>Research tool, not a medical device.</strong> It misses fractures and sees some that are not there."
PRIVACY = "Images are not kept: they leave the server after 20 minutes at most. No history, no tracking; DICOM tags are never shown."
EXAMPLES = (
    "No radiograph at hand? These are <strong>drawn, not real</strong>. They show how the page works; a model measured on real films "
    "often misjudges them:"
)
THUMBNAIL_SIDE = 200  # px
HINT = "Drop, choose or paste a radiograph, or try one of the drawn examples."

# Told apart by sign and word as well as by colour.
SIGNS = {HEALTHY: "✓", FRACTURED: "▲", BEYOND_REPAIR: "✕", REFER: "?", NOT_A_BONE_XRAY: "∅"}
OTHER_SIGN = "●"
OTHER_VERDICTS = {
    REFER: ("Not sure", "More than one class, or none, is likely enough."),
    NOT_A_BONE_XRAY: ("Not a bone radiograph", "The model was made for radiographs of bones; about this image it has nothing to say."),
}


def words(name: str) -> str:
    """A class name as words: "beyond_repair" becomes "Beyond repair"."""
    return name.replace("_", " ").capitalize()


def percent(probability: float) -> str:
    """A probability in whole per cent; never 0 or 100, which no model can claim."""
    if probability < 0.01:
        return "under 1%"
    return "over 99%" if probability > 0.99 else f"{probability:.0%}"


def verdict_html(answer: Answer | None, scheme: LabelScheme) -> str:
    """The card with the answer; None is the empty page."""
    if answer is None:
        return f'<section class="verdict" data-state="empty"><p class="hint">{HINT}</p></section>'
    finding = answer.finding
    if not finding.readable:
        return _refused_html(answer)
    if finding.verdict in OTHER_VERDICTS:
        title, meaning = OTHER_VERDICTS[finding.verdict]
        score = ""
    else:
        title, meaning = words(finding.verdict), scheme.definition(finding.verdict)
        score = f'<span class="score">{percent(finding.probabilities[finding.verdict])}</span>'
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in finding.reasons)
    sign = SIGNS.get(finding.verdict, OTHER_SIGN)
    return (
        f'<section class="verdict" data-state="ok" data-class="{escape(finding.verdict)}">'
        f'<p class="kicker">The model says</p><h2><span class="sign" aria-hidden="true">{sign}</span> {escape(title)} {score}</h2>'
        f"<p>{escape(meaning)}</p>{f'<ul>{reasons}</ul>' if reasons else ''}</section>"
    )


def _refused_html(answer: Answer) -> str:
    reason, sentence, *details = answer.finding.reasons
    detail = escape("; ".join(part for part in details if part))
    return (
        '<section class="verdict" data-state="refused"><p class="kicker">No answer</p>'
        '<h2><span class="sign" aria-hidden="true">!</span> This file cannot be read</h2>'
        f"<p>{escape(sentence)}</p>"
        f'<p class="detail"><code>{escape(answer.finding.source)}</code>: {escape(reason)}{f" ({detail})" if detail else ""}</p></section>'
    )


def caption_html(answer: Answer | None, normal: str) -> str:
    """What stands under the heat map: which class it is for, and what it does not mean; then what was done to the image."""
    if answer is None or answer.radiograph is None:
        return ""
    chance = answer.finding.probabilities[answer.explained]
    name = f"<strong>{escape(words(answer.explained).lower())}</strong> ({percent(chance)})"
    if answer.no_heat:
        told = f"No heat map: {escape(answer.no_heat)}."
    elif answer.silent:
        told = f"No area of this image raised the score of {name}, so the map is empty."
    else:
        told = f"Warm areas raised the score of {name}, the likeliest class other than {escape(words(normal).lower())}. "
        told += "The map shows where the score came from; it does not locate a fracture, and says nothing of how sure the model is."
    radiograph = answer.radiograph
    width, height = radiograph.original_size
    facts = [f"{radiograph.source_format}, {width} × {height} px", *radiograph.steps]
    return f'<p class="caption">{told}</p><p class="caption">Image: {escape("; ".join(facts))}.</p>'


def definitions_html(scheme: LabelScheme) -> str:
    """The classes with their written definitions and subtypes."""
    entries = []
    for label in scheme.classes:
        holds = f' <span class="subtypes">Holds: {escape(", ".join(label.subtypes))}.</span>' if label.subtypes else ""
        sign = f'<span class="sign" aria-hidden="true">{SIGNS.get(label.name, OTHER_SIGN)}</span>'
        term = f"<dt>{sign} {escape(words(label.name))}</dt>"
        entries.append(f'<div data-class="{escape(label.name)}">{term}<dd>{escape(label.definition)}{holds}</dd></div>')
    return f'<dl class="definitions">{"".join(entries)}</dl>'


def examples_html(examples: Sequence[Example]) -> str:
    """The drawn examples as buttons; `data-example` is the place in the list."""
    buttons = []
    for index, example in enumerate(examples):
        thumbnail = Image.open(BytesIO(example.png))
        thumbnail.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        stream = BytesIO()
        thumbnail.save(stream, "JPEG", quality=80)
        source = f"data:image/jpeg;base64,{b64encode(stream.getvalue()).decode()}"
        buttons.append(
            f'<button type="button" data-example="{index}"><img src="{source}" alt=""><span>{escape(example.caption)}</span></button>'
        )
    return f'<div class="examples" role="group" aria-label="Drawn examples"><p>{EXAMPLES}</p><div>{"".join(buttons)}</div></div>'


@dataclass(frozen=True)
class ModelFacts:
    """What the page says about the model that answers."""

    name: str
    revision: str | None
    architecture: str
    parameters: int
    image_size: int
    calibrated: bool
    synthetic_only: bool


def model_facts(predictor: BonePredictor) -> ModelFacts:
    """Facts from the loaded model and the record.json beside it, if there is one."""
    record = find_checkpoint(predictor.checkpoint, predictor.revision).folder / RECORD_FILE
    data: Any = read_json(record).get("data") if record.is_file() else None
    return ModelFacts(
        name=public_name(predictor.checkpoint),
        revision=predictor.revision,
        architecture=type(predictor.model).__name__.removesuffix("ForImageClassification"),
        parameters=predictor.model.num_parameters(),
        image_size=predictor.spec.size,
        calibrated=predictor.calibrated,
        synthetic_only=isinstance(data, dict) and data.get("synthetic_only") is True,
    )


def header_html(facts: ModelFacts) -> str:
    """The top of the page: title, which model answers, and a warning where it learnt from drawings alone."""
    revision = f" at {escape(facts.revision[:12])}" if facts.revision else ""
    size = f"{facts.parameters / 1e6:.1f} M" if facts.parameters >= 1e5 else f"{facts.parameters:,}"
    parts = [
        f'Model <strong class="model-name">{escape(facts.name)}</strong>{revision}',
        f"{escape(facts.architecture)}, {size} parameters, {facts.image_size} px",
        "probabilities calibrated" if facts.calibrated else "probabilities not calibrated: take them as scores",
    ]
    drawn = (
        '<p class="drawn-only"><strong>This model learnt from drawn radiographs only.</strong> It shows how the tools work; '
        "on a real radiograph its answers are worth nothing.</p>"
    )
    return f'<header class="bones-header"><h1>{TITLE}</h1><p>{" · ".join(parts)}</p>{drawn if facts.synthetic_only else ""}</header>'
