"""One film of one limb: what each ray crosses with and without the break, where the break shows, and what else lies in the beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.drawn.cuts import Break, width_at
from hf_bones.dataset.drawn.extras import cast_attenuation, hardware, markers
from hf_bones.dataset.drawn.film import CORTEX, FAT, LEAD, METAL, MUSCLE, PLASTER, Film, broad_blur, expose
from hf_bones.dataset.drawn.shapes import Array, Bone, Flesh, Frame, Joint, Limb, bone_thickness, flesh_thickness, reach

Box = tuple[float, float, float, float]
Mask = npt.NDArray[np.bool_]
METAL_CHANCE = 0.07


@dataclass(frozen=True)
class Dislocation:
    """A joint whose far side has moved by (u, v) mm in the joint's frame."""

    joint: Joint
    by: tuple[float, float]

    def moves(self, part: Bone | Flesh) -> bool:
        return self.joint.name in part.beyond

    def frame(self, part: Bone | Flesh) -> Frame:
        """Where a part that hangs beyond the joint has gone."""
        x, y = self.joint.frame.point(*self.by)
        x0, y0 = self.joint.frame.origin
        return replace(part.frame, origin=(part.frame.origin[0] + x - x0, part.frame.origin[1] + y - y0))


def dislocate(rng: np.random.Generator, joint: Joint, k: float) -> Dislocation:
    """The far side slid past the near one and sideways; `k` in [0, 1] sets how far."""
    side = float(rng.choice([-1.0, 1.0]))
    return Dislocation(joint, (-joint.radius * (0.1 + 0.4 * k), side * joint.radius * (0.55 + 0.6 * k)))


def take(
    limb: Limb,
    film: Film,
    breaks: Sequence[Break],
    out: Dislocation | None,
    who: np.random.Generator,
    noise: np.random.Generator,
    cast: bool,
) -> tuple[npt.NDArray[np.uint8], Mask, tuple[Box, ...]]:
    """The film (H, W) uint8, the broken area (H, W) and a box round each break."""
    shape = (film.height, film.width)
    soft = soft_attenuation(limb, film, None)
    bone, change, soft_change = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for one in limb.bones:
        lay_bone(one, film, bone)
    areas = [lay_break(event, film, change) for event in breaks]
    if out is not None:
        for one in limb.bones:
            if out.moves(one):
                lay_bone(one, film, change, -1.0)
                lay_bone(replace(one, frame=out.frame(one)), film, change)
        soft_change = soft_attenuation(limb, film, out) - soft
        areas.append(joint_area(out, film, (bone + change > 0.5) | (np.abs(change) > 0.5)))
    mask = np.logical_or.reduce(areas) if areas else np.zeros(shape, dtype=bool)

    muscle = broad_blur(who.standard_normal(shape, dtype=np.float32), 0.02)
    soft = soft * (1 + np.float32(0.03) * muscle / muscle.std())
    lead, text = markers(who, film)
    extra = added_attenuation(who, limb, film, cast)
    if lead is not None:
        extra += LEAD * 2 * lead
    # a child's tissue is thinner in proportion, so every length of the adult's limb shrinks by the scale
    per_mm = np.float32((CORTEX - MUSCLE) * limb.density * limb.scale)
    intact = soft * np.float32(limb.scale) + per_mm * bone + extra
    after = intact + per_mm * change + soft_change * np.float32(limb.scale)
    pixels = expose(np.maximum(after, 0), intact, film, noise)
    if text is not None:
        pixels = np.maximum(pixels, np.rint(text * 235).astype(np.uint8))
    return pixels, mask, tuple(box_of(area) for area in areas)


def soft_attenuation(limb: Limb, film: Film, out: Dislocation | None) -> Array:
    """(H, W) attenuation of an adult's soft tissue: fat over muscle."""
    whole = np.zeros((film.height, film.width), dtype=np.float32)
    muscle = np.zeros_like(whole)
    for part in limb.flesh:
        frame = out.frame(part) if out is not None and out.moves(part) else part.frame
        where = film.patch(frame, reach(part.tubes, 2.0))
        if where is not None:
            outer, inner = flesh_thickness(part, *film.local(frame, where))
            whole[where], muscle[where] = np.maximum(whole[where], outer), np.maximum(muscle[where], inner)
    return np.float32(FAT) * (whole - muscle) + np.float32(MUSCLE) * muscle


def added_attenuation(who: np.random.Generator, limb: Limb, film: Film, cast: bool) -> Array:
    """(H, W) attenuation of a cast, if asked for, and now and then of metal; the draws are made either way."""
    plaster, metal = (np.random.Generator(np.random.PCG64(int(seed))) for seed in who.integers(2**62, size=2))
    shell, fixed = who.uniform(4.0, 9.0), who.random() < METAL_CHANCE
    extra = np.zeros((film.height, film.width), dtype=np.float32)
    if cast:
        extra += np.float32(PLASTER) * cast_attenuation(plaster, limb, film, shell)
    if fixed:
        extra += np.float32(METAL) * hardware(metal, limb, film)
    return extra


def lay_bone(bone: Bone, film: Film, onto: Array, sign: float = 1.0) -> None:
    """Adds the bone's thickness (mm of cortex), times `sign`, to `onto` (H, W)."""
    where = film.patch(bone.frame, reach(bone.tubes, 3.0))
    if where is not None:
        onto[where] += np.float32(sign) * bone_thickness(bone, *film.local(bone.frame, where))


def lay_break(event: Break, film: Film, change: Array) -> Mask:
    """Adds the break's change of thickness to `change` and returns the broken area (H, W), never empty."""
    area = np.zeros(change.shape, dtype=bool)
    bone = event.bone
    centre, half = width_at(bone, event.u)
    where = film.patch(bone.frame, reach(bone.tubes, 0.8 * bone.calibre + 12.0))
    if where is not None:
        u, v = film.local(bone.frame, where)
        difference = event.thickness(u, v, film.pitch) - bone_thickness(bone, u, v)
        change[where] += difference
        near = (np.abs(u - event.u) < event.reach) & (np.abs(v - centre) < 2.2 * half + 6)
        area[where] = near & (np.abs(difference) > max(0.15 * half, 0.4)) & (film.beam[where] > 0.5)
    return area if area.any() else spot(film, film.pixel(bone.frame.point(event.u, centre)))


def joint_area(out: Dislocation, film: Film, bone: Mask) -> Mask:
    """The bone in view round a dislocated joint, (H, W), never empty."""
    rows, columns = np.mgrid[: film.height, : film.width]
    j, i = film.pixel(out.joint.frame.point(out.by[0] / 2, out.by[1] / 2))
    near = np.hypot(rows - i, columns - j) < (out.joint.radius + abs(out.by[1]) / 2) / film.pitch
    area = near & bone & (film.beam > 0.5)
    return area if area.any() else spot(film, (j, i))


def spot(film: Film, at: tuple[float, float]) -> Mask:
    """Three by three pixels at (column, row), or as near to it as the film goes: a break too fine to change a whole pixel."""
    j, i = min(max(round(at[0]), 1), film.width - 2), min(max(round(at[1]), 1), film.height - 2)
    area = np.zeros((film.height, film.width), dtype=bool)
    area[i - 1 : i + 2, j - 1 : j + 2] = True
    return area


def box_of(area: Mask, margin: int = 2) -> Box:
    """The (centre x, centre y, width, height) box, normalised to [0, 1], round the true pixels and `margin` more."""
    rows, columns = np.nonzero(area.any(axis=1))[0], np.nonzero(area.any(axis=0))[0]
    h, w = area.shape
    top, bottom = max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, h)
    left, right = max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, w)
    return (left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h
