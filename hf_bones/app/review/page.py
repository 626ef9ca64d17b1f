"""The review page: `hf-bones review` shows the images of a collection or a built dataset, and takes decisions about them.

gradio serves the page; its one component calls the functions of `Review`. Pictures go through plain routes, so that a change of filters
sends a little HTML and the browser fetches the thumbnails it has not seen. Only images that the manifest knows are served, by their hash,
and only to pages of this server (`app/same_origin.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hf_bones.app.assets import call
from hf_bones.app.review.asking import ReviewError
from hf_bones.app.review.pictures import NoPictureError
from hf_bones.app.review.session import DEFAULT_PAGE_SIZE, PAGE_SIZES, Review
from hf_bones.app.serving import DEMO_STYLES, serve, serving
from hf_bones.curation.contact_sheet import contact_sheet
from hf_bones.dataset.scheme import chosen_scheme
from hf_bones.dataset.subject import open_subject
from hf_bones.pages.pictures import png
from hf_bones.pages.templates import render

HOST = "127.0.0.1"
# Reasons that the box offers; any other text will do.
DROP_REASONS = ("not a radiograph", "poor quality", "several pictures", "copy", "no bone of interest", "wrong label, true one unclear")
_BROWSER = "app/review/browser"
# The scripts that `page.js` is handed, by the names that it gives them.
_PARTS = {
    "makeGallery": "gallery",
    "makeLarge": "large",
    "makeWindowing": "windowing",
    "makeAgreement": "agreement",
    "makeDecisions": "decisions",
    "listen": "keys",
}
# A picture is named by the hash of its image: it never changes.
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_NOT_KEPT = {"Cache-Control": "no-store"}


def frame_html(review: Review) -> str:
    """The whole page, empty."""
    return render(
        "app/review/frame.html.j2",
        name=review.name,
        place="the built dataset" if review.subject.kind == "dataset" else "the collection",
        reviewer=review.reviewer,
        scheme=review.scheme,
        sizes=PAGE_SIZES,
        default_size=DEFAULT_PAGE_SIZE,
        reasons=DROP_REASONS,
    )


def build_review(review: Review) -> gr.Blocks:
    """The page of a review, to be served by `serve_review`."""
    functions = [review.look_up, review.show, review.decide, review.undo, review.agreement, review.ask_model, review.progress]
    with gr.Blocks(title=f"{review.name}: review", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(
            frame_html(review),
            label="Review",
            elem_id="review",
            js_on_load=call(f"{_BROWSER}/page.js", "element", "server", **{name: f"{_BROWSER}/{file}.js" for name, file in _PARTS.items()}),
            server_functions=[*map(_called, functions)],
        )
    return page


def _called(function: Any) -> Any:
    """gradio marks the functions that a page may call, which a bound method does not allow."""

    def call(asked: dict[str, Any]) -> dict[str, Any]:
        return function(asked if isinstance(asked, dict) else {})

    call.__name__ = function.__name__
    return call


def app_kwargs(review: Review) -> dict[str, Any]:
    """The routes of pictures, each answered on a thread, for `serving.serve`."""
    return {
        "routes": [
            Route("/pictures/thumbnail/{sha256}", partial(_thumbnail, review)),
            Route("/pictures/view/{sha256}", partial(_view, review)),
            Route("/pictures/sheet.png", partial(_sheet, review)),
        ]
    }


def _thumbnail(review: Review, request: Request) -> Response:
    return _picture(review, request, lambda record: (review.pictures.thumbnail(record), "image/jpeg"))


def _view(review: Review, request: Request) -> Response:
    side = {"side": None} if request.query_params.get("full") else {}
    return _picture(review, request, lambda record: review.pictures.view(record, **side))


def _picture(review: Review, request: Request, make: Any) -> Response:
    record = review.record(request.path_params["sha256"])
    if record is None:
        return PlainTextResponse("There is no such image here.", status_code=404, headers=_NOT_KEPT)
    try:
        content, kind = make(record)
    except NoPictureError as error:
        return PlainTextResponse(str(error), status_code=422, headers=_NOT_KEPT)
    return Response(content, media_type=kind, headers=_FOR_EVER)


def _sheet(review: Review, request: Request) -> Response:
    """The contact sheet of the images found, as a PNG to download."""
    try:
        records = review.listed(request.query_params.get("token", ""))
    except ReviewError as error:
        return PlainTextResponse(str(error), status_code=410, headers=_NOT_KEPT)
    sheet = contact_sheet(records, review.subject.read, title=review.name)
    headers = {**_NOT_KEPT, "Content-Disposition": 'attachment; filename="contact-sheet.png"'}
    return Response(png(sheet), media_type="image/png", headers=headers)


def serve_review(
    page: gr.Blocks,
    review: Review,
    *,
    host: str | None = None,
    port: int | None = None,
    allowed: Sequence[str] = (),
    open_browser: bool = False,
) -> str:
    """Serves the page, with its pictures and its guard, and returns its address."""
    return serve(
        page,
        host=host or HOST,
        port=port,
        allowed=allowed,
        open_browser=open_browser,
        wait=False,
        styles=(*DEMO_STYLES, f"{_BROWSER}/review.css"),
        js=None,
        footer_links=(),
        app_kwargs=app_kwargs(review),
    )


def launch_review(
    place: Path,
    *,
    reviewer: str = "",
    labels: str = "auto",
    model: str = "bundled",
    host: str | None = None,
    port: int | None = None,
    allowed: Sequence[str] = (),
    open_browser: bool = True,
) -> None:
    """Opens the review of a collection or built dataset, and stays until it is stopped. Raises ValueError for a place that is neither."""
    with serving(), open_subject(place) as subject:
        review = Review(subject, chosen_scheme(labels, [str(place)]), reviewer=reviewer, model=model)
        stop = threading.Event()
        records = [entry.record for entry in review.index.entries]
        thumbnails = threading.Thread(target=review.pictures.make_all, args=(records, stop), daemon=True)
        thumbnails.start()
        try:
            page = build_review(review)
            address = serve_review(page, review, host=host, port=port, allowed=allowed, open_browser=open_browser)
            print(f"{place}: {len(records):,} images at {address} (Ctrl-C to stop)", flush=True)
            if not subject.manifest.writable:
                print(f"note: {place} cannot be written: it can be looked at, and no decision can be kept", flush=True)
            if host not in (None, HOST, "localhost", "::1"):
                print(f"note: whoever can reach {host} can see the images and decide about them under any name", flush=True)
            page.block_thread()
        finally:
            stop.set()
            thumbnails.join()
