"""Pixel checks of the gate: what a few numbers say of an image before its features do. They are those of `hf-bones curate checks`.

Not here: thresholds, which are fitted and stand with the gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.curation.checks import measures
from hf_bones.curation.checks.colour import colour_picture
from hf_bones.curation.checks.panels import cut_scores
from hf_bones.images.opening import DEFAULT_LIMITS, Limits, Radiograph

Grey = npt.NDArray[np.uint8]

SIDE = 256  # px of the long side at which the gate measures: enough for flat paper, and quick
_SEAM_SIDE = 160  # px of the long side at which seams are looked for
_SEAM_ENDS = 0.12  # share of the side at either end in which a frame or the edge of a cassette may lie
_SEAM_WEIGHT = 1 / 20  # grey levels of a seam that count as much as 1 of a cut's score
_IN_COLOUR = "colour to grey"  # what `open_image` says of an image that came in colour


@dataclass(frozen=True)
class PixelValues:
    """Grey levels between the percentiles 0.5 and 99.5; the flat bright share of what is not dark, in [0, 1]; how much the picture looks
    cut up both down and across (`panels_of`); mean chroma beside the tint, in levels, None where nobody looked."""

    grey_range: float
    flat_share: float
    panels: float = 0.0
    colour: float | None = None


def pixel_values(pixels: Grey, colour: float | None = None) -> PixelValues:
    """The values of an opened image, uint8 (H, W)."""
    small = measures.shrunk(pixels, SIDE)
    return PixelValues(measures.grey_range(small), measures.flat_share(small), panels_of(pixels), colour)


def panels_of(pixels: Grey) -> float:
    """How much an image looks like a sheet of pictures, 0 up: cut up both down and across, the weaker of the two.

    In each direction a cut (`curation/checks/panels.py`) and a seam are added, a straight line along most of which both sides differ. Two
    limbs on one film are parted in one direction alone, and stay one film.
    """
    down, across = cut_scores(pixels)
    small = measures.shrunk(pixels, _SEAM_SIDE).astype(np.float32)
    return min(down + _SEAM_WEIGHT * _seam(small), across + _SEAM_WEIGHT * _seam(small.T))


def _seam(picture: npt.NDArray[np.float32]) -> float:
    """By how many grey levels the greatest median step between two columns of the middle of a picture is over the usual one."""
    first = int(_SEAM_ENDS * picture.shape[1])
    steps = np.median(np.abs(np.diff(picture, axis=1)), axis=0)[first : picture.shape[1] - first]
    return float(steps.max() - np.median(steps)) if steps.size else 0.0


def colour_of(source: object, opened: Radiograph, limits: Limits = DEFAULT_LIMITS) -> float:
    """Mean chroma beside the tint of what was opened, 0 for a grey image, and where it is no longer there to be looked at.

    source: what `open_image` was given and opened; a file in colour is read once more, at a fraction of its size where it is a JPEG.
    """
    if _IN_COLOUR not in opened.steps or opened.source_format == "DICOM":
        return 0.0
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8:
            return 0.0
        picture = Image.fromarray(np.ascontiguousarray(source[..., :3]))
        picture.thumbnail((measures.COLOUR_SIDE, measures.COLOUR_SIDE), Image.Resampling.BOX)
    elif isinstance(source, Image.Image):
        picture = source.convert("RGB")
        picture.thumbnail((measures.COLOUR_SIDE, measures.COLOUR_SIDE), Image.Resampling.BOX)
    else:
        try:
            data = source if isinstance(source, bytes) else Path(str(source)).read_bytes()
            picture = colour_picture(data, opened, measures.COLOUR_SIDE, limits)
        except OSError:  # the file has gone, or cannot be read a second time: its grey pixels are judged all the same
            return 0.0
    return float(measures.untinted_colour(np.asarray(picture)).mean()) if picture.mode == "RGB" else 0.0
