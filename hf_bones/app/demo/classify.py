"""One image in, everything the page shows out. No gradio here, so that it can be read and tested without a page.

The file's own bytes reach `open_image`, as in training; gradio's own image loading, which would convert 16-bit files badly and
fail on DICOM, has no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Radiograph, open_image
from hf_bones.inference.boxes import with_boxes
from hf_bones.inference.finding import Finding
from hf_bones.inference.heat import HeatScale, overlay
from hf_bones.inference.predictor import BonePredictor, Opener
from hf_bones.pages.pictures import thumbnail
from hf_bones.record import public_name

VIEW_SIDE = 1024  # px, long side of what is sent to the browser; the model and the finding see all of the image


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known about one image.

    finding: its `source` is the file's name alone and its `checkpoint` never a path, since both are shown to whoever opens the page.
    radiograph: the opened image, or None when it was refused.
    view, heat: the image as the model sees it, mode L, and the heat map over it with the finding's boxes, mode RGB, both at most
    `VIEW_SIDE` px long.
    scale: the fixed scale of the heat map. explained: the class that it is for, where it is in log odds. A map of which nothing is
    coloured is `silent`.
    no_heat: why there is no heat map, or "".
    """

    finding: Finding
    radiograph: Radiograph | None = None
    view: Image.Image | None = None
    heat: Image.Image | None = None
    scale: HeatScale | None = None
    explained: str = ""
    silent: bool = False
    no_heat: str = ""


def answer(predictor: BonePredictor, source: str | Path | bytes | npt.NDArray[np.uint8], name: str, opener: Opener = open_image) -> Answer:
    """Classifies one image: a path, a file's bytes or opened pixels (H, W). `name` stands for it in the finding, `opener` opens it.

    Never raises for a bad image: its finding has the verdict `unreadable` and the reasons.
    """
    try:
        radiograph = opener(source, DEFAULT_LIMITS)
    except ImageRefusedError as refusal:
        return Answer(_public(predictor.unreadable(name, refusal), predictor, name))
    pixels = radiograph.pixels
    finding = predictor.predict(pixels)[0]
    explained = likeliest_abnormal(finding, predictor.scheme.normal)
    view = thumbnail(Image.fromarray(pixels), VIEW_SIDE)
    try:
        heatmap = predictor.heat([pixels], [explained])[0]
    except ValueError as error:  # a network whose answer does not pass through feature maps
        return Answer(_public(finding, predictor, name), radiograph, view, explained=explained, no_heat=str(error))
    scale, shown = predictor.heat_scale, np.asarray(Image.fromarray(heatmap).resize(view.size, Image.Resampling.BILINEAR))
    return Answer(
        _public(replace(finding, heatmap=heatmap, heat_scale=scale), predictor, name),
        radiograph,
        view,
        with_boxes(Image.fromarray(overlay(np.asarray(view), shown, scale)), finding.boxes),
        scale,
        explained,
        silent=scale.is_silent(heatmap),
    )


def likeliest_abnormal(finding: Finding, normal: str) -> str:
    """The likeliest class other than the normal one."""
    return max((name for name in finding.probabilities if name != normal), key=finding.probabilities.__getitem__)


def _public(finding: Finding, predictor: BonePredictor, name: str) -> Finding:
    return replace(finding, source=name, checkpoint=public_name(predictor.checkpoint))
