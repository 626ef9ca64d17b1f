"""The area that takes files in the tabs beside Classify: dropped, pasted or chosen, of every kind; with `many` folders and zips too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from hf_bones.app.assets import call
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.pages.templates import fragment

TEMPLATE = "app/demo/tabs/drop.html.j2"


class FilesInput(gr.File):
    """gradio's file input, which hands over each upload as (path, the name it had); its own way leaves an empty file behind for each."""

    is_template = True

    def preprocess(self, payload: Any) -> list[tuple[Path, str]]:
        return [(Path(one.path), one.orig_name or Path(one.path).name) for one in payload or []]


def build_drop(name: str, texts: dict[str, str], *, many: bool = False) -> tuple[gr.HTML, FilesInput, str]:
    """The area, whose event `upload` comes when files are on the server; the input that holds them; and the script that puts them into it,
    for an event whose first input that is.

    name: of the area on the page. texts: `drop`, `choose`, with `many` `folder` too; and what it says at work: `uploading` with slots {done}
    and {total}, `failed` with {count} and {names}, `too_large` with {names}, `busy`.
    """
    options = (f"texts: {json.dumps(texts)}", f"many: {json.dumps(many)}", f"most: {DEFAULT_LIMITS.max_bytes}", f"name: {json.dumps(name)}")
    area = gr.HTML(
        fragment(TEMPLATE, "area", name, texts, many),
        js_on_load=call("app/demo/browser/drop.js", "element", "trigger", "upload", *options),
        elem_id=f"drop-{name}",
    )
    files = FilesInput(file_count="multiple", visible=False)
    return area, files, f"(files, ...rest) => [window.bonesFiles?.[{json.dumps(name)}] ?? [], ...rest]"


def first_of(uploads: Sequence[tuple[Path, str]]) -> tuple[Path, str] | None:
    """The one file of an area that takes one."""
    return uploads[0] if uploads else None
