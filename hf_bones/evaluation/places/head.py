"""Fits a box head: a linear layer on the frozen patches that says which patch of a film a fracture box most probably covers.

The patch head of a checkpoint is fitted patch by patch, over all films at once. What a box needs is that the right patch of *its* film
comes first, ahead of joints, markers and gas. So the loss is that of a choice: of a film with boxes, −log of the share of the softmax over
its patches that lies in the boxes (each patch by how much of it they cover). To it comes cross-entropy of each patch, so that healthy films
stay low and logits mean something, and a ridge penalty on standardised features.

Of each film all patches in boxes are used, the `HARD` others that the checkpoint's patch head finds the likeliest, and some drawn at
random, which weigh for those left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.places.pointing import Truth
from hf_bones.inference.boxes import content
from hf_bones.preprocess import stack_inputs
from hf_bones.training.backbone.patch_head import PatchHead

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

Floats = npt.NDArray[np.float64]

HARD, DRAWN = 45, 35  # patches of a film outside its boxes; of a film without boxes two thirds of each
EACH = 0.2  # what the cross-entropy of patches weighs, of what the choice weighs
RIDGE = 0.03  # the penalty on the squared weights
COVERED = 0.3  # of a patch, from which it counts as in a box in the cross-entropy


def fit_box_head(
    predictor: BonePredictor, films: Iterable[tuple[npt.NDArray[np.uint8], Truth]], *, batch_size: int = 16, seed: int = 0
) -> PatchHead:
    """The box head for a checkpoint with a patch head, from opened films (H, W), each with its fracture boxes (none: no break).

    Films that the network learnt from will do: the head is small. Raises ValueError where no film has a box, or none is without, and for a
    checkpoint without a patch head.
    """
    random = np.random.default_rng(seed)
    parts = [_sample(tokens, likely, covered, random) for tokens, likely, covered in _tokens(predictor, films, batch_size)]
    broken = [bool(part[1].any()) for part in parts]
    if not any(broken) or all(broken):
        raise ValueError(f"box head: {sum(broken)} of {len(broken)} films have fracture boxes; films with and without are needed")
    features = np.concatenate([part[0] for part in parts]).astype(np.float32)
    covered, weights = (np.concatenate([part[place] for part in parts]) for place in (1, 2))
    return fit_choice(features, covered, weights, [len(part[1]) for part in parts])


def fit_choice(features: npt.NDArray[np.float32], covered: Floats, weights: Floats, counts: Sequence[int]) -> PatchHead:
    """The linear layer for patches (N, D), film after film as `counts` has it.

    covered (N,): how much of each patch the film's boxes cover, 0 to 1. weights (N,): for how many patches each stands.
    """
    from scipy.optimize import minimize

    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    rows = (features - mean) / spread
    starts = np.cumsum([0, *counts[:-1]])
    film = np.repeat(np.arange(len(counts)), counts)
    broken = np.add.reduceat(covered, starts) > 0
    inside = covered > COVERED
    share = np.where((covered > 0) & ~inside, 0.2, 1.0) * np.minimum(weights, 5) * EACH / len(counts)  # edges of boxes count little
    log_weights, chooses = np.log(weights), np.where(broken, 1 / broken.sum(), 0.0)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        logits = (rows @ numbers[:-1].astype(np.float32) + np.float32(numbers[-1])).astype(np.float64)
        entropy = float((share * (np.logaddexp(0, logits) - inside * logits)).sum())
        high = np.maximum.reduceat(logits + log_weights, starts)
        odds = np.exp(logits + log_weights - high[film])
        total, found = np.add.reduceat(odds, starts), np.add.reduceat(odds * covered, starts) + 1e-12
        choice = float((chooses * (np.log(total) - np.log(found))).sum())
        slope = share * (1 / (1 + np.exp(-np.clip(logits, -700, 700))) - inside)
        slope += chooses[film] * (odds / total[film] - odds * covered / found[film])
        slopes = np.append(rows.T @ slope.astype(np.float32) + 2 * RIDGE * numbers[:-1], slope.sum())
        return entropy + choice + RIDGE * float((numbers[:-1] ** 2).sum()), slopes.astype(np.float64)

    start = np.append(np.zeros(features.shape[1]), -4.0)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100}).x
    weight = (fitted[:-1] / spread).astype(np.float32)
    return PatchHead(weight, float(fitted[-1] - weight.astype(np.float64) @ mean))


def cover(truth: Truth, grid: tuple[int, int], held: tuple[float, float]) -> Floats:
    """How much of each patch of a grid (h, w) the fracture boxes cover, 0 to 1; `held`: height and width of the film in patches."""

    def span(count: int, low: float, high: float) -> Floats:
        place = np.arange(count)
        return np.clip(np.minimum(place + 1, high) - np.maximum(place, low), 0, 1)

    found = np.zeros(grid)
    for cx, cy, w, h in truth:
        down = span(grid[0], (cy - h / 2) * held[0], (cy + h / 2) * held[0])
        across = span(grid[1], (cx - w / 2) * held[1], (cx + w / 2) * held[1])
        found = np.maximum(found, down[:, None] * across[None])
    return found


def _tokens(
    predictor: BonePredictor, films: Iterable[tuple[npt.NDArray[np.uint8], Truth]], batch_size: int
) -> Iterator[tuple[npt.NDArray[np.float16], Floats, Floats]]:
    """Of each film its patches (P, D), their logits by the patch head (P,), −inf for padding, and how much of each its boxes cover (P,)."""
    import torch

    from hf_bones.training.backbone.auxiliary import last_patches

    head = predictor.patch_head
    if head is None:
        raise ValueError(f"{predictor.checkpoint}: no patch head, which finds the patches that are hard to tell")
    remaining = iter(films)
    while batch := list(islice(remaining, batch_size)):
        inputs = torch.from_numpy(stack_inputs([film for film, _ in batch], predictor.spec)).to(predictor.model.device)
        with torch.inference_mode():
            patches = last_patches(predictor.model, inputs)[1].cpu().numpy()
        for own, (film, truth) in zip(patches, batch, strict=True):
            grid = (int(own.shape[0]), int(own.shape[1]))
            held = content(film.shape, predictor.spec.size, grid)
            likely = np.full(grid, -np.inf)
            on_film = (slice(max(1, round(held[0]))), slice(max(1, round(held[1]))))
            likely[on_film] = (own @ head.weight + head.bias)[on_film]
            yield own.reshape(-1, own.shape[-1]).astype(np.float16), likely.ravel(), cover(truth, grid, held).ravel()


def _sample(
    tokens: npt.NDArray[np.float16], likely: Floats, covered: Floats, random: np.random.Generator
) -> tuple[npt.NDArray[np.float16], Floats, Floats]:
    """The patches of one film that are fitted on, how much of each the boxes cover, and for how many each stands."""
    inside = np.flatnonzero((covered > 0) & np.isfinite(likely))
    outside = np.flatnonzero((covered == 0) & np.isfinite(likely))
    hard, drawn = (HARD, DRAWN) if len(inside) else (HARD * 2 // 3, DRAWN * 2 // 3)
    order = outside[np.argsort(-likely[outside], kind="stable")]
    rest = order[hard:]
    some = random.permutation(rest)[:drawn]
    kept = np.concatenate([inside, order[:hard], some])
    weights = np.concatenate([np.ones(len(kept) - len(some)), np.full(len(some), len(rest) / max(1, len(some)))])
    return tokens[kept], covered[kept], weights
