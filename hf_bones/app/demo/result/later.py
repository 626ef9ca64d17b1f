"""What a page asks for after its answer: the heat map when somebody looks at it, the film at full size, whether the answer is stable, the
picture and the report to take along. Each is made when it is asked for, and nothing of it is written to disk. No gradio here.

A page names a film by its token (`kept.py`); each answer is plain data, with "error", a sentence for the visitor, where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_bones.app.demo.classify import likeliest_abnormal
from hf_bones.app.demo.models.batching import Served
from hf_bones.app.demo.models.shelf import Shelf
from hf_bones.app.demo.result.about import figure_sentences, model_facts
from hf_bones.app.demo.result.cards import TEMPLATE, title_of
from hf_bones.app.demo.result.figures import model_figures
from hf_bones.app.demo.result.kept import GoneError, KeptFilm, KeptFilms
from hf_bones.app.demo.result.pictures import Heat, Pixels, heat_layer, picture_with_overlay, png_url, view_of
from hf_bones.app.demo.result.report import ReportedFilm, report_html
from hf_bones.app.demo.result.stability import stability
from hf_bones.app.demo.turns import MOST_VIEWS
from hf_bones.app.demo.wording import Words
from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError
from hf_bones.inference.checkpoint import CheckpointError, find_checkpoint
from hf_bones.inference.finding import NOT_A_BONE_XRAY
from hf_bones.inference.heat import legend
from hf_bones.inference.study.finding import study_finding
from hf_bones.pages.templates import fragment
from hf_bones.pages.text import percent

Asked = Mapping[str, Any]
Answered = dict[str, Any]


class Later:
    """Answers what pages ask later about the films in `kept`. Safe to call from threads."""

    def __init__(self, shelf: Shelf, kept: KeptFilms, words: Words) -> None:
        self._shelf, self._kept, self._words = shelf, kept, words

    def heat(self, asked: Asked) -> Answered:
        """`layer`, the colours as a picture, "" where there is none; `html`, the scale and what it means."""
        film, served, pixels = self._opened(asked.get("token"))
        try:
            heat = self._heat(film, served, pixels)
        except ValueError as error:  # a network whose answer does not pass through feature maps
            return {"layer": "", "html": fragment(TEMPLATE, "no_heat", self._words("classify.heat.none", why=error))}
        return {"layer": png_url(heat_layer(heat, served.predictor.heat_scale)), "html": self._heat_html(film, served, heat)}

    def pixels(self, asked: Asked) -> Answered:
        """`picture`: the film at its full size."""
        return {"picture": png_url(view_of(self._opened(asked.get("token"))[2], None))}

    def stability(self, asked: Asked) -> Answered:
        """`html`: whether the answer to one view stands, with the answers to the changed films."""
        film, served, pixels = self._opened(asked.get("token"))
        words, given, normal = self._words, film.finding, served.predictor.scheme.normal
        if given.verdict == NOT_A_BONE_XRAY:
            return {"html": fragment(TEMPLATE, "no_heat", words("classify.stability.not_asked"))}
        found = stability(given, pixels, lambda changed: served.predict(changed, given.source).finding)
        rows = [
            (words(f"classify.stability.{change}"), one.verdict, title_of(one.verdict, words), percent(1 - one.probabilities[normal]))
            for change, one in found.findings.items()
        ]
        return {"html": fragment(TEMPLATE, "stability", words, found.is_stable, rows)}

    def picture(self, asked: Asked) -> Answered:
        """`picture`: the film with heat map, colour bar and frames, to be saved."""
        film, served, pixels = self._opened(asked.get("token"))
        return {"picture": png_url(self._overlaid(film, served, pixels))}

    def report(self, asked: Asked) -> Answered:
        """`html`: the one-page report of all views, which needs nothing beside it."""
        tokens = list(asked.get("tokens") or [])[:MOST_VIEWS]
        if not tokens:
            raise GoneError("no film")
        kept = [self._kept.get(token) for token in tokens]
        served = self._served(kept[0])
        films = []
        for film in kept:
            if not film.finding.readable:
                films.append(ReportedFilm(film.finding))
                continue
            radiograph = served.open(film.source, DEFAULT_LIMITS)
            films.append(ReportedFilm(film.finding, radiograph, self._overlaid(film, served, radiograph.pixels)))
        predictor = served.predictor
        whole = films[0].finding if len(films) == 1 else study_finding("study", [film.finding for film in films], predictor.decision)
        about = [model_facts(predictor, self._words)]
        about += figure_sentences(model_figures(find_checkpoint(predictor.checkpoint, predictor.revision).folder), self._words)
        return {"html": report_html(whole, films, predictor.decision, about, self._words)}

    def answer(self, name: str, asked: object) -> Answered:
        """What a page gets: the answer with "ok", or what a visitor can do about it as "error"."""
        given = asked if isinstance(asked, Mapping) else {}
        try:
            return {"ok": True, **getattr(self, name)(given)}
        except (GoneError, ImageRefusedError):
            return {"error": self._words("classify.gone")}
        except CheckpointError as error:
            return {"error": str(error)}

    def _opened(self, token: object) -> tuple[KeptFilm, Served, Pixels]:
        film = self._kept.get(token)
        if not film.finding.readable:
            raise GoneError(token)
        served = self._served(film)
        return film, served, served.open(film.source, DEFAULT_LIMITS).pixels

    def _served(self, film: KeptFilm) -> Served:
        return self._shelf.get(film.model)

    def _heat(self, film: KeptFilm, served: Served, pixels: Pixels) -> Heat:
        return served.heat(pixels, likeliest_abnormal(film.finding, served.predictor.scheme.normal))

    def _overlaid(self, film: KeptFilm, served: Served, pixels: Pixels) -> Any:
        try:
            heat = self._heat(film, served, pixels)
        except ValueError:  # as above: the film with its frames alone
            heat = None
        return picture_with_overlay(pixels, heat, served.predictor.heat_scale, film.finding.boxes)

    def _heat_html(self, film: KeptFilm, served: Served, heat: Heat) -> str:
        words, scheme, scale = self._words, served.predictor.scheme, served.predictor.heat_scale
        shown, meaning = legend(scale), words(f"classify.heat.{scale.unit}")
        shown["marks"] = [mark.replace(".", words("classify.decimal")) for mark in shown["marks"]]
        colour = words("classify.heat.colour", meaning=meaning)
        if not scale.of_patches:
            name = likeliest_abnormal(film.finding, scheme.normal)
            colour = words(
                "classify.heat.colour_class",
                meaning=meaning,
                name=title_of(name, words),
                share=percent(film.finding.probabilities[name]),
                normal=title_of(scheme.normal, words),
            )
        silent = words("classify.heat.silent", low=shown["marks"][0]) if scale.is_silent(heat) else ""
        label = words("classify.heat.scale", meaning=meaning, low=shown["marks"][0], high=shown["marks"][-1])
        return fragment(TEMPLATE, "heat", words, shown, colour, silent, label)
