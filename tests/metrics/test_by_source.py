"""Figures and scores by source. Run: pytest tests/metrics/test_by_source.py"""

from types import SimpleNamespace

import numpy as np
import pytest

from hf_bones.labels import THREE_CLASS
from hf_bones.metrics.by_source import (
    LENT,
    abnormal_log_odds,
    by_source_metrics,
    figures_by_source,
    fitted_temperature,
    worst_source,
    worst_source_line,
)
from hf_bones.metrics.modules import trainer_metrics


def drawn(plan: dict[str, tuple[int, int, float]], seed: int = 0):
    """Log odds, abnormal films and sources of `plan`: normal and abnormal films of each, and how far apart the sides are."""
    random = np.random.default_rng(seed)
    rows = [(name, side, apart) for name, (normal, abnormal, apart) in plan.items() for side in [False] * normal + [True] * abnormal]
    abnormal = np.array([side for _, side, _ in rows])
    odds = np.array([random.normal(apart if side else -apart, 1.0) for _, side, apart in rows])
    return odds, abnormal, np.array([name for name, *_ in rows])


def test_the_source_on_which_the_sides_are_told_apart_least_is_the_worst_whatever_its_classes():
    found = figures_by_source(*drawn({"good": (60, 60, 3.0), "bad": (60, 60, 0.3), "well": (60, 0, 1.5)}))
    assert worst_source(found) == "bad" and found["good"].score > found["well"].score > found["bad"].score > 0.7
    assert found["well"].recall is None and found["well"].auroc_abnormal is None and found["well"].specificity > 0.8
    assert (found["well"].normal, found["well"].abnormal) == (60, 0)


def test_a_score_does_not_ask_how_sure_of_itself_a_checkpoint_is():
    odds, abnormal, sources = drawn({"a": (40, 40, 1.0), "b": (0, 40, 0.8)})
    once, far = (figures_by_source(odds * scale, abnormal, sources) for scale in (1.0, 7.0))
    for name in once:
        assert far[name].score == pytest.approx(once[name].score, abs=1e-4)
    assert fitted_temperature(odds * 7, abnormal) == pytest.approx(7 * fitted_temperature(odds, abnormal), rel=1e-3)


def test_a_source_of_three_films_stands_near_the_average_until_it_has_more():
    plan = {"large": (100, 100, 2.0), "small": (0, 3, -2.0)}
    odds, abnormal, sources = drawn(plan)
    three = figures_by_source(odds, abnormal, sources)
    many = figures_by_source(*drawn({**plan, "small": (0, 60, -2.0)}))
    wrong = 1 - 1 / (1 + np.exp(-odds / fitted_temperature(odds, abnormal)))
    own, usual = wrong[sources == "small"] ** 2, wrong[abnormal] ** 2
    assert three["small"].score == pytest.approx(1 - (own.sum() + LENT * usual.mean()) / (3 + LENT))
    assert many["small"].score < 0.5 < 0.6 < three["small"].score and three["small"].recall == 0


def test_what_the_run_learnt_of_frequencies_is_taken_out_of_the_odds():
    evidence = np.random.default_rng(1).normal(size=(5, 3))
    prior = np.log([0.8, 0.15, 0.05])
    plain = np.logaddexp(evidence[:, 1] + prior[1], evidence[:, 2] + prior[2]) - evidence[:, 0] - prior[0]
    assert abnormal_log_odds(evidence + prior, prior, 0) == pytest.approx(plain - np.log(0.2 / 0.8))
    assert abnormal_log_odds(np.tile(prior, (2, 1)), prior, 0) == pytest.approx([0, 0])  # nothing seen: neither side


def test_the_trainer_logs_every_source_and_chooses_as_it_is_told():
    random = np.random.default_rng(2)
    labels = np.array([0, 1, 2] * 20)
    logits = np.eye(3)[labels] * 2 + random.normal(size=(60, 3))
    origins = ["a"] * 30 + [""] * 30
    logits[30:] = random.normal(size=(30, 3))
    prediction = SimpleNamespace(predictions=logits, label_ids=labels)
    plain, by_worst = (trainer_metrics(THREE_CLASS, origins, np.zeros(3), how)(prediction) for how in ("validation", "worst_source"))
    assert plain["selection"] == pytest.approx((plain["auroc_abnormal"] + plain["auroc_ovr_macro"]) / 2)
    assert by_worst["selection"] == by_worst["worst_source_score"] == plain["source_score_not stated"] < plain["source_score_a"]
    one = trainer_metrics(THREE_CLASS, ["a"] * 60)(prediction)
    assert not [key for key in one if "source" in key]


def test_the_last_line_of_a_run_names_the_worst_source():
    logits = np.array([[2.0, 0, 0]] * 12 + [[0, 3.0, 0]] * 12 + [[1.0, 0, 0]] * 9 + [[0, 2.0, 0]] * 3)
    labels, origins = np.array([0] * 12 + [1] * 24), ["clinic"] * 24 + ["web"] * 12
    said = by_source_metrics(logits, labels, origins, np.zeros(3), 0)
    assert said["worst_source"] == "web" and said["sources"]["web"]["recall"] == 0.25
    line = worst_source_line(said)
    assert line.startswith("web, score 0.") and "recall 0.25 of 12 abnormal films, no normal one; the others: clinic 0." in line
    assert by_source_metrics(logits, labels, ["clinic"] * 36, np.zeros(3), 0) == {} and worst_source_line({}) == ""
