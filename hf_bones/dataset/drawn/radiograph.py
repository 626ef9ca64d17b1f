"""Drawn radiographs: limbs from a simple physical model, whole or broken, with label, subtype, severity, boxes and mask.

`draw_radiograph` draws one, `draw_set` a balanced stream of them, in one of two modes. `hard`, the default: any limb, most of it in view,
and every subtype down to the hairline. `plain`: a shaft close up, and breaks that anybody sees (`plain.py`).

A seed fixes the person, the film, the noise and the break in separate random streams, so the same seed with another label is the same limb
on the same film with or without its break (unless a dislocation was asked for and the first film showed no joint).

Not here: the limbs (`arm.py`, `leg.py`), the breaks (`breaks.py`), the film (`film.py`). What these pictures are worth
for training has to be measured on real ones; they are crude.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.drawn.arm import draw_arm
from hf_bones.dataset.drawn.breaks import SEVERITY, break_bone
from hf_bones.dataset.drawn.cuts import Break
from hf_bones.dataset.drawn.film import Film, draw_film
from hf_bones.dataset.drawn.leg import draw_leg
from hf_bones.dataset.drawn.plain import PLAIN_SUBTYPES, SHAFTS, close_up, plain_breaks
from hf_bones.dataset.drawn.scene import Box, Dislocation, dislocate, take
from hf_bones.dataset.drawn.shapes import Bone, Joint, Limb
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY, THREE_CLASS, UnknownLabelError

Site = tuple[Bone, float, float]  # a bone, mm along it, how likely it is to break there
SUBTLE = ("hairline", "minor", "greenstick", "avulsion")
DESTRUCTIVE = THREE_CLASS.classes[THREE_CLASS.label2id[BEYOND_REPAIR]].subtypes
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
        "comminuted": 0.32, "shattered": 0.12, "crushed": 0.12, "segmental": 0.14, "bone loss": 0.12, "non union": 0.1,
        "pseudarthrosis": 0.08,
    },
}  # fmt: skip
CAST_CHANCE, LATERAL_CHANCE, CHILD_CHANCE = 0.14, 0.42, 0.25
HARD, PLAIN = "hard", "plain"
MODES = (HARD, PLAIN)
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
    boxes: tuple[Box, ...]
    mask: npt.NDArray[np.bool_]
    region: str
    view: str
    cast: bool
    seed: int
    mode: str


@dataclass(frozen=True, eq=False)
class Scene:
    """A limb, how its film is taken, the places in view where it could break and the joints in view; none of it knows the label."""

    limb: Limb
    region: str
    view: str
    cast: bool
    film: Film
    sites: list[Site]
    joints: list[Joint]


def draw_radiograph(
    seed: int,
    label: str | None = None,
    *,
    subtype: str | None = None,
    region: str | None = None,
    cast: bool | None = None,
    size: int = 320,
    mode: str = HARD,
) -> DrawnRadiograph:
    """Draws one radiograph of `size` pixels on its long side, in one of `MODES`.

    `label`, `subtype` (a subtype of the default scheme, "" for none), `region` (one of `REGIONS`) and `cast` are drawn where None; the
    plain mode knows the subtypes of `PLAIN_SUBTYPES` and the regions of `SHAFTS`.
    The same arguments give the same picture everywhere, up to a grey level where a platform rounds exp or sin differently.
    Raises ValueError for an unknown mode, an unknown or contradictory label, subtype or region, or a size under 64.
    """
    if size < 64:
        raise ValueError(f"size={size}: a drawn radiograph needs 64 pixels or more on its long side")
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: drawn radiographs are {' or '.join(MODES)}")
    regions = REGIONS if mode == HARD else tuple(SHAFTS)
    if region is not None and region not in regions:
        raise ValueError(f"region {region!r} cannot be drawn in {mode} mode; choose one of {list(regions)}")
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(5)]
    who, taking, noise, breaking, choosing = streams
    label, subtype = choose_label(choosing, label, subtype, mode)
    scene = close_scene(who, taking, region, size) if mode == PLAIN else whole_scene(who, taking, region, size, subtype, seed)
    limb, film, joints = scene.limb, scene.film, scene.joints
    k = float(breaking.random())
    breaks: list[Break] = []
    out: Dislocation | None = None
    if label != HEALTHY and subtype == "":
        options = {s: p for s, p in chances_of(mode)[label].items() if s != "dislocation" or joints}
        subtype = str(breaking.choice(list(options), p=np.array(list(options.values())) / sum(options.values())))
    if subtype == "dislocation":
        out = dislocate(breaking, joints[int(breaking.integers(len(joints)))], k)
    elif label != HEALTHY and mode == PLAIN:
        bone, at, _ = scene.sites[0]
        breaks = plain_breaks(breaking, bone, at, limb, film, subtype, k)
    elif label != HEALTHY:
        breaks = plan_breaks(breaking, scene.sites, limb, subtype, k, scene.view == "lateral")
    has_cast = scene.cast if cast is None else cast
    pixels, mask, boxes = take(limb, film, breaks, out, who, noise, has_cast)
    low, high = SEVERITY.get(subtype, (0.0, 0.0))
    return DrawnRadiograph(pixels, label, subtype, low + (high - low) * k, boxes, mask, scene.region, scene.view, has_cast, seed, mode)


def draw_set(count: int, seed: int = 0, *, size: int = 320, mode: str = HARD) -> Iterator[DrawnRadiograph]:
    """Yields `count` radiographs, balanced over the three labels, in shuffled order."""
    names = THREE_CLASS.names
    labels = [name for place, name in enumerate(names) for _ in range(place, count, len(names))]
    sequence = np.random.SeedSequence(seed)
    np.random.Generator(np.random.PCG64(sequence)).shuffle(labels)
    seeds = sequence.generate_state(count, dtype=np.uint32)
    for one, label in zip(seeds, labels, strict=True):
        yield draw_radiograph(int(one), label, size=size, mode=mode)


def chances_of(mode: str) -> dict[str, dict[str, float]]:
    """How often each subtype is drawn within its label in a mode."""
    return PLAIN_SUBTYPES if mode == PLAIN else SUBTYPE_CHANCE


def choose_label(rng: np.random.Generator, label: str | None, subtype: str | None, mode: str) -> tuple[str, str]:
    """The label and subtype ("" = not chosen yet) that the caller's wishes leave. Raises ValueError where they contradict."""
    drawn = str(rng.choice(list(THREE_CLASS.names)))
    name = ""
    if subtype:
        name = THREE_CLASS.subtype(subtype) or ""
        known = [each for options in chances_of(mode).values() for each in options]
        if name not in known:
            raise ValueError(f"subtype {subtype!r} cannot be drawn in {mode} mode; choose one of {known}")
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


def whole_scene(who: np.random.Generator, taking: np.random.Generator, region: str | None, size: int, subtype: str, seed: int) -> Scene:
    """A limb whole in view that has a place to break, or a joint to dislocate where that is asked for."""
    for _ in range(TRIES):
        limb, where, view = draw_limb(who, region)
        has_cast = bool(who.random() < CAST_CHANCE)
        film = draw_film(taking, limb, size)
        sites = broken_sites(limb, film)
        shown = film.shows(np.array([joint.frame.origin for joint in limb.joints]), MARGIN + 0.02)
        joints = [joint for joint, seen in zip(limb.joints, shown, strict=True) if seen]
        if sites and (joints or subtype != "dislocation"):
            return Scene(limb, where, view, has_cast, film, sites, joints)
    raise RuntimeError(f"seed {seed}: no {subtype or 'break'} could be brought into view in {TRIES} tries; use another seed or region")


def close_scene(who: np.random.Generator, taking: np.random.Generator, region: str | None, size: int) -> Scene:
    """A shaft close up, from the front: from the side the two bones of a forearm or leg lie on each other."""
    drawn = str(who.choice(list(SHAFTS)))
    limb, where, view = draw_limb(who, region or drawn, lateral_chance=0.0)
    has_cast = bool(who.random() < CAST_CHANCE)
    film, bone, at = close_up(taking, limb, where, draw_film(taking, limb, size))
    return Scene(limb, where, view, has_cast, film, [(bone, at, 1.0)], [])


def draw_limb(rng: np.random.Generator, region: str | None, lateral_chance: float = LATERAL_CHANCE) -> tuple[Limb, str, str]:
    """(limb, region, view) of one imagined person."""
    drawn = str(rng.choice(REGIONS, p=REGION_CHANCE))
    where = region or drawn
    lateral, child = bool(rng.random() < lateral_chance), bool(rng.random() < CHILD_CHANCE)
    limb = draw_arm(rng, where, lateral, child) if where in ARM_REGIONS else draw_leg(rng, where, lateral, child)
    return limb, where, "lateral" if lateral else "frontal"


def broken_sites(limb: Limb, film: Film) -> list[Site]:
    """Places in view where a bone could break."""
    sites: list[Site] = []
    for bone in limb.bones:
        if not bone.weight:
            continue
        spots = np.linspace(*bone.breakable, 14) * bone.length
        first, last = np.array(bone.frame.point(0.0)), np.array(bone.frame.point(bone.length))
        shown = spots[film.shows(first + np.outer(spots / bone.length, last - first), MARGIN)]
        sites += [(bone, float(u), bone.weight / len(shown)) for u in shown]
    return sites


def plan_breaks(rng: np.random.Generator, sites: list[Site], limb: Limb, subtype: str, k: float, lateral: bool) -> list[Break]:
    """One break of the subtype, and often a second one in the bone beside it."""
    # what shows only as a thin line would be lost where the small bones overlap; what shatters is drawn on bones large enough to show it
    large = [site for site in sites if site[0].length > (120 if subtype in SUBTLE else 42)]
    if large and (subtype in DESTRUCTIVE or (subtype in SUBTLE and lateral)):
        sites = large
    weights = np.array([weight * (bone.calibre if subtype in DESTRUCTIVE else 1.0) for bone, _, weight in sites])
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
