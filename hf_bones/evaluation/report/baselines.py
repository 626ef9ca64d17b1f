"""Two baselines that look at no bone: the class shares, and a forest on an image's size, brightness and borders.

What the forest reaches is what can be had from how the images were made. A classifier has to stand above it, on each source apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hf_bones.metrics.figures import Floats, Ints

MAJORITY = "majority class"
FOREST = "statistics-only forest"
_PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)
_SIDES = ("top", "bottom", "left", "right")
STATISTICS = (
    "width", "height", "aspect", "long_side", "area", "mean", "deviation", "share_black", "share_white",
    *(f"percentile_{p}" for p in _PERCENTILES),
    *(f"{side}_{what}" for side in _SIDES for what in ("mean", "deviation", "share_dark")),
)  # fmt: skip


def image_statistics(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Size, brightness and border statistics of a grey image (H, W) uint8, as named by `STATISTICS`: float64 (F,).

    Borders are strips of a twentieth of the side, at least one pixel. Colour is not among them: the images are grey by now.
    """
    height, width = pixels.shape
    deep, wide = max(1, height // 20), max(1, width // 20)
    strips = (pixels[:deep], pixels[-deep:], pixels[:, :wide], pixels[:, -wide:])
    borders = [value for strip in strips for value in (strip.mean(), strip.std(), (strip < 16).mean())]
    whole = [pixels.mean(), pixels.std(), (pixels == 0).mean(), (pixels == 255).mean()]
    size = [width, height, width / height, max(width, height), width * height]
    return np.array([*size, *whole, *np.percentile(pixels, _PERCENTILES), *borders], dtype=np.float64)


def majority_probabilities(train_labels: Ints, class_count: int, rows: int) -> Floats:
    """(rows, C): the class shares of the training rows, the same for every row; the predicted class is then the commonest one.

    Raises ValueError where there are no training rows.
    """
    if not len(train_labels):
        raise ValueError("the majority baseline needs training rows; there are none")
    shares = np.bincount(train_labels, minlength=class_count) / len(train_labels)
    return np.tile(shares, (rows, 1))


def forest_probabilities(train: Floats, train_labels: Ints, rows: Floats, class_count: int, seed: int = 0) -> Floats:
    """(N, C) class shares by a random forest of 500 trees, classes weighted equally, fitted on `train` (M, F), applied to `rows` (N, F).

    Raises ValueError where the training rows hold fewer than two classes.
    """
    from sklearn.ensemble import RandomForestClassifier

    if len(set(train_labels.tolist())) < 2:
        raise ValueError("the statistics-only forest needs training rows of two classes or more")
    forest = RandomForestClassifier(n_estimators=500, min_samples_leaf=3, class_weight="balanced_subsample", random_state=seed)
    forest.fit(train, train_labels)
    answer = np.zeros((len(rows), class_count))
    answer[:, forest.classes_] = forest.predict_proba(rows)
    return answer


def keep_licences(licences: Sequence[str], wanted: Sequence[str] | None) -> npt.NDArray[np.int64]:
    """Indices of the rows whose licence is one of `wanted`; all of them for None. Raises ValueError where none is."""
    if wanted is None:
        return np.arange(len(licences))
    kept = np.array([index for index, licence in enumerate(licences) if licence in wanted], dtype=np.int64)
    if not len(kept):
        raise ValueError(f"no training row has a licence among {list(wanted)}; there are: {sorted(set(licences))}")
    return kept
