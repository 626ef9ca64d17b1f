"""What lies on a film besides a limb: casts, plates and wires, side markers and writing. None of it knows the label."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from hf_bones.dataset.drawn.film import Film, small_blur
from hf_bones.dataset.drawn.shapes import AT, TABLE, Array, Bone, Flesh, Limb, chords, ease, reach

# strokes of a few capitals and digits on a 2 x 4 grid, (x0, y0, x1, y1); drawn by hand so that no font has to be found
STROKES = {
    "L": ((0, 0, 0, 4), (0, 4, 2, 4)),
    "R": ((0, 0, 0, 4), (0, 0, 2, 0), (2, 0, 2, 2), (2, 2, 0, 2), (0.7, 2, 2, 4)),
    "A": ((0, 4, 1, 0), (1, 0, 2, 4), (0.4, 2.6, 1.6, 2.6)),
    "P": ((0, 0, 0, 4), (0, 0, 2, 0), (2, 0, 2, 2), (2, 2, 0, 2)),
    "T": ((0, 0, 2, 0), (1, 0, 1, 4)),
    "1": ((1, 0, 1, 4),),
    "7": ((0, 0, 2, 0), (2, 0, 0.6, 4)),
    "4": ((0, 0, 0, 2), (0, 2, 2, 2), (1.6, 0, 1.6, 4)),
}


def write(width: int, height: int, text: str, at: tuple[float, float], size: float, angle: float, mirrored: bool) -> Array:
    """(H, W) in [0, 1]: `text` in strokes, `size` pixels high, its first letter at `at`; drawn at double size for smooth edges."""
    sheet = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(sheet)
    unit = size / 4
    s, c = math.sin(angle), math.cos(angle)
    for order, letter in enumerate(text):
        for x0, y0, x1, y1 in STROKES.get(letter, ()):
            ends = []
            for x, y in ((x0 + order * 3, y0), (x1 + order * 3, y1)):
                x = -x if mirrored else x
                ends.append((2 * (at[0] + unit * (x * c - y * s)), 2 * (at[1] + unit * (x * s + y * c))))
            pen.line(ends, fill=255, width=max(2, round(unit * 1.1)))
    small = sheet.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def markers(rng: np.random.Generator, film: Film) -> tuple[Array | None, Array | None]:
    """(lead letters under the beam, writing added to the picture), each (H, W) in [0, 1] or None. Half the films carry a side letter."""
    side = "L" if film.mirror else "R"
    if rng.random() < 0.15:
        side = "R" if side == "L" else "L"
    long = max(film.width, film.height)
    lead = text = None
    corner = rng.integers(0, 4)
    x = film.width * (rng.uniform(0.08, 0.2) if corner % 2 else rng.uniform(0.78, 0.9))
    y = film.height * (rng.uniform(0.06, 0.2) if corner < 2 else rng.uniform(0.76, 0.88))
    size, angle, reversed_ = long * rng.uniform(0.025, 0.055), rng.normal(0, 0.25), bool(rng.random() < 0.1)
    chance, second, words = rng.random(), rng.random(), "".join(rng.choice(list(STROKES), size=5))
    if chance < 0.5:
        lead = write(film.width, film.height, side, (x, y), size, angle, reversed_)
    if second < 0.15:
        text = write(film.width, film.height, words, (film.width * 0.04, film.height * 0.93), long * 0.022, 0.0, False)
    return lead, text


def cast_attenuation(rng: np.random.Generator, limb: Limb, film: Film, shell: float) -> Array:
    """(H, W) mm of plaster: a rough shell `shell` mm thick round each of the two sleeves of the limb nearest to the focus."""
    plaster = np.zeros((film.height, film.width), dtype=np.float32)
    sleeves = [f for f in limb.flesh if f.name in ("forearm", "upper arm", "palm", "shin", "thigh", "heel", "sole")]

    def far(flesh: Flesh) -> float:
        u, v = flesh.frame.local(*limb.focus)
        length = flesh.tubes[0].length
        return math.hypot(max(-u, u - length, 0.0) + 0.1 * abs(u - length / 2), v)

    share = rng.uniform(-0.02, 0.15), rng.uniform(0.85, 1.02)
    for flesh in sorted(sleeves, key=far)[: int(rng.integers(1, 3))]:
        skin = flesh.tubes[0]
        air = rng.uniform(0.5, 3.0)
        at = np.linspace(0, 1, 17)
        # over the skin, air, then a shell of uneven thickness
        outside = np.interp(at, AT, ease(skin.half_width)) + air + shell
        ripple = rng.normal(0, 0.6, len(at))
        half_width = tuple((float(t), float(h + r)) for t, h, r in zip(at, outside, ripple, strict=True))
        wall = tuple((float(t), float(shell + r)) for t, r in zip(at, ripple, strict=True))
        tube = replace(skin, half_width=half_width, wall=wall, plate=0.0)
        where = film.patch(flesh.frame, reach([tube], 2.0))
        if where is None:
            continue
        u, v = film.local(flesh.frame, where)
        outer, hollow, entry = chords(tube, u, v)
        along = entry / np.float32(TABLE)
        inside = np.clip((along - share[0]) * 60, 0, 1) * np.clip((share[1] - along) * 60, 0, 1)
        plaster[where] = np.maximum(plaster[where], (outer - hollow) * inside)
    weave = small_blur(rng.standard_normal(plaster.shape, dtype=np.float32), 1.2)
    return plaster * (1 + 0.25 * weave)


def hardware(rng: np.random.Generator, limb: Limb, film: Film) -> Array:
    """(H, W) mm of metal: a plate with screws, or a wire, on one long bone in view; healed fixation is no break."""
    metal = np.zeros((film.height, film.width), dtype=np.float32)
    long = [b for b in limb.bones if b.length > 120]
    draws = rng.random(6)

    def off(bone: Bone) -> float:
        u, v = bone.frame.local(*limb.focus)
        return abs(u - bone.length / 2) / bone.length + abs(v) / 60

    bone = sorted(long, key=off)[0 if draws[0] < 0.7 else min(1, len(long) - 1)]
    where = film.patch(bone.frame, ((0.0, -40.0), (bone.length, 40.0)))
    if where is None:
        return metal
    u, v = film.local(bone.frame, where)
    v = v - np.interp(u, np.linspace(0, bone.length, bone.tubes[0].centre.size), bone.tubes[0].centre).astype(np.float32)
    begin, end = (0.12 + 0.3 * draws[1]) * bone.length, (0.6 + 0.3 * draws[2]) * bone.length
    px = film.pitch
    along = np.clip((u - begin) / px + 0.5, 0, 1) * np.clip((end - u) / px + 0.5, 0, 1)
    half = bone.calibre

    def bar(middle: float, width: float, thick: float) -> Array:
        return along * np.clip((width / 2 - np.abs(v - middle)) / px + 0.5, 0, 1) * np.float32(thick)

    if draws[3] < 0.35:  # a nail or wire down the marrow
        metal[where] = bar(0.0, max(1.8, half * 0.45), half * 0.5)
        return metal
    side = half if draws[4] < 0.5 else -half
    plate = bar(side * 1.1, half * 0.35, 5.0) if draws[5] < 0.5 else bar(0.0, half * 0.9, 2.0)
    pitch = max((end - begin) / 8, 6.0)
    phase = np.abs((u - begin) % pitch - pitch / 2)
    shank = np.clip((1.6 - phase) / px + 0.5, 0, 1) * along * (np.abs(v) < half * 1.15)
    metal[where] = np.maximum(plate, shank * np.float32(3.0))
    return metal
