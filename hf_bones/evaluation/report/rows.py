"""The rows that an evaluation scores: labels, probabilities and where each image came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.evaluation.seen import SeenRows
from hf_bones.inference.heat import UNFITTED, HeatScale
from hf_bones.metrics.figures import Floats, Ints, checked

NOT_STATED = "not stated"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """N rows with what a model said of each.

    names: the C classes in column order; names[normal_id] means "nothing found".
    labels (N,), probabilities (N, C): the truth and the probabilities that the figures use (calibrated ones where there are any).
    groups, sources, regions, image_ids: N strings; rows of one group are resampled together; an empty source or region is "not stated".
    raw_probabilities (N, C) or None: the softmax before calibration, for calibration figures before and after.
    verdicts: N verdicts of the predictor, or None. sets: the classes that it left open for each row, or None.
    subtypes, boxes: of each row the finer name of its label ("" where none is known) and its known fracture boxes, each (cx, cy, w, h) as
    shares of the image; for the page of errors.
    hardware, casts, severities: whether metal, whether a cast is seen on each film (None: unknown), and its grade in [0, 1] (NaN: unknown);
    None where the dataset has no such column.
    seen: which of the rows the model had before.
    image: the picture of row i, for the page of errors; None leaves that page out.
    heat_maps: for rows and, for each, a class: float (H, W) maps of where the model saw that class, in the unit of `heat_scale`, as
    `BonePredictor.heat` makes them; it raises ValueError where the model can have none. None where nothing made the probabilities anew.
    """

    names: tuple[str, ...]
    normal_id: int
    labels: Ints
    probabilities: Floats
    groups: Sequence[str]
    sources: Sequence[str]
    regions: Sequence[str]
    image_ids: Sequence[str]
    raw_probabilities: Floats | None = None
    verdicts: Sequence[str] | None = None
    sets: Sequence[Sequence[str]] | None = None
    subtypes: Sequence[str] | None = None
    boxes: Sequence[Sequence[Box]] | None = None
    hardware: Sequence[bool | None] | None = None
    casts: Sequence[bool | None] | None = None
    severities: Sequence[float] | None = None
    seen: SeenRows = SeenRows(None)  # noqa: RUF009 - frozen
    image: Callable[[int], Image.Image] | None = None
    heat_maps: Callable[[Sequence[int], Sequence[str]], Sequence[np.ndarray]] | None = None
    heat_scale: HeatScale = UNFITTED

    def __post_init__(self) -> None:
        checked(self.labels, self.probabilities, self.names, self.normal_id)
        if self.raw_probabilities is not None:
            checked(self.labels, self.raw_probabilities, self.names, self.normal_id)
        for column in ("groups", "sources", "regions", "image_ids"):
            if len(getattr(self, column)) != len(self.labels):
                raise ValueError(f"{column} has {len(getattr(self, column))} entries; expected one for each of {len(self.labels)} rows")
        if self.seen.how is not None and len(self.seen.how) != len(self.labels):
            raise ValueError(f"seen has {len(self.seen.how)} entries; expected one for each of {len(self.labels)} rows")
        for column in ("verdicts", "sets", "subtypes", "boxes", "hardware", "casts", "severities"):
            given = getattr(self, column)
            if given is not None and len(given) != len(self.labels):
                raise ValueError(f"{column} has {len(given)} entries; expected one for each of {len(self.labels)} rows")

    @property
    def normal(self) -> str:
        return self.names[self.normal_id]

    @property
    def predicted(self) -> Ints:
        """(N,) index of the largest probability."""
        return self.probabilities.argmax(axis=1)

    def supports(self, mask: npt.NDArray[np.bool_] | None = None) -> dict[str, int]:
        """Rows of each class, among those of `mask` (N,) where given."""
        labels = self.labels if mask is None else self.labels[mask]
        return {name: int((labels == index).sum()) for index, name in enumerate(self.names)}
