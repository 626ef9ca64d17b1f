"""From millimetres of tissue to grey values: where the limb lies on the film, the beam, scatter, noise, the detector and the tone curve.

Beer-Lambert with one effective energy; scatter as a broad blur added to the primary beam; Poisson noise in its Gaussian limit. The
draws that make a `Film` never see the label, so that size, brightness and borders say nothing about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.drawn.shapes import Array, Frame, Limb, Point

# linear attenuation per mm near 45 keV, the middle of a 60 kV beam (after NIST tables, rounded); CORTEX and METAL in place of MUSCLE
MUSCLE, FAT, CORTEX, PLASTER, METAL, LEAD = 0.0225, 0.0185, 0.1, 0.024, 0.28, 1.2
BORDERS = ("open", "edge", "shutter")


@dataclass(frozen=True, eq=False)
class Film:
    """How one film is taken. Lengths in mm of the scene, angles in radians; `border` is one of `BORDERS`."""

    width: int
    height: int
    focus: Point
    pitch: float  # mm of the scene per pixel
    angle: float
    mirror: bool
    heel: Point  # relative change of the beam across the film, each way
    falloff: float
    scatter: float  # scatter over primary
    grid: float  # width of the scatter as a share of the film
    photons: float  # per pixel in the open beam
    blur: float  # pixels
    sharpen: float  # edge enhancement of the reader
    latitude: float  # how much of the broad swings in depth the reader takes out, 0 to 1
    gamma: float
    black: float  # where the open beam comes out, of 1
    white: float
    streaks: float
    border: str
    tilt: float
    margins: tuple[float, float, float, float]  # left, top, right, bottom, shares of the side that the beam spares
    edge_blur: float

    @cached_property
    def matrix(self) -> npt.NDArray[np.float64]:
        """(2, 2): pixels (column, row) from the middle to scene mm (x, y) from the focus."""
        s, c = math.sin(self.angle), math.cos(self.angle)
        return self.pitch * np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if self.mirror else 1.0, 1.0])

    def pixel(self, point: Point) -> Point:
        """(column, row) of a scene point."""
        dx, dy = (point[0] - self.focus[0]) / self.pitch, (point[1] - self.focus[1]) / self.pitch
        s, c = math.sin(self.angle), math.cos(self.angle)  # the inverse of `matrix`
        j, i = dx * c - dy * s, dx * s + dy * c
        return (-j if self.mirror else j) + (self.width - 1) / 2, i + (self.height - 1) / 2

    def shows(self, points: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.bool_]:
        """Which scene points (N, 2) lie inside the film and its collimation by `margin`, a share of the film's side."""
        middle = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        share = ((points - np.array(self.focus)) @ np.linalg.inv(self.matrix).T + middle) / np.array([self.width, self.height])
        left, top, right, bottom = (m + margin for m in self.margins)
        return np.all((share > (left, top)) & (share < (1 - right, 1 - bottom)), axis=1)

    def patch(self, frame: Frame, box: tuple[Point, Point]) -> tuple[slice, slice] | None:
        """Rows and columns that hold the (u, v) box of a frame; None where it misses the film."""
        (u0, v0), (u1, v1) = box
        spots = np.array([self.pixel(frame.point(u, v)) for u in (u0, u1) for v in (v0, v1)])
        low, high = np.floor(spots.min(axis=0)).astype(int), np.ceil(spots.max(axis=0)).astype(int) + 1
        j0, i0, j1, i1 = max(low[0], 0), max(low[1], 0), min(high[0], self.width), min(high[1], self.height)
        return (slice(i0, i1), slice(j0, j1)) if i1 - i0 > 1 and j1 - j0 > 1 else None

    def local(self, frame: Frame, where: tuple[slice, slice]) -> tuple[Array, Array]:
        """u and v (mm) in a frame for each pixel of a patch."""
        rows, columns = where
        s, c = math.sin(frame.angle), math.cos(frame.angle)
        to_local = np.array([[s, c], [c, -s]]) @ self.matrix  # pixels to (u, v)
        u0, v0 = frame.local(*self.focus)
        j = np.arange(columns.start, columns.stop) - (self.width - 1) / 2
        i = (np.arange(rows.start, rows.stop) - (self.height - 1) / 2)[:, None]
        u = (u0 + to_local[0, 0] * j + to_local[0, 1] * i).astype(np.float32)
        v = (v0 + to_local[1, 0] * j + to_local[1, 1] * i).astype(np.float32)
        return u, v

    @cached_property
    def beam(self) -> Array:
        """(H, W) in [0, 1]: the share of the beam that reaches each pixel past the collimator."""
        x = np.linspace(-0.5, 0.5, self.width, dtype=np.float32)[None, :]
        y = np.linspace(-0.5, 0.5, self.height, dtype=np.float32)[:, None]
        left, top, right, bottom = self.margins
        s, c = np.float32(math.sin(self.tilt)), np.float32(math.cos(self.tilt))
        across, down = x * c + y * s, y * c - x * s
        soft = np.float32(max(self.edge_blur, 0.5 / self.width))
        sides = [
            across + 0.5 - left if left else None,
            down + 0.5 - top if top else None,
            0.5 - right - across if right else None,
            0.5 - bottom - down if bottom else None,
        ]
        light = np.ones((self.height, self.width), dtype=np.float32)
        for side in sides:
            if side is not None:
                light = light * np.clip(side / soft + 0.5, 0, 1)
        return light


def draw_film(rng: np.random.Generator, limb: Limb, size: int) -> Film:
    """A film of `size` pixels on its long side for a limb; all but the focus and the field of view is independent of the limb."""
    kind = rng.random()
    aspect = 373 / 454 if kind < 0.6 else (454 / 373 if kind < 0.82 else rng.uniform(0.6, 1.5))
    width, height = (size, round(size / aspect)) if aspect >= 1 else (round(size * aspect), size)
    angle = rng.normal(0, 0.16) + rng.choice([0.0, math.pi, math.pi / 2, -math.pi / 2], p=[0.72, 0.08, 0.1, 0.1])
    field = limb.span * rng.uniform(0.9, 2.0)
    border = str(rng.choice(BORDERS, p=[0.4, 0.25, 0.35]))
    margins = [0.0, 0.0, 0.0, 0.0]
    if border == "edge":
        for side in rng.choice(4, size=int(rng.integers(1, 3)), replace=False):
            margins[side] = rng.uniform(0.015, 0.09)
    if border == "shutter":
        margins = list(rng.uniform(0.0, 0.1, 4))
    return Film(
        width=width,
        height=height,
        focus=limb.focus,
        pitch=field / size,
        angle=angle,
        mirror=bool(rng.random() < 0.5),
        heel=(rng.normal(0, 0.1), rng.normal(0, 0.1)),
        falloff=rng.uniform(0.0, 0.2),
        scatter=rng.uniform(0.08, 0.45),
        grid=rng.uniform(0.08, 0.2),
        photons=10 ** rng.uniform(3.5, 4.6),
        blur=rng.uniform(0.35, 0.75),
        sharpen=rng.choice([0.0, 0.6, 1.2]) * rng.uniform(0.5, 1.0),
        latitude=rng.uniform(0.0, 0.45),
        gamma=rng.uniform(0.75, 1.5),
        black=rng.uniform(0.02, 0.16),
        white=rng.uniform(0.7, 1.0),
        streaks=rng.uniform(0.0, 0.012),
        border=border,
        tilt=rng.normal(0, 0.03) if border != "open" else 0.0,
        margins=(margins[0], margins[1], margins[2], margins[3]),
        edge_blur=rng.uniform(0.004, 0.04) if border == "edge" else 0.0,
    )


@lru_cache(maxsize=128)
def spread_matrix(side: int, cells: int, sigma: float) -> Array:
    """(side, cells) that spreads `cells` blocks over `side` pixels by a Gaussian of `sigma` pixels; rows sum to 1."""
    to = np.arange(side, dtype=np.float32) + 0.5
    start = (np.arange(cells, dtype=np.float32) + 0.5) * (side / cells)
    weight = np.exp(-0.5 * ((to[:, None] - start[None, :]) / max(sigma, 1.0)) ** 2)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def broad_blur(image: Array, share: float) -> Array:
    """Gaussian blur of `share` of the long side, for blurs of several pixels: by way of 40 blocks or so a side."""
    h, w = image.shape
    sigma = round(share * max(h, w), 1)
    fine = max(int(sigma / 2), 1)
    rows, columns = np.arange(0, h, fine), np.arange(0, w, fine)
    blocks = np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1)
    sizes = np.outer(np.diff(np.append(rows, h)), np.diff(np.append(columns, w))).astype(np.float32)
    means = np.asarray(blocks / sizes, dtype=np.float32)
    blurred = spread_matrix(h, len(rows), sigma) @ means @ spread_matrix(w, len(columns), sigma).T
    return np.asarray(blurred, dtype=np.float32)


def small_blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of well under two pixels: five taps each way."""
    taps = np.exp(-0.5 * (np.arange(-2, 3) / max(sigma, 1e-3)) ** 2).astype(np.float32)
    taps /= taps.sum()
    padded = np.pad(image, 2, mode="edge")
    rows = sum(taps[k] * padded[k : k + image.shape[0]] for k in range(5))
    return np.asarray(sum(taps[k] * rows[:, k : k + image.shape[1]] for k in range(5)), dtype=np.float32)


def expose(attenuation: Array, intact: Array, film: Film, noise: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The developed film (H, W) uint8, bone bright, of a map of total attenuation.

    `intact` is the attenuation without any break: the grey window is set on it, so that a break does not shift the rest of the film.
    """
    h, w = attenuation.shape
    x, y = np.linspace(-1, 1, w, dtype=np.float32)[None, :], np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    tube = 1 + np.float32(film.heel[0]) * x + np.float32(film.heel[1]) * y - np.float32(film.falloff) * (x * x + y * y) / 2
    light = film.beam
    open_beam = tube * (light if film.border == "edge" else 1)
    primary = np.asarray(open_beam * np.exp(-attenuation), dtype=np.float32)
    signal = primary + np.float32(film.scatter) * broad_blur(primary, film.grid)
    signal = np.maximum(small_blur(signal, film.blur), 1e-4)
    grain = noise.standard_normal((h, w), dtype=np.float32)
    signal = np.maximum(signal + np.sqrt(signal / np.float32(film.photons)) * grain, 2e-4)
    depth = -np.log(signal)
    if film.streaks:
        depth = depth + np.float32(film.streaks) * small_blur(noise.standard_normal((1, w), dtype=np.float32), 1.2)
    if film.sharpen:
        depth = depth + np.float32(film.sharpen) * (depth - small_blur(depth, 1.6))
    calm = np.float32(1 - film.latitude)
    depth = depth - np.float32(film.latitude) * broad_blur(depth, 0.12)
    expected = calm * intact[::4, ::4][light[::4, ::4] > 0.7]
    mean_scatter = calm * math.log(1 + film.scatter * 0.7)
    low, high = float(np.percentile(expected, 2)) - mean_scatter - 0.25, float(np.percentile(expected, 99.6)) * 0.92 - mean_scatter
    level = np.clip((depth - low) / max(high - low, 0.6), 0, 1.15) ** np.float32(film.gamma)
    level = np.float32(film.black) + np.float32(film.white - film.black) * level
    # the shoulder of a film: the brightest parts bunch up instead of clipping
    level = np.where(level > 0.8, 0.8 + 0.2 * np.tanh((level - 0.8) / 0.2), level)
    if film.border == "shutter":
        level = level * light
    return np.clip(np.rint(level * 255), 0, 255).astype(np.uint8)
