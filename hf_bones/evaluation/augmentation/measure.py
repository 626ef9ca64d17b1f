"""What a transform does to a film's known breaks: how much of them stays in the frame, in what contrast, and how far angles change.

Where a break goes is computed from the transform's own matrices; what is left to see of it is measured on the pixels that the network gets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hf_bones.evaluation.augmentation.choices import Criteria
from hf_bones.evaluation.augmentation.films import BrokenFilm
from hf_bones.evaluation.augmentation.transforms import BLIND, COUNTER_EXAMPLE, Draws, Transform, growth, most_bend
from hf_bones.metrics.intervals import group_weights, percentile_interval

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

_LEAST_PIXELS = 4  # of a break within the frame, for a contrast
_LEAST_CONTRAST = 1 / 255  # before: under one grey level there is nothing that could be kept
_ON_THE_EDGE = 1e-3  # px: float32 rounding moves a point on the frame's edge by less
_LEVEL = 0.95
_Z = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True, eq=False)
class FilmFigures:
    """One film under M draws of one transform, of which the first P were also looked at in pixels.

    `inside` (M,): the share in the frame of the break that fares worst; of tiles see `share_as_labelled`. `bend` (M,) degrees. `growth`
    (M,): of lengths. `contrast` (P,): after ÷ before of the break that fares worst, NaN where none can be measured. `clipped` (P,): share
    of the breaks' pixels that turned black or white, NaN likewise.
    """

    inside: Floats
    bend: Floats
    growth: Floats
    contrast: Floats
    clipped: Floats


@dataclass(frozen=True)
class Measure:
    """A figure with its 95 % interval, None where it cannot be had."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, eq=False)
class TransformFigures:
    """One transform over all films of a set.

    `in_view`, `unbent`: shares of the draws. `contrast_median`, `contrast_low` (5th percentile) and `clipped` (mean) are over the draws in
    view that were looked at in pixels, `looked_at` of them; None where there is none. `bend` and `growth`: percentiles by number.
    `film_in_view` (N,): the share of each film's draws. `failures`: what it does not keep, in words; empty when it passes.
    """

    name: str
    setting: str
    kind: str
    draws: int
    in_view: Measure
    unbent: Measure
    bend: Mapping[int, float]
    growth: Mapping[int, float]
    contrast_median: Measure | None
    contrast_low: Measure | None
    clipped: float | None
    looked_at: int
    film_in_view: Floats
    failures: tuple[str, ...]

    @property
    def passes(self) -> bool:
        return not self.failures

    @property
    def judged(self) -> str:
        """The verdict in a word or three; of what the check's own verdict does not rest on, as what it is."""
        if self.kind == COUNTER_EXAMPLE:
            return "passes, which it must not" if self.passes else "fails, as it must"
        if self.kind == BLIND:
            return "would pass" if self.passes else "would fail"
        return "passes" if self.passes else "FAILS"


def measure_film(film: BrokenFilm, transform: Transform, size: int, draws: Draws, looks: int) -> FilmFigures:
    """One film under every draw of a transform, the first `looks` of them in pixels."""
    matrices = transform.matrices(film, size, draws)
    maps = matrices.numpy().astype(np.float64)
    frame = transform.frame(film, size)
    inside = share_as_labelled(film, transform, draws, matrices, frame)
    contrast, clipped = np.empty(0), np.empty(0)
    if looks:
        contrast, clipped = kept_contrast(film, transform, size, draws.first(looks), matrices[:looks])
    return FilmFigures(inside, most_bend(maps), growth(maps), contrast, clipped)


def share_as_labelled(film: BrokenFilm, transform: Transform, draws: Draws, matrices: torch.Tensor, frame: tuple[int, int]) -> Floats:
    """(M,): how far each of `matrices` (M, 2, 3) leaves in a frame of (height, width) px what the label says, in [0, 1].

    Of the whole film, the share in the frame of the break that fares worst. Of a tile that keeps the film's label, that of the break that
    fares best, since it needs to hold one; of a tile that became healthy, what is not in the frame of any.
    """
    maps = matrices.numpy().astype(np.float64)
    shares = np.stack([share_inside(points, maps, frame) for points in film.points])
    is_tile, keeps_label = transform.tiles(film, draws, matrices)
    of_tile = np.where(keeps_label, shares.max(axis=0), 1 - shares.max(axis=0))
    return np.asarray(np.where(is_tile, of_tile, shares.min(axis=0)))


def share_inside(points: npt.NDArray[np.float32], maps: Floats, frame: tuple[int, int]) -> Floats:
    """(M,): the share of `points` (P, 2) px that each of `maps` (M, 2, 3) leaves inside a frame of (height, width) px."""
    moved = points @ maps[:, :, :2].swapaxes(1, 2) + maps[:, None, :, 2]
    limit = np.array([frame[1], frame[0]]) - 0.5 + _ON_THE_EDGE
    return np.asarray(((moved >= -0.5 - _ON_THE_EDGE) & (moved <= limit)).all(axis=2).mean(axis=1))


def kept_contrast(film: BrokenFilm, transform: Transform, size: int, draws: Draws, matrices: torch.Tensor) -> tuple[Floats, Floats]:
    """(P,) contrast after ÷ before of the break that fares worst, and (P,) share of the breaks' pixels that turned black or white.

    With a twin, contrast is the root mean square, over the break's pixels, of what the break changes: the film less the same film without
    it, both changed by the same draw. Without one it is the standard deviation of the grey values inside the box.
    """
    frame, maps = transform.frame(film, size), matrices.numpy().astype(np.float64)
    before = film.pixels / np.float64(255)
    after = _changed(film.pixels, film, transform, size, draws, matrices)
    own, moved = before, after
    if film.whole is not None:
        own, moved = before - film.whole / np.float64(255), after - _changed(film.whole, film, transform, size, draws, matrices)
    contrast, clipped = np.full(len(maps), np.nan), np.full(len(maps), np.nan)
    for draw, matrix in enumerate(maps):
        ratios, lost, pixels = [], 0.0, 0
        for region in film.regions:
            place = moved_region(region, matrix, frame)
            start = _contrast(own[region], centred=film.whole is None)
            ratios.append(_contrast(moved[draw][place], centred=film.whole is None) / start if start >= _LEAST_CONTRAST else np.nan)
            lost += max(0.0, _extreme(after[draw][place]) - _extreme(before[region])) * len(place[0])
            pixels += len(place[0])
        contrast[draw] = np.min(ratios)  # NaN where one of the breaks has none that could be kept
        clipped[draw] = lost / pixels if pixels else np.nan
    return contrast, clipped


def moved_region(region: npt.NDArray[np.bool_], matrix: Floats, frame: tuple[int, int]) -> tuple[npt.NDArray[np.int64], ...]:
    """Rows and columns of the pixels in a frame of (height, width) px that a map (2, 3) takes from `region` (h, w), nearest pixels."""
    rows, columns = np.nonzero(region)
    across, down = (columns.min() - 0.5, columns.max() + 0.5), (rows.min() - 0.5, rows.max() + 0.5)
    corners = np.array([(x, y) for x in across for y in down]) @ matrix[:, :2].T + matrix[:, 2]
    first = np.floor(corners.min(axis=0)).clip(0).astype(np.int64)
    last = np.minimum(np.ceil(corners.max(axis=0)).astype(np.int64) + 1, (frame[1], frame[0]))
    y, x = np.mgrid[first[1] : max(first[1], last[1]), first[0] : max(first[0], last[0])]
    source = np.rint(np.stack([x - matrix[0, 2], y - matrix[1, 2]], axis=-1) @ np.linalg.inv(matrix[:, :2]).T).astype(np.int64)
    within = (source >= 0).all(axis=-1) & (source[..., 0] < region.shape[1]) & (source[..., 1] < region.shape[0])
    within[within] = region[source[..., 1][within], source[..., 0][within]]
    return y[within], x[within]


def squared(image: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
    """An image (h, w) uint8 as float32 (1, size, size) in [0, 1], padded right and below."""
    square = torch.zeros(1, size, size)
    square[0, : image.shape[0], : image.shape[1]] = torch.from_numpy(image.astype(np.float32)) / 255
    return square


def _changed(
    image: npt.NDArray[np.uint8], film: BrokenFilm, transform: Transform, size: int, draws: Draws, matrices: torch.Tensor
) -> npt.NDArray[np.float32]:
    """(P, size, size) in [0, 1]: an image of the film's shape under each draw."""
    grey = squared(image, size).expand(len(matrices), 1, size, size)
    return transform.pictures(grey, film, draws, matrices)[:, 0].numpy()


def _contrast(values: npt.NDArray[np.floating[Any]], *, centred: bool) -> float:
    """Root mean square of some pixels' values, of the difference to their mean if `centred`; NaN for too few."""
    if len(values) < _LEAST_PIXELS:
        return float("nan")
    return float(np.sqrt(np.mean((values - values.mean() if centred else values) ** 2)))


def _extreme(values: npt.NDArray[np.floating[Any]]) -> float:
    """The share of some pixels that are black or white."""
    return float(((values <= 0) | (values >= 1)).mean()) if len(values) else 0.0


def summarise(
    transform: Transform, films: Sequence[FilmFigures], groups: Sequence[str], criteria: Criteria, *, repeats: int = 1000, seed: int = 0
) -> TransformFigures:
    """One transform's figures over all films. Intervals: `repeats` bootstrap resamples of whole groups of films."""
    inside, bend, grown = (np.stack([getattr(each, name) for each in films]) for name in ("inside", "bend", "growth"))
    contrast, clipped = (np.stack([getattr(each, name) for each in films]) for name in ("contrast", "clipped"))
    seen = inside >= criteria.inside
    unbent = bend <= criteria.bend_degrees
    looked_at = seen[:, : contrast.shape[1]] & ~np.isnan(contrast)
    middle, low = percentiles(contrast, looked_at, groups, (0.5, 0.05), repeats, seed) if looked_at.any() else (None, None)
    in_view, straight = (share(values, groups, repeats, seed) for values in (seen, unbent))
    failures = []
    if in_view.value < criteria.in_view:
        failures.append(f"the break is in view in {percent(in_view.value)} of the draws, not {percent(criteria.in_view)}")
    if straight.value < criteria.unbent:
        failures.append(f"{percent(1 - straight.value)} of the draws change an angle by more than {criteria.bend_degrees:g}°")
    if low is not None and low.value < criteria.contrast:
        failures.append(f"one draw in twenty leaves less than {percent(low.value)} of the contrast, under {percent(criteria.contrast)}")
    return TransformFigures(
        transform.name, transform.setting, transform.kind, inside.size, in_view, straight,
        {at: float(np.percentile(bend, at)) for at in (50, 95, 99)}, {at: float(np.percentile(grown, at)) for at in (5, 50, 95)},
        middle, low, float(clipped[looked_at].mean()) if looked_at.any() else None, int(looked_at.sum()), seen.mean(axis=1),
        tuple(failures),
    )  # fmt: skip


def share(values: npt.NDArray[np.bool_], groups: Sequence[str], repeats: int = 1000, seed: int = 0) -> Measure:
    """The share of true among (N films, M draws), with an interval from resamples of whole groups.

    Where all or none are true, every resample says the same: there Wilson's interval with one trial a group.
    """
    means = values.mean(axis=1)
    value, count = float(means.mean()), len(set(groups))
    if value in (0.0, 1.0):
        return Measure(value, wilson(round(value * count), count))
    if count < 2:
        return Measure(value, None)
    drawn = [weights @ means / weights.sum(axis=1) for weights in group_weights(groups, len(means), repeats, seed)]
    return Measure(value, percentile_interval(np.concatenate(drawn), _LEVEL))


def percentiles(
    values: Floats, used: npt.NDArray[np.bool_], groups: Sequence[str], shares: Sequence[float], repeats: int = 1000, seed: int = 0
) -> list[Measure]:
    """Percentiles (`shares` in (0, 1)) of the `used` among (N films, P looks), with intervals from resamples of whole groups."""
    film, _ = np.nonzero(used)
    chosen = values[used]
    order = np.argsort(chosen, kind="stable")
    film, chosen = film[order], chosen[order]
    found: list[list[Floats]] = [[] for _ in shares]
    if len(set(groups)) >= 2:
        for weights in group_weights(groups, len(values), repeats, seed):
            summed = np.cumsum(weights[:, film], axis=1)
            for place, at in enumerate(shares):
                # the first value up to which the weights reach the share; a resample without any used look says nothing
                reached = (summed < at * summed[:, -1:]).sum(axis=1).clip(max=len(chosen) - 1)
                found[place].append(np.where(summed[:, -1] > 0, chosen[reached], np.nan))
    return [
        Measure(float(np.quantile(chosen, at)), percentile_interval(np.concatenate(drawn), _LEVEL) if drawn else None)
        for at, drawn in zip(shares, found, strict=True)
    ]


def wilson(hits: int, count: int) -> Interval:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    share_, z2 = hits / count, _Z**2
    centre = (share_ + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * math.sqrt(share_ * (1 - share_) / count + z2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def percent(value: float) -> str:
    """A share in per cent, never rounded up to 100 nor down to 0."""
    for digits in range(1, 6):
        text = f"{100 * value:.{digits}f}"
        if value in (0.0, 1.0) or 0 < float(text) < 100:
            return f"{float(text):g} %"
    return f"{100 * value:g} %"
