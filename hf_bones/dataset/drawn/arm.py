"""The arm: humerus, radius, ulna, carpals, metacarpals and phalanges with their flesh, seen from the front or the side.

Sizes are those of an adult in millimetres, from memory of anatomy atlases and jittered per person; they are meant to look right on film,
not to be measured. The elbow stands at (0, 0).
"""

from __future__ import annotations

import math

import numpy as np

from hf_bones.dataset.drawn.shapes import Bone, Flesh, Frame, Joint, Limb, Point, Tube

ELBOW = frozenset({"elbow"})
WRIST = ELBOW | {"wrist"}
SPONGY = ((0.0, 0.22), (0.1, 0.18), (0.3, 0.05), (0.7, 0.05), (0.9, 0.18), (1.0, 0.22))
SPARSE = ((0.0, 0.13), (0.1, 0.11), (0.3, 0.03), (0.7, 0.03), (0.9, 0.11), (1.0, 0.13))  # the thick ends of the big bones
# per ray from thumb to little finger: base v, fan angle (degrees), lengths of metacarpal and phalanges, half-width
RAYS = (
    (19.0, 34.0, (45.0, 31.0, 22.0), 5.2),
    (13.0, 7.0, (67.0, 40.0, 23.0, 17.0), 4.8),
    (3.0, 1.0, (65.0, 44.0, 27.0, 18.0), 4.8),
    (-7.0, -5.0, (57.0, 41.0, 26.0, 18.0), 4.3),
    (-16.0, -12.0, (53.0, 33.0, 19.0, 16.0), 4.1),
)
PHALANGES = ("metacarpal", "proximal phalanx", "middle phalanx", "distal phalanx")
CARPALS = (  # u, v from the wrist, half-length, half-width
    ("scaphoid", 9.0, 12.0, 10.0, 6.5), ("lunate", 8.0, 0.5, 8.0, 7.0), ("triquetrum", 11.0, -10.0, 8.0, 6.0),
    ("trapezium", 23.0, 17.0, 8.0, 7.5), ("trapezoid", 23.5, 9.0, 7.0, 5.5), ("capitate", 21.0, 1.0, 11.5, 7.0),
    ("hamate", 22.0, -9.5, 10.5, 7.5),
)  # fmt: skip


def digit(
    rng: np.random.Generator, start: Frame, ray: int, curl: float, thick: float, child: bool, base: str
) -> tuple[list[Bone], list[Flesh], list[Joint]]:
    """Metacarpal and phalanges of one ray, each turned `curl` radians from the one before; flesh round the phalanges."""
    bones: list[Bone] = []
    flesh: list[Flesh] = []
    joints: list[Joint] = []
    frame, beyond = start, WRIST
    _, _, lengths, half = RAYS[ray]
    half *= thick
    names = PHALANGES if ray else PHALANGES[:2] + PHALANGES[3:]  # a thumb has no middle phalanx
    for order, adult in enumerate(lengths):
        length = adult * rng.normal(1, 0.02)
        slim = half * (1.0, 0.92, 0.78, 0.6)[order]
        last = order == len(lengths) - 1
        flare = 1.5 if order else 1.45
        head = 1.25 if last else 1.3
        profile = ((0.0, slim * flare), (0.18, slim * 1.2), (0.5, slim * 0.82), (0.8, slim * 1.05), (0.93, slim * head))
        shape = Tube(
            length, profile, wall=((0.0, 0.7), (0.25, slim * 0.3), (0.5, slim * 0.42), (0.8, slim * 0.25), (1.0, 0.7)), spongy=SPONGY,
            caps=(2.2, slim * 0.9), depth=((0.0, 0.85),), bow=rng.normal(0, 0.3), plate=0.8,
        )  # fmt: skip
        name = f"{names[order]} {ray + 1}"
        physis = (length * 0.12,) if order else (length * 0.88,)
        bones.append(Bone(name, frame, (shape,), length, slim, (0.15, 0.85), 0.3 if order == 0 else 0.22, physis if child else (), beyond))
        if order:
            wide = slim * 1.2 + 5.2
            sleeve = Tube(
                length + 8, ((0.0, wide + 1), (0.3, wide), (0.55, wide * 0.98), (1.0, wide * 0.94)), wall=((0.0, 2.0),), caps=(2.0, wide),
                depth=((0.0, 0.95),), squareness=2.0,
            )  # fmt: skip
            flesh.append(Flesh(name, frame.at(-5.0), (sleeve,), beyond))
        if last:
            break
        end = frame.at(length + 1.6, 0.0)
        joint = f"{base} {ray + 1} {order}"
        joints.append(Joint(joint, end, slim * 1.8))
        beyond = beyond | {joint}
        frame = end.at(0.0, 0.0, curl * rng.uniform(0.6, 1.2) + rng.normal(0, 0.03))
    return bones, flesh, joints


def draw_hand(rng: np.random.Generator, wrist: Frame, lateral: bool, child: bool) -> tuple[list[Bone], list[Flesh], list[Joint]]:
    """Carpals, five rays and the palm beyond the frame of the wrist."""
    bones: list[Bone] = []
    flesh: list[Flesh] = []
    joints: list[Joint] = []
    squeeze = rng.uniform(0.15, 0.4) if lateral else 1.0  # how far the row of bones is seen edge-on
    for name, u, v, half_length, half_width in CARPALS:
        if child and rng.random() < 0.3:
            continue  # not yet ossified
        a, b = half_length * rng.normal(1.08, 0.05), half_width * rng.normal(1.08, 0.05)
        block = Tube(2 * a, ((0.0, b),), wall=((0.0, 0.8),), spongy=((0.0, 0.22),), caps=(a, a), squareness=2.2, depth=((0.0, 0.95),))
        frame = wrist.at(u - a, v * squeeze + rng.normal(0, 0.5), rng.normal(0, 0.12))
        bones.append(Bone(name, frame, (block,), 2 * a, b, (0.4, 0.6), 0.25 if name == "scaphoid" else 0.0, (), WRIST))
    spread, curl = rng.uniform(0.6, 1.8), rng.normal(0, 0.05)
    if lateral:
        curl = rng.uniform(-0.05, 0.45)
    for ray, (v, angle, _, _) in enumerate(RAYS):
        fan = math.radians(angle) * (spread if not lateral else rng.uniform(-0.1, 0.5))
        base = wrist.at(31.0 if ray else 28.0, v * squeeze, fan)
        # seen from the side each finger bends by its own amount, so that they fan out
        bent = curl * rng.uniform(0.4, 1.5) if lateral else curl
        parts = digit(rng, base, ray, bent, rng.normal(1, 0.04), child, "finger")
        bones += parts[0]
        flesh += parts[1]
        joints += parts[2]
    half = 24.0 if not lateral else 12.0
    palm = Tube(
        112.0, ((0.0, half), (0.3, half * 1.35), (0.75, half * 1.6), (1.0, half * 1.5)), wall=((0.0, 2.5),), caps=(8.0, 22.0),
        depth=(((0.0, 0.62), (0.4, 0.5), (1.0, 0.36)), ((0.0, 1.4), (0.6, 1.5), (1.0, 1.4)))[int(lateral)], lean=((0.0, 0.0), (1.0, -2.0)),
    )  # fmt: skip
    flesh.append(Flesh("palm", wrist.at(-8.0), (palm,), ELBOW | {"wrist"}))
    thenar = Tube(62.0, ((0.0, 9.0), (0.4, 14.0), (1.0, 10.0)), wall=((0.0, 2.0),), caps=(8.0, 12.0), depth=((0.0, 0.95),))
    flesh.append(Flesh("thenar", wrist.at(14.0, 12.0 * squeeze, 0.5 * (1 if not lateral else 0.4)), (thenar,), ELBOW | {"wrist"}))
    joints.append(Joint("wrist", wrist.at(2.0), 18.0))
    return bones, flesh, joints


def upper_arm(rng: np.random.Generator, lateral: bool, child: bool) -> tuple[Bone, Flesh]:
    """The humerus, ending in capitulum and trochlea at the elbow, and its flesh."""
    side = int(lateral)
    length, shaft, plump = 305.0 * rng.normal(1, 0.03), 10.5 * rng.normal(1, 0.07), rng.normal(1, 0.1)
    condyles, flat = (30.0, 15.0)[side], (0.42, 1.5)[side]
    profile = (
        (0.0, 20.0), (0.08, 24.0), (0.2, 15.0), (0.35, shaft), (0.7, shaft * 0.95), (0.86, shaft * 1.25), (0.95, condyles),
        (1.0, condyles * 0.6),
    )  # fmt: skip
    stem = Tube(
        length, profile, wall=((0.0, 1.2), (0.15, 2.0), (0.35, 4.4), (0.75, 4.6), (0.9, 2.0), (1.0, 1.2)), spongy=SPARSE,
        bow=rng.normal(0, 1.5), lean=((0.0, -8.0), (0.12, -5.0), (0.25, 0.0), (1.0, 0.0)),
        depth=((0.0, 1.0), (0.75, 1.0), (0.93, flat), (1.0, flat)), caps=(18.0, 8.0),
    )  # fmt: skip
    # half-length, half-width, depth, v, how far beyond the stem
    ends = (((9.0, 9.5, 1.1, -11.0, 3.0), (9.5, 11.0, 0.9, 8.0, 4.0)), ((12.0, 12.0, 1.6, 3.0, 6.0),))[side]
    lobes = [
        Tube(
            2 * a, ((0.0, b),), wall=((0.0, 1.4),), spongy=((0.0, 0.14),), caps=(a, a), squareness=2.1, depth=((0.0, d),),
            frame=Frame((v, length - 2 * a + out), 0.0),
        )
        for a, b, d, v, out in ends
    ]  # fmt: skip
    physes = (length * 0.93, length * 0.09) if child else ()
    bone = Bone("humerus", Frame((0.0, -length - 4.0), 0.0), (stem, *lobes), length, shaft, (0.14, 0.93), 1.6, physes)
    outline = ((0.0, 120.0), (0.22, 100.0 * plump), (0.42, 52.0 * plump), (0.85, 42.0 * plump), (1.0, 41.0))  # up into the shoulder
    lean = ((0.0, 70.0), (0.22, 52.0), (0.42, 0.0), (1.0, 0.0))
    sleeve = Tube(
        length + 235.0,
        outline,
        wall=((0.0, 6.0 * plump),),
        lean=lean,
        caps=(1.0, 26.0),
        depth=((0.0, 0.4), (0.22, 0.45), (0.42, 1.0), (1.0, 1.0)),
    )
    return bone, Flesh("upper arm", Frame((0.0, -length - 200.0), 0.0), (sleeve,))


def forearm(rng: np.random.Generator, elbow: Frame, lateral: bool, child: bool) -> tuple[Bone, Bone, Flesh]:
    """Radius, ulna and the flesh of the forearm; from the side the two bones overlap."""
    side = int(lateral)
    thick, plump, apart = rng.normal(1, 0.07), rng.normal(1, 0.1), rng.uniform(0.05, 0.35) if lateral else 1.0
    r_length, u_length = 238.0 * rng.normal(1, 0.02), 256.0 * rng.normal(1, 0.02)
    profile = (
        (0.0, 11.0), (0.03, 11.0), (0.09, 7.0), (0.18, 7.8 * thick), (0.5, 7.4 * thick), (0.8, 8.2 * thick), (0.93, (14.5, 10.0)[side]),
        (1.0, (15.5, 10.0)[side]),
    )  # fmt: skip
    stem = Tube(
        r_length, profile, wall=((0.0, 1.0), (0.1, 2.0), (0.3, 3.4), (0.7, 3.4), (0.88, 1.6), (1.0, 1.0)), spongy=SPONGY, caps=(3.0, 4.5),
        squareness=2.8, lean=((0.0, 0.0), (1.0, 1.5)), bow=rng.normal(3.5, 0.8) * (1.0, 0.5)[side],
        depth=((0.0, 1.0), (0.8, 1.0), (1.0, (0.75, 1.4)[side])),
    )  # fmt: skip
    physes = (r_length * 0.95,) if child else ()
    place = elbow.at(5.0, 12.0 * apart, rng.normal(0, 0.01))
    radius = Bone("radius", place, (stem,), r_length, 7.6 * thick, (0.08, 0.96), 1.6, physes, ELBOW, "ulna")
    profile = (
        (0.0, 10.5), (0.08, 12.5), (0.16, 10.5), (0.3, 7.6 * thick), (0.7, 6.4 * thick), (0.88, 5.4 * thick), (0.96, 7.6), (1.0, 7.0),
    )  # fmt: skip
    stem = Tube(
        u_length, profile, wall=((0.0, 1.6), (0.12, 2.2), (0.35, 3.2), (0.7, 3.0), (0.9, 1.8), (1.0, 1.0)), spongy=SPONGY, caps=(7.0, 4.0),
        lean=((0.0, (6.0, 0.0)[side]), (0.15, 1.0), (1.0, 0.0)), bow=rng.normal(-1.5, 0.8),
    )  # fmt: skip
    place = elbow.at((-14.0, -20.0)[side], -13.0 * apart - (0.0, 9.0)[side], (0.0, 0.035)[side])
    physes = (u_length * 0.95,) if child else ()
    ulna = Bone("ulna", place, (stem,), u_length, 6.8 * thick, (0.12, 0.95), 1.1, physes, ELBOW, "radius")
    outline = ((0.0, 40.0), (0.22, 45.0 * plump), (0.45, 40.0 * plump), (0.85, 27.0), (1.0, (24.0, 18.0)[side]))
    depth = ((0.0, 0.9), (1.0, (0.72, 1.3)[side]))
    sleeve = Tube(r_length + 62.0, outline, wall=((0.0, 4.0 * plump),), caps=(26.0, 4.0), depth=depth)
    return radius, ulna, Flesh("forearm", elbow.at(-38.0, -3.0), (sleeve,), ELBOW)


def draw_arm(rng: np.random.Generator, region: str, lateral: bool, child: bool) -> Limb:
    """An arm; `region` (hand, forearm, elbow, humerus) sets where the film is centred and how much of it should show."""
    flexion = rng.normal(0.12, 0.06)
    if lateral:
        flexion = rng.uniform(-0.1, 1.2) if region == "hand" else rng.uniform(0.9, 1.75)
    humerus, upper = upper_arm(rng, lateral, child)
    elbow = Frame((0.0, 0.0), flexion)
    radius, ulna, lower = forearm(rng, elbow, lateral, child)
    wrist = elbow.at(radius.length + 5.0, 1.0, rng.normal(0, 0.1))
    bones, flesh, joints = draw_hand(rng, wrist, lateral, child)
    focus, span = {
        "hand": (wrist.point(62.0), 225.0),
        "forearm": (elbow.point(radius.length * 0.55), 300.0),
        "elbow": ((0.0, 5.0), 190.0),
        "humerus": ((0.0, -humerus.length * 0.5), 320.0),
    }[region]
    return Limb(
        bones=(humerus, radius, ulna, *bones),
        flesh=(upper, lower, *flesh),
        joints=(Joint("elbow", elbow, 26.0), *joints),
        focus=jitter(rng, focus, 14.0),
        span=span,
        scale=rng.uniform(0.5, 0.8) if child else 1.0,
        density=rng.uniform(0.55, 1.0),
    )


def jitter(rng: np.random.Generator, point: Point, spread: float) -> Point:
    """The point moved by a normal deviate of `spread` mm each way."""
    return point[0] + rng.normal(0, spread), point[1] + rng.normal(0, spread)
