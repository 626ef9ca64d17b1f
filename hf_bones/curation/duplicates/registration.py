"""Whether two pictures are one: laid upon each other to within a pixel, then compared in their fine detail, part by part.

Different films of the same bone in the same view agree in outline and in nothing finer. So the candidates of the index are registered by an
affine map (inverse compositional alignment: Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004) on locally normalised
pictures, many pairs at a time, first at 32 px, and those that still agree at 64 and 128 px. At the end fine detail is correlated
window by window: an arrow or a letter spoils its own place only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, uniform_filter

from hf_bones.curation.duplicates.canonical import SYMMETRIES, THUMB_SIDE, Affine, probe_transforms, symmetry_transform, trim_box

Plane = npt.NDArray[np.float32]
Transforms = npt.NDArray[np.float64]

LEVELS = (32, 64, 128)  # px of the side, coarse to fine
_STEPS = (8, 10, 8)  # of alignment at each
_NEIGHBOURHOOD = (5, 11, 11)  # px at each level, of local normalisation
_ALIGNED = 0.985  # correlation from which a pair needs no further step
_SETTLED = 1e-3  # a pair whose correlation has grown by less than this in two steps is aligned
_FLOOR = 4.0  # grey levels: spread under which a neighbourhood counts as flat
_CLIP = 1.5  # of the locally normalised grey's unit: what differs more is another thing, and must not pull
_WINDOW = 5  # of every fourth place, so 20 px at 128: the windows in which detail is compared
_CLOSE = 0.9  # correlation of fine detail that two films hardly ever reach, and copies mostly where nothing was drawn or clipped
_FRAME_EDGE = 3  # px at 128: how far the edge of a frame reaches into fine detail
_TEXTURE = 0.4  # grey levels², of fine detail: what compression leaves of a flat ground is less


@dataclass(frozen=True, eq=False)
class Registrations:
    """How N pairs lie on each other; each field has one value a pair.

    `transform` (N, 2, 3) takes a place in the second, in [0, 1]², to its place in the first. `coarse` is the correlation in [-1, 1] of
    the locally normalised pictures at the finest level, without their frames. Of fine detail in the textured part of the overlap,
    `likeness` is the median correlation, `agreement` the share that correlates to 0.6 or more, `closeness` to 0.9 or more. `textured` is
    the share of the overlap that has texture, `overlap` that of the second within the first, `covered` that of the first within the
    second. `turn` (degrees, beside the quarter turns of its symmetry), `stretch` (≥ 1, the scales along two axes against each other) and
    `inverted` describe the transform.
    """

    transform: Transforms
    inverted: npt.NDArray[np.bool_]
    coarse: npt.NDArray[np.float64]
    likeness: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]
    closeness: npt.NDArray[np.float64]
    textured: npt.NDArray[np.float64]
    overlap: npt.NDArray[np.float64]
    covered: npt.NDArray[np.float64]
    turn: npt.NDArray[np.float64]
    stretch: npt.NDArray[np.float64]


def normalised(thumbs: npt.NDArray[np.uint8], level: int) -> Plane:
    """(…, 128, 128) thumbs locally normalised at the `level`-th of `LEVELS`: (…, side, side), textured parts of about unit spread."""
    side, several = LEVELS[level], thumbs.shape[:-2]
    step = THUMB_SIDE // side
    picture = thumbs.astype(np.float32)
    if step > 1:  # By slices: a mean over two short axes takes ten times as long. Sums of grey levels are exact.
        slices = [picture[..., down::step, across::step] for down, across in product(range(step), repeat=2)]
        picture = reduce(np.add, slices) / np.float32(step**2)
    width = (*(1 for _ in several), _NEIGHBOURHOOD[level], _NEIGHBOURHOOD[level])
    centred = picture - uniform_filter(picture, width)
    plane: Plane = centred / (np.sqrt(np.maximum(uniform_filter(centred**2, width), 0)) + _FLOOR)
    return plane


def starts(aspects: npt.NDArray[np.floating], probes: npt.NDArray[np.integer], symmetries: npt.NDArray[np.integer]) -> Transforms:
    """Where N candidates lie on each other by their probes, (N, 2, 3): `aspects` are the firsts', `symmetries` the seconds'."""
    if not len(aspects):
        return np.zeros((0, 2, 3))
    rounded, place = np.unique(np.round(aspects, 3), return_inverse=True)
    every = np.stack([np.stack(probe_transforms(float(aspect))) for aspect in rounded])
    return compose(every[place, probes], symmetry_transforms()[symmetries])


def symmetry_transforms() -> Transforms:
    """(8, 2, 3): the matrix of each symmetry of a square."""
    return np.stack([symmetry_transform(symmetry) for symmetry in range(SYMMETRIES)])


def align(firsts: Plane, seconds: Plane, transforms: Transforms, signs: npt.NDArray[np.floating], level: int) -> tuple[Transforms, Plane]:
    """The transforms at which N pairs, (N, side, side) each, correlate best on the way from `transforms` down the residual; and how much.

    `signs` (N,) of ±1 says which of the firsts are inverted.
    """
    side = seconds.shape[1]
    places = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = places[None, None, :], places[None, :, None]
    moved, inside = sample(firsts, transforms)
    best, highest = transforms.copy(), signs * correlation(moved, seconds, inside)
    active = np.flatnonzero(highest < _ALIGNED)
    moved, inside, current, unmoved = moved[active], inside[active], transforms[active], np.zeros(len(active), np.int8)
    down, across = (slope * side for slope in np.gradient(seconds[active], axis=(1, 2)))
    slopes = np.stack([across, across * x, across * y, down, down * x, down * y], axis=1).reshape(len(active), 6, side * side)
    curvature = _curvature(slopes, inside)
    for _ in range(_STEPS[level]):
        if not len(active):
            break
        residual = np.clip(signs[active, None, None] * moved - seconds[active], -_CLIP, _CLIP) * inside
        pull = (slopes @ residual.reshape(len(active), side * side, 1).astype(np.float32)).astype(np.float64)
        change = np.linalg.solve(curvature, pull)[:, :, 0]
        step = np.stack([1 + change[:, 1], change[:, 2], change[:, 0], change[:, 4], 1 + change[:, 5], change[:, 3]], axis=1).reshape(
            -1, 2, 3
        )
        sane = np.abs(np.linalg.det(step[:, :, :2]) - 1) < 0.5  # else it stays where it is
        current[sane] = compose(current[sane], inverse(step[sane]))
        moved, inside = sample(firsts[active], current)
        reached = signs[active] * correlation(moved, seconds[active], inside)
        gain = reached - highest[active]
        best[active[gain > 0]], highest[active[gain > 0]] = current[gain > 0], reached[gain > 0]
        unmoved = np.where(gain < _SETTLED, unmoved + 1, 0)
        going = (unmoved < 2) & (highest[active] < _ALIGNED)
        active, unmoved, current = active[going], unmoved[going], current[going]
        moved, inside, slopes, curvature = moved[going], inside[going], slopes[going], curvature[going]
    return best, highest


def _curvature(slopes: Plane, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N, 6, 6), damped, from (N, 6, P) slopes. It is that of the start: steps are small, and it decides how far one goes, not where to."""
    weighted = slopes * inside.reshape(len(slopes), 1, slopes.shape[2])
    curvature = (weighted @ slopes.transpose(0, 2, 1)).astype(np.float64)
    diagonal = np.arange(6)
    curvature[:, diagonal, diagonal] += 0.02 * curvature[:, diagonal, diagonal] + 1e-3
    return curvature


def sample(pictures: Plane, transforms: Transforms) -> tuple[Plane, npt.NDArray[np.bool_]]:
    """(N, side, side) pictures seen through N transforms, bilinear; and where that lies within them."""
    count, side = len(pictures), pictures.shape[1]
    places = ((np.arange(side) + 0.5) / side).astype(np.float32)
    matrix = (transforms * side).astype(np.float32)[..., None, None]
    x = (matrix[:, 0, 0] * places + (matrix[:, 0, 2] - 0.5)) + matrix[:, 0, 1] * places[:, None]
    y = (matrix[:, 1, 0] * places + (matrix[:, 1, 2] - 0.5)) + matrix[:, 1, 1] * places[:, None]
    inside = (x > -0.5) & (x < side - 0.5) & (y > -0.5) & (y < side - 0.5)
    np.clip(x, 0, side - 1.001, out=x)
    np.clip(y, 0, side - 1.001, out=y)
    left, corner = x.astype(np.int32), y.astype(np.int32)
    x -= left
    y -= corner
    corner *= side
    corner += left
    corner += (np.arange(count, dtype=np.int32) * (side * side))[:, None, None]
    flat = np.ascontiguousarray(pictures).reshape(-1)
    # In place, by `take`: half the time of registration is spent here.
    above = _between(flat, corner, x)
    corner += side
    below = _between(flat, corner, x)
    below -= above
    below *= y
    above += below
    return above, inside


def _between(flat: Plane, left: npt.NDArray[np.int32], share: Plane) -> Plane:
    """The values at `left` and right of it, `share` of the way from one to the other."""
    found: Plane = flat.take(left, mode="clip")
    step = flat.take(left + 1, mode="clip")
    step -= found
    step *= share
    found += step
    return found


def correlation(ones: Plane, others: Plane, inside: npt.NDArray[np.bool_]) -> Plane:
    """(N,) correlations of N pairs of planes, over where `inside` holds; 0 where that is nearly nothing."""
    seen = inside.astype(np.float32)
    count = np.maximum(seen.sum(axis=(1, 2)), 1)
    a = (ones - ((ones * seen).sum(axis=(1, 2)) / count)[:, None, None]) * seen
    b = (others - ((others * seen).sum(axis=(1, 2)) / count)[:, None, None]) * seen
    power = np.einsum("nyx,nyx->n", a, a) * np.einsum("nyx,nyx->n", b, b)
    found: Plane = np.einsum("nyx,nyx->n", a, b) / np.sqrt(np.maximum(power, 1e-6)) * (count >= 16)
    return found


def judge(
    firsts: npt.NDArray[np.uint8],
    seconds: npt.NDArray[np.uint8],
    transforms: Transforms,
    signs: npt.NDArray[np.floating],
    coarse: npt.NDArray[np.floating],
    symmetries: npt.NDArray[np.integer],
    aspects: npt.NDArray[np.floating],
    both_framed: npt.NDArray[np.bool_],
) -> Registrations:
    """What N registered pairs of (N, 128, 128) thumbs have in common.

    `coarse` (N,) is how well they correlated when they were aligned, `aspects` (N, 2) those of first and second; `both_framed` (N,) says
    which pairs have frames both, that are left out of the comparison.
    """
    sign = signs[:, None, None].astype(np.float32)
    moved, inside = sample(_detail(firsts) * sign, transforms)
    detail = _detail(seconds)
    # Two frames are alike whatever they are around.
    compared, reached = inside.copy(), np.array(coarse, np.float64)
    framed = np.flatnonzero(both_framed)
    if len(framed):
        seen, _ = sample(_within_frames(firsts[framed]).astype(np.float32), transforms[framed])
        compared[framed] &= _within_frames(seconds[framed]) & (seen > 0.99)
        planes = [normalised(thumbs[framed], -1) for thumbs in (firsts, seconds)]
        reached[framed] = correlation(sample(planes[0] * sign[framed], transforms[framed])[0], planes[1], compared[framed])
    linear = transforms[:, :, :2] * np.stack([aspects[:, 0], np.ones(len(aspects))], axis=1)[:, :, None]
    linear = linear / np.stack([aspects[:, 1], np.ones(len(aspects))], axis=1)[:, None, :]
    linear = linear @ symmetry_transforms()[symmetries, :, :2].transpose(0, 2, 1)
    scales = np.linalg.svd(linear, compute_uv=False)
    local, counted = _local_correlations(moved, detail, compared)
    number = np.maximum(counted.sum(axis=(1, 2)), 1)
    likeness = [float(np.median(found[where])) if where.any() else 0.0 for found, where in zip(local, counted, strict=True)]
    return Registrations(
        transform=transforms,
        inverted=np.asarray(signs) < 0,
        coarse=reached,
        likeness=np.array(likeness),
        agreement=((local > 0.6) & counted).sum(axis=(1, 2)) / number,
        closeness=((local > _CLOSE) & counted).sum(axis=(1, 2)) / number,
        textured=counted.sum(axis=(1, 2)) / np.maximum(_pooled(compared.astype(np.float32)).sum(axis=(1, 2)), 1),
        overlap=inside.mean(axis=(1, 2)),
        covered=_covered(transforms),
        turn=np.degrees(np.arctan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1])),
        stretch=scales[:, 0] / np.maximum(scales[:, 1], 1e-9),
    )


def _within_frames(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where (N, 128, 128) thumbs are not their frames, with a few pixels' distance from these."""
    within = np.zeros(thumbs.shape, np.bool_)
    for mask, thumb in zip(within, thumbs, strict=True):
        left, top, right, bottom = trim_box(thumb)
        side = len(thumb)
        mask[top + _FRAME_EDGE * (top > 0) : bottom - _FRAME_EDGE * (bottom < side),
             left + _FRAME_EDGE * (left > 0) : right - _FRAME_EDGE * (right < side)] = True  # fmt: skip
    return within


def _detail(thumbs: npt.NDArray[np.uint8]) -> Plane:
    """What is finer than a few pixels, in grey levels."""
    fine = thumbs.astype(np.float32)
    detail: Plane = gaussian_filter(fine, (0, 0.7, 0.7)) - gaussian_filter(fine, (0, 2.0, 2.0))
    return detail


def _local_correlations(ones: Plane, others: Plane, compared: npt.NDArray[np.bool_]) -> tuple[Plane, npt.NDArray[np.bool_]]:
    """The correlations of N pairs of planes in windows around every fourth place, (N, 32, 32), and where either has texture to compare."""
    seen = compared.astype(np.float32)
    weight = _pooled(seen)
    share = uniform_filter(weight, (1, _WINDOW, _WINDOW)) + 1e-6

    def local(values: Plane) -> Plane:
        mean: Plane = uniform_filter(_pooled(values * seen), (1, _WINDOW, _WINDOW)) / share
        return mean

    mean_one, mean_other = local(ones), local(others)
    power_one, power_other = local(ones * ones) - mean_one**2, local(others * others) - mean_other**2
    product = local(ones * others) - mean_one * mean_other
    least = _TEXTURE / 4
    found: Plane = product / np.sqrt(np.maximum(power_one, least) * np.maximum(power_other, least))
    return found, (weight > 0.5) & (np.maximum(power_one, power_other) > _TEXTURE)


def _pooled(planes: Plane) -> Plane:
    """Means of 4 × 4 places: (N, 128, 128) to (N, 32, 32)."""
    side = planes.shape[1] // 4
    pooled: Plane = planes.reshape(len(planes), side, 4, side, 4).mean(axis=(2, 4))
    return pooled


def _covered(transforms: Transforms, steps: int = 32) -> npt.NDArray[np.float64]:
    """The share of each first that its second covers."""
    places = (np.arange(steps) + 0.5) / steps
    x, y = np.meshgrid(places, places)
    back = inverse(transforms)[..., None, None]
    u = back[:, 0, 0] * x + back[:, 0, 1] * y + back[:, 0, 2]
    v = back[:, 1, 0] * x + back[:, 1, 1] * y + back[:, 1, 2]
    share: npt.NDArray[np.float64] = ((u > 0) & (u < 1) & (v > 0) & (v < 1)).mean(axis=(1, 2))
    return share


def compose(outer: Affine, inner: Affine) -> Affine:
    """The maps that do `inner`, then `outer`; each (…, 2, 3)."""
    moved = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([outer[..., :2] @ inner[..., :2], moved], axis=-1)


def inverse(transforms: Affine) -> Affine:
    """The maps back; (…, 2, 3)."""
    linear = np.linalg.inv(transforms[..., :2])
    return np.concatenate([linear, -linear @ transforms[..., 2:]], axis=-1)
