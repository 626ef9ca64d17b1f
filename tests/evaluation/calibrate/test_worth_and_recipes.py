"""What refusing and acting is worth, recipes, and peers. Run: pytest tests/evaluation/calibrate/test_worth_and_recipes.py"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hf_bones.config.fields import RecipeError
from hf_bones.evaluation.calibrate.figures import ece_of
from hf_bones.evaluation.calibrate.recipe import (
    SetSettings,
    changed,
    error_levels,
    load_calibrate_recipe,
)
from hf_bones.evaluation.calibrate.scaling import temperature_scaling, vector_scaling
from hf_bones.evaluation.calibrate.selective import risk_coverage
from hf_bones.evaluation.calibrate.thresholds import (
    conformal_thresholds,
)
from hf_bones.inference.vector import VectorScaling
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax

NAMES = THREE_CLASS.names
PEERS = json.loads((Path(__file__).parent / "peers.json").read_text(encoding="utf-8"))


def drawn(count: int, seed: int = 0, prior: tuple[float, ...] = (1.0, 0.0, -1.0)) -> tuple[np.ndarray, np.ndarray]:
    """Honest logits (N, 3), and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 3)) * 1.6 + np.array(prior)
    labels = (softmax(logits).cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    return logits, labels


# What refusing, and acting, is worth
def test_risk_and_coverage_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.45, 0.55]])
    found = risk_coverage(shares, np.array([0, 1, 1, 0]), ("healthy", "fractured"))
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.risk == pytest.approx([0, 0, 1 / 3, 0.5]) and found.area == pytest.approx(np.mean([0, 0, 1 / 3, 0.5]))
    assert found.class_coverage["fractured"].tolist() == [0, 0.5, 1, 1] and np.isnan(found.class_risk["fractured"][0])
    assert found.class_risk["fractured"][1:] == pytest.approx([0, 0.5, 0.5]) and found.at(0.5) == 1 and found.at(0.6) == 2


# Recipes
def test_the_shipped_recipe_and_what_the_command_line_changes_in_it() -> None:
    recipe = load_calibrate_recipe()
    assert recipe.sets.alpha == 0.1 and recipe.scaling.method == "auto"
    new = changed(recipe, alpha=0.2, class_alpha=("beyond_repair=0.3",), cost_miss=5, cost_alarm=1, method="vector")
    assert error_levels(new.sets, NAMES) == {"healthy": 0.2, "fractured": 0.2, "beyond_repair": 0.3}
    assert (new.costs.miss, new.scaling.method, recipe.sets.alpha) == (5, "vector", 0.1)
    for wrong, said in (
        ({"class_alpha": ("beyond_repair",)}, "CLASS=LEVEL"),
        ({"alpha": 1.5}, r"alpha: expected a number in \(0, 1\)"),
        ({"cost_miss": 3.0}, "both costs"),
        ({"method": "platt"}, "auto, temperature or vector"),
    ):
        with pytest.raises(RecipeError, match=said):
            changed(recipe, **wrong)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"'beyond' is no class.*did you mean 'beyond_repair'"):
        error_levels(SetSettings(class_alpha={"beyond": 0.1}), NAMES)


def test_a_recipe_of_ones_own_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("sets:\n  alpha: 0.05\n  class_alpha: {beyond_repair: 0.2}\ncosts: {miss: 5, alarm: 1}\n")
    assert error_levels(load_calibrate_recipe(path).sets, NAMES)["beyond_repair"] == 0.2
    path.write_text("sets:\n  alhpa: 0.05\n")
    with pytest.raises(RecipeError, match="unknown key 'alhpa'; did you mean 'alpha'"):
        load_calibrate_recipe(path)


# Peers
def test_figures_agree_with_what_netcal_and_mapie_gave() -> None:
    logits, labels = drawn(PEERS["films"], PEERS["seed"])
    wrong = VectorScaling(tuple(PEERS["spoilt"]["scale"]), tuple(PEERS["spoilt"]["bias"])).applied(logits)
    shares = softmax(wrong)
    netcal, mapie = PEERS["netcal"], PEERS["mapie"]
    assert temperature_scaling(wrong, labels).scale[0] == pytest.approx(netcal["inverse_temperature"], rel=1e-3)
    vector = softmax(vector_scaling(wrong, labels, spread=np.inf).applied(wrong))
    assert np.abs(vector[: len(netcal["vector_probabilities"])] - netcal["vector_probabilities"]).max() < 2e-3
    assert ece_of(shares.max(axis=1), shares.argmax(axis=1) == labels, PEERS["bins"])[0] == pytest.approx(netcal["ece"], abs=1e-3)
    alpha = dict.fromkeys(NAMES, PEERS["alpha"])
    thresholds = conformal_thresholds(shares, labels, NAMES, alpha)
    assert [thresholds[name] for name in NAMES] == pytest.approx(mapie["thresholds"], abs=1e-9)
