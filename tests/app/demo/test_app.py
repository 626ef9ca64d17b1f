"""What an image becomes for those who look at it: `python -m pytest tests/app/demo/test_app.py`. The way in for programs is in
test_predict_api.py, the page in the tests of its tabs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tiny import grey

from hf_bones.app.demo.classify import VIEW_SIDE, answer
from hf_bones.inference.heat import HeatScale
from hf_bones.inference.predictor import BonePredictor


def test_large_images_are_shown_smaller_but_classified_whole(predictor: BonePredictor) -> None:
    pixels = np.asarray(grey(3 * VIEW_SIDE // 2, VIEW_SIDE))
    found = answer(predictor, pixels, "large")
    assert found.view is not None and found.heat is not None and found.radiograph is not None
    assert found.view.size == found.heat.size == (round(VIEW_SIDE * 2 / 3), VIEW_SIDE)
    assert found.radiograph.pixels.shape == pixels.shape and found.finding.heatmap is not None
    assert found.finding.heatmap.shape == pixels.shape


def test_the_heat_map_is_for_the_likeliest_class_other_than_the_normal_one(predictor: BonePredictor) -> None:
    for seed in range(6):
        found = answer(predictor, np.asarray(grey(seed=seed)), "image")
        others = {name: p for name, p in found.finding.probabilities.items() if name != "healthy"}
        assert found.explained == max(others, key=lambda name: others[name])


def test_a_place_that_reaches_the_scale_is_coloured(checkpoint: Path) -> None:
    predictor = BonePredictor.from_pretrained(checkpoint)
    plain = answer(predictor, np.asarray(grey()), "image")
    assert (np.asarray(plain.heat) == np.asarray(grey())[..., None]).all() and plain.silent, "little speaks for a class here"
    predictor.decision = replace(predictor.decision, heat=HeatScale("log_odds", 0.01, 0.05))
    found = answer(predictor, np.asarray(grey()), "image")
    colours = np.asarray(found.heat)
    assert (colours[..., 0] != colours[..., 2]).any() and not found.silent


def test_a_model_without_feature_maps_still_answers(checkpoint: Path) -> None:
    class Opaque(BonePredictor):
        def explain(self, pixels: object, targets: object = None) -> list[np.ndarray]:
            raise ValueError("Opaque returns no hidden states; heat maps need them")

    found = answer(Opaque.from_pretrained(checkpoint), np.asarray(grey()), "image")
    assert found.finding.readable and found.heat is None and found.no_heat.startswith("Opaque returns no hidden states")
