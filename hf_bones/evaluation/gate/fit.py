"""Fitting a gate: the films' features at each depth, thresholds from films that the fit did not see, and what of drawn pictures it refuses.

It learns from films alone, so nothing has to be known of what else people upload; the drawn pictures (`not_films.py`) only say how well it
does. Features and their distance: `inference/gate_features.py`, `inference/gate.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hf_bones.curation.recipe import CheckSettings
from hf_bones.evaluation.gate.not_films import DRAWN, MOSAICS, draw_kind
from hf_bones.inference.gate import MAX_BYTES, NO_FILM, Depth, Floats, Gate, GateRule
from hf_bones.inference.gate_features import joined
from hf_bones.inference.gate_pixels import PixelValues, pixel_values

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

Pixels = npt.NDArray[np.uint8]

REFUSED, UNFAMILIAR = 0.015, 0.04  # shares of the judging films over the thresholds: at most 2 % may be refused
LEAST_FILMS = 20
DIRECTIONS = 128
SHRINKAGE = 0.02  # of the mean variance, which is added to that of every direction (Ledoit and Wolf, 2004, give a larger one: less sharp)
_SPARE = 1.1  # how far past the most extreme film pixel thresholds lie


@dataclass(frozen=True, eq=False)
class Seen:
    """What a gate knows N images by: features (N, D) at each depth, and their pixel values."""

    features: list[Floats]
    values: list[PixelValues]


def features_of(predictor: BonePredictor, pixels: Iterable[Pixels], batch_size: int = 16) -> Seen:
    """What a gate sees of opened images, uint8 (H, W). Raises ValueError where there is none."""
    batches, values = [], []
    remaining = iter(pixels)
    while batch := list(islice(remaining, batch_size)):
        with predictor.watched(batch) as seen:
            predictor.logits(batch)
        batches.append(seen.features)
        values += [pixel_values(image) for image in batch]
    if not batches:
        raise ValueError("gate: no film to fit it on")
    return Seen(joined(batches), values)


def fit_gate(
    predictor: BonePredictor,
    films: Iterable[Pixels],
    judging: Iterable[Pixels],
    *,
    refused: float = REFUSED,
    unfamiliar: float = UNFAMILIAR,
    drawn: int = 3,
    batch_size: int = 16,
    licences: Sequence[str] = (),
) -> Gate:
    """A gate for the predictor's network, from opened images uint8 (H, W).

    films: training rows; drawn films among them let such films pass. judging: films that the network did not learn from (validation), of
    which the shares `refused` and `unfamiliar` are over the two thresholds. drawn: how many pictures of each kind of `not_films` are shown
    to the finished gate, for the record; 0 leaves that out. Raises ValueError for too few films.
    """
    known, others = features_of(predictor, films, batch_size), features_of(predictor, judging, batch_size)
    gate = gate_from(known, others, refused=refused, unfamiliar=unfamiliar)
    if drawn:
        shares = refused_drawn(predictor, gate, drawn, batch_size)
        gate = replace(gate, rule=replace(gate.rule, fitted_on={**gate.rule.fitted_on, "drawn_refused": shares, "drawn_of_each": drawn}))
    if licences:
        gate = replace(gate, rule=replace(gate.rule, fitted_on={**gate.rule.fitted_on, "licences": list(licences)}))
    return gate


def gate_from(known: Seen, others: Seen, *, refused: float = REFUSED, unfamiliar: float = UNFAMILIAR) -> Gate:
    """A gate from what is seen of films to learn from and of films to judge by; see `fit_gate`."""
    if not 0 < refused <= unfamiliar < 1:
        raise ValueError(f"gate: refused and unfamiliar must be 0 < refused ≤ unfamiliar < 1, got {refused:g} and {unfamiliar:g}")
    if min(len(known.values), len(others.values)) < LEAST_FILMS:
        raise ValueError(
            f"gate: {len(known.values)} films to learn from and {len(others.values)} to judge by; it needs {LEAST_FILMS} of each at least"
        )
    room = MAX_BYTES // (3 * len(known.features))
    depths = tuple(fit_depth(one, other, room) for one, other in zip(known.features, others.features, strict=True))
    gate = Gate(GateRule(np.finfo(np.float32).max, 0.0, 0.0, 1.0, 255.0), depths, np.zeros(1))
    scores = np.sort(gate.score(others.features))
    both = [*known.values, *others.values]
    settings = CheckSettings()
    rule = GateRule(
        refuse=float(np.quantile(scores, 1 - refused, method="higher")),
        unfamiliar=float(np.quantile(scores, 1 - unfamiliar, method="higher")),
        min_grey_range=min(settings.min_grey_range, min(each.grey_range for each in both) / _SPARE),
        max_flat_share=min(1.0, max(settings.max_flat_share, _SPARE * float(np.quantile([each.flat_share for each in both], 0.998)))),
        max_colour=settings.max_colour,
        fitted_on={"films": len(known.values), "judging": len(others.values), "refused": refused, "unfamiliar": unfamiliar},
    )
    return Gate(rule, depths, scores)


def fit_depth(films: Floats, judging: Floats, room: int = MAX_BYTES) -> Depth:
    """The films' spread at one depth, features (N, D), and that of their distances over others, (M, D). `room`: bytes for the arrays."""
    mean, scale = films.mean(axis=0), films.std(axis=0) + 1e-6
    z = (films - mean) / scale
    variances, directions = np.linalg.eigh(z.T @ z / len(z))
    count = max(1, min(DIRECTIONS, z.shape[1] - 1, len(films) // 4, room // (2 * z.shape[1]) - 8))
    added = SHRINKAGE * float(variances.mean())
    basis = directions[:, ::-1][:, :count].astype(np.float16).astype(np.float64)  # as it is stored
    spread = np.maximum(variances[::-1][:count], 0) + added
    rest = float(np.maximum(variances[::-1][count:], 0).mean()) + added
    depth = Depth(*(each.astype(np.float32).astype(np.float64) for each in (mean, scale)), basis, spread, rest, 0.0, 1.0)
    found = depth.log_distance(judging)
    return replace(depth, centre=float(np.median(found)), width=max(float(found.std()), 1e-6))


def refused_drawn(predictor: BonePredictor, gate: Gate, count: int, batch_size: int = 16, seed: int = 0) -> dict[str, Any]:
    """The share of `count` drawn pictures of each kind that the gate refuses; mosaics are of drawn films."""
    from hf_bones.dataset.drawn.radiograph import draw_set

    films = [film.pixels for film in draw_set(8, seed=seed)]
    shares = {}
    for kind in (*DRAWN, *MOSAICS):
        seen = features_of(predictor, (draw_kind(kind, seed + number, films) for number in range(count)), batch_size)
        answers = gate.answers(seen.features, seen.values)
        shares[kind] = sum(answer.kind == NO_FILM for answer in answers) / count
    return shares
