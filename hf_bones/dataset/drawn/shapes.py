"""Bones and flesh as bundles of tubes, and how many millimetres of bone a ray crosses in them.

Everything is in millimetres. A scene has x across and y down the limb; each part has its own frame with u along its axis and v across.
A tube has an elliptic cross-section that changes along u, so the chord of a ray is 2 * depth * sqrt(radius^2 - v^2); a hollow tube
(a cortex round spongy bone) is the outer chord less the inner one, which gives the bright edges that long bones have on film.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Point = tuple[float, float]
Knots = tuple[tuple[float, float], ...]

TABLE = 512  # entries along a tube: under 1 mm each for the longest bone
AT = np.linspace(0, 1, TABLE, dtype=np.float32)  # where along the tube each entry stands
GRAIN = 256  # side of the tile of trabecular texture, in steps of GRAIN_MM
GRAIN_MM = 0.55


@dataclass(frozen=True)
class Frame:
    """A place and a direction: u runs along (sin angle, cos angle), so angle 0 points down the scene; v runs to its left hand."""

    origin: Point
    angle: float

    def point(self, u: float, v: float = 0.0) -> Point:
        """Scene (x, y) of the local point (u, v)."""
        s, c = math.sin(self.angle), math.cos(self.angle)
        return self.origin[0] + u * s + v * c, self.origin[1] + u * c - v * s

    def local(self, x: float, y: float) -> Point:
        """Local (u, v) of the scene point (x, y)."""
        s, c = math.sin(self.angle), math.cos(self.angle)
        dx, dy = x - self.origin[0], y - self.origin[1]
        return dx * s + dy * c, dx * c - dy * s

    def at(self, u: float, v: float = 0.0, turn: float = 0.0) -> Frame:
        """A frame at the local point (u, v), turned by `turn` radians."""
        return Frame(self.point(u, v), self.angle + turn)


HERE = Frame((0.0, 0.0), 0.0)


@lru_cache(maxsize=512)
def ease(knots: Knots) -> Array:
    """(TABLE,) values from knots (share of the length, value) with level tangents, so that profiles have no kinks. Not to be written to."""
    if len(knots) == 1:
        return np.full(TABLE, knots[0][1], dtype=np.float32)
    xs, ys = np.array(knots, dtype=np.float32).T
    k = np.clip(np.searchsorted(xs, AT) - 1, 0, len(xs) - 2)
    t = np.minimum(np.maximum((AT - xs[k]) / (xs[k + 1] - xs[k]), 0), 1)
    return (ys[k] + (ys[k + 1] - ys[k]) * t * t * (3 - 2 * t)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Tube:
    """A tapered tube along the u of its frame, 0 to `length`, from knots: (share of the length, value) pairs.

    `half_width` and `wall` are in mm, `lean` moves the axis sideways in mm and `bow` arches it by that many mm; `depth` is thickness over
    width; `spongy` is the bone in a millimetre of the inside, as a share of solid cortex; `caps` are the lengths over which the two ends
    round off, `plate` the dense bone under them. The tables, (TABLE,) along the tube, are made when a film first needs them.
    """

    length: float
    half_width: Knots
    wall: Knots = ((0.0, 1.0),)
    spongy: Knots = ((0.0, 0.2),)
    lean: Knots = ((0.0, 0.0),)
    bow: float = 0.0
    depth: Knots = ((0.0, 1.0),)
    caps: tuple[float, float] = (4.0, 4.0)
    squareness: float = 2.4
    plate: float = 1.1
    frame: Frame = HERE  # in the frame of the bone or flesh that owns it

    @cached_property
    def centre(self) -> Array:
        return (ease(self.lean) + self.bow * np.sin(np.pi * AT)).astype(np.float32)

    @cached_property
    def radius(self) -> Array:
        return ease(self.half_width) * self.closed(0.0)

    @cached_property
    def inner(self) -> Array:
        return np.maximum(ease(self.half_width) - ease(self.wall), 0) * self.closed(self.plate)

    def closed(self, inset: float) -> Array:
        """(TABLE,) from 0 to 1: how the ends round off, `inset` mm short of the length at either end."""
        shrink = np.ones(TABLE, dtype=np.float32)
        for cap, part in ((self.caps[0], shrink), (self.caps[1], shrink[::-1])):
            ends = part[: min(TABLE, int((cap + inset) / self.length * TABLE) + 2)]
            inside = np.minimum(np.maximum((AT[: len(ends)] * self.length - inset) / max(cap, 0.1), 0), 1)
            ends *= (1 - (1 - inside) ** self.squareness) ** (1 / self.squareness)
        return shrink

    @property
    def edges(self) -> tuple[float, float]:
        """v that the tube does not go beyond, either side."""
        half, lean = max(value for _, value in self.half_width), [value for _, value in self.lean]
        return min(lean) - half + min(self.bow, 0.0), max(lean) + half + max(self.bow, 0.0)


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone: tubes in its frame, merged by maximum. `beyond` names the joints between it and the trunk side of the scene."""

    name: str
    frame: Frame
    tubes: tuple[Tube, ...]
    length: float
    calibre: float  # half-width of the shaft, mm
    breakable: tuple[float, float] = (0.1, 0.9)  # where along the bone breaks are drawn, as shares of its length
    weight: float = 1.0  # how often it is the one that breaks
    physes: tuple[float, ...] = ()  # u of open growth plates
    beyond: frozenset[str] = field(default_factory=frozenset)
    partner: str = ""  # the bone beside it, which often breaks with it


@dataclass(frozen=True, eq=False)
class Flesh:
    """Soft tissue round bones: outer tubes of fat over muscle (`inner`); pieces are merged by maximum."""

    name: str
    frame: Frame
    tubes: tuple[Tube, ...]
    beyond: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Joint:
    """A joint that can be dislocated: `frame` at its centre, u pointing away from the trunk; `radius` in mm."""

    name: str
    frame: Frame
    radius: float


@dataclass(frozen=True, eq=False)
class Limb:
    """One limb of one imagined person. Lengths are an adult's; `scale` below 1 makes a child of it when it is put on film."""

    bones: tuple[Bone, ...]
    flesh: tuple[Flesh, ...]
    joints: tuple[Joint, ...]
    focus: Point  # what the film is centred on
    span: float  # mm of limb that should be in view
    scale: float
    density: float  # 1 is a young adult's bone, 0.6 an osteoporotic one


@lru_cache(maxsize=1)
def trabeculae() -> Array:
    """A tile (GRAIN, GRAIN) of bone texture, about -1 to 1, stretched along u and seamless. The same for every bone."""
    rng = np.random.Generator(np.random.PCG64(20240101))
    white = rng.standard_normal((GRAIN, GRAIN))
    fu, fv = np.meshgrid(np.fft.fftfreq(GRAIN), np.fft.fftfreq(GRAIN), indexing="ij")
    spectrum = 1 / (1 + (fu / 0.05) ** 2 + (fv / 0.12) ** 2)
    tile = np.fft.ifft2(np.fft.fft2(white) * spectrum).real
    return np.clip(tile / (2 * tile.std()), -1.5, 1.5).astype(np.float32)


def chords(tube: Tube, u: Array, v: Array) -> tuple[Array, Array, npt.NDArray[np.int32]]:
    """Outer and inner chord (mm) of the ray at each local point of the tube's owner, and the table entry used."""
    if tube.frame.angle or tube.frame.origin != (0.0, 0.0):
        s, c = math.sin(tube.frame.angle), math.cos(tube.frame.angle)
        # an owner's (u, v) is laid out as (y, x), so that a tube's own frame reads like one in the scene
        dx, dy = v - np.float32(tube.frame.origin[0]), u - np.float32(tube.frame.origin[1])
        u, v = dx * np.float32(s) + dy * np.float32(c), dx * np.float32(c) - dy * np.float32(s)
    entry = np.clip(u * np.float32((TABLE - 1) / tube.length), 0, TABLE - 1).astype(np.int32)
    r2 = (v - tube.centre[entry]) ** 2
    depth = 2 * ease(tube.depth)[entry]
    outer = depth * np.sqrt(np.maximum(tube.radius[entry] ** 2 - r2, 0))
    inner = depth * np.sqrt(np.maximum(tube.inner[entry] ** 2 - r2, 0))
    return outer, inner, entry


def bone_thickness(bone: Bone, u: Array, v: Array) -> Array:
    """Millimetres of cortex, spongy bone counted by its share, that the ray through each local point of the bone crosses."""
    grain = trabeculae()
    row = (u * np.float32(1 / GRAIN_MM)).astype(np.int32) % GRAIN
    column = (v * np.float32(1 / GRAIN_MM)).astype(np.int32) % GRAIN
    texture = 1 + np.float32(0.45) * grain[row, column]
    total: Array | None = None
    for tube in bone.tubes:
        outer, inner, entry = chords(tube, u, v)
        thickness = (outer - inner) * (1 + 0.06 * (texture - 1)) + inner * ease(tube.spongy)[entry] * texture
        total = thickness if total is None else np.maximum(total, thickness)
    assert total is not None, f"bone {bone.name!r} has no tubes"
    for where in bone.physes:
        wave = np.float32(1.2) * np.sin(v * np.float32(0.35) + np.float32(where)) - v * v * np.float32(0.004)
        total = total * (1 - np.float32(0.7) * np.exp(-(((u - np.float32(where) - wave) / np.float32(1.1)) ** 2)))
    return total


def flesh_thickness(flesh: Flesh, u: Array, v: Array) -> tuple[Array, Array]:
    """Millimetres of (fat and muscle together, muscle) that the ray through each local point of the flesh crosses."""
    outers: list[Array] = []
    inners: list[Array] = []
    for tube in flesh.tubes:
        outer, inner, _ = chords(tube, u, v)
        outers.append(outer)
        inners.append(inner)
    return np.maximum.reduce(outers), np.maximum.reduce(inners)


def reach(tubes: Sequence[Tube], margin: float) -> tuple[Point, Point]:
    """The (u, v) box of the owner that holds all tubes and `margin` mm around."""
    corners = []
    for tube in tubes:
        low, high = tube.edges
        corners += [tube.frame.point(u, v)[::-1] for u in (-margin, tube.length + margin) for v in (low - margin, high + margin)]
    us, vs = zip(*corners, strict=True)
    return (min(us), min(vs)), (max(us), max(vs))
