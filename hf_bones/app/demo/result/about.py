"""The line about the model: what it is, how often it is right, and where its card, data and licence are. No gradio here."""

from __future__ import annotations

from typing import Any

from hf_bones.app.demo.result.cards import TEMPLATE
from hf_bones.app.demo.result.figures import Interval, ModelFigures, model_figures
from hf_bones.app.demo.wording import Words
from hf_bones.inference.checkpoint import RECORD_FILE, find_checkpoint
from hf_bones.inference.predictor import BonePredictor
from hf_bones.pages.templates import fragment
from hf_bones.record import public_name, read_json

# Where the terms of a licence of the Hub's list can be read; others are named without a link.
LICENCE_PAGE = "https://choosealicense.com/licenses/{name}/"
LINKED_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0", "agpl-3.0"}


def about_html(predictor: BonePredictor, words: Words) -> str:
    """The line for a loaded model; a warning first where it learnt from drawings alone, as its record.json says."""
    folder = find_checkpoint(predictor.checkpoint, predictor.revision).folder
    record = folder / RECORD_FILE
    data: Any = read_json(record).get("data") if record.is_file() else None
    drawn = isinstance(data, dict) and data.get("synthetic_only") is True
    figures = model_figures(folder)
    licence = figures.licence.lower()
    address = LICENCE_PAGE.format(name=licence) if licence in LINKED_LICENCES else ""
    sentences = figure_sentences(figures, words)
    return fragment(TEMPLATE, "about", words, model_facts(predictor, words), sentences, drawn, figures.licence, address)


def model_facts(predictor: BonePredictor, words: Words) -> str:
    """Name, network, size and calibration in one line."""
    parameters = predictor.model.num_parameters()
    name = public_name(predictor.checkpoint) + (f" @ {predictor.revision[:12]}" if predictor.revision else "")
    facts = words(
        "classify.about.model",
        name=name,
        architecture=type(predictor.model).__name__.removesuffix("ForImageClassification"),
        parameters=f"{parameters / 1e6:.1f} M".replace(".", words("classify.decimal")) if parameters >= 1e5 else f"{parameters}",
        size=predictor.spec.size,
    )
    calibrated = words("classify.about.calibrated" if predictor.calibrated else "classify.about.not_calibrated")
    return f"{facts} · {calibrated}"


def figure_sentences(figures: ModelFigures, words: Words) -> list[str]:
    """What was measured, then each figure with its interval; none where nothing is known."""
    if figures.n is None:
        return []
    said = [words("classify.about.test" if figures.is_test else "classify.about.validation", n=figures.n)]
    for name, figure in (("balanced", figures.balanced), ("referred", figures.referred)):
        if figure is not None:
            said.append(words(f"classify.about.{name}", value=_share(figure[0], words), interval=_span(figure[1], words, _share)))
    if figures.missed is not None:
        said.append(words("classify.about.missed", count=figures.missed[0], of=figures.missed[1]))
    if figures.auroc is not None:
        said.append(words("classify.about.auroc", value=_number(figures.auroc[0], words), interval=_span(figures.auroc[1], words, _number)))
    return said


def _span(interval: Interval, words: Words, form: Any) -> str:
    return words("classify.about.interval", low=form(interval[0], words), high=form(interval[1], words)) if interval else ""


def _share(value: float, words: Words) -> str:
    return words("classify.percent", number=f"{100 * value:.0f}")


def _number(value: float, words: Words) -> str:
    return f"{value:.2f}".replace(".", words("classify.decimal"))
