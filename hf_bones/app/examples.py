"""The examples of the demo: six drawn radiographs, two of each class, made from their seeds whenever the demo starts (0.1 s each).

Drawn rather than stored: nothing to ship, no licence, no patient, and no copy that could fall behind the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.synthetic import draw_radiograph
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY

# (seed, label, subtype, region), chosen by eye: upright, clear, and of different limbs.
CHOSEN = (
    (105, HEALTHY, "", "hand"),
    (7, HEALTHY, "", "ankle"),
    (100, FRACTURED, "transverse", "forearm"),
    (200, FRACTURED, "oblique", "leg"),
    (300, BEYOND_REPAIR, "comminuted", "leg"),
    (503, BEYOND_REPAIR, "shattered", "knee"),
)


@dataclass(frozen=True, eq=False)
class Example:
    """A drawn radiograph: pixels (H, W) uint8, a file name, and a caption that says that it is drawn."""

    pixels: npt.NDArray[np.uint8]
    label: str
    name: str
    caption: str


def draw_examples(size: int = 320) -> list[Example]:
    """The six examples, `size` px on the long side. The same ones every time."""
    examples = []
    for seed, label, subtype, region in CHOSEN:
        drawn = draw_radiograph(seed, label, subtype=subtype or None, region=region, cast=False, size=size)
        caption = f"Drawn {region}, {label.replace('_', ' ')}"
        examples.append(Example(drawn.pixels, label, f"drawn-{label}-{region}.png", caption))
    return examples
