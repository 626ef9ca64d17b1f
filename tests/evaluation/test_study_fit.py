"""How the views of a study are joined is chosen by made-up studies. Run: pytest tests/evaluation/test_study_fit.py"""

from __future__ import annotations

import numpy as np
import pytest

from hf_bones.evaluation.study_fit import fit_study, made_up_studies


def test_made_up_studies_are_of_one_class_and_region_and_of_two_groups() -> None:
    labels, regions = [0, 0, 0, 1, 1, 0], ["hand", "hand", "hand", "leg", "leg", "leg"]
    groups = ["a", "a", "b", "c", "d", "e"]
    pairs = made_up_studies(labels, regions, groups)
    assert {frozenset(pair) for pair in pairs} <= {frozenset(each) for each in [(0, 2), (1, 2), (3, 4)]}
    assert len(pairs) == 2 and len({row for pair in pairs for row in pair}) == 4


@pytest.mark.parametrize(("hidden", "kind"), [(True, "most_abnormal"), (False, "mean")])
def test_the_better_way_is_taken(hidden: bool, kind: str) -> None:
    """Where a break shows in one view only, the view that speaks most for it tells more than the mean of both; else noise averages out."""
    rng = np.random.default_rng(0)
    labels = [0, 1] * 200
    shown = rng.random(400) < 0.5 if hidden else np.ones(400, bool)
    spread = 0.3 if hidden else 2.0
    odds = np.where(np.array(labels, bool) & shown, 2.0, -2.0 if hidden else -0.5) + rng.normal(0, spread, 400)
    abnormal = 1 / (1 + np.exp(-odds))
    if hidden:  # a healthy view is now and then very sure, which drowns the other in the mean
        abnormal[rng.random(400) < 0.3] **= 6
    probabilities = np.stack([1 - abnormal, abnormal * 0.9, abnormal * 0.1], axis=1)
    join = fit_study(probabilities, labels, ["hand"] * 400, [str(row) for row in range(400)], 0)
    assert join.kind == kind
    assert join.fitted_on["made_up"] and join.fitted_on["studies"] == 200


def test_one_kind_of_film_is_refused() -> None:
    with pytest.raises(ValueError, match="study: no two films"):
        fit_study(np.full((4, 3), 1 / 3), [0, 0, 0, 0], ["hand"] * 4, list("abcd"), 0)
