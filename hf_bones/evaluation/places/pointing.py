"""How well places are found: the pointing game, recall of boxes, and what is said of healthy films; with baselines that see no film.

Pointing game (Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016): a film counts as a hit when the one point that
is named lies inside any of its fracture boxes. Films without a box take no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hf_bones.inference.boxes import Box, overlap

Truth = Sequence[tuple[float, float, float, float]]  # a film's fracture boxes, (cx, cy, w, h) as shares of the image
Point = tuple[float, float]  # x, y as shares of the image

IOU = 0.3


def is_hit(point: Point, truth: Truth) -> bool:
    """Whether a point lies in a fracture box, edges included."""
    return any(abs(point[0] - cx) <= w / 2 and abs(point[1] - cy) <= h / 2 for cx, cy, w, h in truth)


def hits(points: Sequence[Point | None], truths: Sequence[Truth]) -> npt.NDArray[np.float64]:
    """1 for each film with boxes whose point is in one, else 0; (F,) for the F films that have boxes. None is a miss."""
    return np.array(
        [float(point is not None and is_hit(point, truth)) for point, truth in zip(points, truths, strict=True) if truth], dtype=np.float64
    )


def top_points(boxes: Sequence[Sequence[Box]]) -> list[Point | None]:
    """The middle of each film's highest box; None where it has none."""
    return [(own[0].cx, own[0].cy) if own else None for own in boxes]


def peak(heatmap: np.ndarray) -> Point:
    """The middle of the pixel where a map (H, W) is highest, the first of several."""
    y, x = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    return (float(x) + 0.5) / heatmap.shape[1], (float(y) + 0.5) / heatmap.shape[0]


def recall(boxes: Sequence[Sequence[Box]], truths: Sequence[Truth], most: int, *, iou: float | None = IOU) -> float:
    """Of all fracture boxes, the share that one of the film's first `most` boxes finds: with this intersection over union or more, or
    (`iou` None) with its middle inside. NaN where no film has a box."""
    found = [
        any(is_hit((box.cx, box.cy), [true]) if iou is None else overlap(box, true) >= iou for box in own[:most])
        for own, truth in zip(boxes, truths, strict=True)
        for true in truth
    ]
    return float(np.mean(found)) if found else float("nan")


def false_boxes(boxes: Sequence[Sequence[Box]], truths: Sequence[Truth], shown_from: float) -> float:
    """Boxes of this score or more on a film without a fracture box, on the average. NaN where there is no such film."""
    counts = [sum(box.score >= shown_from for box in own) for own, truth in zip(boxes, truths, strict=True) if not truth]
    return float(np.mean(counts)) if counts else float("nan")


def chance(truths: Sequence[Truth]) -> float:
    """What a point drawn at random scores in the pointing game: the mean share of the film that its boxes cover."""
    side = (np.arange(200) + 0.5) / 200
    shares = []
    for truth in truths:
        covered = np.zeros((200, 200), dtype=bool)
        for cx, cy, w, h in truth:
            covered |= (np.abs(side - cy) <= h / 2)[:, None] & (np.abs(side - cx) <= w / 2)[None]
        if truth:
            shares.append(float(covered.mean()))
    return float(np.mean(shares)) if shares else float("nan")


def region_places(regions: Sequence[str], truths: Sequence[Truth]) -> dict[str, Point]:
    """Where fracture boxes lie on the average: of each region of the (training) films, and under "" of all of them."""
    known = [(region, cx, cy) for region, truth in zip(regions, truths, strict=True) for cx, cy, _, _ in truth]
    names = {"", *(region for region, _, _ in known)}
    kept = {name: [(cx, cy) for region, cx, cy in known if name in ("", region)] for name in names}
    return {name: (float(np.mean([x for x, _ in own])), float(np.mean([y for _, y in own]))) for name, own in kept.items() if own}
