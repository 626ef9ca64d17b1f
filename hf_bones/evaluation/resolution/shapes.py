"""What the sizes of a set of images say about the size to train at: clusters of sizes, and what letterboxing does at each candidate.

Only widths, heights and boxes are looked at, no pixel. Whether more pixels make a better classifier is measured elsewhere
(`measure.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_bones.metrics.figures import Floats, Ints
from hf_bones.preprocess import fitted_shape

MOST_CLUSTERS = 10
# KMeans looks at no more images than this: its centres do not move with more.
_KMEANS_ROWS = 20_000
_ASPECTS = (5, 25, 50, 75, 95)


@dataclass(frozen=True, eq=False)
class SizeClusters:
    """Clusters of (width, height), the most frequent first. `centres` (k, 2) px, `counts` (k,) images, `member` (N,) cluster of each.

    `inertias` are the sums of squared distances to the centres, px², for 1, 2, … clusters; k is their elbow.
    """

    centres: Floats
    counts: Ints
    member: Ints
    inertias: Floats

    @property
    def k(self) -> int:
        return len(self.centres)


@dataclass(frozen=True)
class Letterboxing:
    """What scaling to a long side of `size` px does to a set of images.

    `upscaled` is the share of images made larger than they are, `shrunk` of those made smaller; `pixels_lost` the share of all stored
    pixels that is gone, `median_lost` that of the median image; `padding` the share of the square inputs that is empty; `megabytes` an
    image as 8-bit grey without padding, mean. `box_side` is the median side of a box, px (the root of its area, after scaling), over
    `boxes` boxes; None where there is none.
    """

    size: int
    upscaled: float
    shrunk: float
    pixels_lost: float
    median_lost: float
    padding: float
    megabytes: float
    box_side: float | None
    boxes: int


def letterboxing(sizes: Ints, size: int, boxes: Sequence[Sequence[tuple[float, float, float, float]]] = ()) -> Letterboxing:
    """The figures of one candidate `size` for images of `sizes` (N, 2) width, height; `boxes` one list an image, or none at all.

    Boxes are (cx, cy, w, h) in [0, 1]. Raises ValueError where there is no image.
    """
    if not len(sizes):
        raise ValueError("no image has a readable header: there is nothing to say about sizes")
    fitted = np.array([fitted_shape(int(height), int(width), size)[::-1] for width, height in sizes])
    before, after = sizes.prod(axis=1).astype(np.float64), fitted.prod(axis=1).astype(np.float64)
    long_side = sizes.max(axis=1)
    kept = np.minimum(before, after)
    sides = [
        float(np.sqrt(box[2] * width * box[3] * height)) for (width, height), own in zip(fitted, boxes, strict=bool(boxes)) for box in own
    ]
    return Letterboxing(
        size=size,
        upscaled=float((long_side < size).mean()),
        shrunk=float((long_side > size).mean()),
        pixels_lost=float(1 - kept.sum() / before.sum()),
        median_lost=float(np.median(1 - kept / before)),
        padding=float(1 - after.mean() / size**2),
        megabytes=float(after.mean() / 1e6),
        box_side=float(np.median(sides)) if sides else None,
        boxes=len(sides),
    )


def aspect_percentiles(sizes: Ints) -> dict[int, float]:
    """Percentiles of width ÷ height: percentile → value."""
    aspects = sizes[:, 0] / sizes[:, 1]
    return {percentile: float(value) for percentile, value in zip(_ASPECTS, np.percentile(aspects, _ASPECTS), strict=True)}


def size_clusters(sizes: Ints, seed: int = 0) -> SizeClusters:
    """KMeans of (width, height) in px, as many clusters as the elbow of the inertia says (`elbow`), at most `MOST_CLUSTERS`."""
    from sklearn.cluster import KMeans

    points = sizes.astype(np.float64)
    sample = points
    if len(points) > _KMEANS_ROWS:
        sample = points[np.sort(np.random.default_rng(seed).choice(len(points), _KMEANS_ROWS, replace=False))]
    most = min(MOST_CLUSTERS, len(np.unique(sample, axis=0)))
    fits = [KMeans(k, n_init=4, random_state=seed).fit(sample) for k in range(1, most + 1)]
    inertias = np.array([fit.inertia_ for fit in fits])
    chosen = fits[elbow(inertias) - 1]
    member = chosen.predict(points)
    counts = np.bincount(member, minlength=len(chosen.cluster_centers_))
    order = np.argsort(-counts, kind="stable")
    return SizeClusters(chosen.cluster_centers_[order], counts[order], np.argsort(order)[member], inertias)


def elbow(inertias: Floats) -> int:
    """The number of clusters (1, 2, …) at the elbow of `inertias`: the point furthest below the chord from the first to the last.

    Both axes are scaled to [0, 1] first (Satopää et al., "Finding a 'Kneedle' in a Haystack", ICDCSW 2011). 1 where nothing falls.
    """
    fall = inertias[0] - inertias[-1]
    if len(inertias) < 3 or fall <= 0:
        return len(inertias) if fall > 0 else 1
    along = np.linspace(0, 1, len(inertias))
    return int((1 - along - (inertias - inertias[-1]) / fall).argmax()) + 1
