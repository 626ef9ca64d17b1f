"""Fits what decision.json says of places: how patch logits become boxes (`boxes`), and the scale of heat maps (`heat`).

Everything is chosen on films that the network did not learn from. Smoothing and side of the boxes: the pair that finds most, where
finding is the pointing game plus, of all fracture boxes, the recall of the first three at an intersection over union of 0.3. Scores: a
logistic regression of "the middle lies in a fracture box" on the peak, over all boxes of all films. The score from which a box is shown:
the lowest at which a film without a break gets at most `false_boxes` of them on the average.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.places.pointing import Truth, false_boxes, hits, is_hit, recall, top_points
from hf_bones.inference.boxes import Box, BoxRule, smoothed
from hf_bones.inference.heat import PROBABILITY, HeatScale

SMOOTH = (0.0, 0.5, 0.7, 0.85, 1.0, 1.3)  # patches
SIDE = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)  # patches
APART = 2
FALSE_BOXES = 0.1  # a film without a break
QUIET = 0.95  # of the films without a break, how many have a heat map without colour


@dataclass(frozen=True, eq=False)
class PatchMap:
    """What the patches of one film say: logits (h, w), −inf for padding, and height and width of the picture in patches."""

    logits: npt.NDArray[np.float32]
    content: tuple[float, float]


def fit_boxes(
    maps: Sequence[PatchMap], truths: Sequence[Truth], *, false_boxes_allowed: float = FALSE_BOXES, head: str = "patch"
) -> BoxRule:
    """The rule for boxes from N films and the fracture boxes of each (none: a film without a break). head: what gave the maps.

    Raises ValueError where fewer than two films have boxes, or none has none: neither score nor threshold could be fitted.
    """
    _require_both(truths)
    broken = [number for number, truth in enumerate(truths) if truth]
    sides = [truths[number] for number in broken]
    best: tuple[float, BoxRule] | None = None
    for smooth, side in itertools.product(SMOOTH, SIDE):
        rule = BoxRule(smooth, side, APART, 1.0, 0.0, 0.0, head=head)
        proposed = [rule.propose(maps[number].logits, maps[number].content) for number in broken]
        found = float(hits(top_points(proposed), sides).mean()) + recall(proposed, sides, 3)
        if best is None or found > best[0] + 1e-9:
            best = found, rule
    assert best is not None
    rule = _scored(best[1], maps, truths)
    boxes = [rule.propose(each.logits, each.content) for each in maps]
    shown_from = _threshold(boxes, truths, false_boxes_allowed)
    return replace(rule, shown_from=shown_from, fitted_on=_figures(boxes, truths, shown_from))


def fit_heat(maps: Sequence[PatchMap], truths: Sequence[Truth], smooth: float) -> HeatScale:
    """The scale of heat maps in probabilities from N films and their fracture boxes, logits smoothed as those of the boxes.

    Slope and offset: a logistic regression of "a fracture box covers the middle of the patch" on the smoothed logit, over all patches of
    all films. Colour begins where `QUIET` of the films without a break have none, and is full where one in ten of the films with a break
    reaches it. Raises ValueError as `fit_boxes` does.
    """
    from sklearn.linear_model import LogisticRegression

    _require_both(truths)
    heights = [smoothed(each.logits, smooth) for each in maps]
    inside = [np.isfinite(each) for each in heights]
    covered = np.concatenate([_covered(each, truth)[own] for each, truth, own in zip(maps, truths, inside, strict=True)])
    values = np.concatenate([each[own] for each, own in zip(heights, inside, strict=True)])
    fitted = LogisticRegression(C=1e4, max_iter=1000).fit(values[:, None], covered)
    scale = HeatScale(PROBABILITY, 0.0, 1.0, smooth, float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
    peaks = np.array([scale.cells(each.logits).max() for each in maps])
    broken = np.array([bool(truth) for truth in truths])
    shown_from = float(f"{np.quantile(peaks[~broken], QUIET):.2g}")
    full = min(1.0, max(2 * shown_from, float(f"{np.quantile(peaks[broken], 0.9):.2g}")))
    if not shown_from < full:
        raise ValueError("heat: the patches of films without a break say as much as those of films with one; no scale parts them")
    counts = {
        "n": len(maps),
        "broken": int(broken.sum()),
        "patches": len(values),
        "coloured_of_healthy": float((peaks >= shown_from)[~broken].mean()),
        "coloured_of_broken": float((peaks >= shown_from)[broken].mean()),
    }
    return replace(scale, shown_from=shown_from, full=full, fitted_on=counts)


def _require_both(truths: Sequence[Truth]) -> None:
    broken = sum(bool(truth) for truth in truths)
    if broken < 2 or broken == len(truths):
        raise ValueError(f"boxes: {broken} of {len(truths)} films have fracture boxes; films with and without are needed")


def _scored(rule: BoxRule, maps: Sequence[PatchMap], truths: Sequence[Truth]) -> BoxRule:
    """The rule with a fitted score. Its boxes' scores must still be those of slope 1 and offset 0."""
    from sklearn.linear_model import LogisticRegression

    scores, right = [], []
    for each, truth in zip(maps, truths, strict=True):
        for box in rule.propose(each.logits, each.content):
            scores.append(np.log(box.score) - np.log1p(-box.score))
            right.append(is_hit((box.cx, box.cy), truth))
    if not any(right) or all(right):
        raise ValueError("boxes: no middle of a box lies in a fracture box, or all do; a score cannot be fitted")
    fitted = LogisticRegression(C=1e4, max_iter=1000).fit(np.clip(scores, -30, 30)[:, None], right)
    return replace(rule, slope=float(fitted.coef_[0, 0]), offset=float(fitted.intercept_[0]))


def _threshold(boxes: Sequence[Sequence[Box]], truths: Sequence[Truth], allowed: float) -> float:
    whole = [own for own, truth in zip(boxes, truths, strict=True) if not truth]
    scores = np.sort([box.score for own in whole for box in own])[::-1]
    place = int(allowed * len(whole))  # so many boxes may be shown
    return float(np.nextafter(scores[place], 1)) if place < len(scores) else 0.0


def _figures(boxes: Sequence[Sequence[Box]], truths: Sequence[Truth], shown_from: float) -> dict[str, Any]:
    broken = [truth for truth in truths if truth]
    own = [each for each, truth in zip(boxes, truths, strict=True) if truth]
    return {
        "n": len(truths),
        "broken": len(broken),
        "pointing": float(hits(top_points(own), broken).mean()),
        "recall": {str(most): recall(own, broken, most) for most in (1, 3, 5)},
        "false_boxes": false_boxes(boxes, truths, shown_from),
        "shown_of_broken": float(np.mean([any(box.score >= shown_from for box in each) for each in own])),
    }


def _covered(each: PatchMap, truth: Truth) -> npt.NDArray[np.bool_]:
    """Whether a fracture box covers the middle of each patch (h, w)."""
    rows = (np.arange(each.logits.shape[0]) + 0.5) / each.content[0]
    columns = (np.arange(each.logits.shape[1]) + 0.5) / each.content[1]
    found = np.zeros(each.logits.shape, dtype=bool)
    for cx, cy, w, h in truth:
        found |= (np.abs(rows - cy) <= h / 2)[:, None] & (np.abs(columns - cx) <= w / 2)[None]
    return found
