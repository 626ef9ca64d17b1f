"""A break drawn into a real film of whole bones: the film before and the film after differ in the break and in nothing else.

A bone is looked for as a bright band with two parallel edges. A jagged line cuts it, and what lies beyond the line is moved: not at all (a
crack), sideways (displacement) or about the cut (angulation), less and less along the bone, so that the limb goes on as it was. The cut
itself is lucent, or dense where pieces overlap. How far pieces go is measured in widths of the bone.

Such a film is synthetic, whatever it was drawn into. Not here: radiographs that are drawn from nothing (`radiograph.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hf_bones.dataset.drawn.shapes import Array

SIDE = 448  # px, long side of a film for which the lengths below are given
_FINE, _EDGES, _BAND, _AROUND = 1.5, 6.0, 4.0, 25.0  # px, sigmas: of grey values, of their gradients, of a bone, of what lies about it
_REACH = 40  # px, how far to either side a bone's edge is looked for
_WIDTHS = (7.0, 64.0)  # px; a narrower band is no bone whose break could be seen, a wider one is a joint or a trunk
_CONTRAST = 18.0  # grey values between a bone and what is beside it
_MARGIN = 0.06  # of the shorter side, at the film's border
_PLACES = 0.02  # share of the film's pixels, the likeliest, among which a place is drawn
_TRIES = 12
_CHANGED = 4.0  # grey values; a pixel that changes less is not part of the break
_FEWEST = 12  # px of such pixels; a break of fewer cannot be seen


@dataclass(frozen=True, eq=False)
class BrokenFilm:
    """A film (H, W) uint8 with a break drawn into it, and the box of that break, (cx, cy, w, h) in [0, 1]."""

    pixels: np.ndarray
    box: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Bone:
    """A place on a bone: its middle (x, y) px, the direction across it, its width px, and grey values: bone over background, background."""

    middle: np.ndarray
    across: np.ndarray
    width: float
    contrast: float
    background: float


def break_film(pixels: np.ndarray, rng: np.random.Generator) -> BrokenFilm | None:
    """The film (H, W) uint8 with one bone broken, None where no bone is found in it. The same `rng` breaks a film the same way."""
    scale = max(pixels.shape) / SIDE
    grey = pixels.astype(np.float32)
    for _ in range(_TRIES):
        bone = _find_bone(grey, scale, rng)
        broken = None if bone is None else _broken(grey, bone, scale, rng)
        if broken is not None:
            return broken
    return None


def _find_bone(grey: Array, scale: float, rng: np.random.Generator) -> _Bone | None:
    fine = ndimage.gaussian_filter(grey, _FINE * scale)
    right, down = ndimage.sobel(fine, 1), ndimage.sobel(fine, 0)
    xx, yy, xy = (ndimage.gaussian_filter(product, _EDGES * scale) for product in (right * right, down * down, right * down))
    strength = np.sqrt(xx + yy)
    parallel = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + 1e-3)  # coherence of the structure tensor
    band = ndimage.gaussian_filter(grey, _BAND * scale) - ndimage.gaussian_filter(grey, _AROUND * scale)
    likely = band.clip(0) * parallel * strength
    margin = max(1, round(_MARGIN * min(grey.shape)), round(12 * scale))
    inner = np.zeros_like(likely)
    inner[margin:-margin, margin:-margin] = likely[margin:-margin, margin:-margin]
    weight = inner.ravel()
    best = np.argsort(weight)[-max(50, int(_PLACES * weight.size)) :]
    if not weight[best].sum() > 0:
        return None
    y, x = divmod(int(rng.choice(best, p=weight[best] / weight[best].sum(dtype=np.float64))), grey.shape[1])
    angle = 0.5 * np.arctan2(2 * xy[y, x], xx[y, x] - yy[y, x])  # of the gradient, which points across the bone
    return _measured(fine, np.array([x, y], dtype=np.float64), np.array([np.cos(angle), np.sin(angle)]), scale)


def _measured(fine: Array, place: np.ndarray, across: np.ndarray, scale: float) -> _Bone | None:
    """Where the bone at `place` begins and ends, by half its height over what is beside it; None where that is no bone."""
    reach = round(_REACH * scale)
    steps = np.arange(-reach, reach + 1)
    profile = ndimage.map_coordinates(fine, [place[1] + steps * across[1], place[0] + steps * across[0]], order=1, mode="nearest")
    background = float(np.percentile(profile, 15))
    near = max(1, round(3 * scale))
    over = profile > background + 0.5 * (profile[reach - near : reach + near + 1].mean() - background)
    below = np.flatnonzero(~over[:reach])
    above = np.flatnonzero(~over[reach:])
    first, last = (below[-1] if len(below) else 0), (reach + above[0] if len(above) else 2 * reach)
    width = float(last - first)
    contrast = float(profile[first + 1 : last].max(initial=background)) - background
    if not (_WIDTHS[0] * scale <= width <= _WIDTHS[1] * scale and contrast >= _CONTRAST):
        return None
    return _Bone(place + across * ((first + last) / 2 - reach), across, width, contrast, background)


def _broken(grey: Array, bone: _Bone, scale: float, rng: np.random.Generator) -> BrokenFilm | None:
    along = np.array([-bone.across[1], bone.across[0]]) * rng.choice([-1.0, 1.0])
    tilt = np.clip(rng.normal(0, 0.45), -1, 1)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    x, y = columns - np.float32(bone.middle[0]), rows - np.float32(bone.middle[1])
    v = x * bone.across[0] + y * bone.across[1]  # across the bone, from its middle
    jag = np.interp(v / bone.width * 4, np.arange(-4, 5), rng.normal(0, 0.06 * bone.width, 9))
    normal = np.cos(tilt) * along + np.sin(tilt) * bone.across
    beyond = x * normal[0] + y * normal[1] + jag  # px past the cut

    moved, turn = _displacement(bone, rng)
    length = bone.width * rng.uniform(1.5, 4)
    near = _step(0.62 * bone.width - np.abs(v), max(scale, 0.05 * bone.width))
    share = _step(beyond, 0.35 * scale) * near * np.exp(-((beyond.clip(0) / length) ** 2))
    come_from = [rows - (moved[1] + turn * x) * share, columns - (moved[0] - turn * y) * share]
    film = ndimage.map_coordinates(grey, come_from, order=1, mode="nearest")

    cracked = not moved.any() and turn == 0
    depth = bone.contrast * rng.uniform(0.15, 0.6) * (1 if cracked else rng.uniform(0.3, 1))
    if not cracked and rng.random() < 0.15:
        depth *= -0.7  # pieces overlap
    line = rng.uniform(0.5, 1.2) * max(scale, bone.width / 22)
    crossing = _step(0.52 * bone.width - np.abs(v), scale)
    if cracked and rng.random() < 0.4:  # through one side alone
        crossing = crossing * _step(bone.width * rng.uniform(-0.1, 0.3) - v * rng.choice([-1.0, 1.0]), 1.5 * scale)
    bony = ((ndimage.gaussian_filter(film, scale) - bone.background) / bone.contrast).clip(0, 1)
    film = film - depth * bony * crossing * np.exp(-((beyond / line) ** 2) / 2)

    changed = (np.abs(film - grey) > _CHANGED) & (np.abs(beyond) < 0.5 * bone.width + 4 * scale) & (np.abs(v) < 0.75 * bone.width)
    if changed.sum() < _FEWEST * scale**2:
        return None
    return BrokenFilm(film.clip(0, 255).round().astype(np.uint8), _box(changed, round(3 * scale)))


def _displacement(bone: _Bone, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """How far what lies beyond the cut is moved, (x, y) px, and turned, rad."""
    kind = rng.choice(["crack", "displaced", "angled"], p=[0.3, 0.45, 0.25])
    if kind == "crack":
        return np.zeros(2), 0.0
    side = bone.across * rng.choice([-1.0, 1.0]) * bone.width
    if kind == "displaced":
        return side * rng.uniform(0.08, 0.45), 0.0
    return side * rng.uniform(0, 0.12), float(rng.choice([-1.0, 1.0]) * rng.uniform(0.08, 0.4))


def _step(distance: Array, softness: float) -> Array:
    """0 to 1 about distance 0 (px), over some `softness` px."""
    risen: Array = 1 / (1 + np.exp((-distance / softness).clip(-60, 60)))
    return risen


def _box(changed: np.ndarray, margin: int) -> tuple[float, float, float, float]:
    height, width = changed.shape
    y, x = np.nonzero(changed)
    left, right = max(0, int(x.min()) - margin), min(width, int(x.max()) + margin + 1)
    top, bottom = max(0, int(y.min()) - margin), min(height, int(y.max()) + margin + 1)
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height
