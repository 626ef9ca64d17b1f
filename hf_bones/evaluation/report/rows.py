"""The rows that an evaluation scores: labels, probabilities and where each image came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

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
    verdicts: N verdicts of the predictor, or None.
    subtypes, boxes: of each row the finer name of its label ("" where none is known) and its known fracture boxes, each (cx, cy, w, h) as
    shares of the image; for the page of errors.
    image: the picture of row i, for the page of errors; None leaves that page out.
    heat_maps: for rows and, for each, a class: float (H, W) maps in [0, 1] of where the model saw that class, as `BonePredictor.explain`
    makes them; it raises ValueError where the model can have none. None where nothing made the probabilities anew.
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
    subtypes: Sequence[str] | None = None
    boxes: Sequence[Sequence[Box]] | None = None
    image: Callable[[int], Image.Image] | None = None
    heat_maps: Callable[[Sequence[int], Sequence[str]], Sequence[np.ndarray]] | None = None

    def __post_init__(self) -> None:
        checked(self.labels, self.probabilities, self.names, self.normal_id)
        if self.raw_probabilities is not None:
            checked(self.labels, self.raw_probabilities, self.names, self.normal_id)
        for column in ("groups", "sources", "regions", "image_ids"):
            if len(getattr(self, column)) != len(self.labels):
                raise ValueError(f"{column} has {len(getattr(self, column))} entries; expected one for each of {len(self.labels)} rows")
        for column in ("verdicts", "subtypes", "boxes"):
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


@dataclass(frozen=True, eq=False)
class Slice:
    """A named part of the rows: `kind` is "all", "source" or "region"."""

    kind: str
    name: str
    mask: npt.NDArray[np.bool_]

    @property
    def title(self) -> str:
        return "all rows" if self.kind == "all" else self.name


def slices_of(rows: ScoredRows) -> Iterator[Slice]:
    """All rows; then, where there is more than one, each source and each region, largest first."""
    yield Slice("all", "all", np.ones(len(rows.labels), dtype=bool))
    for kind, column in (("source", rows.sources), ("region", rows.regions)):
        values = np.array([value or NOT_STATED for value in column], dtype=object)
        found = sorted(set(values), key=lambda value: (-int((values == value).sum()), value))
        if len(found) > 1:
            for value in found:
                yield Slice(kind, str(value), np.asarray(values == value, dtype=bool))
