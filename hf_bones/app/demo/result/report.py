"""The report of one answer on one page: HTML that needs nothing beside it, to be saved or printed. No gradio here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from hf_bones.app.demo.result.cards import card_of, technical_facts, title_of
from hf_bones.app.demo.wording import Words
from hf_bones.images.opening import Radiograph
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import Finding
from hf_bones.pages.pictures import data_url
from hf_bones.pages.templates import render
from hf_bones.record import environment, now

JPEG_QUALITY = 88


@dataclass(frozen=True, eq=False)
class ReportedFilm:
    """One view: its finding, the opened film, and its picture with frames and heat map; None of both where it could not be read."""

    finding: Finding
    radiograph: Radiograph | None = None
    picture: Image.Image | None = None


def report_html(whole: Finding, films: Sequence[ReportedFilm], decision: DecisionRule, about: Sequence[str], words: Words) -> str:
    """The report of `whole`, which is the finding of the one film or of all views; `about`: sentences about the model."""
    scheme, given = decision.scheme, whole.probabilities
    views = [
        {
            "name": film.finding.source,
            "card": card_of(film.finding, scheme, words, alone=True),
            "picture": data_url(film.picture, JPEG_QUALITY) if film.picture is not None else "",
            "facts": technical_facts(film.finding, film.radiograph, words),
        }
        for film in films
    ]
    return render(
        "app/demo/result/report.html.j2",
        w=words,
        card=card_of(whole, scheme, words),
        title=words("classify.report.title") if len(films) == 1 else words("classify.report.title_study", count=len(films)),
        shares=[(title_of(name, words), given[name]) for name in scheme.names if name in given],
        views=views,
        about=list(about),
        made=words(
            "classify.report.made",
            date=now().replace("T", " ").replace("+00:00", " UTC"),
            package=f"hf-bones {environment()['packages'].get('hf-bones', '')}",
        ),
    )
