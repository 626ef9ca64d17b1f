"""Inputs that hand over an uploaded file untouched, whatever it holds: `open_image` is to judge it."""

from __future__ import annotations

from typing import Any

import gradio as gr


class RadiographInput(gr.Image):
    """gradio's image input, without its own image loading."""

    is_template = True  # shown by gradio's own Image

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path


class AnyFileButton(gr.UploadButton):
    """gradio's upload button, likewise; its own way leaves an empty file behind for each upload."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path


class AnyFilesButton(AnyFileButton):
    """The same for several files at once: their paths."""

    def preprocess(self, payload: Any) -> list[str] | None:  # type: ignore[override]
        if payload is None:
            return None
        return [one.path for one in getattr(payload, "root", None) or [payload]]
