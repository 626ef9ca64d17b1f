"""Pictures that are no bone radiograph, by kind, drawn from a seed: what a finished gate is shown, so that its record says what it refuses.

Nothing is fitted to them. No picture of anybody's is needed, and the same seed gives the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from hf_bones.evaluation.gate import pages, patterns, scenes, slices
from hf_bones.evaluation.gate.mosaics import mosaic
from hf_bones.evaluation.gate.patterns import Picture

DRAWN: Mapping[str, Callable[[np.random.Generator], Picture]] = {
    "leaves": scenes.leaves,
    "bodies": scenes.bodies,
    "landscape": scenes.landscape,
    "fur": scenes.fur,
    "plot": pages.plot,
    "page": pages.page,
    "screen": pages.screen,
    "logo": pages.logo,
    "drawing": pages.drawing,
    "ct_trunk": slices.ct_trunk,
    "ct_head": slices.ct_head,
    "mri_head": slices.mri_head,
    "mri_joint": slices.mri_joint,
    "ultrasound": slices.ultrasound,
    "white_noise": patterns.white_noise,
    "cloud_noise": patterns.cloud_noise,
    "stripes": patterns.stripes,
    "gradient": patterns.gradient,
    "blobs": patterns.blobs,
}
MOSAICS: Mapping[str, Callable[[np.random.Generator, Sequence[Picture]], Picture]] = {
    "mosaic_2x2": partial(mosaic, rows=2, columns=2),
    "mosaic_3x3": partial(mosaic, rows=3, columns=3),
    "mosaic_4x4": partial(mosaic, rows=4, columns=4),
}
KINDS = (*DRAWN, *MOSAICS)


def draw_kind(kind: str, seed: int, films: Sequence[Picture] = ()) -> Picture:
    """One picture (H, W) uint8 of a kind of `KINDS`; a mosaic is made of `films`. Raises ValueError for one without films."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if kind in DRAWN:
        return DRAWN[kind](rng)
    if not films:
        raise ValueError(f"{kind}: a mosaic is made of films, and none was given")
    return MOSAICS[kind](rng, films)
