"""Fitting a gate, and the pictures that it is shown. Run: pytest tests/evaluation/gate/test_gate_fit.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import grey, telling_checkpoint

from hf_bones.config.fields import RecipeError
from hf_bones.evaluation.gate.fit import SHRINKAGE, Seen, features_of, fit_depth, fit_gate, gate_from
from hf_bones.evaluation.gate.not_films import DRAWN, KINDS, MOSAICS, draw_kind
from hf_bones.evaluation.gate.of_checkpoint import spread_over_sources
from hf_bones.evaluation.gate.settings import GateSettings
from hf_bones.inference.gate.pixels import PixelValues
from hf_bones.inference.predictor import BonePredictor


def seen(rng: np.random.Generator, count: int, width: int = 24, shift: float = 0.0) -> Seen:
    """Features of `count` images at two depths, normal along few directions."""
    mix = np.random.default_rng(9).normal(size=(6, width))
    made = [rng.normal(size=(count, 6)) @ mix + 0.3 * rng.normal(size=(count, width)) + shift * (np.arange(width) % 2) for _ in range(2)]
    return Seen(made, [PixelValues(200.0, 0.1)] * count)


def test_the_thresholds_leave_the_asked_shares_of_the_judging_films_outside() -> None:
    rng = np.random.default_rng(0)
    judging = seen(rng, 400)
    gate = gate_from(seen(rng, 600), judging, GateSettings(refused=0.02, unfamiliar=0.1))
    scores = gate.score(judging.features)
    assert 0.015 <= (scores >= gate.rule.refuse).mean() <= 0.021
    assert 0.095 <= (scores >= gate.rule.unfamiliar).mean() <= 0.101
    assert abs(float(np.median(scores))) < 0.2


def test_films_of_the_same_kind_pass_and_others_are_refused() -> None:
    rng = np.random.default_rng(1)
    gate = gate_from(seen(rng, 600), seen(rng, 300))
    assert (gate.score(seen(rng, 500).features) >= gate.rule.refuse).mean() < 0.05
    assert (gate.score(seen(rng, 50, shift=3.0).features) >= gate.rule.refuse).all()


def test_the_distance_is_that_of_mahalanobis_where_no_direction_is_left_out() -> None:
    films = np.random.default_rng(2).normal(size=(4000, 5)) @ np.random.default_rng(3).normal(size=(5, 5))
    others = films[:50] * 1.7
    depth = fit_depth(films, films)
    z = (others - films.mean(0)) / films.std(0)
    exact = np.einsum("ni,ij,nj->n", z, np.linalg.inv(np.cov(films.T / films.std(0)[:, None]) + SHRINKAGE * np.eye(5)), z)
    np.testing.assert_allclose(np.exp(depth.log_distance(others)), exact, rtol=0.02)


def test_distances_that_are_stated_take_the_place_of_shares() -> None:
    rng = np.random.default_rng(0)
    judging = seen(rng, 400)
    gate = gate_from(seen(rng, 600), judging, GateSettings(refused_from=1.0, unfamiliar_from=0.5))
    scores = gate.score(judging.features)
    assert (gate.rule.refuse, gate.rule.unfamiliar) == (1.0, 0.5)
    assert gate.rule.fitted_on["refused"] == (scores >= 1.0).mean() > 0.02
    assert gate.rule.fitted_on["unfamiliar"] == (scores >= 0.5).mean()


def test_too_few_films_and_thresholds_out_of_order_are_said() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="19 films"):
        gate_from(seen(rng, 19), seen(rng, 30))
    for wrong in ({"refused": 0.2, "unfamiliar": 0.1}, {"refused_from": 2.0, "unfamiliar_from": 3.0}):
        with pytest.raises(RecipeError, match="or less"):
            GateSettings(**wrong)


def test_small_sources_are_learnt_from_whole() -> None:
    sources = ["large"] * 90 + ["small"] * 4 + ["middle"] * 30
    chosen = spread_over_sources(range(100, 224), sources, 40)
    assert len(chosen) == 40 and chosen == sorted(set(chosen)) and set(range(190, 194)) <= set(chosen)
    assert [sum(low <= row < high for row in chosen) for low, high in ((100, 190), (194, 224))] == [18, 18]
    assert spread_over_sources(range(124), sources, 1000) == list(range(124)) and spread_over_sources([], [], 5) == []


def test_pixel_thresholds_let_every_film_of_the_fit_pass() -> None:
    rng = np.random.default_rng(4)
    dull = Seen(seen(rng, 60).features, [PixelValues(12.0, 0.9, 4.0)] * 60)
    rule = gate_from(dull, seen(rng, 60)).rule
    assert not rule.pixel_reasons(dull.values[0]) and rule.pixel_reasons(PixelValues(9.0, 0.99, 5.0))


def test_a_fit_shows_the_gate_drawn_pictures_of_each_kind_and_notes_what_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {kind: DRAWN[kind] for kind in ("logo", "white_noise")}
    monkeypatch.setattr("hf_bones.evaluation.gate.fit.DRAWN", quick)
    predictor = BonePredictor.from_pretrained(telling_checkpoint(tmp_path), device="cpu")
    films = [np.asarray(grey(seed=seed)) for seed in range(60)]
    rule = fit_gate(predictor, films[:40], films[40:], GateSettings(drawn_films=2), drawn=1, licences=["CC-BY-4.0"], sources=["a"]).rule
    assert rule.fitted_on["films"] == 44 and rule.fitted_on["judging"] == 20 and rule.fitted_on["licences"] == ["CC-BY-4.0"]
    assert rule.fitted_on["sources"] == ["a"]
    assert set(rule.fitted_on["drawn_refused"]) == {*quick, *MOSAICS}
    with pytest.raises(ValueError, match="no film"):
        features_of(predictor, [])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_drawn(kind: str) -> None:
    drawn = draw_kind(kind, 1, [np.asarray(grey(seed=seed)) for seed in range(4)])
    assert drawn.dtype == np.uint8 and drawn.ndim == 2 and min(drawn.shape) >= 32 and np.ptp(drawn) > 10


def test_the_same_seed_draws_the_same_picture_and_another_another() -> None:
    one, again, other = (draw_kind("logo", seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_mosaic_needs_films() -> None:
    with pytest.raises(ValueError, match="made of films"):
        draw_kind("mosaic_2x2", 0)
