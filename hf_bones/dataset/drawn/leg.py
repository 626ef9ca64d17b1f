"""The leg: femur, patella, tibia, fibula, tarsals, metatarsals and toes with their flesh, seen from the front or the side.

Sizes are those of an adult in millimetres, meant to look right on film, not to be measured. The knee stands at (0, 0).
"""

from __future__ import annotations

import math

import numpy as np

from hf_bones.dataset.drawn.arm import SPARSE, SPONGY, jitter
from hf_bones.dataset.drawn.shapes import Bone, Flesh, Frame, Joint, Limb, Tube

KNEE = frozenset({"knee"})
ANKLE = KNEE | {"ankle"}
TOES = (  # base v, fan (degrees), metatarsal and phalanx lengths, half-width
    (17.0, 7.0, (58.0, 30.0, 22.0), 6.6),
    (6.0, 3.0, (70.0, 24.0, 10.0, 8.0), 3.9),
    (-2.0, 0.0, (66.0, 22.0, 9.0, 8.0), 3.6),
    (-10.0, -4.0, (64.0, 20.0, 8.0, 7.0), 3.6),
    (-18.0, -9.0, (63.0, 18.0, 7.0, 7.0), 3.9),
)
SOLES = (  # the tarsus from above: name, u, v from the ankle, half-length, half-width
    ("calcaneus", -2.0, -8.0, 26.0, 17.0), ("talus", 8.0, 4.0, 21.0, 18.0), ("navicular", 33.0, 8.0, 8.0, 16.0),
    ("cuboid", 38.0, -14.0, 14.0, 11.0), ("cuneiform 1", 50.0, 15.0, 11.0, 8.0), ("cuneiform 2", 48.0, 5.0, 8.0, 6.5),
    ("cuneiform 3", 50.0, -4.0, 10.0, 6.5),
)  # fmt: skip
# from the side, in the frame of the foot (u towards the toes, v towards the shin): name, u, v, half-length, half-width, turn
FLANKS = (
    ("talus", 6.0, 2.0, 27.0, 14.0, -0.25), ("calcaneus", -18.0, -26.0, 38.0, 19.0, 0.32), ("navicular", 36.0, -8.0, 8.0, 14.0, -0.2),
    ("cuboid", 32.0, -27.0, 16.0, 11.0, 0.1), ("cuneiform 1", 53.0, -12.0, 11.0, 12.0, -0.2), ("cuneiform 2", 51.0, -9.0, 9.0, 9.0, -0.2),
)  # fmt: skip


def block(half_length: float, half_width: float, depth: float = 0.95) -> Tube:
    """A short bone such as a tarsal."""
    wall = 1.0 if half_width < 12 else 1.3
    return Tube(
        2 * half_length, ((0.0, half_width * 0.92), (0.5, half_width * 0.97), (1.0, half_width * 0.92)), wall=((0.0, wall),),
        spongy=((0.0, 0.2),), caps=(half_length * 0.7, half_length * 0.7), squareness=2.3, depth=((0.0, depth),),
    )  # fmt: skip


def toes(
    rng: np.random.Generator, start: Frame, squeeze: float, foreshorten: float, child: bool
) -> tuple[list[Bone], list[Flesh], list[Joint]]:
    """Five metatarsals with their toes from the frame of the midfoot; `squeeze` 1 shows the row from above, 0.2 from the side."""
    bones: list[Bone] = []
    flesh: list[Flesh] = []
    joints: list[Joint] = []
    for ray, (v, angle, lengths, half) in enumerate(TOES):
        fan = math.radians(angle) * squeeze + rng.normal(0, 0.02)
        rise = 0.0 if squeeze > 0.5 else -0.05 + 0.07 * ray  # the arch: from the side the first metatarsal slopes most
        frame, beyond = start.at(0.0 if ray != 1 else -3.0, v * squeeze + (0 if squeeze > 0.5 else 10 - 6 * ray), fan + rise), ANKLE
        for order, adult in enumerate(lengths):
            length = adult * foreshorten * rng.normal(1, 0.03)
            slim = half * (1.0, 0.9, 0.75, 0.65)[order]
            shape = Tube(
                length, ((0.0, slim * 1.75), (0.2, slim * 1.15), (0.5, slim * 0.9), (0.8, slim * 1.1), (0.93, slim * 1.45)),
                wall=((0.0, 0.7), (0.25, slim * 0.3), (0.5, slim * 0.4), (0.8, slim * 0.25), (1.0, 0.7)), spongy=SPONGY, caps=(2.0, slim),
                depth=((0.0, 0.9),), plate=0.8,
            )  # fmt: skip
            name = f"{('metatarsal', 'proximal toe', 'middle toe', 'distal toe')[order]} {ray + 1}"
            physes = ((length * (0.87 if order == 0 and ray else 0.12),)) if child and length > 15 else ()
            bones.append(Bone(name, frame, (shape,), length, slim, (0.12, 0.85), 0.35 if order == 0 else 0.08, physes, beyond))
            if order:
                wide = slim * 1.2 + 4.6
                sleeve = Tube(length + 9, ((0.0, wide),), wall=((0.0, 2.0),), caps=(2.0, wide), squareness=2.0)
                flesh.append(Flesh(name, frame.at(-4.0), (sleeve,), beyond))
            joint = f"toe {ray + 1} {order}"
            if order < len(lengths) - 1:
                if order == 0:
                    joints.append(Joint(joint, frame.at(length + 1.2), slim * 1.9))
                beyond = beyond | {joint}
                frame = frame.at(length + 1.6, 0.0, rng.normal(0, 0.05))
    return bones, flesh, joints


def draw_foot(
    rng: np.random.Generator, ankle: Frame, lateral: bool, region: str, child: bool
) -> tuple[list[Bone], list[Flesh], list[Joint]]:
    """The foot beyond the frame of the ankle. Its u points down the shin; from the side the foot turns forward."""
    bones: list[Bone] = []
    joints = [Joint("ankle", ankle, 24.0)]
    if lateral:
        foot = ankle.at(12.0, 0.0, rng.uniform(1.1, 1.55))
        for name, u, v, a, b, turn in FLANKS:
            part = block(a * rng.normal(1, 0.04), b * rng.normal(1, 0.04))
            spot = foot.at(u, v, turn).at(-part.length / 2)
            bones.append(Bone(name, spot, (part,), part.length, b, (0.3, 0.7), 0.35 if name == "calcaneus" else 0.05, (), ANKLE))
        rays = toes(rng, foot.at(62.0, -16.0, -0.28), 0.16, 1.0, child)
        heel = Tube(92.0, ((0.0, 26.0), (0.4, 36.0), (1.0, 33.0)), wall=((0.0, 5.0),), caps=(20, 8), depth=((0.0, 0.9),))
        sole = Tube(
            170.0, ((0.0, 30.0), (0.3, 30.0), (0.75, 19.0), (1.0, 13.0)), lean=((0.0, -3.0), (1.0, -23.0)), wall=((0.0, 5.0),),
            caps=(10.0, 12.0), depth=((0.0, 1.1), (1.0, 2.2)),
        )  # fmt: skip
        flesh = [Flesh("heel", foot.at(-58.0, -18.0), (heel,), ANKLE), Flesh("sole", foot.at(-20.0, -8.0), (sole,), ANKLE)]
    else:
        # from above when the foot itself is filmed; foreshortened under the shin when the leg is
        short = rng.uniform(0.85, 1.0) if region == "foot" else rng.uniform(0.45, 0.75)
        foot = ankle.at(16.0, 0.0, rng.normal(0, 0.08))
        for name, u, v, a, b in SOLES:
            part = block(a * short * rng.normal(1, 0.04), b * rng.normal(1, 0.04), 1.1)
            spot = foot.at(u * short, v, rng.normal(0, 0.06)).at(-part.length / 2)
            bones.append(Bone(name, spot, (part,), part.length, b, (0.3, 0.7), 0.04, (), ANKLE))
        rays = toes(rng, foot.at(60.0 * short, 0.0), 1.0, short, child)
        sole = Tube(
            155.0 * short + 12, ((0.0, 27.0), (0.3, 33.0), (0.75, 42.0), (1.0, 40.0)), wall=((0.0, 3.0),), caps=(18, 18),
            depth=((0.0, 1.5), (0.35, 1.0), (0.8, 0.45), (1.0, 0.35)),
        )  # fmt: skip
        flesh = [Flesh("sole", foot.at(-34.0 * short, 0.0), (sole,), ANKLE)]
    return bones + rays[0], flesh + rays[1], joints + rays[2]


def thigh(rng: np.random.Generator, lateral: bool, child: bool) -> tuple[Bone, Flesh]:
    """The femur with its neck and condyles, and the flesh of the thigh."""
    side = int(lateral)
    length, shaft, plump = 430.0 * rng.normal(1, 0.02), 14.0 * rng.normal(1, 0.06), rng.normal(1, 0.1)
    ends = (39.0, 30.0)[side]
    profile = (
        (0.0, 16.0), (0.06, 26.0), (0.14, 20.0), (0.25, shaft), (0.65, shaft * 1.03), (0.82, shaft * 1.5), (0.95, ends), (1.0, ends * 0.7),
    )  # fmt: skip
    stem = Tube(
        length, profile, wall=((0.0, 1.4), (0.15, 3.5), (0.35, 6.5), (0.65, 6.0), (0.85, 2.0), (1.0, 1.3)), spongy=SPARSE,
        bow=rng.normal(2, 2) + (0.0, 8.0)[side], caps=(14.0, 9.0), squareness=2.8, depth=((0.0, 1.0), (0.8, 1.0), (1.0, 0.8)),
        lean=((0.0, -6.0), (0.15, -3.0), (0.3, 0.0), (1.0, 0.0)),
    )  # fmt: skip
    neck = Tube(
        84.0, ((0.0, 21.0), (0.4, 17.0), (0.62, 20.0), (0.8, 24.0)), wall=((0.0, 1.5),), spongy=((0.0, 0.15),), caps=(6.0, 24.0),
        squareness=2.0, frame=Frame((-2.0, 46.0), 2.25),
    )  # fmt: skip
    condyles = [
        Tube(
            46.0, ((0.0, 13.0), (0.6, half), (1.0, half)), wall=((0.0, 1.6),), spongy=((0.0, 0.12),), caps=(18.0, 17.0), squareness=2.1,
            depth=((0.0, 1.3),), frame=Frame((v, length - 42.0), 0.0),
        )
        for half, v in (((17.5, -20.0), (18.5, 20.0)), ((25.0, -2.0),))[side]
    ]  # fmt: skip
    frame = Frame((0.0, -length - 7.0), rng.normal(0, 0.02))
    femur = Bone("femur", frame, (stem, neck, *condyles), length, shaft, (0.16, 0.93), 1.6, (length * 0.945,) if child else ())
    outline = ((0.0, 170.0), (0.36, 150.0 * plump), (0.5, 92.0 * plump), (0.85, 64.0 * plump), (1.0, 56.0))  # up into the hip
    lean = ((0.0, 90.0), (0.36, 70.0), (0.5, 4.0), (0.6, 0.0), (1.0, 0.0))
    sleeve = Tube(
        length + 300.0,
        outline,
        wall=((0.0, 10.0 * plump),),
        lean=lean,
        caps=(1.0, 36.0),
        depth=((0.0, 0.5), (0.36, 0.55), (0.5, 0.95), (1.0, 1.0)),
    )
    return femur, Flesh("thigh", frame.at(-240.0), (sleeve,))


def calf(rng: np.random.Generator, knee: Frame, lateral: bool, child: bool) -> tuple[Bone, Bone, Flesh]:
    """Tibia, fibula and the flesh of the shin; from the side the fibula crosses behind the tibia."""
    side = int(lateral)
    t_length, f_length = 365.0 * rng.normal(1, 0.02), 355.0 * rng.normal(1, 0.02)
    thick, plump, plateau, pilon = rng.normal(1, 0.06), rng.normal(1, 0.1), (37.0, 27.0)[side], (22.0, 17.0)[side]
    profile = (
        (0.0, plateau), (0.05, plateau * 0.97), (0.16, 18.0), (0.32, 13.5 * thick), (0.7, 11.5 * thick), (0.86, 14.0), (0.96, pilon),
        (1.0, pilon),
    )  # fmt: skip
    stem = Tube(
        t_length, profile, wall=((0.0, 1.3), (0.15, 2.6), (0.35, 5.2), (0.7, 4.8), (0.88, 1.8), (1.0, 1.2)), spongy=SPARSE, caps=(6.0, 5.0),
        squareness=3.2, bow=rng.normal(0, 2), depth=((0.0, 0.75), (0.3, 1.0), (1.0, 0.9)),
        lean=((0.0, 0.0), (0.25, (1.0, 4.0)[side]), (1.0, 0.0)),
    )  # fmt: skip
    malleolus = Tube(
        26.0, ((0.0, 8.0), (1.0, 6.0)), wall=((0.0, 1.2),), caps=(3.0, 6.0), frame=Frame(((15.0, 2.0)[side], t_length - 14.0), 0.05)
    )
    spine = Tube(22.0, ((0.0, 3.0), (1.0, 9.0)), wall=((0.0, 1.2),), spongy=((0.0, 0.12),), caps=(3.0, 6.0), frame=Frame((0.0, -5.0), 0.0))
    physes = (t_length * 0.045, t_length * 0.955) if child else ()
    tubes = (stem, malleolus, spine)
    tibia = Bone("tibia", knee.at(3.0), tubes, t_length, 12.5 * thick, (0.06, 0.97), 1.7, physes, KNEE, "fibula")
    slender = ((0.0, 9.5), (0.05, 10.0), (0.13, 6.2), (0.5, 6.4), (0.85, 5.8), (0.94, 9.5), (1.0, 7.0))
    stem = Tube(
        f_length, slender, wall=((0.0, 1.0), (0.15, 2.0), (0.5, 3.2), (0.85, 2.2), (1.0, 1.2)), spongy=SPONGY, caps=(7.0, 9.0),
        bow=rng.normal(0, 1.5),
    )  # fmt: skip
    top, bottom = (-20.0 + rng.normal(0, 3), -4.0 + rng.normal(0, 3)) if lateral else (-31.0, -24.0)
    place = knee.at(26.0, top, math.atan2(bottom - top, f_length))
    physes = (f_length * 0.05, f_length * 0.94) if child else ()
    fibula = Bone("fibula", place, (stem,), f_length, 6.2, (0.06, 0.97), 1.0, physes, KNEE, "tibia")
    outline = ((0.0, 56.0), (0.14, 56.0), (0.36, 58.0 * plump), (0.6, 47.0 * plump), (0.86, 35.0), (1.0, 34.0))
    lean = ((0.0, 0.0), (0.35, (0.0, -6.0)[side]), (0.8, (0.0, 4.0)[side]))  # from the side the calf bulges backwards
    sleeve = Tube(t_length + 88.0, outline, wall=((0.0, 7.0 * plump),), caps=(34.0, 8.0), lean=lean, depth=((0.0, 0.95),))
    return tibia, fibula, Flesh("shin", knee.at(-52.0, (-2.0, -8.0)[side]), (sleeve,), KNEE)


def draw_leg(rng: np.random.Generator, region: str, lateral: bool, child: bool) -> Limb:
    """A leg; `region` (femur, knee, leg, ankle, foot) sets where the film is centred and how much of it should show."""
    bent = rng.uniform(0.05, 1.0) if region in ("knee", "femur") else abs(rng.normal(0.0, 0.12))
    knee = Frame((0.0, 0.0), -bent if lateral else rng.normal(0, 0.03))
    femur, upper = thigh(rng, lateral, child)
    tibia, fibula, lower = calf(rng, knee, lateral, child)
    ankle = knee.at(tibia.length + 6.0)
    kneecap = block(21.0, (20.0, 10.0)[int(lateral)], (0.5, 1.9)[int(lateral)])
    place = Frame((42.0 - 6.0 * bent, -34.0), -0.1) if lateral else Frame((0.0, -44.0), 0.0)
    patella = Bone("patella", place, (kneecap,), kneecap.length, 20.0, (0.3, 0.7), 0.12)
    bones, flesh, joints = draw_foot(rng, ankle, lateral, region, child)
    focus, span = {
        "femur": (femur.frame.point(femur.length * 0.55), 420.0),
        "knee": ((0.0, 8.0), 240.0),
        "leg": (knee.point(tibia.length * 0.55), 440.0),
        "ankle": (ankle.point(5.0), 230.0),
        "foot": (ankle.point(40.0, 45.0) if lateral else ankle.point(85.0), 240.0),
    }[region]
    return Limb(
        bones=(femur, patella, tibia, fibula, *bones),
        flesh=(upper, lower, *flesh),
        joints=(Joint("knee", knee, 40.0), *joints),
        focus=jitter(rng, focus, 14.0),
        span=span,
        scale=rng.uniform(0.5, 0.8) if child else 1.0,
        density=rng.uniform(0.55, 1.0),
    )
