"""What a transform does to a film's known breaks: how much of them stays in the frame, in what contrast, and how far angles change.

Where a break goes is computed from the transform's own matrices; what is left to see of it is measured on the pixels that the network gets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import kornia
import numpy as np
import numpy.typing as npt
import torch

from hf_bones.evaluation.augment_films import BrokenFilm
from hf_bones.evaluation.augment_transforms import Draws, Transform, growth, most_bend
from hf_bones.metrics.intervals import group_weights, percentile_interval

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

_LEAST_PIXELS = 4  # of a break within the frame, for a contrast
_LEAST_CONTRAST = 1 / 255  # before: under one grey level there is nothing that could be kept
_ON_THE_EDGE = 1e-3  # px: float32 rounding moves a point on the frame's edge by less
_LEVEL = 0.95
_Z = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Criteria:
    """What a transform must keep, and of how many draws. A draw counts as in view with `inside` of every break within the frame."""

    inside: float = 0.9
    in_view: float = 0.99
    bend_degrees: float = 5.0
    unbent: float = 0.99
    contrast: float = 0.5

    def __post_init__(self) -> None:
        for name in ("inside", "in_view", "unbent", "contrast"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share in (0, 1]")
        if self.bend_degrees <= 0:
            raise ValueError(f"bend_degrees is {self.bend_degrees}; expected degrees above 0")


@dataclass(frozen=True, eq=False)
class FilmFigures:
    """One film under M draws of one transform, of which the first P were also looked at in pixels.

    `inside` (M,): the share in the frame of the break that fares worst. `bend` (M,) degrees. `growth` (M,): of lengths. `contrast` (P,): after
    ÷ before of the break that fares worst, NaN where none can be measured. `clipped` (P,): share of the breaks' pixels that turned black or
    white, NaN likewise.
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


def measure_film(film: BrokenFilm, transform: Transform, size: int, draws: Draws, looks: int) -> FilmFigures:
    """One film under every draw of a transform, the first `looks` of them in pixels."""
    matrices = transform.matrices(film, size, draws)
    maps = matrices.numpy().astype(np.float64)
    frame = transform.frame(film, size)
    inside = np.min([share_inside(points, maps, frame) for points in film.points], axis=0)
    contrast, clipped = np.empty(0), np.empty(0)
    if looks:
        contrast, clipped = kept_contrast(film, transform, size, draws.first(looks), matrices[:looks])
    return FilmFigures(inside, most_bend(maps), growth(maps), contrast, clipped)


def share_inside(points: npt.NDArray[np.float32], maps: Floats, frame: tuple[int, int]) -> Floats:
    """(M,): the share of `points` (P, 2) px that each of `maps` (M, 2, 3) leaves inside a frame of (height, width) px."""
    moved = np.einsum("mij,pj->mpi", maps[:, :, :2], points) + maps[:, None, :, 2]
    limit = np.array([frame[1], frame[0]]) - 0.5 + _ON_THE_EDGE
    return np.asarray(((moved >= -0.5 - _ON_THE_EDGE) & (moved <= limit)).all(axis=2).mean(axis=1))


def kept_contrast(film: BrokenFilm, transform: Transform, size: int, draws: Draws, matrices: torch.Tensor) -> tuple[Floats, Floats]:
    """(P,) contrast after ÷ before of the break that fares worst, and (P,) share of the breaks' pixels that turned black or white.

    With a twin, contrast is the root mean square, over the break's pixels, of what the break changes: the film less the same film without it,
    both changed by the same draw. Without one it is the standard deviation of the grey values inside the box.
    """
    count = len(matrices)
    before = squared(film.pixels, size)
    regions = torch.stack([squared(region.astype(np.float32), size) for region in film.regions])  # (K, 1, S, S)
    after = transform.pictures(before.expand(count, 1, size, size), film, draws, matrices)
    start, moved = before[None], after
    if film.whole is not None:
        twin = squared(film.whole, size)
        start = (before - twin)[None]
        moved = after - transform.pictures(twin.expand(count, 1, size, size), film, draws, matrices)
    seen = torch.zeros(1, 1, size, size)
    height, width = transform.frame(film, size)
    seen[..., :height, :width] = 1
    ratios, clipped, pixels = [], torch.zeros(count), torch.zeros(count)
    for region in regions:
        place = kornia.geometry.transform.warp_affine(
            region.expand(count, 1, size, size), matrices, dsize=(size, size), mode="nearest", padding_mode="zeros", align_corners=True
        )
        place = (place > 0.5) * seen
        spread = _spread(moved, place, centred=film.whole is None)
        origin = _spread(start, region[None], centred=film.whole is None)
        ratios.append(torch.where(origin >= _LEAST_CONTRAST, spread / origin.clamp(min=1e-9), torch.nan))
        area = place.sum(dim=(1, 2, 3))
        lost = _extreme(after, place) - _extreme(before[None], region[None])
        clipped, pixels = clipped + lost.clamp(min=0) * area, pixels + area
    # `amin` hands on NaN: a film is left out when one of its breaks has no contrast to keep
    return torch.stack(ratios).amin(dim=0).double().numpy(), torch.where(pixels > 0, clipped / pixels.clamp(min=1), torch.nan).double().numpy()


def squared(image: npt.NDArray[np.generic], size: int) -> torch.Tensor:
    """An image (h, w), uint8 or float32 in [0, 1], as float32 (1, size, size) in [0, 1], padded right and below."""
    square = torch.zeros(1, size, size)
    scaled = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image
    square[0, : image.shape[0], : image.shape[1]] = torch.from_numpy(np.ascontiguousarray(scaled))
    return square


def _spread(values: torch.Tensor, place: torch.Tensor, *, centred: bool) -> torch.Tensor:
    """(B,): root mean square of (B, 1, S, S) over the pixels in `place`, of the difference to their mean if `centred`; NaN for too few."""
    count = place.sum(dim=(1, 2, 3))
    least = count.clamp(min=1)
    if centred:
        mean = (values * place).sum(dim=(1, 2, 3)) / least
        values = values - mean[:, None, None, None]
    found = ((values**2) * place).sum(dim=(1, 2, 3)).div(least).sqrt()
    return torch.where(count >= _LEAST_PIXELS, found, torch.nan)


def _extreme(values: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """(B,): the share of the pixels in `place` that are black or white."""
    return (((values <= 0) | (values >= 1)) * place).sum(dim=(1, 2, 3)) / place.sum(dim=(1, 2, 3)).clamp(min=1)


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
        middle, low, float(clipped[looked_at].mean()) if looked_at.any() else None, int(looked_at.sum()), seen.mean(axis=1), tuple(failures),
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
