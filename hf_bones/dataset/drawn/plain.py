"""The plain mode: the shaft of one long bone close up, whole, broken in two with the ends well apart, or in pieces that lie apart.

Limb, film and noise are those of the hard mode. What differs is the field of view and how far a break goes. The place of the break and the
field are drawn before the label is looked at, so that a whole bone is filmed just as if it had broken there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hf_bones.dataset.drawn.cuts import Break, parted, width_at
from hf_bones.dataset.drawn.film import Film
from hf_bones.dataset.drawn.fragments import shattered
from hf_bones.dataset.drawn.shapes import Bone, Limb
from hf_bones.labels import BEYOND_REPAIR, FRACTURED

SHAFTS = {"forearm": "radius", "humerus": "humerus", "femur": "femur", "leg": "tibia"}  # the bone that is filmed, by region
PLAIN_SUBTYPES: dict[str, dict[str, float]] = {
    FRACTURED: {"transverse": 0.5, "oblique": 0.5},
    BEYOND_REPAIR: {"shattered": 0.6, "bone loss": 0.4},
}
FIELD = (9.0, 12.0)  # long side of the film, in half-widths of the shaft
MIDDLE = (0.35, 0.65)  # where along the bone, as shares of its length


def close_up(rng: np.random.Generator, limb: Limb, region: str, film: Film) -> tuple[Film, Bone, float]:
    """The film moved close to the shaft of the region's long bone; that bone, and where on it (mm along it) a break would lie."""
    bone = next(bone for bone in limb.bones if bone.name == SHAFTS[region])
    at = float(rng.uniform(*MIDDLE)) * bone.length
    centre, half = width_at(bone, at)
    field = rng.uniform(*FIELD) * half
    focus = bone.frame.point(at + rng.normal(0, 0.05) * field, centre + rng.normal(0, 0.04) * field)
    return replace(film, focus=focus, pitch=field / max(film.width, film.height)), bone, at


def plain_breaks(rng: np.random.Generator, bone: Bone, at: float, limb: Limb, film: Film, subtype: str, k: float) -> list[Break]:
    """The bone broken at `at` mm, and with it the bone beside it where that is in view. `k` in [0, 1] as for `break_bone`."""
    breaks = [plain_break(rng, bone, at, subtype, k)]
    partner = next((other for other in limb.bones if other.name == bone.partner), None)
    if partner is not None:
        beside = partner.frame.local(*bone.frame.point(at))[0]
        if film.shows(np.array([partner.frame.point(beside)]), 0.1).all():
            breaks.append(plain_break(rng, partner, beside, subtype, k))
    return breaks


def plain_break(rng: np.random.Generator, bone: Bone, at: float, subtype: str, k: float) -> Break:
    """Two pieces moved sideways by a half-width of the shaft at least; or a zone of several widths in which pieces lie apart or are gone.

    Raises KeyError for a subtype that the plain mode does not draw.
    """
    _, half = width_at(bone, at)
    side = float(rng.choice([-1.0, 1.0]))
    if subtype in PLAIN_SUBTYPES[FRACTURED]:
        slope = rng.normal(0, 0.15) if subtype == "transverse" else side * rng.uniform(0.5, 0.9)
        apart, bend = (1.0 + 0.6 * k) * half * side, rng.normal(0, 0.6) * half  # `bend`: both ends the same way, angulation
        moved = (bend - apart / 2, bend + apart / 2)
        return parted(rng, bone, at, slope=slope, offset=moved, shorten=0.0, gap=half * rng.uniform(0.3, 0.8), apart=0.1)
    lost = {"shattered": 0.25, "bone loss": 0.75}[subtype]
    apart = rng.uniform(0.2, 0.8) * half * side
    return shattered(
        rng, bone, at, zone=half * rng.uniform(3.5, 5.0), pieces=int(rng.integers(6, 10)), scatter=half * (0.45 + 0.3 * k), turn=0.7,
        lost=lost, offset=(-apart / 2, apart / 2), shorten=0.0,
    )  # fmt: skip
