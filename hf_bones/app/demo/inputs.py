"""Inputs that hand over uploaded files untouched, whatever they hold: `open_image` is to judge them."""

from __future__ import annotations

from typing import Any

import gradio as gr


class AnyFilesButton(gr.UploadButton):
    """gradio's upload button, which gives the paths of all files; its own way leaves an empty file behind for each upload."""

    is_template = True  # shown by gradio's own

    def preprocess(self, payload: Any) -> list[str] | None:
        if payload is None:
            return None
        return [one.path for one in getattr(payload, "root", None) or [payload]]
