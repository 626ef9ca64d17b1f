"""The fixed scale of heat maps: what their numbers mean, from which number a place is coloured, and the colour bar that says so.

A heat map is in one of two units, the same for all films of a checkpoint:

- `probability`: the probability that a radiologist's fracture box covers the place, from the patch head. It is of any break, not of a
  class. decision.json's `heat` says how patch logits become it: 1 / (1 + exp(−(slope × smoothed logit + offset))).
- `log_odds`: the log odds of a class against the rest that a place adds, as `explain.py` estimates them, over the temperature. For a
  checkpoint without a fitted scale.

No map is divided by its own maximum, so that two films compare. Below `shown_from` a film keeps its grey; from `full` on all
that is brighter looks the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hf_bones.inference.boxes import smoothed

PROBABILITY, LOG_ODDS = "probability", "log_odds"
MEANING = {
    PROBABILITY: "probability that a fracture box covers the place",
    LOG_ODDS: "log odds that the place adds to the class",
}
STRENGTH = 0.6  # most of a colour over a film: the bone stays visible
BAR_WIDTH, BAR_ROOM = 18, 84  # px
GREY = 70  # of the bone under a colour bar


@dataclass(frozen=True)
class HeatScale:
    """unit: `probability` or `log_odds`. shown_from, full: where colour begins and where it is full, in that unit, 0 ≤ shown_from < full.
    smooth (patches), slope, offset: how patch logits become probabilities; unused with log odds. fitted_on: counts of the fit."""

    unit: str
    shown_from: float
    full: float
    smooth: float = 0.0
    slope: float = 1.0
    offset: float = 0.0
    fitted_on: dict[str, Any] = field(default_factory=dict, kw_only=True)

    KEY: ClassVar[str] = "heat"  # in decision.json

    def __post_init__(self) -> None:
        if self.unit not in MEANING:
            raise ValueError(f"{self.KEY}: unit must be {PROBABILITY} or {LOG_ODDS}, got {self.unit!r}")
        numbers = (self.shown_from, self.full, self.smooth, self.slope, self.offset)
        if not all(map(math.isfinite, numbers)) or not 0 <= self.shown_from < self.full or not 0 <= self.smooth <= 8:
            raise ValueError(f"{self.KEY}: numbers must be finite, with 0 ≤ shown_from < full and smooth from 0 to 8")
        if self.unit == PROBABILITY and self.full > 1:
            raise ValueError(f"{self.KEY}: full must be at most 1, got {self.full}")

    @property
    def of_patches(self) -> bool:
        """Whether maps come from the patch head."""
        return self.unit == PROBABILITY

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def cells(self, patches: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The heat (h, w) of patch logits (h, w), in [0, 1]; 0 where these are −inf (padding)."""
        logits = smoothed(patches, self.smooth)
        inside = np.isfinite(logits)
        heat = 1 / (1 + np.exp(-np.clip(self.slope * np.where(inside, logits, 0.0) + self.offset, -700, 700)))
        return np.where(inside, heat, 0.0).astype(np.float32)

    def warmth(self, heat: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Heat in this unit as share of the colour, float32 in [0, 1]: 0 below `shown_from`, 1 from `full` on."""
        values = np.asarray(heat, dtype=np.float32)
        return np.where(values < self.shown_from, 0, np.clip(values / self.full, 0, 1)).astype(np.float32)

    def is_silent(self, heat: npt.ArrayLike) -> bool:
        """Whether nothing of a map is coloured."""
        return not self.warmth(heat).any()

    def number(self, value: float) -> str:
        """A value as the colour bar has it."""
        return f"{100 * value:.3g} %" if self.of_patches else f"{value:.2g}"


# Where decision.json has none. A place that adds less than the first would hardly move an answer; one that adds the second turns most.
UNFITTED = HeatScale(LOG_ODDS, shown_from=0.1, full=1.0)


def heat_from(data: object, where: str) -> HeatScale | None:
    """The scale of decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: {HeatScale.KEY!r} must be null or a mapping")
    try:
        numbers = {name: float(data[name]) for name in ("shown_from", "full", "smooth", "slope", "offset")}
        return HeatScale(str(data["unit"]), **numbers, fitted_on=dict(data.get("fitted_on") or {}))
    except KeyError as error:
        raise ValueError(f"{where}: {HeatScale.KEY}: key {error} is missing; fit it again with `fit_boxes_of`") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {HeatScale.KEY}: {error}") from error


def overlay(pixels: np.ndarray, heatmap: np.ndarray, scale: HeatScale) -> np.ndarray:
    """A heat map over a grey image: uint8 (H, W), heat (H, W) in the unit of `scale` → uint8 (H, W, 3).

    Cold areas keep the grey of the image; warm ones go from red to yellow, at most `STRENGTH` of colour. Raises ValueError when the shapes
    differ.
    """
    if pixels.shape != heatmap.shape or pixels.ndim != 2:
        raise ValueError(f"image {pixels.shape} and heat map {heatmap.shape} must be two-dimensional and of the same shape")
    return coloured(pixels, scale.warmth(heatmap))


def coloured(pixels: np.ndarray, warmth: np.ndarray) -> np.ndarray:
    """Grey (H, W) with the colour of `warmth` (H, W) in [0, 1] over it, uint8 (H, W, 3)."""
    colour = np.stack([np.full_like(warmth, 255), 255 * np.clip(2 * warmth - 0.8, 0, 1), np.zeros_like(warmth)], axis=-1)
    alpha = (STRENGTH * warmth)[..., None]
    return (pixels[..., None] * (1 - alpha) + colour * alpha).round().astype(np.uint8)


def ticks(scale: HeatScale) -> list[tuple[float, str]]:
    """What the colour bar says: (place from 0, cold, to 1, full; words), the lowest first."""
    middle = (scale.shown_from + scale.full) / 2
    return [
        (scale.shown_from / scale.full, scale.number(scale.shown_from)),
        (middle / scale.full, scale.number(middle)),
        (1.0, f"{scale.number(scale.full)} +"),
    ]


def bar(scale: HeatScale, steps: int) -> np.ndarray:
    """The colours of a colour bar over grey bone, uint8 (steps, 3), from cold to full."""
    warmth = scale.warmth(np.linspace(0, scale.full, steps))
    return coloured(np.full((1, steps), GREY, dtype=np.uint8), warmth[None])[0]


def legend(scale: HeatScale) -> dict[str, Any]:
    """The colour bar for a page: `gradient`, CSS from the left, where colour begins, to the right, where it is full; `marks`, its numbers
    at equal distances; `meaning`, and whether the map is `of_patches`."""
    first, steps = scale.shown_from / scale.full, 8
    warmth = np.linspace(first, 1, steps, dtype=np.float32)
    colours = coloured(np.full((1, steps), GREY, dtype=np.uint8), warmth[None])[0]
    stops = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours.tolist())
    marks = [words for _, words in ticks(scale)]
    return {
        "gradient": f"linear-gradient(to right, {stops})",
        "marks": marks,
        "meaning": MEANING[scale.unit],
        "of_patches": scale.of_patches,
    }


def with_legend(picture: np.ndarray, scale: HeatScale) -> Image.Image:
    """An overlay (H, W, 3) with the colour bar and its numbers in a strip at its right, `BAR_ROOM` px wide; at least 96 px high."""
    height = max(96, picture.shape[0])
    sheet = Image.new("RGB", (picture.shape[1] + BAR_ROOM, height), (0, 0, 0))
    sheet.paste(Image.fromarray(picture), (0, 0))
    long = min(height - 16, 400)
    top, left = (height - long) // 2, picture.shape[1] + 8
    colours = bar(scale, long)[::-1]
    sheet.paste(Image.fromarray(np.repeat(colours[:, None], BAR_WIDTH, axis=1)), (left, top))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, words in ticks(scale):
        y = top + (1 - place) * (long - 1)
        draw.line((left + BAR_WIDTH, y, left + BAR_WIDTH + 3, y), fill=(255, 255, 255))
        draw.text((left + BAR_WIDTH + 6, y), words, fill=(255, 255, 255), font=font, anchor="lm")
    return sheet


def small(heatmap: np.ndarray, side: int = 64) -> list[list[float]]:
    """A heat map (H, W) as rows of at most `side` numbers, each the mean of its area, with three digits: its grid has no more to say."""
    height, width = heatmap.shape
    share = min(1.0, side / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    rows = np.asarray(Image.fromarray(heatmap.astype(np.float32)).resize(size, Image.Resampling.BOX))
    return [[float(f"{value:.3g}") for value in row] for row in rows]
