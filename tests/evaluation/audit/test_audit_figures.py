"""What an audit computes, on small numbers. Run: pytest tests/evaluation/audit/test_audit_figures.py"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.evaluation.audit.changes import AS_IT_IS, FLIPS, MASKED, bone_mask, coarsened, without_bones, without_borders
from hf_bones.evaluation.audit.sections.labels import planted
from hf_bones.evaluation.audit.sections.prevalence import predictive_values
from hf_bones.evaluation.audit.sections.read import balanced
from hf_bones.evaluation.audit.sections.sources import guessed
from hf_bones.evaluation.audit.weighing import share_of, weighed
from hf_bones.evaluation.report.figures import Resampling

QUICK = Resampling(repeats=50)


def test_bone_is_masked_and_the_outline_of_the_limb_stays() -> None:
    pixels = np.full((200, 160), 20, np.uint8)  # air
    pixels[:, 40:120] = 90  # a limb
    pixels[:, 70:90] = 200  # its bone
    mask = bone_mask(pixels)
    assert mask[:, 72:88].all() and not mask[:, :30].any() and not mask[:, 130:].any()
    changed = without_bones(pixels)
    assert changed[:, 72:88].max() < 100 and (changed[:, :30] == 20).all()
    assert pixels[0, 80] == 200, "the film itself is left alone"
    assert not bone_mask(np.zeros((30, 40), np.uint8)).any() and (without_bones(np.zeros((30, 40), np.uint8)) == 0).all()


def test_most_of_the_bright_bone_of_drawn_films_is_gone() -> None:
    for seed in range(3):
        film = draw_radiograph(seed, size=224).pixels
        bright = film >= np.percentile(film[film > 12], 90)
        assert bone_mask(film)[bright].mean() > 0.9


def test_borders_and_corners_are_black_and_the_middle_is_not() -> None:
    changed = without_borders(np.full((200, 100), 50, np.uint8))
    assert (changed[:12] == 0).all() and (changed[:, -6:] == 0).all() and (changed[:30, :15] == 0).all()
    assert (changed[12:-12, 15:-15] == 50).all() and (changed[30:-30, 6:-6] == 50).all()


def test_changes_have_keys_of_their_own_and_give_films() -> None:
    film = draw_radiograph(1, size=300).pixels
    every = (AS_IT_IS, *MASKED, *FLIPS)
    assert len({change.key for change in every}) == len(every) == 10
    for change in every:
        changed = change.apply(film)
        assert changed.dtype == np.uint8 and changed.ndim == 2 and changed.flags.c_contiguous
        assert (change is AS_IT_IS) == np.array_equal(changed, film)
    assert max(coarsened(film).shape) == 256 and coarsened(film[:100, :90]).shape == (100, 90)
    less, more = FLIPS[2].apply(film), FLIPS[3].apply(film)
    assert less.std() < film.std() < more.std()
    assert FLIPS[4].apply(film).mean() < film.mean() < FLIPS[5].apply(film).mean()


def test_predictive_values_are_those_of_bayes() -> None:
    # Of 1000 films 50 are broken: 40 of them are called so, and 95 of the 950 others.
    positive, negative = predictive_values(np.array([0.8]), np.array([0.9]), 0.05)
    assert positive[0] == pytest.approx(40 / 135) and negative[0] == pytest.approx(855 / 865)
    assert np.isnan(predictive_values(np.array([0.0]), np.array([1.0]), 0.05)[0][0])


def test_the_best_guess_by_value_is_counted_by_hand() -> None:
    values = np.array(["a", "a", "a", "b", "b", "b"])
    assert guessed(values, np.array([0, 0, 0, 1, 1, 1]), 2) == (1.0, 0.5)
    assert guessed(values, np.array([0, 1, 0, 1, 0, 1]), 3) == (pytest.approx(2 / 3), 0.5)
    assert guessed(np.array(["a"] * 6), np.array([0, 0, 0, 0, 1, 1]), 2) == (0.5, 0.5)


def test_balanced_accuracy_is_that_of_scikit_learn_for_whole_weights() -> None:
    random = np.random.default_rng(0)
    truth, called = random.integers(0, 3, 60), random.integers(0, 3, 60)
    weights = random.integers(0, 3, (4, 60)).astype(np.float64)
    for row, found in zip(weights, balanced(truth, truth == called, weights, 3), strict=True):
        assert found == pytest.approx(balanced_accuracy_score(truth, called, sample_weight=row))


def test_planted_errors_are_found_where_features_tell_the_classes_apart() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], 100)
    features = (np.eye(3)[labels] * 6 + random.normal(size=(300, 3))).astype(np.float32)
    groups = [f"g{row // 2}" for row in range(300)]
    done = planted(features, labels, groups, ("a", "b", "c"), 0.05, 7, QUICK)
    assert done.changed.sum() == 15 and (done.labels[~done.changed] == labels[~done.changed]).all()
    assert done.precision.value is not None and done.precision.value >= 0.9 and done.precision.value == done.found.value
    blind = planted(random.normal(size=(300, 3)).astype(np.float32), labels, groups, ("a", "b", "c"), 0.05, 7, QUICK)
    assert blind.precision.value is not None and blind.precision.value < 0.35
    same = planted(features, labels, groups, ("a", "b", "c"), 0.05, 7, QUICK)
    assert np.array_equal(same.labels, done.labels), "a seed decides which labels are changed"


def test_a_share_has_an_interval_or_the_reason_why_not() -> None:
    hits = np.arange(40) % 4 == 0
    figure = weighed(share_of(hits), [f"g{row}" for row in range(40)], QUICK)
    assert figure.value == 0.25 and figure.interval is not None and figure.interval[0] < 0.25 < figure.interval[1]
    assert weighed(share_of(hits), [f"g{row % 3}" for row in range(40)], QUICK).reason == "only 3 groups"
    assert weighed(share_of(hits[:6]), [f"g{row}" for row in range(6)], QUICK).reason == "only 6 rows of films"
    assert weighed(share_of(np.zeros(40)), [f"g{row}" for row in range(40)], QUICK).reason == "the same in every resample"
