"""A zip of a batch's films with their heat maps and boxes, made when somebody asks for it. No gradio here."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hf_bones.app.demo.batch.archive import ArchiveError
from hf_bones.app.demo.batch.rows import Row
from hf_bones.app.demo.classify import likeliest_abnormal
from hf_bones.app.demo.result.pictures import picture_with_overlay
from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Radiograph
from hf_bones.inference.predictor import BonePredictor
from hf_bones.pages.pictures import jpeg

QUALITY = 90  # of JPEG


class Model(Protocol):
    """The loaded model, as `Served` gives it."""

    predictor: BonePredictor
    open: Callable[..., Radiograph]

    def heat(self, pixels: npt.NDArray[np.uint8], explained: str) -> npt.NDArray[np.float32]: ...


def write_overlays(rows: Sequence[Row], model: Model, csv: str, target: Path, stop: threading.Event) -> Iterator[int]:
    """Writes `target`: `findings.csv`, and for each readable film a JPEG with its heat map, its boxes and the scale of its colours.

    Yields how many of `rows` are done. Ends early, with what there is, once `stop` is set. A film whose file is gone is named in
    `not_here.txt`. Raises ValueError for a network that has no heat maps.
    """
    scale, normal = model.predictor.heat_scale, model.predictor.scheme.normal
    missing = []
    taken: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("findings.csv", csv)
        for done, row in enumerate(rows, start=1):
            if stop.is_set():
                break
            if row.finding is not None and row.finding.readable:
                try:
                    pixels = model.open(row.film.read(), DEFAULT_LIMITS).pixels
                except (FileNotFoundError, ArchiveError, ImageRefusedError):
                    missing.append(row.film.name)
                else:
                    row.film.keep()
                    heat = model.heat(pixels, likeliest_abnormal(row.finding, normal))
                    picture = picture_with_overlay(pixels, heat, scale, row.finding.boxes)
                    archive.writestr(_free(f"{row.film.name}.jpg", taken), jpeg(picture, QUALITY))
            yield done
        if missing:
            archive.writestr("not_here.txt", "\n".join(missing) + "\n")


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number before its ending where it is taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name.removesuffix('.jpg')}-{number}.jpg"
    taken.add(free)
    return free
