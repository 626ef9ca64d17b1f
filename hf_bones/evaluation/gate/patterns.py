"""Pictures without a thing on them, drawn from a seed: noise of several kinds, stripes, squares, gradients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def to_grey(values: npt.ArrayLike, low: float | None = None, high: float | None = None) -> Picture:
    """Numbers (H, W) as grey levels, `low` (by default the least) black and `high` (the greatest) white."""
    found = np.asarray(values, dtype=np.float64)
    black = float(found.min()) if low is None else low
    white = float(found.max()) if high is None else high
    grey: Picture = np.rint(np.clip((found - black) / max(white - black, 1e-9), 0, 1) * 255).astype(np.uint8)
    return grey


def sides(rng: np.random.Generator, low: int = 260, high: int = 620) -> tuple[int, int]:
    """Height and width in px, at most 2 : 1."""
    one = int(rng.integers(low, high))
    other = int(np.clip(one * rng.uniform(0.55, 1.8), low * 0.7, high))
    return (one, other) if rng.random() < 0.5 else (other, one)


def power_noise(rng: np.random.Generator, height: int, width: int, exponent: float) -> Floats:
    """Noise whose amplitude falls with frequency to the power of −`exponent` (natural pictures: about 1), mean 0, spread 1."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * frequency**-exponent
    spectrum[0, 0] = 0
    noise: Floats = np.fft.irfft2(spectrum, s=(height, width))
    return noise / max(float(noise.std()), 1e-9)


def white_noise(rng: np.random.Generator) -> Picture:
    """Noise of each pixel by itself: even, normal, or salt and pepper."""
    shape = sides(rng)
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == 1:
        return to_grey(rng.normal(rng.uniform(60, 190), rng.uniform(15, 70), shape), 0, 255)
    return np.where(rng.random(shape) < rng.uniform(0.02, 0.5), 255, 0).astype(np.uint8)


def cloud_noise(rng: np.random.Generator) -> Picture:
    """Noise in which neighbours are alike: clouds, fog, marble."""
    height, width = sides(rng)
    noise = power_noise(rng, height, width, rng.uniform(0.4, 2.2))
    if rng.random() < 0.3:
        noise = np.abs(noise)
    return to_grey(noise, -rng.uniform(1.5, 3), rng.uniform(1.5, 3))


def stripes(rng: np.random.Generator) -> Picture:
    """Waves or bars in one direction, or a checkerboard, with or without noise."""
    height, width = sides(rng)
    y, x = np.mgrid[:height, :width]
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 120)
    if rng.random() < 0.5:
        angle = rng.choice([0, np.pi / 2])
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period * 2 * np.pi
    other = (y * np.cos(angle) - x * np.sin(angle)) / (period * rng.choice([1.0, rng.uniform(0.5, 2)])) * 2 * np.pi
    wave = np.sin(phase) * (np.sin(other) if rng.random() < 0.5 else 1)
    if rng.random() < 0.6:
        wave = np.sign(wave)
    low, high = sorted(rng.uniform(0, 255, 2))
    return to_grey(low + (wave + 1) / 2 * max(high - low, 40) + rng.normal(0, rng.uniform(0, 12), wave.shape), 0, 255)


def gradient(rng: np.random.Generator) -> Picture:
    """One grey that turns into another, from side to side or outwards from a place, smooth or in steps."""
    height, width = sides(rng)
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2 * np.pi)
    slope = x / width * np.cos(angle) + y / height * np.sin(angle)
    if rng.random() < 0.4:
        slope = np.hypot((x / width - rng.uniform(0, 1)), (y / height - rng.uniform(0, 1)))
    if rng.random() < 0.3:
        slope = np.floor(slope * rng.integers(4, 12))
    low, high = sorted(rng.uniform(-20, 275, 2))
    levels = low + (slope - slope.min()) / max(float(np.ptp(slope)), 1e-9) * max(high - low, 60)
    return to_grey(levels + rng.normal(0, rng.uniform(0, 4), slope.shape), 0, 255)


def blobs(rng: np.random.Generator) -> Picture:
    """Soft or hard spots: cells, dots, a masked cloud."""
    height, width = sides(rng)
    noise = ndimage.gaussian_filter(rng.standard_normal((height, width)), rng.uniform(3, 25))
    noise /= noise.std()
    level = rng.uniform(-0.5, 1.2)
    spots = (noise > level) * (1 + noise * rng.uniform(0, 0.3)) if rng.random() < 0.6 else np.maximum(noise - level, 0)
    shown = to_grey(spots)
    return 255 - shown if rng.random() < 0.4 else shown
