"""Boxes: where on a film the patches say that a break lies, as up to five rectangles with scores.

A patch head gives a logit for each patch of the model's input: `head` says which, `patch` (`patch_head.safetensors`, which may join the
answer too) or `box` (`box_head.safetensors`, fitted for this alone). They become boxes by this rule, whose numbers stand in decision.json
under `boxes`:

1. The logits are smoothed (Gaussian of `smooth` patches, padding left out).
2. The highest patch is a peak. The middle of its box is the mean of the peak and the eight patches about it, weighted by their odds,
   exp(logit). The box is a square of `side` patches, the size that fits most fracture boxes, cut off at the edge of the film.
3. All that is up to `apart` patches from the peak, along either side, is merged into it. The next peak is the highest that is left, up to
   `most`.
4. The score is the calibrated probability that the middle of the box lies inside a fracture box of a radiologist:
   1 / (1 + exp(−(slope × peak + offset))).

A box is shown when its score is `shown_from` or more. Where the verdict is not the normal class the highest box is shown whatever its
score.

Not here: fitting the numbers (`evaluation/places/`), and what the patches say (`network.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hf_bones.preprocess import fitted_shape

Floats = npt.NDArray[np.float64]

MOST = 5
HEADS = ("patch", "box")


class Box(NamedTuple):
    """A rectangle on the upright image: centre, width and height as shares of the image's width and height, and a score in [0, 1]."""

    cx: float
    cy: float
    w: float
    h: float
    score: float


@dataclass(frozen=True)
class BoxRule:
    """How patch logits become boxes; see the module. smooth, side and apart are in patches.

    fitted_on: counts and figures of the fit.
    """

    smooth: float
    side: float
    apart: int
    slope: float
    offset: float
    shown_from: float
    most: int = MOST
    head: str = "patch"
    fitted_on: dict[str, Any] = field(default_factory=dict, kw_only=True)

    KEY: ClassVar[str] = "boxes"  # in decision.json

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in asdict(self).items() if name not in ("head", "fitted_on")}
        if not all(math.isfinite(value) for value in numbers.values()):
            raise ValueError(f"{self.KEY}: all of {', '.join(numbers)} must be finite numbers")
        if not 0 <= self.smooth <= 8 or self.side <= 0 or self.apart < 1:
            raise ValueError(f"{self.KEY}: smooth must be from 0 to 8, side over 0, apart 1 or more")
        if not 0 <= self.shown_from <= 1 or not 1 <= self.most <= MOST:
            raise ValueError(f"{self.KEY}: shown_from must be from 0 to 1, most from 1 to {MOST}")

        if self.head not in HEADS:
            raise ValueError(f"{self.KEY}: head must be one of {', '.join(HEADS)}, got {self.head!r}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def propose(self, logits: npt.ArrayLike, content: tuple[float, float]) -> list[Box]:
        """Up to `most` boxes of one film, the highest score first, shown or not.

        logits: (h, w), −inf where a patch is padding. content: height and width of the picture in it, in patches (they need not be whole).
        Raises ValueError where no patch has a finite logit.
        """
        height, width = content
        heights = smoothed(logits, self.smooth)
        return [
            _on_film(x / width, y / height, self.side / width, self.side / height, self.score(peak)) for peak, y, x in self._peaks(heights)
        ]

    def score(self, peak: float) -> float:
        return 1 / (1 + math.exp(-min(700.0, max(-700.0, self.slope * peak + self.offset))))

    def shown(self, boxes: list[Box], *, is_normal: bool) -> tuple[Box, ...]:
        """The boxes that a finding holds; `is_normal`: its verdict is the normal class."""
        return tuple(box for place, box in enumerate(boxes) if box.score >= self.shown_from or (place == 0 and not is_normal))

    def _peaks(self, heights: Floats) -> Iterator[tuple[float, float, float]]:
        """Up to `most` peaks of smoothed logits (h, w), the highest first: logit, and the middle of their box, y and x in patches."""
        left_over = heights.copy()
        for _ in range(self.most):
            row, column = (int(place) for place in np.unravel_index(int(left_over.argmax()), left_over.shape))
            peak = float(left_over[row, column])
            if not math.isfinite(peak):
                return
            top, left = max(0, row - 1), max(0, column - 1)
            odds = np.exp(np.minimum(heights[top : row + 2, left : column + 2] - peak, 0))  # one that was merged already weighs no more
            y = float((odds.sum(axis=1) * (top + np.arange(odds.shape[0]) + 0.5)).sum() / odds.sum())
            x = float((odds.sum(axis=0) * (left + np.arange(odds.shape[1]) + 0.5)).sum() / odds.sum())
            yield peak, y, x
            near = (slice(max(0, place - self.apart), place + self.apart + 1) for place in (row, column))
            left_over[tuple(near)] = -np.inf


def boxes_from(data: object, where: str) -> BoxRule | None:
    """The rule of decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: {BoxRule.KEY!r} must be null or a mapping")
    names = ("smooth", "side", "slope", "offset", "shown_from")
    try:
        numbers = {name: float(data[name]) for name in names}
        return BoxRule(
            **numbers, apart=int(data["apart"]), most=int(data["most"]), head=str(data["head"]), fitted_on=dict(data.get("fitted_on") or {})
        )
    except KeyError as error:
        raise ValueError(f"{where}: {BoxRule.KEY}: key {error} is missing; fit it again with `fit_boxes_of`") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {BoxRule.KEY}: {error}") from error


def film_boxes(rule: BoxRule | None, pixels: Sequence[np.ndarray], patches: Sequence[np.ndarray], size: int) -> list[list[Box]]:
    """The boxes of opened images (H, W), shown or not, from the patch logits (h, w) of each at input `size`; none without a rule."""
    if rule is None:
        return [[] for _ in pixels]
    return [rule.propose(logits, content(image.shape, size, logits.shape)) for image, logits in zip(pixels, patches, strict=True)]


def with_boxes(picture: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """A copy of a grey or RGB picture of a film as RGB, with a white frame around each box and its score in percent above."""
    framed = picture.convert("RGB")
    draw, line = ImageDraw.Draw(framed), max(2, round(max(framed.size) / 350))
    letters = max(11, round(max(framed.size) / 45))  # px
    font = ImageFont.load_default(letters)
    for box in boxes:
        left, right = (box.cx - box.w / 2) * framed.width, (box.cx + box.w / 2) * framed.width
        top, below = (box.cy - box.h / 2) * framed.height, (box.cy + box.h / 2) * framed.height
        for out, colour in ((line + 1, "black"), (line, "white")):  # outside: it hides nothing of a small break
            draw.rectangle((left - out, top - out, right + out, below + out), outline=colour, width=out)
        words = f"{100 * box.score:.0f} %"
        anchor, at = ("lb", top - 2 * line) if top > 2 * line + letters else ("lt", below + 2 * line)
        draw.text((max(0.0, left - line), at), words, fill="white", font=font, anchor=anchor, stroke_width=1, stroke_fill="black")
    return framed


def content(shape: tuple[int, ...], size: int, grid: tuple[int, ...]) -> tuple[float, float]:
    """Height and width, in patches of a grid (h, w), of an image of `shape` in the model's input of `size` px."""
    height, width = fitted_shape(shape[0], shape[1], size)
    return height / size * grid[0], width / size * grid[1]


def smoothed(logits: npt.ArrayLike, spread: float) -> Floats:
    """Logits (h, w) smoothed by a Gaussian of `spread` patches; −inf stays, and counts for nothing. ValueError: none is finite."""
    rows = np.array(logits, dtype=np.float64)
    inside = np.isfinite(rows)
    if not inside.any():
        raise ValueError("no patch of the film has a finite logit")
    if spread > 0:
        by_row, by_column = (_gaussian(side, spread) for side in rows.shape)
        weights = by_row @ inside.astype(np.float64) @ by_column
        rows = by_row @ np.where(inside, rows, 0.0) @ by_column / np.where(weights > 0, weights, 1.0)
    rows[~inside] = -np.inf
    return rows


def overlap(one: Box | tuple[float, ...], other: Box | tuple[float, ...]) -> float:
    """Intersection over union of two boxes (cx, cy, w, h, …)."""
    sides = [
        max(0.0, min(a + size / 2, b + also / 2) - max(a - size / 2, b - also / 2))
        for a, size, b, also in ((one[0], one[2], other[0], other[2]), (one[1], one[3], other[1], other[3]))
    ]
    both = sides[0] * sides[1]
    union = one[2] * one[3] + other[2] * other[3] - both
    return both / union if union > 0 else 0.0


_LEAST_SPREAD = 1e-3  # patches: so narrow a Gaussian smooths nothing


def _gaussian(count: int, spread: float) -> Floats:
    """(count, count): what each place weighs in the mean at each other one."""
    away = np.arange(count)[:, None] - np.arange(count)[None]
    weights: Floats = np.exp(-((away / max(spread, _LEAST_SPREAD)) ** 2) / 2)
    return weights


def _on_film(cx: float, cy: float, w: float, h: float, score: float) -> Box:
    """The part of a box that lies on the film."""
    left, right = max(0.0, cx - w / 2), min(1.0, cx + w / 2)
    top, below = max(0.0, cy - h / 2), min(1.0, cy + h / 2)
    return Box((left + right) / 2, (top + below) / 2, max(0.0, right - left), max(0.0, below - top), score)
