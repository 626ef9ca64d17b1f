"""Breaks into more than two pieces: shattered, crushed, segmental, and those that have lost bone."""

from __future__ import annotations

import math

import numpy as np

from hf_bones.dataset.drawn.cuts import Break, make_cut, step, swing, width_at
from hf_bones.dataset.drawn.shapes import Array, Bone, bone_thickness


def shattered(
    rng: np.random.Generator, bone: Bone, at: float, *, zone: float, pieces: int, scatter: float, turn: float, lost: float,
    offset: tuple[float, float], shorten: float,
) -> Break:  # fmt: skip
    """Two ends with a zone of `zone` mm between them broken into `pieces` fragments (cells round random seeds), each moved and turned.

    `scatter` mm and `turn` radians are the spread of their motion, `lost` the share of fragments that is gone.
    """
    zone = min(zone, 0.5 * bone.length)
    at = float(np.clip(at, zone * 0.75, bone.length - zone * 0.75))
    centre, half = width_at(bone, at)
    cuts = tuple(make_cut(rng, at + s * zone / 2, rng.normal(0, 0.5), half, 0.15, 0.16) for s in (-1, 1))
    limit = 0.42 * np.array([at, bone.length - at])
    offsets = np.clip(np.array(offset), -limit, limit).astype(np.float32)
    seeds = np.stack([rng.uniform(-0.55, 0.55, pieces) * zone + at, rng.uniform(-1.0, 1.0, pieces) * half + centre], axis=1)
    moves = rng.normal(0, scatter, (pieces, 2))
    moves[:, 1] += (seeds[:, 1] - centre) / half * scatter * 0.7  # fragments burst outwards
    turns = rng.normal(0, turn, pieces)
    kept = rng.random(pieces) >= lost

    def thickness(u: Array, v: Array, px: float) -> Array:
        towards = swing(bone, at, u)
        total = np.zeros_like(u)
        for piece, sign in ((0, 1.0), (1, -1.0)):
            u_from = u + np.float32(shorten) * towards[1] if piece else u
            v_from = v - offsets[piece] * towards[piece]
            share = sum(step(sign * (cuts[piece].line(p, v_from - np.float32(centre)) - u_from), px) for p in (0, 1))
            total += bone_thickness(bone, u_from, v_from) * share * np.float32(0.5)
        rows = np.nonzero((np.abs(u - at) < zone + 2.5 * scatter + half) & (np.abs(v - centre) < 3 * half + 3 * scatter))
        un, vn = u[rows], v[rows]
        middle = offsets.mean()
        fragments = np.zeros_like(un)
        for i in np.nonzero(kept)[0]:
            s, c = np.float32(math.sin(turns[i])), np.float32(math.cos(turns[i]))
            du = un - np.float32(seeds[i, 0] + moves[i, 0] - shorten / 2)
            dv = vn - np.float32(seeds[i, 1] + moves[i, 1] + middle)
            u_from, v_from = du * c + dv * s + np.float32(seeds[i, 0]), dv * c - du * s + np.float32(seeds[i, 1])
            near = np.nonzero(np.abs(du) + np.abs(dv) < zone + 2 * half)[0]
            u_from, v_from = u_from[near], v_from[near]
            gaps = [np.hypot(u_from - np.float32(su), v_from - np.float32(sv)) for su, sv in seeds]
            others = np.minimum.reduce([g for j, g in enumerate(gaps) if j != i])
            mine = step((others - gaps[i]) / 2 - np.float32(0.25), px)
            for cut, sign in zip(cuts, (-1.0, 1.0), strict=True):
                line = cut.line(0, v_from - np.float32(centre))
                mine = mine * step(sign * (line - u_from) - np.float32(0.2), px)
            fragments[near] += bone_thickness(bone, u_from, v_from) * mine
        total[rows] += fragments
        return total

    return Break(bone, at, zone * 0.6 + 2 * scatter + half * 0.5 + 3, thickness)


def segmented(rng: np.random.Generator, bone: Bone, at: float, k: float) -> Break:
    """Segmental: two full breaks with a tube of shaft between them that has moved as one."""
    _, half = width_at(bone, at)
    length = float(np.clip(half * rng.uniform(3.0, 5.5), 8.0, bone.length * 0.35))
    at = float(np.clip(at, length * 0.8, bone.length - length * 0.8))
    slopes = rng.normal(0, 0.45, 2)
    cuts = [make_cut(rng, at + s * length / 2, slope, half, 0.12) for s, slope in zip((-1, 1), slopes, strict=True)]
    side = float(rng.choice([-1.0, 1.0]))
    shove, ends, lean = side * half * (0.4 + 0.9 * k), -side * half * rng.uniform(0.0, 0.35, 2), rng.normal(0, 0.08 + 0.12 * k)

    def thickness(u: Array, v: Array, px: float) -> Array:
        towards = swing(bone, at, u)
        total = np.zeros_like(u)
        for piece, sign in ((0, 1.0), (1, -1.0)):
            v_from = v - np.float32(ends[piece]) * towards[piece]
            share = sum(step(sign * (cuts[piece].line(p, v_from) - u) - np.float32(0.5), px) for p in (0, 1))
            total += bone_thickness(bone, u, v_from) * share * np.float32(0.5)
        v_from = v - np.float32(shove) - np.float32(math.tan(lean)) * (u - np.float32(at))
        lower, upper = ([cut.line(p, v_from) for p in (0, 1)] for cut in cuts)
        share = sum(step(u - a - np.float32(0.5), px) * step(b - u - np.float32(0.5), px) for a, b in zip(lower, upper, strict=True))
        return total + bone_thickness(bone, u, v_from) * share * np.float32(0.5)

    return Break(bone, at, length / 2 + half + 3, thickness)
