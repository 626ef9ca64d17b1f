"""What the browser gets beside HTML: style sheets, scripts and gradio's theme. The files stand beside the pages that they are for.

A script is one function whose inputs are named, so that it knows nothing but these and what every browser has.
"""

from __future__ import annotations

import re
from typing import Any

from hf_bones.pages.palette import class_rules
from hf_bones.pages.templates import file_text


def css(*files: str) -> str:
    """The colours of the classes, and style sheets by their paths below the package."""
    return "\n".join([class_rules(), *map(file_text, files)])


def function(file: str) -> str:
    """The function that a script is, as an expression."""
    return re.sub(r"\A(//.*\n)+", "", file_text(file)).strip()


def call(file: str, *given: str, **made: str) -> str:
    """JavaScript that calls a script's function: with names that are known where it runs, and with other scripts under the name given."""
    inputs = [*given, *(f"{name}: {function(other)}" for name, other in made.items())]
    return f"({function(file)})({{ {', '.join(inputs)} }});"


def theme() -> Any:
    """The page's theme. Of the fonts that ship with gradio, some weights hold only a few letters; Plex's 400 and 700 are whole."""
    import gradio as gr

    return gr.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), gr.themes.Font("Arial"), gr.themes.Font("sans-serif")],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), gr.themes.Font("monospace")],
    )
