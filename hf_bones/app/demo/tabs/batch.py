"""The tab for many films: layout and events. Reading and classifying are in `batch/`, sorting and filtering in `browser/table.js`."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from hf_bones.app.assets import call
from hf_bones.app.demo.batch.films import MOST_FILMS, gather
from hf_bones.app.demo.batch.overlays import write_overlays
from hf_bones.app.demo.batch.rows import Row, classify
from hf_bones.app.demo.batch.table import TEMPLATE, csv_link, csv_text, head_html, left_out_html, row_html
from hf_bones.app.demo.context import Page
from hf_bones.app.demo.tabs.drop import build_drop
from hf_bones.inference.checkpoint import CheckpointError, weights_digest
from hf_bones.inference.predictor import BonePredictor
from hf_bones.pages.templates import fragment

KEPT_MINUTES = 20
TELL_EVERY = 0.7  # s between two states of the page
BATCHES = 4  # that run at once; the next ones wait in line
STATE_KEPT = KEPT_MINUTES * 60  # s that a page's rows are kept in memory


@dataclass(eq=False)
class Batch:
    """What one page has read: its rows, the model's name, its classes, the table as CSV, and how to stop it."""

    model: str = ""
    names: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    csv: str = ""
    stop: threading.Event = field(default_factory=threading.Event)


def build_batch(page: Page) -> None:
    """The tab for files, folders and zips."""
    words = page.words
    with gr.Tab(words("page.tab_batch"), id="batch"), gr.Column(elem_classes="bones-tab bones-batch"):
        gr.HTML(fragment("app/demo/tabs/parts.html.j2", "lead", words("batch.lead", most=MOST_FILMS)))
        texts = {"drop": words("batch.drop"), "choose": words("batch.choose_files"), "folder": words("batch.choose_folder")}
        texts |= {"uploading": words.texts["batch.uploading"], "failed": words.texts["batch.upload_failed"]}
        texts |= {"too_large": words.texts["batch.too_large"], "busy": words("batch.busy")}
        area, files, hand_over = build_drop("batch", texts, many=True)
        with gr.Row(elem_classes="batch-row"):
            progress = gr.HTML(elem_id="batch-progress", elem_classes="batch-progress")
            stop = gr.Button(words("batch.stop"), visible=False, size="sm", elem_id="batch-stop")
        left_out = gr.HTML(elem_id="batch-left-out")
        with gr.Row(elem_classes="batch-row"):
            csv = gr.HTML(elem_id="batch-csv")
            overlays = gr.Button(words("batch.overlays"), visible=False, size="sm", elem_id="batch-overlays")
            download = gr.DownloadButton(visible=False, size="sm", elem_id="batch-download")
        gr.HTML(fragment(TEMPLATE, "controls", words), elem_id="batch-controls")
        table = gr.HTML(
            "",
            html_template="${value ? value + '</tbody></table>' : ''}",
            js_on_load=call(
                "app/demo/browser/table.js",
                "element",
                "watch",
                "controls: '#batch-controls .films-controls'",
                f"texts: {json.dumps({'all': words('batch.all'), 'shown': words.texts['batch.shown']})}",
            ),
            elem_id="batch-table",
        )
        gr.HTML(fragment("app/demo/tabs/parts.html.j2", "small", words("batch.kept", minutes=KEPT_MINUTES)))
        state = gr.State(None, time_to_live=STATE_KEPT)

    def told(kind: str, text: str, done: int = 0, total: int = 0) -> str:
        return fragment(TEMPLATE, "progress", kind, text, done, total)

    def run(uploads: list[tuple[Path, str]], model: str, request: gr.Request) -> Iterator[dict[Any, Any]]:
        batch = Batch(model)
        yield {
            **dict.fromkeys((table, csv, left_out), ""),
            progress: told("running", words("batch.waiting")),
            stop: gr.Button(visible=True, interactive=True),
            overlays: gr.Button(visible=False),
            download: gr.DownloadButton(visible=False, value=None),
            state: batch,
        }
        over = {stop: gr.Button(visible=False)}
        try:
            with page.asked.admit(request):
                yield from read(uploads, batch)
        except (CheckpointError, gr.Error) as error:
            yield {progress: told("failed", str(error)), **over}
            return
        done = {progress: told("failed", words("batch.nothing"))}
        if batch.rows:
            done = {csv: csv_link(batch.csv, "findings.csv", words("batch.csv")), overlays: gr.Button(visible=True, interactive=True)}
        yield {**done, **over}

    def read(uploads: list[tuple[Path, str]], batch: Batch) -> Iterator[dict[Any, Any]]:
        """The rows as they come."""
        served = page.shelf.get(batch.model)
        gathered = gather(uploads)
        batch.names, total = served.predictor.names, len(gathered.films)
        html, last = head_html(batch.names, words), 0.0
        yield {left_out: left_out_html(gathered.left_out, words)}
        for row in classify(gathered.films, served.predict, batch.stop):
            batch.rows.append(row)
            html += row_html(row, batch.names, words)
            if time.monotonic() - last >= TELL_EVERY:
                text = words("batch.stopping") if batch.stop.is_set() else words("batch.reading", done=len(batch.rows), total=total)
                yield {table: html, progress: told("running", text, len(batch.rows), total)}
                last = time.monotonic()
        if batch.rows:
            batch.csv = csv_text(batch.rows, batch.names, revision_of(served.predictor))
            stopped = len(batch.rows) < total
            said = (
                words("batch.stopped", done=len(batch.rows), total=total) if stopped else words("batch.done", done=total, model=served.name)
            )
            yield {table: html, progress: told("stopped" if stopped else "done", said)}

    def end(batch: Batch | None) -> Any:
        if batch is not None:
            batch.stop.set()
        return gr.Button(interactive=False)

    def make_overlays(batch: Batch | None, request: gr.Request) -> Iterator[dict[Any, Any]]:
        if batch is None or not batch.rows:
            yield {overlays: gr.Button(visible=False)}
            return
        batch.stop.clear()
        yield {overlays: gr.Button(visible=False), stop: gr.Button(visible=True, interactive=True)}
        folder = Path(tempfile.mkdtemp(prefix="overlays-", dir=get_upload_folder()))
        target, total, last = folder / "heat-maps.zip", len(batch.rows), 0.0
        over, handed_over = {stop: gr.Button(visible=False)}, False
        try:
            with page.asked.admit(request):
                for done in write_overlays(batch.rows, page.shelf.get(batch.model), batch.csv, target, batch.stop):
                    if time.monotonic() - last >= TELL_EVERY:
                        yield {progress: told("running", words("batch.overlays_making", done=done, total=total), done, total)}
                        last = time.monotonic()
            label = words("batch.overlays_ready", size=f"{target.stat().st_size / 1e6:.1f}")
            yield {
                progress: told("done", words("batch.overlays_done")),
                download: gr.DownloadButton(label, value=str(target), visible=True),
                **over,
            }
            handed_over = True  # gradio knows the file by now, and deletes it by its age
        except ValueError as error:
            yield {progress: told("failed", words("batch.overlays_none", why=error)), **over}
        finally:
            if not handed_over:
                shutil.rmtree(folder)

    shown = [progress, stop, left_out, csv, overlays, download, table, state]
    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    batches: dict[str, Any] = {**options, "concurrency_id": "batch", "concurrency_limit": BATCHES}
    area.upload(run, [files, page.model], shown, js=hand_over, trigger_mode="once", **batches)
    overlays.click(make_overlays, state, shown, trigger_mode="once", **batches)
    stop.click(end, state, stop, queue=False, **options)


def revision_of(predictor: BonePredictor) -> str:
    """What tells the model of a table from another of its name, as `hf-bones predict --csv` has it."""
    return predictor.revision or weights_digest(predictor.checkpoint)
