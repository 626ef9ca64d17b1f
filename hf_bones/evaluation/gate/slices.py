"""Slices through a body as CT, MRI and ultrasound show them, drawn from a seed: grey and anatomical, and no projection of a bone.

Crude, as drawn films are: an outline, organs as ellipses, bone as bright rims, the noise and the window of each modality.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hf_bones.evaluation.gate.patterns import Floats, Picture, power_noise, to_grey


def _grid(size: int) -> tuple[Floats, Floats]:
    line = np.linspace(-1, 1, size)
    return np.meshgrid(line, line, indexing="ij")


def _wobbly(rng: np.random.Generator, y: Floats, x: Floats, at: tuple[float, float], radii: tuple[float, float], wobble: float) -> Floats:
    """How far inside a wobbly ellipse each point is: 1 in its middle, 0 on its edge, negative outside."""
    down, across = y - at[0], x - at[1]
    turn = rng.uniform(-0.3, 0.3)
    down, across = down * np.cos(turn) - across * np.sin(turn), down * np.sin(turn) + across * np.cos(turn)
    angle = np.arctan2(down / radii[0], across / radii[1])
    edge = 1 + sum(wobble / order * np.sin(order * angle + rng.uniform(0, 2 * np.pi)) for order in (2, 3, 5, 7))
    inside: Floats = 1 - np.hypot(down / radii[0], across / radii[1]) / edge
    return inside


def _finished(rng: np.random.Generator, shown: Floats, noise: float) -> Picture:
    """Noise, the resolution of a slice, sometimes a crop, a frame or letters' place left black."""
    grainy = shown + noise * ndimage.gaussian_filter(rng.standard_normal(shown.shape), rng.uniform(0.5, 1.3)) * 2
    grey = to_grey(ndimage.gaussian_filter(grainy, rng.uniform(0.3, 1.2)), 0, 1)
    if rng.random() < 0.5:
        top, left = rng.integers(0, grey.shape[0] // 6, 2)
        grey = grey[top : grey.shape[0] - top // 2, left : grey.shape[1] - left // 2]
    return np.ascontiguousarray(grey)


def ct_trunk(rng: np.random.Generator) -> Picture:
    """An axial slice of chest, abdomen or pelvis on its table, in a soft or a bone window."""
    size = int(rng.integers(300, 560))
    y, x = _grid(size)
    height, width = rng.uniform(0.45, 0.7), rng.uniform(0.7, 0.95)
    values = np.full((size, size), -1000.0)
    body = _wobbly(rng, y, x, (0, 0), (height, width), 0.05)
    values[body > 0] = -90  # fat
    values[body > rng.uniform(0.06, 0.2)] = 45
    values += np.where(body > 0, 25 * power_noise(rng, size, size, 1.2), 0)
    part = rng.integers(3)
    if part == 0:
        for side in (-1, 1):
            lung = _wobbly(rng, y, x, (rng.uniform(-0.08, 0.05), side * width * 0.45), (height * 0.62, width * 0.3), 0.08)
            values[lung > 0] = -850 + 60 * rng.standard_normal(int((lung > 0).sum()))
            vessels = power_noise(rng, size, size, 0.9) > 2.1
            values[(lung > 0.05) & vessels] = 20
        for angle in np.linspace(0, 2 * np.pi, int(rng.integers(9, 16)), endpoint=False) + rng.uniform(0, 1):
            rib = _wobbly(rng, y, x, (np.sin(angle) * height * 0.84, np.cos(angle) * width * 0.84), (0.03, 0.06), 0.1)
            values[rib > 0] = 500
            values[rib > 0.5] = 200
    else:
        for _ in range(int(rng.integers(4, 10))):
            at = (rng.uniform(-0.6, 0.5) * height, rng.uniform(-0.7, 0.7) * width)
            organ = _wobbly(rng, y, x, at, (rng.uniform(0.06, 0.3), rng.uniform(0.06, 0.3)), 0.1)
            values[(organ > 0) & (body > 0.15)] = rng.choice([-700, 10, 60, 90, 140, 220])
    if part == 2:
        for side in (-1, 1):
            hip = _wobbly(rng, y, x, (0.12, side * width * 0.6), (0.16, 0.12), 0.2)
            values[hip > 0] = 700
            values[hip > 0.25] = 220
    back = height * rng.uniform(0.45, 0.62)
    vertebra = _wobbly(rng, y, x, (back, 0), (0.11, 0.13), 0.1)
    values[vertebra > 0] = 550
    values[vertebra > 0.2] = 230 + 60 * rng.standard_normal(int((vertebra > 0.2).sum()))
    canal = _wobbly(rng, y, x, (back + 0.16, 0), (0.05, 0.06), 0.05)
    arch = _wobbly(rng, y, x, (back + 0.18, 0), (0.11, 0.14), 0.25)
    values[(arch > 0) & (canal < 0)] = 600
    table = np.abs(y - (height + 0.1) + 0.25 * x**2)
    values[table < 0.012] = -300
    low, high = ((-160, 240), (-450, 1050), (-1000, 300))[rng.integers(3)]
    return _finished(rng, (values - low) / (high - low), rng.uniform(0.0, 0.05))


def ct_head(rng: np.random.Generator) -> Picture:
    """An axial or coronal slice of a head: skull, brain, ventricles, air, in a brain or a bone window."""
    size = int(rng.integers(280, 560))
    y, x = _grid(size)
    head = _wobbly(rng, y, x, (0, 0), (rng.uniform(0.7, 0.92), rng.uniform(0.55, 0.78)), 0.03)
    values = np.full((size, size), -1000.0)
    scalp = rng.uniform(0.03, 0.08)
    skull = scalp + rng.uniform(0.06, 0.14)
    values[head > 0] = 0
    values[head > scalp] = rng.uniform(800, 1500)
    values[head > skull] = 35
    values += np.where(head > skull, 6 * power_noise(rng, size, size, 1.3), 0)
    for side in (-1, 1):
        ventricle = _wobbly(rng, y, x, (rng.uniform(-0.15, 0.1), side * 0.08), (0.25, 0.05), 0.2)
        values[ventricle > 0] = 5
    for _ in range(int(rng.integers(0, 6))):
        hollow = _wobbly(
            rng, y, x, (rng.uniform(-0.7, 0.3), rng.uniform(-0.4, 0.4)), (rng.uniform(0.05, 0.2), rng.uniform(0.04, 0.15)), 0.3
        )
        values[(hollow > -0.25) & (head > scalp)] = rng.choice([600, 1000])
        values[(hollow > 0) & (head > scalp)] = rng.choice([-1000, -1000, 20])
    if rng.random() < 0.5:
        rest = np.abs(np.hypot(y * 0.9 - 0.1, x) - 0.93)
        values[(rest < 0.01) & (y > 0.2)] = 100
    low, high = ((-20, 100), (-160, 240), (-450, 1250))[rng.integers(3)]
    return _finished(rng, (values - low) / (high - low), rng.uniform(0.0, 0.04))


def mri_head(rng: np.random.Generator) -> Picture:
    """A slice of a head as MRI shows it: folded brain, bright or dark fluid, dark bone, bright fat of the scalp."""
    size = int(rng.integers(220, 540))
    y, x = _grid(size)
    at = (rng.uniform(-0.1, 0.1), 0.0)
    head = _wobbly(rng, y, x, at, (rng.uniform(0.65, 0.92), rng.uniform(0.55, 0.8)), 0.04)
    fluid = rng.uniform(0.05, 0.2) if rng.random() < 0.5 else rng.uniform(0.75, 1.0)
    white, grey = sorted(rng.uniform(0.35, 0.8, 2))
    folds = np.sin(rng.uniform(6, 14) * power_noise(rng, size, size, 1.9))
    shown = np.where(head > 0, rng.uniform(0.5, 1.0), 0.02)
    shown = np.where(head > 0.06, 0.08, shown)
    brain = head > 0.14
    depth = np.clip((head - 0.14) / 0.35, 0, 1)
    tissue = np.where(folds > 0.2 + depth, fluid, np.where(folds > -0.5 + 1.2 * depth, grey, white))
    shown = np.where(brain, tissue, shown)
    for side in (-1, 1):
        ventricle = _wobbly(rng, y, x, (rng.uniform(-0.2, 0.1), side * rng.uniform(0.05, 0.12)), (0.22, 0.06), 0.3)
        shown = np.where((ventricle > 0) & brain, fluid, shown)
    shown = shown * (1 + 0.2 * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1)))
    return _finished(rng, ndimage.gaussian_filter(shown, 0.8), rng.uniform(0.01, 0.05))


def mri_joint(rng: np.random.Generator) -> Picture:
    """A slice of a joint or spine as MRI shows it: bones of one even grey with dark rims, bright or dark fat around, muscles, discs."""
    size = int(rng.integers(240, 540))
    y, x = _grid(size)
    fat = rng.uniform(0.5, 0.95) if rng.random() < 0.6 else rng.uniform(0.1, 0.3)
    marrow = np.clip(fat + rng.uniform(-0.25, 0.1), 0.1, 0.95)
    half = rng.uniform(0.45, 0.95)
    shown = np.where(np.abs(x + 0.05 * np.sin(3 * y)) < half, fat, 0.02)
    shown *= 1 + 0.08 * power_noise(rng, size, size, 1.2)
    for _ in range(int(rng.integers(3, 8))):
        side = rng.choice([-1, 1])
        muscle = _wobbly(
            rng, y, x, (rng.uniform(-0.9, 0.9), side * rng.uniform(0.3, 0.8) * half), (rng.uniform(0.3, 0.8), rng.uniform(0.06, 0.2)), 0.1
        )
        streaks = 1 + 0.15 * power_noise(rng, size, size, 1.0)
        shown = np.where((muscle > 0) & (np.abs(x) < half), rng.uniform(0.15, 0.4) * streaks, shown)
    if rng.random() < 0.5:  # two bones of a joint
        gap = rng.uniform(-0.2, 0.2)
        places = [((gap - 0.52, 0.0), (0.5, 0.3 * rng.uniform(0.8, 1.3))), ((gap + 0.55, 0.0), (0.5, 0.3 * rng.uniform(0.8, 1.3)))]
    else:  # a column of vertebrae
        count = int(rng.integers(4, 8))
        places = [((-0.9 + 1.8 * (each + 0.5) / count, 0.12 * np.sin(each)), (0.72 / count, 0.2)) for each in range(count)]
    for where, radii in places:
        bone = _wobbly(rng, y, x, where, radii, 0.12)
        shown = np.where(bone > -0.08, 0.04, shown)
        shown = np.where(bone > 0, marrow * (1 + 0.05 * power_noise(rng, size, size, 1.0)), shown)
    if rng.random() < 0.5:
        shown = shown * np.clip(1.3 - 0.6 * np.abs(x), 0, 1.3)  # a surface coil hears what is near
    return _finished(rng, shown, rng.uniform(0.01, 0.05))


def ultrasound(rng: np.random.Generator) -> Picture:
    """A fan or a block of speckle in layers on black."""
    size = int(rng.integers(280, 560))
    y, x = _grid(size)
    shown = np.abs(power_noise(rng, size, size, 0.5)) * (
        0.5 + 0.4 * np.sin((y + 0.1 * power_noise(rng, size, size, 1.6)) * rng.uniform(4, 15))
    )
    for _ in range(int(rng.integers(1, 4))):
        hollow = _wobbly(rng, y, x, (rng.uniform(-0.5, 0.6), rng.uniform(-0.4, 0.4)), (rng.uniform(0.08, 0.3), rng.uniform(0.08, 0.3)), 0.2)
        shown = np.where(hollow > 0, shown * 0.1, shown)
    if rng.random() < 0.7:
        far = np.hypot(y + 1.2, x)
        shown = np.where((far > 0.35) & (far < 2.05) & (np.abs(np.arctan2(x, y + 1.2)) < rng.uniform(0.4, 0.8)), shown, 0)
    return _finished(rng, shown * rng.uniform(0.4, 1.0), 0.0)
