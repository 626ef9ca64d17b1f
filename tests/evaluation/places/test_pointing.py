"""Pointing game, recall, fitted boxes and heat, checks of heat maps. Run: pytest tests/evaluation/places"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from tiny import bone_row, bone_rows, grey, telling_checkpoint

from hf_bones.evaluation.places.fit import PatchMap, fit_boxes, fit_heat
from hf_bones.evaluation.places.head import cover, fit_choice
from hf_bones.evaluation.places.heat import CELLS, STEPS, asks, curves, heat_order, likeness, random_order, with_random_weights
from hf_bones.evaluation.places.of_checkpoint import fit_boxes_of
from hf_bones.evaluation.places.pointing import Truth, chance, false_boxes, hits, is_hit, peak, recall, region_places, top_points
from hf_bones.inference.boxes import Box
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.heat import HeatScale
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.patch_head import PatchHead, write_patch_head

TRUE = (0.5, 0.5, 0.2, 0.2)


def test_the_pointing_game_counts_films_that_have_boxes() -> None:
    boxes = [[Box(0.55, 0.5, 0.1, 0.1, 0.9)], [Box(0.1, 0.1, 0.1, 0.1, 0.9), Box(0.5, 0.5, 0.1, 0.1, 0.5)], [Box(0.5, 0.5, 1, 1, 0.2)], []]
    truths = [(TRUE,), (TRUE, (0.9, 0.9, 0.1, 0.1)), (), (TRUE,)]
    assert hits(top_points(boxes), truths).tolist() == [1, 0, 0], "the third is healthy, the fourth has no box"
    assert is_hit((0.6, 0.4), (TRUE,)) and not is_hit((0.61, 0.4), (TRUE,))
    assert recall(boxes, truths, 1, iou=None) == 0.25 and recall(boxes, truths, 2, iou=None) == 0.5
    assert recall([[Box(0.5, 0.5, 0.1, 0.2, 1)]], [(TRUE,)], 1) == 1 and recall([[Box(0.5, 0.5, 0.1, 0.1, 1)]], [(TRUE,)], 1) == 0
    assert (false_boxes(boxes, truths, 0.2), false_boxes(boxes, truths, 0.21)) == (1, 0)
    assert np.isnan(recall([[]], [()], 1)) and np.isnan(false_boxes([[]], [(TRUE,)], 0))


def test_baselines_see_no_film() -> None:
    assert chance([(TRUE, TRUE), ()]) == pytest.approx(0.04, abs=0.002), "boxes over each other count once"
    places = region_places(["hand", "leg", "hand", "hip"], [((0.2, 0.4, 0.1, 0.1),), ((0.8, 0.8, 0.1, 0.1),), ((0.4, 0.6, 0.1, 0.1),), ()])
    assert places == {"hand": pytest.approx((0.3, 0.5)), "leg": (0.8, 0.8), "": pytest.approx((1.4 / 3, 0.6))}
    heat = np.zeros((10, 20))
    heat[2, 7] = 1
    assert peak(heat) == pytest.approx((0.375, 0.25))


def films(count: int = 40, misleading: int = 5) -> tuple[list[PatchMap], list[Truth]]:
    """Patch maps of films, every second with a break of 2 × 2 patches of high logits; healthy ones in turn have a high patch."""
    random = np.random.default_rng(0)
    maps: list[PatchMap] = []
    truths: list[Truth] = []
    for number in range(count):
        logits = random.normal(-4, 0.5, size=(16, 16)).astype(np.float32)
        logits[:, 12:] = -np.inf
        y, x = random.integers(1, 10, size=2)
        if number % 2:
            logits[y : y + 2, x : x + 2] += random.normal(5, 1.5)
        elif number % misleading == 0:
            logits[y, x] += 5
        maps.append(PatchMap(logits, (16, 12)))
        truths.append((((x + 1) / 12, (y + 1) / 16, 2 / 12, 2 / 16),) if number % 2 else ())
    return maps, truths


def test_a_fitted_rule_finds_breaks_and_keeps_what_it_may_show_of_healthy_films() -> None:
    maps, truths = films()
    rule = fit_boxes(maps, truths, false_boxes_allowed=0.1)
    assert rule.fitted_on["pointing"] >= 0.9 and rule.fitted_on["recall"]["3"] >= 0.8 and rule.slope > 0
    boxes = [rule.propose(each.logits, each.content) for each in maps]
    assert false_boxes(boxes, truths, rule.shown_from) <= 0.1 < false_boxes(boxes, truths, rule.shown_from - 0.05)
    found = np.array([box.score for own in boxes for box in own])
    right = np.array([is_hit((box.cx, box.cy), truth) for own, truth in zip(boxes, truths, strict=True) for box in own])
    assert found.mean() == pytest.approx(right.mean(), abs=0.02), "scores are probabilities"
    with pytest.raises(ValueError, match="0 of 20 films have fracture boxes"):
        fit_boxes(maps[::2], truths[::2])


def test_a_fitted_scale_leaves_most_healthy_films_without_colour() -> None:
    maps, truths = films(misleading=40)
    scale = fit_heat(maps, truths, smooth=0.5)
    assert 0 < scale.shown_from < scale.full <= 1
    warm = np.array([not scale.is_silent(scale.cells(each.logits)) for each in maps])
    assert warm[::2].mean() <= 0.1 and warm[1::2].mean() > 0.5
    assert scale.fitted_on["n"] == 40 and scale.fitted_on["coloured_of_broken"] == warm[1::2].mean()


def test_a_box_head_chooses_the_patch_of_its_film_where_patches_of_other_films_are_higher() -> None:
    random = np.random.default_rng(0)
    features, covered = [], []
    for film in range(60):
        own = random.normal(0, 0.3, size=(20, 4))
        own[:, 1] += 3 * (film % 3)  # how bright the film is
        if film % 2:
            own[4, 0] += 2  # the break
        own[7, 2] += 4  # a joint, on every film
        features.append(own)
        covered.append(np.where((np.arange(20) == 4) & (film % 2 == 1), 0.8, 0.0))
    head = fit_choice(np.concatenate(features).astype(np.float32), np.concatenate(covered), np.ones(1200), [20] * 60)
    logits = np.stack(features) @ head.weight + head.bias
    assert (logits[1::2].argmax(axis=1) == 4).mean() > 0.95
    assert head.weight[0] > 0 and (logits[::2] < 0).mean() > 0.95, "patches of healthy films stay low"
    assert cover([(0.5, 0.5, 0.5, 0.5)], (4, 4), (4, 2)).tolist() == [[0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = telling_checkpoint(tmp_path_factory.mktemp("places"))
    write_patch_head(PatchHead(np.random.default_rng(1).normal(size=32).astype(np.float32), -1.0), folder)
    write_decision(DecisionRule(1.5, THREE_CLASS, 56), folder)
    return folder


def test_random_weights_give_another_map_in_either_unit(folder: Path) -> None:
    predictor = BonePredictor.from_pretrained(folder, device="cpu")
    pixels = [np.asarray(grey(90, 70, seed)) for seed in range(3)]
    drawn = with_random_weights(predictor)
    assert likeness(pixels[0], pixels[0]) == pytest.approx(1) and likeness(pixels[0], np.zeros((90, 70))) == 0
    for scale in (None, HeatScale("probability", 0.1, 1.0)):
        for each in (predictor, drawn):
            each.decision = replace(each.decision, heat=scale)
        own, again, other = predictor.heat(pixels), predictor.heat(pixels), drawn.heat(pixels)
        assert all(likeness(one, two) == pytest.approx(1) for one, two in zip(own, again, strict=True))
        assert np.mean([likeness(one, two) for one, two in zip(own, other, strict=True)]) < 0.7
    assert any((a != b).any() for a, b in zip(predictor.model.parameters(), drawn.model.parameters(), strict=True))


def test_insertion_and_deletion_follow_the_places_that_matter() -> None:
    film = np.full((64, 48), 60, dtype=np.uint8)
    film[16:20, 24:27] = 250

    def ask(pixels: list[np.ndarray]) -> np.ndarray:
        """P: how bright the brightest spot is."""
        return np.array([float(each.max()) / 250 for each in pixels])

    heat = np.zeros((64, 48), dtype=np.float32)
    heat[16:20, 24:27] = 1
    known, chance_order = curves(ask, film, heat_order(heat)), curves(ask, film, random_order(0))
    assert len(known.deletion) == len(known.insertion) == STEPS + 1 and sorted(heat_order(heat)) == list(range(CELLS * CELLS))
    assert known.deletion[0] == known.insertion[-1] == 1 and known.deletion[-1] == known.insertion[0] < 0.5
    assert known.deletion[1] < 0.5 and known.insertion[1] == 1, "the spot goes, or comes, with the first places"
    assert known.deletion_area < chance_order.deletion_area and known.insertion_area > chance_order.insertion_area


def test_the_answer_asked_for_is_the_calibrated_one(folder: Path) -> None:
    predictor = BonePredictor.from_pretrained(folder, device="cpu")
    found = predictor.predict([grey(seed=1), grey(seed=2)])
    asked = asks(predictor, batch_size=1)([np.asarray(grey(seed=1)), np.asarray(grey(seed=2))])
    assert asked == pytest.approx([1 - finding.probabilities["healthy"] for finding in found], abs=1e-5)


def test_a_checkpoint_gets_boxes_and_scale_and_says_what_it_lacks(folder: Path) -> None:
    rows = []
    for number in range(24):
        box = [[0.5, 0.5, 0.6, 0.6]] if number % 2 else []
        rows.append(bone_row(np.asarray(grey(60 + number, 50, number)), number, label=number % 2, boxes=box))
    data = DatasetDict(validation=bone_rows(rows), train=bone_rows(rows))
    rule, scale = fit_boxes_of(folder, data, device="cpu", head=False)
    stored = read_decision(folder)
    assert stored is not None and stored.boxes == rule and stored.heat == scale and rule.fitted_on["n"] == 24
    with pytest.raises(ValueError, match="0 of 0 films"):
        fit_boxes_of(folder, data, device="cpu", licences=["CC-BY-4.0"])
    with pytest.raises(ValueError, match="0 of 0 films"):
        fit_boxes_of(folder, data, device="cpu", sources=["elsewhere"])
    better, _ = fit_boxes_of(folder, data, device="cpu", licences=["CC0-1.0"])
    assert (rule.head, better.head) == ("patch", "box") and better.fitted_on["pointing"] >= rule.fitted_on["pointing"]
    predictor = BonePredictor.from_pretrained(folder, device="cpu")
    finding = predictor.predict(grey(80, 60), heatmap=True)[0]
    assert finding.heat_scale == predictor.decision.heat and len(finding.boxes) <= 5
    (folder / "box_head.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"box_head\.safetensors, which does so, is missing"):
        BonePredictor.from_pretrained(folder)
    with pytest.raises(ValueError, match="split 'train'"):
        fit_boxes_of(folder, data, split="train")
    with pytest.raises(ValueError, match="a checkpoint folder of your own"):
        fit_boxes_of("bundled", data)
