"""Drawn radiographs: limbs from a simple physical model, whole or broken, with label, subtype, severity, boxes and mask.

`draw_radiograph` draws one, `draw_set` a balanced stream of them. A seed fixes the person, the film, the noise and the break in separate
random streams, so the same seed with another label is the same limb on the same film with or without its break.

Not here: the limbs (`limb_arm`, `limb_leg`), the breaks (`synthetic_breaks`), the film (`synthetic_film`). What these pictures are worth
for training has to be measured on real ones; they are crude.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.limb_arm import draw_arm
from hf_bones.dataset.limb_leg import draw_leg
from hf_bones.dataset.limb_shapes import Array, Bone, Flesh, Joint, Limb, bone_thickness, flesh_thickness, reach
from hf_bones.dataset.synthetic_breaks import SEVERITY, Break, break_bone, width_at
from hf_bones.dataset.synthetic_extras import cast_attenuation, hardware, markers
from hf_bones.dataset.synthetic_film import CORTEX, FAT, LEAD, METAL, MUSCLE, PLASTER, Film, broad_blur, draw_film, expose
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY, THREE_CLASS, UnknownLabelError

ARM_REGIONS = ("hand", "forearm", "elbow", "humerus")
LEG_REGIONS = ("femur", "knee", "leg", "ankle", "foot")
REGIONS = ARM_REGIONS + LEG_REGIONS
REGION_CHANCE = (0.28, 0.14, 0.1, 0.07, 0.07, 0.08, 0.11, 0.08, 0.07)
# how often each subtype is drawn within its label, roughly as often as radiologists' notes name them
SUBTYPE_CHANCE: dict[str, dict[str, float]] = {
    FRACTURED: {
        "hairline": 0.14, "greenstick": 0.09, "stable": 0.06, "minor": 0.08, "simple": 0.1, "transverse": 0.16, "oblique": 0.11,
        "spiral": 0.07, "avulsion": 0.06, "impacted": 0.08, "dislocation": 0.05,
    },
    BEYOND_REPAIR: {
        "comminuted": 0.32, "shattered": 0.12, "crushed": 0.12, "segmental": 0.14, "bone loss": 0.12, "non union": 0.1, "pseudarthrosis": 0.08,
    },
}  # fmt: skip
CAST_CHANCE, METAL_CHANCE, LATERAL_CHANCE, CHILD_CHANCE = 0.14, 0.07, 0.42, 0.25
MARGIN = 0.06  # of the film's side: no break is drawn nearer to its edge
TRIES = 12


@dataclass(frozen=True, eq=False)
class DrawnRadiograph:
    """One drawn film. `pixels` (H, W) uint8, bone bright; `boxes` (centre x, centre y, width, height) and `severity` in [0, 1];
    `mask` (H, W) bool, the broken area, empty when healthy."""

    pixels: npt.NDArray[np.uint8]
    label: str
    subtype: str
    severity: float
    boxes: tuple[tuple[float, float, float, float], ...]
    mask: npt.NDArray[np.bool_]
    region: str
    view: str
    cast: bool
    seed: int


def draw_radiograph(
    seed: int, label: str | None = None, *, subtype: str | None = None, region: str | None = None, cast: bool | None = None, size: int = 320
) -> DrawnRadiograph:
    """Draws one radiograph of `size` pixels on its long side.

    `label`, `subtype` (a subtype of the default scheme, "" for none), `region` (one of `REGIONS`) and `cast` are drawn where None.
    The same arguments give the same picture everywhere, up to a grey level where a platform rounds exp or sin differently.
    Raises ValueError for an unknown or contradictory label, subtype or region, or a size under 64.
    """
    if size < 64:
        raise ValueError(f"size={size}: a drawn radiograph needs 64 pixels or more on its long side")
    if region is not None and region not in REGIONS:
        raise ValueError(f"region {region!r} cannot be drawn; choose one of {list(REGIONS)}")
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(5)]
    who, taking, noise, breaking, choosing = streams
    label, subtype = choose_label(choosing, label, subtype)
    for _ in range(TRIES):
        limb, where, view = draw_limb(who, region)
        has_cast = bool(who.random() < CAST_CHANCE)
        has_cast = has_cast if cast is None else cast
        film = draw_film(taking, limb, size)
        sites = broken_sites(limb, film)
        joints = [j for j in limb.joints if visible(film, j.frame.origin, 0.02)]
        if sites and (joints or subtype != "dislocation"):
            break
    k = float(breaking.random())
    breaks: list[Break] = []
    moved: Joint | None = None
    if label != HEALTHY and subtype == "":
        options = {s: p for s, p in SUBTYPE_CHANCE[label].items() if s != "dislocation" or joints}
        subtype = str(breaking.choice(list(options), p=np.array(list(options.values())) / sum(options.values())))
    if subtype == "dislocation":
        moved = joints[int(breaking.integers(len(joints)))]
    elif label != HEALTHY:
        breaks = plan_breaks(breaking, sites, limb, subtype, k)
    pixels, mask, boxes = take(limb, film, breaks, moved, k, who, noise, breaking, has_cast)
    low, high = SEVERITY.get(subtype, (0.0, 0.0))
    return DrawnRadiograph(pixels, label, subtype, low + (high - low) * k, boxes, mask, where, view, has_cast, seed)


def draw_set(count: int, seed: int = 0, *, proportions: Mapping[str, float] | None = None, size: int = 320) -> Iterator[DrawnRadiograph]:
    """Yields `count` radiographs, balanced over the three labels or in the given `proportions` (label -> weight), in shuffled order.

    Raises ValueError for a proportion of an unknown label or without a positive weight.
    """
    shares = dict(proportions) if proportions is not None else dict.fromkeys(THREE_CLASS.names, 1.0)
    total = sum(shares.values())
    if unknown := set(shares) - set(THREE_CLASS.names):
        raise ValueError(f"proportions name {sorted(unknown)}; labels that can be drawn are {list(THREE_CLASS.names)}")
    if total <= 0 or min(shares.values()) < 0:
        raise ValueError(f"proportions {shares} need weights of 0 or more with a positive sum")
    # largest remainders, so that counts differ from the shares by less than one
    exact = {name: count * share / total for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda n: exact[n] - counts[n], reverse=True)[: count - sum(counts.values())]:
        counts[name] += 1
    labels = [name for name, number in counts.items() for _ in range(number)]
    sequence = np.random.SeedSequence(seed)
    np.random.Generator(np.random.PCG64(sequence)).shuffle(labels)
    seeds = sequence.generate_state(count, dtype=np.uint32)
    for one, label in zip(seeds, labels, strict=True):
        yield draw_radiograph(int(one), label, size=size)


def choose_label(rng: np.random.Generator, label: str | None, subtype: str | None) -> tuple[str, str]:
    """The label and subtype ("" = not chosen yet) that the caller's wishes leave. Raises ValueError where they contradict."""
    drawn = str(rng.choice(list(THREE_CLASS.names)))
    name = ""
    if subtype:
        name = THREE_CLASS.subtype(subtype) or ""
        if name not in SEVERITY:
            raise ValueError(f"subtype {subtype!r} cannot be drawn; choose one of {list(SEVERITY)}")
        drawn = THREE_CLASS.resolve(name)
    if label is None:
        return drawn, name
    try:
        wanted = THREE_CLASS.resolve(label)
    except UnknownLabelError as error:
        raise ValueError(str(error)) from error
    if name and wanted != drawn:
        raise ValueError(f"subtype {subtype!r} belongs to {drawn!r}, not to label {wanted!r}")
    return wanted, name


def draw_limb(rng: np.random.Generator, region: str | None) -> tuple[Limb, str, str]:
    """(limb, region, view) of one imagined person."""
    drawn = str(rng.choice(REGIONS, p=REGION_CHANCE))
    where = region or drawn
    lateral, child = bool(rng.random() < LATERAL_CHANCE), bool(rng.random() < CHILD_CHANCE)
    limb = draw_arm(rng, where, lateral, child) if where in ARM_REGIONS else draw_leg(rng, where, lateral, child)
    return limb, where, "lateral" if lateral else "frontal"


def visible(film: Film, point: tuple[float, float], margin: float = 0.0) -> bool:
    """Whether a scene point lies well inside the film and its collimation."""
    j, i = film.pixel(point)
    x, y = j / film.width, i / film.height
    left, top, right, bottom = (m + MARGIN + margin for m in film.margins)
    return left < x < 1 - right and top < y < 1 - bottom


def broken_sites(limb: Limb, film: Film) -> list[tuple[Bone, float, float]]:
    """(bone, u, weight) of places in view where a bone could break."""
    sites = []
    for bone in limb.bones:
        low, high = bone.breakable
        spots = [u for u in np.linspace(low, high, 24) * bone.length if visible(film, bone.frame.point(u))]
        sites += [(bone, float(u), bone.weight / len(spots)) for u in spots]
    return [site for site in sites if site[2] > 0]


def plan_breaks(rng: np.random.Generator, sites: list[tuple[Bone, float, float]], limb: Limb, subtype: str, k: float) -> list[Break]:
    """One break of the subtype, and often a second one in the bone beside it."""
    weights = np.array([weight for _, _, weight in sites])
    bone, u, _ = sites[int(rng.choice(len(sites), p=weights / weights.sum()))]
    if subtype == "impacted":  # the shaft is driven into the wide end
        ends = [s for s in sites if s[0] is bone and not 0.2 < s[1] / bone.length < 0.8]
        u = ends[int(rng.integers(len(ends)))][1] if ends else u
    breaks = [break_bone(rng, bone, u, subtype, k)]
    both = rng.random() < (0.15 if subtype in ("hairline", "avulsion") else 0.35)
    partner = next((b for b in limb.bones if b.name == bone.partner), None)
    if both and partner is not None:
        x, y = bone.frame.point(u)
        beside = partner.frame.local(x, y)[0] + rng.normal(0, 0.04 * partner.length)
        if any(s[0] is partner and abs(s[1] - beside) < 0.06 * partner.length for s in sites):
            breaks.append(break_bone(rng, partner, float(beside), subtype, k * 0.8))
    return breaks


def shifted(part: Bone | Flesh, moved: Joint | None, by: tuple[float, float]) -> Bone | Flesh:
    """The part, moved if it hangs beyond the dislocated joint; `by` is (u, v) in mm of the joint's frame."""
    if moved is None or moved.name not in part.beyond:
        return part
    x, y = moved.frame.point(*by)
    dx, dy = x - moved.frame.origin[0], y - moved.frame.origin[1]
    return replace(part, frame=replace(part.frame, origin=(part.frame.origin[0] + dx, part.frame.origin[1] + dy)))


def take(
    limb: Limb, film: Film, breaks: list[Break], moved: Joint | None, k: float, who: np.random.Generator, noise: np.random.Generator,
    breaking: np.random.Generator, cast: bool,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], tuple[tuple[float, float, float, float], ...]]:  # fmt: skip
    """Adds up what each ray crosses, with and without the break, and develops it: (pixels, mask, boxes)."""
    shape = (film.height, film.width)
    scale = np.float32(limb.scale)
    by = (0.0, 0.0)
    if moved is not None:
        side = float(breaking.choice([-1.0, 1.0]))
        by = (-moved.radius * (0.1 + 0.4 * k), side * moved.radius * (0.55 + 0.6 * k))
    soft = layers(limb, film, None, by)
    bone = np.zeros(shape, dtype=np.float32)
    change = np.zeros(shape, dtype=np.float32)
    mask = np.zeros(shape, dtype=bool)
    boxes = []
    for one in limb.bones:
        where = film.patch(one.frame, reach(one.tubes, 3.0))
        if where is not None:
            bone[where] += bone_thickness(one, *film.local(one.frame, where))
    for event in breaks:
        area = lay_break(event, film, change)
        mask |= area
        boxes.append(box_of(area))
    soft_change: Array | None = None
    if moved is not None:
        for one in limb.bones:
            other = shifted(one, moved, by)
            if other is not one and isinstance(other, Bone):
                for part, sign in ((one, -1), (other, 1)):
                    where = film.patch(part.frame, reach(part.tubes, 3.0))
                    if where is not None:
                        change[where] += sign * bone_thickness(part, *film.local(part.frame, where))
        soft_change = layers(limb, film, moved, by) - soft
        rows, columns = np.mgrid[: film.height, : film.width]
        j, i = film.pixel(moved.frame.point(by[0] / 2, by[1] / 2))
        near = np.hypot(rows - i, columns - j) < (moved.radius * 1.3 + abs(by[1]) / 2) / film.pitch
        mask = near & ((bone + change > 0.5) | (np.abs(change) > 0.5))
        mask[min(max(round(i), 0), film.height - 1), min(max(round(j), 0), film.width - 1)] = True
        boxes.append(box_of(mask))
    grain = broad_blur(who.standard_normal(shape, dtype=np.float32), 0.02)
    soft = soft * (1 + np.float32(0.03) * grain / grain.std())
    extra = np.zeros(shape, dtype=np.float32)
    shell, metal_too = who.uniform(4.0, 9.0), who.random() < METAL_CHANCE
    plaster, metal = np.random.Generator(np.random.PCG64(who.integers(2**62))), np.random.Generator(np.random.PCG64(who.integers(2**62)))
    if cast:
        extra += PLASTER * cast_attenuation(plaster, limb, film, shell)
    if metal_too:
        extra += METAL * hardware(metal, limb, film)
    lead, text = markers(who, film)
    if lead is not None:
        extra += LEAD * 2 * lead
    per_mm = np.float32((CORTEX - MUSCLE) * limb.density) * scale
    intact = soft * scale + per_mm * bone + extra
    after = intact + per_mm * change
    if soft_change is not None:
        after = after + soft_change * scale
    pixels = expose(np.maximum(after, 0), intact, film, noise)
    if text is not None:
        pixels = np.maximum(pixels, np.rint(text * 235).astype(np.uint8))
    return pixels, mask, tuple(boxes)


def layers(limb: Limb, film: Film, moved: Joint | None, by: tuple[float, float]) -> Array:
    """(H, W) attenuation of the soft tissue of an adult's limb."""
    whole = np.zeros((film.height, film.width), dtype=np.float32)
    muscle = np.zeros_like(whole)
    for one in limb.flesh:
        part = shifted(one, moved, by)
        where = film.patch(part.frame, reach(part.tubes, 2.0))
        if where is None or not isinstance(part, Flesh):
            continue
        outer, inner = flesh_thickness(part, *film.local(part.frame, where))
        whole[where], muscle[where] = np.maximum(whole[where], outer), np.maximum(muscle[where], inner)
    return np.float32(FAT) * (whole - muscle) + np.float32(MUSCLE) * muscle


def lay_break(event: Break, film: Film, change: Array) -> npt.NDArray[np.bool_]:
    """Adds the break's change of thickness to `change` and returns the broken area (H, W), never empty."""
    area = np.zeros(change.shape, dtype=bool)
    bone = event.bone
    where = film.patch(bone.frame, reach(bone.tubes, 0.8 * bone.calibre + 12.0))
    if where is not None:
        u, v = film.local(bone.frame, where)
        difference = event.thickness(u, v, film.pitch) - bone_thickness(bone, u, v)
        change[where] += difference
        centre, half = width_at(bone, event.u)
        near = (np.abs(u - event.u) < event.reach) & (np.abs(v - centre) < 2.2 * half + 6)
        area[where] = near & (np.abs(difference) > max(0.08 * half, 0.35))
    if not area.any():
        j, i = film.pixel(bone.frame.point(event.u, width_at(bone, event.u)[0]))
        i, j = min(max(round(i), 1), film.height - 2), min(max(round(j), 1), film.width - 2)
        area[i - 1 : i + 2, j - 1 : j + 2] = True
    return area


def box_of(area: npt.NDArray[np.bool_], margin: int = 2) -> tuple[float, float, float, float]:
    """The (centre x, centre y, width, height) box, normalised to [0, 1], round the true pixels and `margin` more."""
    rows, columns = np.nonzero(area.any(axis=1))[0], np.nonzero(area.any(axis=0))[0]
    h, w = area.shape
    top, bottom = max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, h)
    left, right = max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, w)
    return (left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h
