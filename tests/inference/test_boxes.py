"""Boxes from patch logits: the rule, what a finding shows, the file. Run: pytest tests/inference/test_boxes.py"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tiny import grey, telling_checkpoint

from hf_bones.inference.boxes import Box, BoxRule, boxes_from, content, overlap, smoothed, with_boxes
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.heat import PROBABILITY, HeatScale
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.patch_head import FILE_NAME, PatchHead, write_patch_head

RULE = BoxRule(smooth=0.0, side=2.0, apart=2, slope=1.0, offset=0.0, shown_from=0.5)


def field(*highs: tuple[int, int, float]) -> np.ndarray:
    logits = np.full((10, 10), -6.0)
    for row, column, value in highs:
        logits[row, column] = value
    return logits


def test_a_peak_takes_what_is_near_it_and_the_next_peak_is_another_box() -> None:
    logits = field((2, 3, 2.0), (2, 4, 2.0), (4, 4, 1.5), (8, 8, 0.5))
    first, second, *_ = RULE.propose(logits, (10, 10))
    assert first[:4] == pytest.approx((0.4, 0.25, 0.2, 0.2), abs=0.003), "between two patches that say the same"
    assert second[:4] == pytest.approx((0.85, 0.85, 0.2, 0.2), abs=0.003), "row 4 is merged into the first"
    assert first.score == pytest.approx(1 / (1 + np.exp(-2))) and second.score == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_boxes_lie_on_the_film_not_on_its_padding() -> None:
    logits = field((9, 2, 9.0))
    logits[:, 5:] = -np.inf
    box = replace(RULE, side=3.0).propose(logits, (10, 4.6))[0]
    assert (box.cx, box.w) == pytest.approx((2.5 / 4.6, 3 / 4.6))
    assert box.cy + box.h / 2 == pytest.approx(1) and box.h == pytest.approx(0.2), "cut off at the edge"
    assert content((200, 80), 56, (4, 4)) == pytest.approx((4, 22 / 56 * 4))


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (7, 5), elements=st.floats(-30, 30) | st.just(-np.inf)), st.floats(0, 2), st.floats(0.5, 4))
def test_any_logits_give_at_most_five_boxes_on_the_film_by_falling_score(logits: np.ndarray, smooth: float, side: float) -> None:
    rule = replace(RULE, smooth=smooth, side=side)
    if not np.isfinite(logits).any():
        with pytest.raises(ValueError, match="finite"):
            rule.propose(logits, (7, 5))
        return
    boxes = rule.propose(logits, (7, 5))
    assert 1 <= len(boxes) <= 5 and [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
    for box in boxes:
        assert box.cx - box.w / 2 + 1e-9 >= 0 and box.cx + box.w / 2 <= 1 + 1e-9 and box.w > 0 and box.h > 0 and 0 <= box.score <= 1


def test_smoothing_takes_nothing_from_the_padding() -> None:
    logits = np.full((6, 6), 2.0)
    logits[:, 4:] = -np.inf
    found = smoothed(logits, 1.3)
    np.testing.assert_allclose(found[:, :4], 2.0)
    assert np.isneginf(found[:, 4:]).all()


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0.5, 0.5, 0.2, 0.2), (0.6, 0.5, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert overlap((0.2, 0.2, 0.1, 0.1), (0.8, 0.8, 0.1, 0.1)) == 0 == overlap((0, 0, 0, 0), (0, 0, 0, 0))


def test_a_healthy_verdict_shows_likely_boxes_only_another_always_its_highest() -> None:
    boxes = [Box(0.5, 0.5, 0.1, 0.1, score) for score in (0.4, 0.3)]
    likely = [boxes[0]._replace(score=0.6), boxes[1]._replace(score=0.5), boxes[1]]
    assert RULE.shown(boxes, is_normal=True) == () and RULE.shown(boxes, is_normal=False) == (boxes[0],)
    assert RULE.shown(likely, is_normal=True) == RULE.shown(likely, is_normal=False) == tuple(likely[:2])
    assert RULE.shown([], is_normal=False) == ()


def test_frames_stand_around_a_box_and_hide_nothing_of_it() -> None:
    picture = np.asarray(with_boxes(Image.new("L", (100, 80), 90), [Box(0.5, 0.5, 0.2, 0.25, 0.31)])).astype(int)
    assert (picture[30:50, 40:60] == 90).all() and (picture[28, 40:60] == 255).all()


def test_a_rule_comes_back_from_json_and_a_broken_one_is_named() -> None:
    stored = json.loads(json.dumps(replace(RULE, fitted_on={"n": 3}).as_dict()))
    assert boxes_from(stored, "d.json") == replace(RULE, fitted_on={"n": 3}) and boxes_from(None, "d.json") is None
    for change, told in (
        ({"side": 0}, "side over 0"),
        ({"most": 6}, "most from 1 to 5"),
        ({"slope": float("nan")}, "finite"),
        ({"smooth": None}, "float"),
    ):
        with pytest.raises(ValueError, match=rf"d\.json: boxes: .*{told}"):
            boxes_from(stored | change, "d.json")
    with pytest.raises(ValueError, match=r"d\.json: boxes: key 'side' is missing"):
        boxes_from({key: value for key, value in stored.items() if key != "side"}, "d.json")
    with pytest.raises(ValueError, match="must be null or a mapping"):
        boxes_from("x", "d.json")


def test_a_checkpoint_with_a_rule_answers_with_boxes_and_heat_and_one_without_as_before(tmp_path: Path) -> None:
    telling_checkpoint(tmp_path)
    write_patch_head(PatchHead(np.random.default_rng(1).normal(size=32).astype(np.float32), 0.0), tmp_path)
    plain = DecisionRule(1.5, THREE_CLASS, 56)
    write_decision(plain, tmp_path)
    films = [grey(90, 60, 1), grey(60, 90, 2)]
    before = BonePredictor.from_pretrained(tmp_path, device="cpu").predict(films, heatmap=True)
    rule, scale = replace(RULE, shown_from=0.0), HeatScale(PROBABILITY, 0.01, 0.9)
    write_decision(replace(plain, boxes=rule, heat=scale), tmp_path)
    assert (read_decision(tmp_path) or plain).boxes == rule
    predictor = BonePredictor.from_pretrained(tmp_path, device="cpu")
    after = predictor.predict([films[0], b"bad", films[1]], heatmap=True)
    assert after[1].boxes == () and after[1].verdict == "unreadable"
    for one, other, film in zip(before, (after[0], after[2]), films, strict=True):
        assert one.boxes == () and one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        (patches,) = predictor.patches([np.asarray(film)])
        expected = rule.propose(patches, content(film.size[::-1], 56, patches.shape))
        np.testing.assert_allclose(np.array(other.boxes), np.array(expected), atol=1e-5)
        assert other.heatmap is not None and other.heat_scale == scale and other.heatmap.shape == film.size[::-1]
        assert other.heatmap.max() == pytest.approx(scale.cells(patches).max(), abs=0.1)
        assert other.to_dict()["boxes"][0].keys() == {"cx", "cy", "w", "h", "score"}
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(CheckpointError, match=r"decision\.json asks the patches"):
        BonePredictor.from_pretrained(tmp_path, device="cpu")
