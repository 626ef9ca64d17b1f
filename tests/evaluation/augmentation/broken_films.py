"""Films with a break, and the policies and settings that they are checked under."""

import dataclasses

import numpy as np

from hf_bones.evaluation.augmentation.films import BrokenFilm, box_points, box_region, inside_boxes
from hf_bones.evaluation.augmentation.transforms import POLICY, STILL, PolicyTransform

SIZE = 64
ALL_ON: dict[str, float] = {"zoom": 2, "style": 0.5, "invert": 0.1, "cast": 0.2, "metal": 0.2, "tile_probability": 0.5}
"""Keys of augmentations that are off by default, with values that turn them on: the tests that want every augmentation take these."""


def transform_of(**changes) -> PolicyTransform:
    return PolicyTransform("one", "", POLICY, dataclasses.replace(STILL, **changes))


def film_with(boxes, shape=(64, 48), seed=0) -> BrokenFilm:
    """A film of noise whose breaks are boxes, at the training size."""
    kept = inside_boxes(boxes)
    pixels = np.random.default_rng(seed).integers(60, 200, shape, dtype=np.uint8)
    regions = np.stack([box_region(box, shape) for box in kept])
    return BrokenFilm(f"film {seed}", f"group {seed}", "fractured", pixels, kept, tuple(box_points(box, shape) for box in kept), regions)
