"""How each kind of break changes the bone that a ray meets.

A break cuts a bone into pieces and moves them. It is drawn backwards: for every ray the place each piece came from is looked up, so a gap
between pieces is lucent and an overlap is doubly dense, as on film. The two pieces that reach the joints swing about them, so the limb
round the break stays where it was; the near and the far half of a bone are cut along different lines, because a cut is rarely edge-on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_bones.dataset.drawn.shapes import TABLE, Array, Bone, bone_thickness

Thickness = Callable[[Array, Array, float], Array]  # local u and v in mm, mm per pixel -> mm of cortex


@dataclass(frozen=True, eq=False)
class Break:
    """A bone broken at `u` (mm along it); nothing further than `reach` mm along it counts as the broken area."""

    bone: Bone
    u: float
    reach: float
    thickness: Thickness


@dataclass(frozen=True, eq=False)
class BoneCut:
    """A jagged line across a bone: u = at + slope * v + jag(v), one for the near and one for the far half."""

    at: float
    slopes: tuple[float, float]
    jags: tuple[Array, Array]  # each (TABLE,) over v from -64 to 64 mm

    def line(self, half: int, v: Array) -> Array:
        entry = np.clip((v + 64) * np.float32(TABLE / 128), 0, TABLE - 1).astype(np.int32)
        line: Array = np.float32(self.at) + np.float32(self.slopes[half]) * v + self.jags[half][entry]
        return line


def step(distance: Array, px: float) -> Array:
    """0 to 1 over one pixel: the share of the pixel that lies on the positive side."""
    share: Array = np.clip(distance / np.float32(px) + np.float32(0.5), 0, 1)
    return share


def jag(rng: np.random.Generator, amplitude: float, calibre: float) -> Array:
    """A rough line over 128 mm: coarse steps about a third of the calibre long plus finer ones, about +-`amplitude` mm."""
    x = np.linspace(-64, 64, TABLE, dtype=np.float32)
    rough = np.zeros(TABLE, dtype=np.float32)
    for length, share in ((max(calibre * 0.5, 2.0), 0.7), (max(calibre * 0.18, 0.9), 0.3)):
        knots = np.arange(-70, 71, length)
        rough += np.interp(x, knots, rng.normal(0, share * amplitude, len(knots))).astype(np.float32)
    return rough


def make_cut(rng: np.random.Generator, at: float, slope: float, calibre: float, apart: float, rough: float = 0.12) -> BoneCut:
    """A cut at `at` mm; `apart` is how far (in calibres) the far line may lie from the near one, `rough` the jag in calibres."""
    shift = rng.normal(0, apart) * calibre
    lines = (jag(rng, rough * calibre, calibre), jag(rng, rough * calibre, calibre) + np.float32(shift))
    return BoneCut(at, (slope, slope + rng.normal(0, apart * 0.5)), lines)


def width_at(bone: Bone, u: float) -> tuple[float, float]:
    """Centre v and half-width (mm) of the bone's first tube at u."""
    shape = bone.tubes[0]
    entry = int(np.clip(u / shape.length * (TABLE - 1), 0, TABLE - 1))
    return float(shape.centre[entry]), max(float(shape.radius[entry]), 1.5)


def swing(bone: Bone, at: float, u: Array) -> tuple[Array, Array]:
    """How far each point takes part when an end piece swings about its joint: 1 at the break, 0 at the joint; (proximal, distal)."""
    near, far = np.float32(max(at, 1.0)), np.float32(max(bone.length - at, 1.0))
    return np.clip(u / near, 0, 1), np.clip((np.float32(bone.length) - u) / far, 0, 1)


def crack(rng: np.random.Generator, bone: Bone, at: float, k: float) -> Break:
    """Hairline: a thin lucent line through one cortex and part of the way across; nothing moves."""
    centre, half = width_at(bone, at)
    cut = make_cut(rng, at, rng.normal(0, 0.45), half, 0.05, 0.1)
    side, across = rng.choice([-1.0, 1.0]), 0.7 + 1.2 * k
    width, depth = 0.7 + 0.5 * k, 0.75 + 0.2 * k
    far_too = rng.random() < 0.6

    def thickness(u: Array, v: Array, px: float) -> Array:
        solid = bone_thickness(bone, u, v)
        lost = np.zeros_like(u)
        inward = side * (np.float32(centre) - v) + np.float32(half)  # 0 at the broken cortex, 2 * half at the other
        active = np.clip((np.float32(across * half) - inward) / np.float32(0.3 * half), 0, 1)
        for part in (0, 1) if far_too else (0,):
            distance = np.abs(u - cut.line(part, v - np.float32(centre)))
            lost += np.clip((width + px) / 2 - distance, 0, min(width, px)) / np.float32(px) * (0.5 if far_too else 0.65)
        return solid * (1 - np.minimum(lost, 1) * active * np.float32(depth))

    return Break(bone, at, half * 1.3 + 3, thickness)


def parted(
    rng: np.random.Generator, bone: Bone, at: float, *, slope: float, offset: tuple[float, float], shorten: float, gap: float, apart: float,
    rough: float = 0.12, hinge: float = 0.0, round_ends: float = 0.0, sclerosis: float = 0.0, flare: float = 0.0, overlap: float = 0.85,
) -> Break:  # fmt: skip
    """A bone in two pieces: transverse, oblique, spiral, impacted, greenstick, non-union.

    `offset` moves the (proximal, distal) ends sideways and `shorten` drives them together, in mm; `gap` mm stays between them, opening
    only on one side for a `hinge` of +-1; `round_ends`, `sclerosis` and `flare` are what an old break that never joined shows.
    """
    centre, half = width_at(bone, at)
    cut = make_cut(rng, at, slope, half, apart, rough)
    # a short end piece cannot swing far without looking sheared
    limit = 0.42 * np.array([at, bone.length - at])
    offsets = np.clip(np.array(offset), -limit, limit).astype(np.float32)

    def thickness(u: Array, v: Array, px: float) -> Array:
        total = np.zeros_like(u)
        towards = swing(bone, at, u)
        for piece, sign in ((0, 1.0), (1, -1.0)):
            u_from = u + np.float32(shorten) * towards[1] if piece else u
            v_from = v - offsets[piece] * towards[piece]
            w = v_from - np.float32(centre)
            opened = gap * (np.clip(hinge * w / half * 0.8 + 0.35, 0, 1.15) if hinge else 1.0) / 2
            if round_ends:
                opened = opened + round_ends * half * np.minimum((w / half) ** 2, 1.5)
            share = np.zeros_like(u)
            nearest = np.full_like(u, np.float32(1e3))
            for part in (0, 1):
                inside = sign * (cut.line(part, w) - u_from) - opened
                share += step(inside, px) * np.float32(0.5)
                nearest = np.minimum(nearest, np.abs(inside))
            if flare:
                v_from = w / (1 + np.float32(flare) * np.exp(-((nearest / half) ** 2))) + np.float32(centre)
            solid = bone_thickness(bone, u_from, v_from) * share
            if sclerosis:
                solid = solid * (1 + np.float32(sclerosis) * np.exp(-nearest / np.float32(0.45 * half)))
            total = np.maximum(total, solid) + np.float32(overlap) * np.minimum(total, solid)
        return total

    span = half * (0.5 + 1.3 * abs(slope)) + shorten + gap + 3 + (half if round_ends else 0)
    return Break(bone, at, span, thickness)


def chipped(rng: np.random.Generator, bone: Bone, at: float, k: float) -> Break:
    """Avulsion: a corner of the bone pulled off and lying a few millimetres away."""
    at = bone.length * (0.03 if at < bone.length / 2 else 0.97)
    centre, half = width_at(bone, at)
    side = float(rng.choice([-1.0, 1.0]))
    outward = math.atan2(side, rng.uniform(0.1, 0.7) * (-1 if at < bone.length / 2 else 1))
    nv, nu = math.sin(outward), math.cos(outward)
    size = float(np.clip(half * rng.uniform(0.3, 0.5), 2.0, 9.0))
    far = (1.2 + 3.0 * k) * min(1.0, half / 8)
    rough = jag(rng, 0.08 * size, size)

    def thickness(u: Array, v: Array, px: float) -> Array:
        def past(u_: Array, v_: Array) -> Array:
            du, dv = u_ - np.float32(at), v_ - np.float32(centre + side * half)
            along = np.clip((dv * nu - du * nv + 64) * (TABLE / 128), 0, TABLE - 1).astype(np.int32)
            return du * np.float32(nu) + dv * np.float32(nv) + np.float32(size) + rough[along]

        moved_u, moved_v = u - np.float32(far * nu), v - np.float32(far * nv)
        rest = bone_thickness(bone, u, v) * step(-past(u, v) - np.float32(0.2), px)
        return rest + bone_thickness(bone, moved_u, moved_v) * step(past(moved_u, moved_v) - np.float32(0.2), px)

    return Break(bone, at, size + far + 5, thickness)
