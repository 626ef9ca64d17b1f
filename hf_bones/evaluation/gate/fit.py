"""Fitting a gate: the films' features at each depth, thresholds from films that the fit did not see, and what of drawn pictures it refuses.

It learns from films alone, so nothing has to be known of what else people upload; the drawn pictures (`not_films.py`) only say how well it
does. Features and their distance: `inference/gate/features.py`, `inference/gate/fitted.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hf_bones.curation.recipe import CheckSettings
from hf_bones.dataset.drawn.radiograph import MODES, draw_set
from hf_bones.evaluation.gate.not_films import DRAWN, MOSAICS, draw_kind
from hf_bones.evaluation.gate.settings import GateSettings
from hf_bones.inference.gate.features import joined
from hf_bones.inference.gate.fitted import MAX_BYTES, NO_FILM, Depth, Floats, Gate, GateRule
from hf_bones.inference.gate.pixels import PixelValues, pixel_values

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

Pixels = npt.NDArray[np.uint8]

LEAST_FILMS = 20
DIRECTIONS = 32
SHRINKAGE = 0.05  # of the mean variance, which is added to that of every direction (Ledoit and Wolf, 2004, give a larger one: less sharp)
DRAWN_SEED = 1_000_003  # of the drawn films that join the fit
SMALL = 320  # px, the size at which films are drawn by default
_SPARE = 1.05  # how far past the films pixel thresholds lie
_WITHIN = 0.997  # the share of films that they lie beyond
_LEAST_PANELS = 1.5


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
    settings: GateSettings = GateSettings(),  # noqa: B008 - read only
    *,
    drawn: int = 3,
    batch_size: int = 16,
    licences: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> Gate:
    """A gate for the predictor's network, from opened images uint8 (H, W).

    films: training rows, with those that join once more inverted among them. judging: films that the network did not learn from
    (validation). settings: what else is learnt from, and the thresholds. drawn: how many pictures of each kind of `not_films` are shown to
    the finished gate, for the record; 0 leaves that out. licences, sources: those that films were chosen by, for the record. Raises
    ValueError for too few films.
    """
    known, others = features_of(predictor, films, batch_size), features_of(predictor, judging, batch_size)
    if settings.drawn_films:
        added = features_of(predictor, _drawn_films(settings.drawn_films, predictor.spec.size), batch_size)
        known = Seen(joined([known.features, added.features]), [*known.values, *added.values])
    gate = gate_from(known, others, settings)
    if drawn:
        shares = refused_drawn(predictor, gate, drawn, batch_size)
        gate = replace(gate, rule=replace(gate.rule, fitted_on={**gate.rule.fitted_on, "drawn_refused": shares, "drawn_of_each": drawn}))
    chosen_by = {what: list(names) for what, names in (("licences", licences), ("sources", sources)) if names}
    if chosen_by:
        gate = replace(gate, rule=replace(gate.rule, fitted_on={**gate.rule.fitted_on, **chosen_by}))
    return gate


def _drawn_films(count: int, size: int) -> Iterator[Pixels]:
    """`count` drawn films of each mode, half of them small."""
    for mode in MODES:
        for side, part in ((SMALL, count // 2), (max(SMALL, size), count - count // 2)):
            yield from (film.pixels for film in draw_set(part, seed=DRAWN_SEED + side, size=side, mode=mode))


def gate_from(known: Seen, others: Seen, settings: GateSettings = GateSettings()) -> Gate:  # noqa: B008 - read only
    """A gate from what is seen of films to learn from and of films to judge by; see `fit_gate`."""
    if min(len(known.values), len(others.values)) < LEAST_FILMS:
        raise ValueError(
            f"gate: {len(known.values)} films to learn from and {len(others.values)} to judge by; it needs {LEAST_FILMS} of each at least"
        )
    room = MAX_BYTES // (3 * len(known.features))
    depths = tuple(fit_depth(one, other, room) for one, other in zip(known.features, others.features, strict=True))
    scores = Gate(_open_rule(), depths, np.zeros(1)).score(others.features)
    rule = replace(
        pixel_rule([*known.values, *others.values]),
        fitted_on={"films": len(known.values), "judging": len(others.values)},
    )
    passed = np.array([not rule.pixel_reasons(values) for values in others.values])
    odd = int((~passed).sum())  # refused already, whatever their score
    least, most = (
        threshold_for(scores[passed], max(0, int(share * len(passed)) - odd)) if stated is None else stated
        for share, stated in ((settings.unfamiliar, settings.unfamiliar_from), (settings.refused, settings.refused_from))
    )
    least = min(least, most)
    shares = {name: float((~passed | (scores >= limit)).mean()) for name, limit in (("refused", most), ("unfamiliar", least))}
    told = {**rule.fitted_on, **shares}
    return Gate(replace(rule, refuse=most, unfamiliar=least, fitted_on=told), depths, np.sort(scores))


def _open_rule() -> GateRule:
    """A rule that refuses nothing."""
    return GateRule(float(np.finfo(np.float32).max), 0.0, 0.0, 1.0, 1e6, 255.0)


def pixel_rule(values: Sequence[PixelValues]) -> GateRule:
    """A rule of pixel thresholds alone, from the values of films: those of `curate checks`, moved out where films are past them."""
    settings = CheckSettings()
    flat, panels = (np.quantile([getattr(each, name) for each in values], _WITHIN) for name in ("flat_share", "panels"))
    return replace(
        _open_rule(),
        min_grey_range=min(settings.min_grey_range, min(each.grey_range for each in values) / _SPARE),
        max_flat_share=min(1.0, max(settings.max_flat_share, _SPARE * float(flat))),
        max_panels=max(_LEAST_PANELS, _SPARE * float(panels)),
        max_colour=settings.max_colour,
    )


def threshold_for(scores: Floats, over: int) -> float:
    """The threshold that `over` of the scores reach, in the middle between two of them."""
    ranked = np.sort(scores)[::-1]
    if over == 0 or len(ranked) < 2:
        return float(ranked[0]) + 1e-6
    return float(ranked[min(over, len(ranked) - 1) - 1] + ranked[min(over, len(ranked) - 1)]) / 2


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
    stored_mean, stored_scale = (each.astype(np.float32).astype(np.float64) for each in (mean, scale))
    depth = Depth(stored_mean, stored_scale, basis, spread, rest, 0.0, 1.0)
    found = depth.log_distance(judging)
    return replace(depth, centre=float(np.median(found)), width=max(float(found.std()), 1e-6))


def refused_drawn(predictor: BonePredictor, gate: Gate, count: int, batch_size: int = 16, seed: int = 0) -> dict[str, Any]:
    """The share of `count` drawn pictures of each kind that the gate refuses; mosaics are of drawn films."""
    films = [film.pixels for film in draw_set(8, seed=seed)]
    shares = {}
    for kind in (*DRAWN, *MOSAICS):
        seen = features_of(predictor, (draw_kind(kind, seed + number, films) for number in range(count)), batch_size)
        answers = gate.answers(seen.features, seen.values)
        shares[kind] = sum(answer.kind == NO_FILM for answer in answers) / count
    return shares
