"""Pictures that are like photographs in their statistics, drawn from a seed: things that cover one another, shaded bodies, landscapes.

Things of all sizes that cover one another ("dead leaves": Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001) have
the edges and the spectrum of photographs, and train networks that then see real ones (Baradad et al., "Learning to see by looking at
noise", NeurIPS 2021).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from hf_bones.evaluation.gate.patterns import Floats, Picture, power_noise, sides, to_grey


def leaves(rng: np.random.Generator) -> Picture:
    """Discs, boxes and polygons of all sizes that cover one another, each with a texture and a light of its own."""
    height, width = sides(rng)
    count = int(rng.integers(25, 200))
    radius = min(height, width) * np.minimum(0.5, 0.025 * rng.pareto(1.2, count) + 0.02)
    places = rng.uniform(0, 1, (count, 2)) * (height, width)
    front = _things(rng, height, width, places, radius)
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2 * np.pi, count)
    slope = rng.uniform(0, 30, count) / radius
    light = (x - places[front, 1]) * (np.cos(angle) * slope)[front] + (y - places[front, 0]) * (np.sin(angle) * slope)[front]
    textures = np.stack([power_noise(rng, height, width, exponent) for exponent in rng.uniform(0.3, 2.0, 3)])
    grain = np.take_along_axis(textures, rng.integers(0, 3, count)[front][None], axis=0)[0] * rng.uniform(0, 25, count)[front]
    return _photographed(rng, rng.uniform(10, 245, count)[front] + light + grain)


def _things(rng: np.random.Generator, height: int, width: int, places: Floats, radii: Floats) -> np.ndarray:
    """Which thing is in front at each pixel, (H, W): 0, the ground, or a later one."""
    picture = Image.new("I", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    for number, ((cy, cx), radius) in enumerate(zip(places, radii, strict=True)):
        kind = rng.integers(3)
        if kind == 0:
            across = radius * rng.uniform(0.4, 1)
            draw.ellipse([cx - across, cy - radius, cx + across, cy + radius], fill=number)
            continue
        corners = 4 if kind == 1 else int(rng.integers(3, 9))
        turns = np.sort(rng.uniform(0, 2 * np.pi, corners)) if kind == 2 else np.arange(4) * np.pi / 2 + rng.uniform(0, 1.5)
        reach = radius * (rng.uniform(0.5, 1.3, corners) if kind == 2 else np.ones(4))
        draw.polygon([(cx + r * np.cos(a), cy + r * np.sin(a)) for r, a in zip(reach, turns, strict=True)], fill=number)
    return np.asarray(picture)


def bodies(rng: np.random.Generator) -> Picture:
    """Smooth bodies, lit from one side with shadows and sheen: a still life, a face, a rendering of a volume."""
    height, width = sides(rng)
    y, x = np.mgrid[:height, :width] / min(height, width)
    depth = np.full((height, width), -1.0)
    albedo = np.full((height, width), rng.uniform(0.05, 0.9))
    for _ in range(int(rng.integers(2, 14))):
        cy, cx = rng.uniform(0, y.max()), rng.uniform(0, x.max())
        ry, rx = rng.uniform(0.06, 0.45, 2)
        inside = 1 - ((y - cy) / ry) ** 2 - ((x - cx) / rx) ** 2
        surface = np.where(inside > 0, np.sqrt(np.maximum(inside, 0)) * min(ry, rx) + rng.uniform(-0.1, 0.2), -1.0)
        albedo = np.where(surface > depth, rng.uniform(0.15, 1.0), albedo)
        depth = np.maximum(depth, surface)
    bumps = power_noise(rng, height, width, 1.6) * rng.uniform(0, 0.01)
    relief = np.where(depth > -1, depth, 0) + bumps
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(relief, 1.0) * min(height, width))
    light = rng.normal(0, 1, 2)
    brightness = (1 - slope_x * light[0] - slope_y * light[1]) / np.sqrt(1 + slope_x**2 + slope_y**2) / np.sqrt(1 + light @ light)
    shown = albedo * np.clip(brightness, 0.05, 1) + rng.uniform(0, 0.5) * np.clip(brightness, 0, 1) ** rng.uniform(10, 40)
    ground = rng.choice([0.0, rng.uniform(0, 1)])
    shown = np.where(depth > -1, shown, ground * (1 + 0.2 * power_noise(rng, height, width, 1.3)))
    return _photographed(rng, shown * 255)


def landscape(rng: np.random.Generator) -> Picture:
    """A sky over ridges, each nearer one darker or lighter and rougher, with trunks, posts or houses before them."""
    height, width = sides(rng)
    y, x = np.mgrid[:height, :width]
    sky = rng.uniform(90, 250)
    canvas = sky - y / height * rng.uniform(-60, 80) + 12 * power_noise(rng, height, width, 1.7)
    tone = rng.uniform(40, 200)
    for layer in np.linspace(0.3, 0.9, int(rng.integers(2, 6))):
        ridge = height * (layer + 0.08 * power_noise(rng, 4, width, 1.3)[0])
        tone = np.clip(tone + rng.uniform(-60, 40), 10, 240)
        ground = tone + rng.uniform(8, 40) * power_noise(rng, height, width, rng.uniform(0.4, 1.2))
        canvas = np.where(y > ridge[None], ground, canvas)
    for _ in range(int(rng.integers(0, 12))):
        left, top = rng.uniform(0, width), rng.uniform(0.2, 0.8) * height
        wide, tall = width * rng.uniform(0.01, 0.2), height * rng.uniform(0.1, 0.6)
        inside = (x > left) & (x < left + wide) & (y > top) & (y < top + tall)
        front = rng.uniform(20, 230) + 10 * power_noise(rng, height, width, 0.8)
        if rng.random() < 0.5:  # windows
            pane = ((x - left) % (wide / rng.integers(2, 5)) > wide * 0.1) & ((y - top) % (tall / rng.integers(2, 6)) > tall * 0.08)
            front = np.where(pane, front * rng.uniform(0.3, 0.7), front)
        canvas = np.where(inside, front, canvas)
    return _photographed(rng, canvas)


def fur(rng: np.random.Generator) -> Picture:
    """Texture that runs in one direction and turns: fur, grass, cloth, wood."""
    height, width = sides(rng)
    flow = power_noise(rng, height, width, 2.0) * rng.uniform(0.1, 1.2) + rng.uniform(0, np.pi)
    grain = power_noise(rng, height, width, rng.uniform(0.0, 0.6))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros((height, width))
    for step in range(-8, 9, 2):
        down = np.clip(np.rint(y + step * np.sin(flow)), 0, height - 1).astype(np.int64)
        total += grain[down, np.clip(np.rint(x + step * np.cos(flow)), 0, width - 1).astype(np.int64)]
    light = power_noise(rng, height, width, 1.8) * rng.uniform(10, 50)
    return _photographed(rng, 128 + total / total.std() * rng.uniform(15, 45) + light)


def _photographed(rng: np.random.Generator, canvas: Floats) -> Picture:
    """A lens' blur, a vignette, tone and grain."""
    height, width = canvas.shape
    soft = ndimage.gaussian_filter(canvas, rng.uniform(0.4, 1.5))
    y, x = np.mgrid[:height, :width]
    vignette = 1 - rng.uniform(0, 0.35) * (((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2)
    tone = 255 * np.clip(soft * vignette / 255, 0, 1) ** rng.uniform(0.6, 1.6)
    return to_grey(tone + rng.normal(0, rng.uniform(0, 5), canvas.shape), 0, 255)
