"""The examples of the demo: six drawn radiographs, two of each class, made from their seeds whenever the demo starts (0.1 s each).

Drawn rather than stored: nothing to ship, no licence, no patient, and no copy that could fall behind the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY
from hf_bones.pages.pictures import png

# (seed, label, subtype, region), chosen by eye: clear, and of different limbs. Look at them again when the drawing changes.
CHOSEN = (
    (105, HEALTHY, "", "hand"),
    (7, HEALTHY, "", "ankle"),
    (100, FRACTURED, "transverse", "forearm"),
    (110, FRACTURED, "oblique", "leg"),
    (116, BEYOND_REPAIR, "comminuted", "femur"),
    (115, BEYOND_REPAIR, "shattered", "knee"),
)


@dataclass(frozen=True, eq=False)
class Example:
    """A drawn radiograph as a PNG file: its bytes, its name, the label it was drawn with, and a caption."""

    png: bytes
    name: str
    label: str
    caption: str


def draw_examples(size: int = 320) -> list[Example]:
    """The six examples, `size` px on the long side. The same ones every time."""
    examples = []
    for seed, label, subtype, region in CHOSEN:
        drawn = draw_radiograph(seed, label, subtype=subtype or None, region=region, cast=False, size=size)
        caption = f"{region.capitalize()}, {label.replace('_', ' ')}"
        examples.append(Example(png(Image.fromarray(drawn.pixels)), f"drawn-{label}-{region}.png", label, caption))
    return examples
