"""The gate: its answers, its file, what a predictor says with and without one. Run: pytest tests/inference/test_gate.py"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import grey, png, telling_checkpoint

from hf_bones.evaluation.gate.fit import fit_gate
from hf_bones.evaluation.gate.settings import GateSettings
from hf_bones.images.opening import open_image
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER, UNREADABLE
from hf_bones.inference.gate.fitted import FILE_NAME, FILM, NO_FILM, UNFAMILIAR, Depth, Gate, GateAnswer, GateRule, read_gate, write_gate
from hf_bones.inference.gate.pixels import PixelValues, colour_of, panels_of, pixel_values
from hf_bones.inference.predictor import BonePredictor
from hf_bones.inference.verdict import verdict_of
from hf_bones.labels import THREE_CLASS

RULE = GateRule(refuse=3.0, unfamiliar=2.0, min_grey_range=32, max_flat_share=0.8, max_panels=1.5, max_colour=4.5)
PLAIN = PixelValues(200.0, 0.1, 0.2, 0.0)


def line_gate(width: int = 4) -> Gate:
    """A gate of one depth whose score is the logarithm of the squared distance from 0."""
    basis = np.eye(width)[:, :2]
    depth = Depth(np.zeros(width), np.ones(width), basis, np.ones(2), 1.0, 0.0, 1.0)
    return Gate(RULE, (depth,), np.arange(-1.0, 4.0, 0.05))


@pytest.fixture(scope="module", params=["dinov2", "vit", "convnextv2"])
def gated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BonePredictor:
    """A tiny checkpoint of each kind of network with a gate fitted on smooth grey pictures."""
    folder = telling_checkpoint(tmp_path_factory.mktemp("gated"), request.param)
    write_decision(DecisionRule(1.5, THREE_CLASS, 56), folder)
    films = [np.asarray(grey(seed=seed)) for seed in range(120)]
    write_gate(
        fit_gate(
            BonePredictor.from_pretrained(folder, device="cpu"),
            films[:80],
            films[80:],
            GateSettings(drawn_films=0, unfamiliar=0.1),
            drawn=0,
        ),
        folder,
    )
    return BonePredictor.from_pretrained(folder, device="cpu")


# The answer
def test_a_score_is_a_film_unfamiliar_or_no_film() -> None:
    kinds = [line_gate().answer(score, PLAIN) for score in (1.9, 2.0, 2.9, 3.0)]
    assert [answer.kind for answer in kinds] == [FILM, UNFAMILIAR, UNFAMILIAR, NO_FILM]
    assert [bool(answer.reasons) for answer in kinds] == [False, True, True, True]
    assert [answer.familiarity for answer in kinds] == sorted((answer.familiarity for answer in kinds), reverse=True)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (PixelValues(10, 0), "one grey"),
        (PixelValues(200, 0.95), "page, plot"),
        (PixelValues(200, 0, 2.0), "several pictures"),
        (PixelValues(200, 0, 0, 9.0), "in colour"),
    ],
)
def test_pixels_that_no_film_has_are_refused_with_the_reason(values: PixelValues, word: str) -> None:
    answer = line_gate().answer(0.0, values)
    assert answer.kind == NO_FILM and word in answer.reasons[0]


def test_distance_counts_each_direction_by_how_much_films_vary_there() -> None:
    depth = Depth(np.array([1.0, 0, 0]), np.array([2.0, 1, 1]), np.eye(3)[:, :2], np.array([4.0, 1.0]), 0.25, 0.0, 1.0)
    found = np.exp(depth.log_distance([[5.0, 0, 0], [1.0, 2, 0], [1.0, 0, 1]]))
    np.testing.assert_allclose(found, [2**2 / 4, 2**2 / 1, 1 / 0.25], rtol=1e-6)


def test_no_film_comes_before_refer_and_unfamiliar_before_the_class() -> None:
    answers = {kind: GateAnswer(kind, 0.0, 0.5, ("why",)) for kind in (FILM, UNFAMILIAR, NO_FILM)}
    sets = DecisionRule(1.0, THREE_CLASS, 56, dict.fromkeys(THREE_CLASS.names, 0.3))
    clear, doubtful = np.array([0.8, 0.1, 0.1]), np.array([0.5, 0.4, 0.1])
    assert verdict_of(sets, doubtful, answers[NO_FILM])[0] == NOT_A_BONE_XRAY
    assert verdict_of(sets, clear, answers[UNFAMILIAR])[::2] == (REFER, ("why", "a radiologist should look at this image"))
    assert verdict_of(sets, clear, answers[FILM])[::2] == ("healthy", ())
    assert verdict_of(sets, doubtful, None)[0] == REFER


# Its file
def test_a_gate_survives_its_file_and_the_decision_keeps_the_rest(tmp_path: Path) -> None:
    write_decision(DecisionRule(1.5, THREE_CLASS, 56), tmp_path)
    written = line_gate()
    write_gate(written, tmp_path)
    read, decision = read_gate(tmp_path), read_decision(tmp_path)
    assert read is not None and read.rule == written.rule and decision is not None and decision.gate == RULE and decision.temperature == 1.5
    features = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_allclose(read.score([features]), written.score([features]), rtol=1e-3)
    write_decision(replace(decision, temperature=2.0), tmp_path)  # as another command does
    assert read_gate(tmp_path) is not None
    write_gate(None, tmp_path)
    assert read_gate(tmp_path) is None and not (tmp_path / FILE_NAME).exists()


def test_a_gate_that_is_not_all_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="calibrate the checkpoint first"):
        write_gate(line_gate(), tmp_path)
    path = write_decision(DecisionRule(1.5, THREE_CLASS, 56, gate=RULE), tmp_path)
    with pytest.raises(ValueError, match="missing, but"):
        read_gate(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a gate"):
        read_gate(tmp_path)
    data = json.loads(path.read_text())
    for change, word in (
        ({"refuse": None}, "gate"),
        ({"unfamiliar": 9.0}, "must not be over refuse"),
        ({"refuse": float("nan")}, "finite"),
    ):
        path.write_text(json.dumps({**data, "gate": {**data["gate"], **change}}))
        with pytest.raises(ValueError, match=word):
            read_gate(tmp_path)
    del data["gate"]["refuse"]
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="'refuse' is missing"):
        read_decision(tmp_path)


def test_arrays_that_do_not_fit_one_another_are_refused(tmp_path: Path) -> None:
    write_decision(DecisionRule(1.5, THREE_CLASS, 56), tmp_path)
    gate = line_gate()
    for bad in (
        replace(gate.depths[0], rest=-1.0),
        replace(gate.depths[0], spread=np.ones(3)),
        replace(gate.depths[0], mean=np.full(4, np.nan)),
    ):
        write_gate(replace(gate, depths=(bad,)), tmp_path)
        with pytest.raises(ValueError, match="not a gate"):
            read_gate(tmp_path)


def test_a_gate_of_another_network_says_so() -> None:
    with pytest.raises(ValueError, match=r"features of \[4\] numbers, not of \[7\]"):
        line_gate().score([np.zeros((1, 7))])


# In a prediction
def test_the_features_come_from_the_one_pass_that_gives_the_logits(gated: BonePredictor) -> None:
    calls = []
    hook = gated.model.register_forward_hook(lambda *_: calls.append(1))
    pictures = [np.asarray(grey(seed=seed)) for seed in range(3)]
    findings = gated.predict(pictures)
    hook.remove()
    assert len(calls) == 1 and all(finding.gated and finding.familiarity is not None for finding in findings)
    assert not any(module._forward_hooks for module in gated.model.modules())


def test_features_do_not_depend_on_the_batch_nor_on_the_mirror(gated: BonePredictor) -> None:
    pictures = [np.asarray(grey(seed=seed, height=height)) for seed, height in enumerate((90, 60, 120))]
    together = [finding.familiarity for finding in gated.predict(pictures)]
    alone = [gated.predict(picture)[0].familiarity for picture in pictures]
    assert together == alone == [finding.familiarity for finding in gated.predict(pictures, mirror=True)]


def test_films_like_those_learnt_from_pass_and_noise_does_not(gated: BonePredictor) -> None:
    films = gated.predict([np.asarray(grey(seed=seed)) for seed in range(500, 540)])
    assert sum(finding.verdict == NOT_A_BONE_XRAY for finding in films) <= 4
    noise = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    flat = np.full((90, 70), 240, np.uint8)
    assert [finding.verdict for finding in gated.predict([noise, flat])] == [NOT_A_BONE_XRAY] * 2
    refused = gated.predict(flat)[0]
    assert "one grey" in refused.reasons[0] and refused.probabilities and refused.to_dict()["gated"] is True


def test_a_bad_file_changes_nothing_for_the_others(gated: BonePredictor) -> None:
    film = png(grey(seed=1))
    findings = gated.predict([film, b"no image", film])
    assert findings[1].verdict == UNREADABLE and findings[1].familiarity is None
    assert findings[0].familiarity == findings[2].familiarity == gated.predict(film)[0].familiarity


def test_a_checkpoint_without_a_gate_works_and_says_so(checkpoint: Path) -> None:
    finding = BonePredictor.from_pretrained(checkpoint, device="cpu").predict(np.full((60, 60), 7, np.uint8))[0]
    assert finding.verdict in THREE_CLASS.names and not finding.gated and finding.familiarity is None


def test_a_damaged_gate_is_an_error_of_the_checkpoint(tmp_path: Path) -> None:
    telling_checkpoint(tmp_path)
    write_decision(DecisionRule(1.5, THREE_CLASS, 56, gate=RULE), tmp_path)
    with pytest.raises(CheckpointError, match=r"gate\.safetensors: missing"):
        BonePredictor.from_pretrained(tmp_path, device="cpu")


# Pixels
def test_colour_is_seen_in_every_kind_of_source_and_grey_or_tinted_films_have_none(tmp_path: Path) -> None:
    hues = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    coloured = Image.fromarray(hues).resize((80, 60), Image.Resampling.NEAREST)
    path = tmp_path / "a.png"
    coloured.save(path)
    for source in (path, str(path), path.read_bytes(), coloured, np.asarray(coloured)):
        assert colour_of(source, open_image(source)) > 10
    film = grey()
    tinted = Image.merge("RGB", [film.point(lambda level, share=share: int(level * share)) for share in (0.7, 0.85, 1.0)])
    for source in (film, film.convert("RGB"), tinted):
        assert colour_of(source, open_image(source)) < 2
    opened = open_image(path)
    path.unlink()
    assert colour_of(path, opened) == 0


def test_a_sheet_of_films_is_cut_up_both_ways_and_two_limbs_are_not() -> None:
    cells = [np.asarray(grey(60, 50, seed=seed)) for seed in range(6)]
    sheet = np.vstack([np.hstack(cells[:3]), np.hstack(cells[3:])])
    assert panels_of(sheet) > 1.0 > max(panels_of(np.hstack(cells[:2])), panels_of(np.asarray(grey(180, 150))))


def test_pixel_values_tell_paper_from_film() -> None:
    page = np.full((400, 300), 255, np.uint8)
    page[::20, 20:-20] = 0
    film = np.asarray(grey(400, 300))
    assert pixel_values(page).flat_share > 0.8 > pixel_values(film).flat_share
    assert pixel_values(film).grey_range > 100 > pixel_values(np.full((50, 50), 9, np.uint8)).grey_range
