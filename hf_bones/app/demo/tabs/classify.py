"""The tab for the films of one patient: events, and what they send to the page.

One component holds the whole tab: `classify.html.j2` is its HTML, the scripts in `browser/` run it. The server sends it one value a time,
which says to which of the page's turns it belongs; a page that has gone on to a later one passes it over, so that no answer stands beside
another film. What the page asks for after the answer is in `result/later.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr

from hf_bones.app.assets import call, function
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.examples import Example, draw_examples, example_caption
from hf_bones.app.demo.inputs import AnyFilesButton
from hf_bones.app.demo.models.batching import Judged, Served
from hf_bones.app.demo.result.about import about_html
from hf_bones.app.demo.result.cards import definitions_html, failed_html, reading_html, study_html, title_of, verdict_html, view_html
from hf_bones.app.demo.result.kept import KEPT_FOR, KeptFilm, KeptFilms
from hf_bones.app.demo.result.later import Later
from hf_bones.app.demo.result.pictures import png_url, view_of
from hf_bones.app.demo.turns import MOST_VIEWS, Film, Films, Turns, film_name
from hf_bones.app.demo.wording import Words
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.study.finding import study_finding
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.palette import OTHER_SIGN, SIGNS
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.templates import fragment

TEMPLATE = "app/demo/tabs/classify.html.j2"
THUMBNAIL_SIDE = 200  # px
AT_ONCE = 32  # visitors whose films are opened and go through the network together; the others wait in line
_BROWSER = "app/demo/browser"
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "trigger_mode": "multiple"}

Shown = dict[str, Any]


def build_classify(page: Page) -> None:
    """The tab for one patient."""
    words, examples, kept = page.words, draw_examples(), KeptFilms()
    later = Later(page.shelf, kept, words)

    def begun(turn: float, turns: Turns) -> Shown:
        return reading(int(turn), turns.films, words) if turns.films else empty(int(turn), words)

    def begin_files(turn: float, adding: float, turns: Turns, paths: list[str]) -> Any:
        """The page while films are being read: no result. What comes too late changes nothing."""
        return begun(turn, turns) if turns.begin(int(turn), tuple(paths), adding=bool(adding)) else gr.skip()

    def begin_example(turn: float, adding: float, turns: Turns, event: gr.EventData) -> Any:
        return begun(turn, turns) if turns.begin(int(turn), (examples[int(event.example)],)) else gr.skip()

    def begin_removed(turn: float, adding: float, turns: Turns) -> Any:
        return begun(turn, turns) if turns.begin(int(turn), ()) else gr.skip()

    def begin_without(turn: float, adding: float, turns: Turns, event: gr.EventData) -> Any:
        return begun(turn, turns) if turns.begin_without(int(turn), int(event.place)) else gr.skip()

    def begin_again(turn: float, adding: float, turns: Turns) -> Any:
        return begun(turn, turns) if turns.begin_again(int(turn)) else gr.skip()

    def classify_newest(turns: Turns, model: str, request: gr.Request) -> Any:
        if (taken := turns.take()) is None:
            return gr.skip()
        turn, films = taken
        try:
            with page.asked.admit(request):
                served = page.shelf.get(model)
                judged = judge(served, films)
        except CheckpointError as error:
            found = failed(turn, str(error), words)
        except gr.Error as error:  # too many films of this visitor are waiting
            found = failed(turn, str(error.message), words)
        else:
            found = answered(turn, films, judged, served, model, kept, words)
        return found if turns.stands(turn) else gr.skip()

    def describe(ready: str) -> Any:
        """What depends on the model, once it is loaded."""
        if not ready:
            return gr.skip()
        predictor = page.shelf.get(ready).predictor
        classes = definitions_html(predictor.scheme, words)
        return header_html(about_html(predictor, words), words), fragment(TEMPLATE, "definitions", words, classes)

    cards = [(example_caption(one, words), data_url(thumbnail(one.picture(), THUMBNAIL_SIDE))) for one in examples]
    first = verdict_html(None, THREE_CLASS, words)
    with gr.Tab(words("page.tab_classify"), id="classify"):
        header = gr.HTML(header_html("", words), elem_id="about", js_on_load=call(f"{_BROWSER}/links.js", "element"))
        tab = gr.HTML(
            html_template=fragment(TEMPLATE, "tab", words, cards, DEFAULT_LIMITS.max_bytes, int(KEPT_FOR // 60), first),
            js_on_load=tab_script(words),
            server_functions=[_called(later, name, page) for name in ("heat", "pixels", "stability", "picture", "report")],
            elem_id="classify",
            apply_default_css=False,
        )
        files = AnyFilesButton("files", elem_id="classify-files", file_count="multiple")
        line = gr.HTML(elem_id="line")  # where gradio shows a visitor's place in line, beside the tab and never over it
        turns, turn, adding = gr.State(Turns()), gr.Number(visible=False), gr.Number(visible=False)  # numbers come from `turn.js`
        definitions = gr.HTML(elem_id="definitions")
    count = function(f"{_BROWSER}/turn.js")
    for event, first_step, given, film in (
        (files.upload, begin_files, [files], "given"),
        (tab.example, begin_example, [], "example"),
        (tab.without, begin_without, [], "given"),
        (tab.removed, begin_removed, [], "removed"),
        (page.model.change, begin_again, [], "again"),
    ):
        started = event(
            first_step,
            [turn, adding, turns, *given],
            tab,
            js=f"(...given) => ({count})('{film}', ...given)",
            queue=False,
            show_progress="hidden",
            **_PRIVATE,
        )
        started.then(classify_newest, [turns, page.model], tab, concurrency_limit=AT_ONCE, show_progress_on=line, **_PRIVATE)
    page.ready.change(describe, page.ready, [header, definitions], queue=False, show_progress="hidden", api_visibility="private")


def header_html(about: str, words: Words) -> str:
    """The title and the line about the model; `about` is HTML, "" while the model is being loaded."""
    return fragment(TEMPLATE, "header", words, about)


def tab_script(words: Words) -> str:
    """What runs the tab in the browser, with the words that it needs."""
    texts = json.dumps({**words.section("classify"), "most": str(MOST_VIEWS)}, ensure_ascii=False)
    parts = {"makeViewer": "viewer", "makeDrawing": "drawing", "takeFiles": "files", "makeCamera": "camera", "makeSaving": "saving"}
    given = ("element", "trigger", "watch", "props", "server", f"words: {texts}")
    return call(f"{_BROWSER}/classify.js", *given, **{name: f"{_BROWSER}/{file}.js" for name, file in parts.items()})


def empty(turn: int, words: Words) -> Shown:
    """The tab without a film."""
    return {"turn": turn, "state": "empty", "verdict": verdict_html(None, THREE_CLASS, words, turn), "films": []}


def failed(turn: int, sentence: str, words: Words) -> Shown:
    """The tab where nothing could answer."""
    return {"turn": turn, "state": "failed", "verdict": failed_html(sentence, words, turn), "films": []}


def reading(turn: int, films: Films, words: Words) -> Shown:
    """The tab while films are being read. Pictures come with the answer, as a browser may not know the file; examples are known."""
    shown = [{"name": film_name(film), **({"picture": png_url(film.picture())} if isinstance(film, Example) else {})} for film in films]
    return {"turn": turn, "state": "reading", "verdict": reading_html([one["name"] for one in shown], words, turn), "films": shown}


def judge(served: Served, films: Films) -> list[Judged]:
    """What the model says of each film, all asked at once, so that they go through the network together."""

    def ask(film: Film) -> Judged:
        return served.predict(film.png if isinstance(film, Example) else film, film_name(film))

    if len(films) == 1:
        return [ask(films[0])]
    with ThreadPoolExecutor(len(films)) as pool:
        return list(pool.map(ask, films))


def answered(turn: int, films: Films, judged: Sequence[Judged], served: Served, model: str, kept: KeptFilms, words: Words) -> Shown:
    """The tab with the answer: of the one film, or of all views together and of each apart."""
    decision, findings = served.predictor.decision, [one.finding for one in judged]
    several = len(findings) > 1
    whole = study_finding("study", findings, decision) if several else findings[0]
    shown = []
    for film, one in zip(films, judged, strict=True):
        source = film.png if isinstance(film, Example) else film
        shown.append(
            {
                "token": kept.keep(KeptFilm(source, one.finding, model)),
                "html": view_html(one.finding, one.radiograph, decision, words, alone=several),
                **_seen(one, words),
            }
        )
    return {
        "turn": turn,
        "state": "ok" if whole.readable else "refused",
        "verdict": verdict_html(whole, decision.scheme, words, turn),
        "study": study_html(whole, decision, words) if several else "",
        "finding": whole.to_dict(),
        "films": shown,
    }


def _seen(judged: Judged, words: Words) -> Shown:
    """A film for the viewer and for the row of views."""
    finding, radiograph = judged.finding, judged.radiograph
    shown: Shown = {
        "name": finding.source,
        "sign": SIGNS.get(finding.verdict, "!" if not finding.readable else OTHER_SIGN),
        "verdict": finding.verdict,
        "title": title_of(finding.verdict, words),
        "boxes": finding.to_dict()["boxes"],
    }
    if radiograph is not None:
        height, width = radiograph.pixels.shape
        shown |= {"picture": png_url(view_of(radiograph.pixels)), "width": width, "height": height}
    return shown


def _called(later: Later, name: str, page: Page) -> Any:
    """A function that the page's script may call; gradio hands it the request, which counts for its visitor's limit."""

    def ask(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        try:
            with page.asked.admit(request):
                return later.answer(name, asked)
        except gr.Error as error:
            return {"error": str(error.message)}

    ask.__name__ = name
    return ask
