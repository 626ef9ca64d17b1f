"""All measures of one image file: its bytes are opened once, and every reason gets its value. Runs in processes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf_bones.curation.checks import marks, measures
from hf_bones.curation.checks.colour import colour_picture
from hf_bones.curation.checks.panels import panel_score
from hf_bones.curation.checks.reasons import Reason
from hf_bones.curation.checks.text import text_letters
from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Limits, open_image

# Of everything that is measured here; values of another version are measured anew.
VERSION = 2


@dataclass(frozen=True)
class CheckValue:
    """What was measured, None where it could not be; `detail` in words."""

    value: float | None
    detail: str = ""


def measure(data: bytes, rows: float = 1.0, limits: Limits = DEFAULT_LIMITS) -> Mapping[Reason, CheckValue]:
    """A value for each reason. `rows` is the share of the rows that the file came with. Never raises for bad bytes: they are unreadable."""
    try:
        opened = open_image(data, limits)
    except ImageRefusedError as refusal:
        return unreadable(str(refusal.reason), refusal.detail)
    grey = measures.shrunk(opened.pixels, measures.WORKING_SIDE)
    width, height = opened.original_size
    picture = colour_picture(data, opened, measures.COLOUR_SIDE)
    colour, coloured = 0.0, 0.0
    if picture.mode == "RGB":
        untinted = measures.untinted_colour(np.asarray(picture))
        colour, coloured = float(untinted.mean()), marks.coloured_share(untinted)
    drawn = marks.drawn_share(grey)
    return {
        Reason.UNREADABLE: CheckValue(0.0),
        Reason.TRUNCATED: CheckValue(rows),
        Reason.TOO_SMALL: CheckValue(float(min(width, height)), f"{width} x {height} px"),
        Reason.ODD_ASPECT: CheckValue(max(width, height) / min(width, height), f"{width} x {height} px"),
        Reason.BLANK: CheckValue(measures.grey_range(grey)),
        Reason.LOW_INFORMATION: CheckValue(measures.entropy(grey)),
        Reason.BLURRY: CheckValue(measures.fine_detail(grey)),
        Reason.COLOUR_PHOTOGRAPH: CheckValue(colour, opened.source_mode),
        Reason.DIAGRAM: CheckValue(measures.flat_share(grey)),
        Reason.MULTI_PANEL: CheckValue(panel_score(grey)),
        Reason.BURNT_IN_MARKS: CheckValue(drawn + coloured, f"bright {drawn:.2f}, coloured {coloured:.2f}"),
        Reason.BURNT_IN_TEXT: CheckValue(text_letters(opened.pixels)),
    }


def unreadable(reason: str, detail: str) -> Mapping[Reason, CheckValue]:
    """What is said of an image that cannot be opened, and why."""
    why = CheckValue(None, f"not measured: {reason}")
    return {kind: CheckValue(1.0, f"{reason}: {detail}") if kind is Reason.UNREADABLE else why for kind in Reason}
