"""Fitting patches and a second look to planted films. Run: pytest tests/inference/test_join_fit.py"""

from __future__ import annotations

import math

import numpy as np
import pytest

from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.join import PatchJoin, log_odds, log_sum_exp
from hf_bones.inference.join_fit import fit_join, fit_patches, fit_second_look, join_line
from hf_bones.inference.second_look import film_evidence
from hf_bones.labels import THREE_CLASS


def planted(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that miss most breaks, evidence that finds them, labels: log odds of abnormal are 1 × single + 2 × evidence − 1."""
    random = np.random.default_rng(seed)
    logits, evidence = random.normal(size=(count, 3)), random.normal(size=count)
    chance = 1 / (1 + np.exp(-(log_odds(logits, 0) + 2 * evidence - 1)))
    broken = random.random(count) < chance
    return logits, evidence, np.where(broken, 1 + (logits[:, 2] > logits[:, 1]), 0)


def test_the_fit_finds_planted_numbers_and_weights_move_the_offset_alone() -> None:
    logits, evidence, labels = planted(30_000)
    single = log_odds(logits, 0)
    assert fit_join(single, evidence, labels > 0) == pytest.approx((1, 2, -1), abs=0.1)
    weights = np.where(labels > 0, 3.0, 1.0)
    assert fit_join(single, evidence, labels > 0, weights) == pytest.approx((1, 2, -1 + math.log(3)), abs=0.1)


def test_a_fit_tells_what_it_is_worth_out_of_fold_and_evidence_of_nothing_is_worth_nothing() -> None:
    logits, evidence, labels = planted(600, 1)
    groups = [f"g{row // 2}" for row in range(600)]
    rule = DecisionRule(2.0, THREE_CLASS, 56)
    found = fit_second_look(rule, logits, evidence, labels, groups)
    assert (found.log_odds, found.evidence, found.offset) == pytest.approx((1, 2, -1), abs=0.5)
    (before, after), (gained, low, _high) = found.fitted_on["auroc_abnormal"], found.fitted_on["auroc_gained"]
    assert after > before + 0.1 and gained == pytest.approx(after - before) and low > 0
    assert found.fitted_on["log_loss"][1] < found.fitted_on["log_loss"][0] and found.fitted_on["groups"] == 300
    noise = np.random.default_rng(5).normal(size=600)
    idle = fit_second_look(rule, logits, noise, labels, groups)
    assert abs(idle.fitted_on["auroc_gained"][0]) < 0.02 and abs(idle.evidence) < 0.3
    # A group's films are never in the fold that is fitted: evidence that knows each group's answer by heart helps no other group.
    with pytest.raises(ValueError, match="two groups"):
        fit_second_look(rule, logits, evidence, labels, np.where(labels > 0, "a", "b").tolist())


def test_a_second_look_finds_a_small_break_that_the_single_view_misses() -> None:
    """Planted: the network's own logits say next to nothing, one patch of one window says it all."""
    random = np.random.default_rng(3)
    labels = np.arange(200) % 3
    films = [random.integers(20, 60, (112, 112), dtype=np.uint8) for _ in labels]
    for film, label in zip(films, labels, strict=True):
        if label:
            y, x = random.integers(0, 104, 2)
            film[y : y + 8, x : x + 8] = 250  # a twentieth of the side

    def ask(batch, top):  # type: ignore[no-untyped-def]
        cells = np.stack([part.reshape(7, 8, 7, 8).mean(axis=(1, 3)).ravel() for part in batch]) / 40 - 4
        return np.sort(cells, axis=1)[:, ::-1][:, :top]

    evidence = film_evidence(films, ask, 56, 2, 1, 16)
    logits = random.normal(size=(200, 3)) * 0.3
    look = fit_second_look(DecisionRule(1.0, THREE_CLASS, 56), logits, evidence, labels, [str(row) for row in range(200)])
    before, after = look.fitted_on["auroc_abnormal"]
    assert before < 0.65 and after > 0.95


def test_patches_find_a_small_break_that_the_mean_of_the_patches_loses() -> None:
    """Planted: 196 patches a film, four of a broken one say so, and the network sees little more than their mean."""
    random = np.random.default_rng(2)
    labels = np.arange(240) % 3
    patches = random.normal(-4, 1, size=(240, 196))
    for row in np.flatnonzero(labels):
        patches[row, random.integers(0, 196, 4)] = 3
    blurred = patches.mean(axis=1) * 2 + 8 + random.normal(0, 0.5, 240)
    logits = np.stack([np.zeros(240), blurred, np.full(240, -3.0)], axis=1)
    rule, groups = DecisionRule(2.0, THREE_CLASS, 56), [str(row) for row in range(240)]
    join = fit_patches(rule, logits, log_sum_exp(patches), labels, groups)
    before, after = join.fitted_on["auroc_abnormal"]
    assert type(join) is PatchJoin and before < 0.8 and after > 0.99 and "doubtful" not in join.fitted_on
    assert "with its patches" in join_line(join) and f"{after:.3f}" in join_line(join)
    assert fit_patches(rule, 2 * logits, log_sum_exp(patches), labels, groups).log_odds < join.log_odds, "the temperature is divided out"


def test_a_group_of_broken_films_alone_is_not_ranked_low_for_being_left_out() -> None:
    """Weights are evened anew in each fold: else the fit to the others, which miss many breaks, would call all of its films healthier."""
    random = np.random.default_rng(4)
    broken = np.concatenate([np.ones(60), random.random(340) < 0.15]).astype(bool)
    groups = ["one", *["two"] * 59, *[f"g{row // 20}" for row in range(340)]]
    logits = np.stack([np.zeros(400), random.normal(0, 0.3, 400) + 0.3 * broken, np.full(400, -3.0)], axis=1)
    evidence = random.normal(size=400) + 1.5 * broken
    rule = DecisionRule(1.0, THREE_CLASS, 56)
    single, found = log_odds(logits, 0), fit_patches(rule, logits, evidence, broken.astype(int), groups, balanced=True)
    whole = found.log_odds * single + found.evidence * evidence
    best = np.mean(whole[broken][:, None] > whole[~broken])
    assert found.fitted_on["auroc_abnormal"][1] == pytest.approx(best, abs=0.02) and found.fitted_on["auroc_gained"][1] > 0
    odds = np.log((broken.mean()) / (1 - broken.mean()))
    plain = fit_patches(rule, logits, evidence, broken.astype(int), groups)
    assert plain.offset == pytest.approx(found.offset + odds, abs=0.3), "healthy and abnormal weigh the same"
