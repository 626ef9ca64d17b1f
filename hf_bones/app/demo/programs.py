"""`/predict`, the way in for programs: one film in, the finding out as JSON. Nothing on the page triggers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.demo.asked import Asked
from hf_bones.app.demo.examples import example_names
from hf_bones.app.demo.models.shelf import Shelf
from hf_bones.inference.checkpoint import CheckpointError

AT_ONCE = 32  # films of programs that are opened and judged at the same time; the rest wait in line

_SHARES = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_TEXT_OR_NONE = {"anyOf": [{"type": "string"}, {"type": "null"}]}
FINDING_SCHEMA: dict[str, Any] = {
    "title": "Finding",
    "type": "object",
    "description": "What the model says of one film. It is no diagnosis",
    "properties": {
        "schema_version": {"type": "integer"},
        "source": {"type": "string", "description": "the file's name"},
        "verdict": {"type": "string", "description": "a class name, refer, not_a_bone_xray or unreadable"},
        "probabilities": {**_SHARES, "description": "class name to calibrated probability; empty when unreadable"},
        "raw_probabilities": {**_SHARES, "description": "the same as the softmax gave them"},
        "prediction_set": {**_TEXTS, "description": "the classes that the probabilities leave open"},
        "reasons": {**_TEXTS, "description": "why it is unreadable or referred, or what else is possible"},
        "boxes": {"type": "array", "items": {"type": "object"}, "description": "where breaks may lie, the likeliest first"},
        "calibrated": {"type": "boolean"},
        "mirrored": {"type": "boolean"},
        "zoomed": {"type": "boolean"},
        "gated": {"type": "boolean"},
        "familiarity": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "unfamiliar": {"type": "boolean"},
        "checkpoint": {"type": "string", "description": "the model's name"},
        "revision": {**_TEXT_OR_NONE, "description": "the commit of a model on the Hub"},
        "study": _TEXT_OR_NONE,
        "views": {"type": "array", "items": {"type": "object"}},
    },
}


class FilmFile(gr.File):
    """gradio's file input that hands over the uploaded file untouched; its example is a drawn film of ours."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path

    def example_payload(self) -> Any:
        return {"path": example_names()[0], "meta": {"_type": "gradio.FileData"}}

    def example_value(self) -> Any:
        return example_names()[0]


class FindingJson(gr.JSON):
    """gradio's JSON that says which fields a finding has."""

    is_template = True

    def api_info(self) -> dict[str, Any]:
        return FINDING_SCHEMA


def build_programs(shelf: Shelf, asked: Asked) -> None:
    """The endpoint `/predict`."""
    judge = judging(shelf)

    def predict(film: str, model: str, request: gr.Request) -> dict[str, Any]:
        with asked.admit(request):
            if film is None:
                raise gr.Error("No film: give one file.", print_exception=False)
            try:
                return judge(film, Path(film).name, model)
            except CheckpointError as error:
                raise gr.Error(str(error), print_exception=False) from error

    gr.on(
        [],
        predict,
        [FilmFile(label="Film", visible=False), gr.Textbox(shelf.first, label="Model", visible=False)],
        FindingJson(label="Finding", visible=False),
        api_name="predict",
        api_description=description(shelf),
        concurrency_limit=AT_ONCE,
        concurrency_id="predict",
    )


def judging(shelf: Shelf) -> Callable[[str | bytes, str, str | None], dict[str, Any]]:
    """What `/predict` does with a film (its path or bytes), its name, and the name of a model: the finding as plain data.

    Raises CheckpointError where the model may not be had.
    """

    def judge(film: str | bytes, name: str, model: str | None) -> dict[str, Any]:
        return shelf.get(model or None).predict(film, name).finding.to_dict()

    return judge


def description(shelf: Shelf) -> str:
    """What programs and agents read of `/predict`."""
    offered = f"Models: {', '.join(shelf.names)}" + (", or any Hub id owner/name" if shelf.allow_any else "")
    return (
        "Classifies one radiograph of bones (JPEG, PNG, TIFF, WebP or DICOM): is it healthy, fractured, or broken beyond repair? Gives the "
        "finding as JSON: verdict, calibrated probabilities, reasons, and boxes where a break may lie. The verdict may also be refer (not "
        f"sure), not_a_bone_xray or unreadable. A research tool, not a medical device. {offered}; the first one by default."
    )
