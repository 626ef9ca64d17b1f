"""The subtypes of the default label scheme as breaks of a bone: how each is cut, how far its pieces go, how severe it counts."""

from __future__ import annotations

import numpy as np

from hf_bones.dataset.drawn.cuts import Break, chipped, crack, parted, width_at
from hf_bones.dataset.drawn.fragments import segmented, shattered
from hf_bones.dataset.drawn.shapes import Bone

# severity at its mildest and at its worst, by subtype of the default scheme
SEVERITY: dict[str, tuple[float, float]] = {
    "hairline": (0.08, 0.18), "greenstick": (0.2, 0.35), "stable": (0.18, 0.32), "minor": (0.14, 0.28), "simple": (0.3, 0.5),
    "transverse": (0.3, 0.6), "oblique": (0.32, 0.6), "spiral": (0.35, 0.62), "avulsion": (0.2, 0.38), "impacted": (0.25, 0.48),
    "dislocation": (0.42, 0.62), "comminuted": (0.74, 0.96), "shattered": (0.85, 1.0), "crushed": (0.82, 1.0),
    "segmental": (0.74, 0.9), "bone loss": (0.84, 1.0), "non union": (0.72, 0.86), "pseudarthrosis": (0.72, 0.88),
}  # fmt: skip


def break_bone(rng: np.random.Generator, bone: Bone, at: float, subtype: str, k: float) -> Break:
    """The bone broken near `at` mm along it. `k` in [0, 1] goes from the mildest to the worst of the subtype.

    Raises KeyError for a subtype that is not a break of one bone (a dislocation moves bones whole).
    """
    _, half = width_at(bone, at)
    side = float(rng.choice([-1.0, 1.0]))
    shove = half * side

    def apart(low: float, high: float) -> tuple[float, float]:
        amount = (low + (high - low) * k) * shove
        share = rng.uniform(0.2, 0.8)
        bend = rng.normal(0, 0.12 + 0.25 * k) * half  # both ends the same way: angulation
        return -amount * share + bend, amount * (1 - share) + bend

    def two(slope: float, low: float, high: float, shorten: float, gap: float, spread: float, overlap: float = 0.85) -> Break:
        moved = apart(low, high)
        return parted(rng, bone, at, slope=slope, offset=moved, shorten=shorten, gap=gap, apart=spread, overlap=overlap)

    if subtype == "hairline":
        return crack(rng, bone, at, k)
    if subtype == "avulsion":
        return chipped(rng, bone, at, k)
    if subtype == "segmental":
        return segmented(rng, bone, at, k)
    if subtype == "minor":
        return two(rng.normal(0, 0.4), 0.0, 0.15, 0.0, 0.6 + 0.4 * k, 0.08)
    if subtype == "stable":
        return two(rng.normal(0, 0.15), 0.05, 0.25, 0.0, 0.7 + 0.5 * k, 0.08)
    if subtype in ("simple", "transverse"):
        slope = rng.normal(0, 0.15 if subtype == "transverse" else 0.5)
        return two(slope, 0.15, 1.3, 0.35 * half * k, 0.8 + 0.8 * rng.random(), 0.1)
    if subtype == "oblique":
        return two(side * rng.uniform(0.8, 1.7), 0.2, 1.0, 0.7 * half * k, 0.8 + 0.8 * rng.random(), 0.2)
    if subtype == "spiral":
        return two(side * rng.uniform(1.9, 3.0), 0.15, 0.7, 0.6 * half * k, 1.0 + 0.8 * rng.random(), 0.55)
    if subtype == "impacted":
        return two(rng.normal(0, 0.2), 0.1, 0.35, (0.16 + 0.22 * k) * min(half, 16) + 1.2, 0.0, 0.12, 0.75)
    if subtype == "greenstick":
        bend = side * half * (0.3 + 0.55 * k)
        return parted(
            rng, bone, at, slope=rng.normal(0, 0.2), offset=(bend, bend), shorten=0.0, gap=1.2 + 1.6 * k, apart=0.06, hinge=side,
            overlap=0.5,
        )  # fmt: skip
    if subtype in ("non union", "pseudarthrosis"):
        old = subtype == "pseudarthrosis"
        return parted(
            rng, bone, at, slope=rng.normal(0, 0.35), offset=apart(0.05, 0.7), shorten=0.0, gap=(2.2 if old else 1.6) + 2.5 * k, apart=0.06,
            rough=0.05, round_ends=rng.uniform(0.2, 0.4) if old else 0.08, sclerosis=0.45 + 0.3 * rng.random(),
            flare=rng.uniform(0.1, 0.4) if rng.random() < 0.65 else -0.25,
        )  # fmt: skip
    wide, burst = half * rng.uniform(2.2, 3.8), 0.1 * half
    plans = {
        "comminuted": (wide, 4 + int(4 * k), burst * (1 + 1.2 * k), 0.12 + 0.2 * k, 0.1, apart(0.2, 1.0), half * 0.3 * k),
        "shattered": (wide * 1.4, 8 + int(6 * k), burst * (1.6 + 1.4 * k), 0.3 + 0.3 * k, 0.1, apart(0.2, 1.1), half * 0.2),
        "crushed": (wide, 9 + int(7 * k), burst * (1.2 + k), 0.3 + 0.3 * k, 0.0, apart(0.1, 0.5), half * (0.7 + 0.6 * k)),
        "bone loss": (wide * (1.0 + 0.9 * k), 6, burst * 1.5, 0.4, 0.8, apart(0.1, 0.7), 0.0),
    }
    zone, pieces, scatter, turn, lost, moved, shorten = plans[subtype]
    return shattered(rng, bone, at, zone=zone, pieces=pieces, scatter=scatter, turn=turn, lost=lost, offset=moved, shorten=shorten)
