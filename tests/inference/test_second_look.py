"""A second look: windows, evidence, how it joins the first, its numbers. Run: pytest tests/inference/test_second_look.py"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import bone_row, bone_rows, grey, telling_checkpoint
from transformers import AutoImageProcessor, pipeline
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.evaluation.patch_join_choices import SecondLookChoices
from hf_bones.evaluation.patch_joins import fit_second_look_of
from hf_bones.hub.card_figures import measured_table
from hf_bones.inference.checkpoint import CheckpointError
from hf_bones.inference.decision import DecisionRule, read_decision, write_decision
from hf_bones.inference.join import log_odds
from hf_bones.inference.network import content_mask, patch_logits
from hf_bones.inference.predictor import BonePredictor
from hf_bones.inference.second_look import SCALE, TOP, SecondLook, film_evidence, window_places, windows
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.patch_head import FILE_NAME, PatchHead, read_patch_head, write_patch_head

LOOK = SecondLook(log_odds=0.7, evidence=0.5, offset=0.2)


def headed(folder: Path, look: SecondLook | None = LOOK, kind: str = "dinov2") -> Path:
    """A tiny checkpoint with a patch head whose patches differ, and a second look."""
    telling_checkpoint(folder, kind)
    width = 16 if kind == "convnextv2" else 32
    write_patch_head(PatchHead(np.random.default_rng(1).normal(size=width).astype(np.float32), -1.5), folder)
    write_decision(DecisionRule(1.5, THREE_CLASS, 56, second_look=look), folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return headed(tmp_path_factory.mktemp("headed"))


@pytest.fixture(scope="module")
def looking(folder: Path) -> BonePredictor:
    return BonePredictor.from_pretrained(folder, device="cpu")


# Windows
@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 120))
def test_windows_cover_the_film_and_are_no_more_than_needed(height: int, width: int, size: int) -> None:
    places = window_places(height, width, size)
    seen = np.zeros((height, width), dtype=bool)
    for y, x in places:
        assert y >= 0 and x >= 0 and y + min(size, height) <= height and x + min(size, width) <= width
        seen[y : y + size, x : x + size] = True
    assert seen.all() and len(places) == len(set(places)) == math.ceil(height / size) * math.ceil(width / size)


def test_a_film_is_cut_at_twice_the_size_and_a_narrow_one_into_one_column() -> None:
    assert [part.shape for part in windows(np.asarray(grey(300, 200)), 56, 2)] == [(56, 56)] * 4
    assert [part.shape for part in windows(np.asarray(grey(400, 100)), 56, 2)] == [(56, 28)] * 2
    assert [part.shape for part in windows(np.asarray(grey(30, 60)), 56, 3)] == [(56, 56)] * 6


# Patches
def test_patch_logits_are_those_of_the_last_hidden_state_and_padding_has_none(looking: BonePredictor) -> None:
    assert looking.patch_head is not None
    inputs = torch.randn(2, 3, 56, 56)
    content = content_mask([(56, 56), (28, 42)], 56, torch.device("cpu"))
    found = patch_logits(looking.model, looking.patch_head, inputs, content)
    with torch.inference_mode():
        tokens = looking.model.base_model(inputs).last_hidden_state[:, 1:]
    by_hand = (tokens @ torch.from_numpy(looking.patch_head.weight) + looking.patch_head.bias).unflatten(1, (4, 4))
    torch.testing.assert_close(found[0], by_hand[0])
    torch.testing.assert_close(found[1, :2, :3], by_hand[1, :2, :3])
    assert torch.isinf(found[1, 2:]).all() and torch.isinf(found[1, :, 3:]).all()
    sliver = patch_logits(looking.model, looking.patch_head, inputs[:1], content_mask([(56, 3)], 56, inputs.device))
    assert torch.isfinite(sliver[0, :, 0]).all() and torch.isinf(sliver[0, :, 1:]).all()


def test_evidence_is_the_mean_of_the_highest_patches_of_all_windows_of_a_film() -> None:
    asked: list[int] = []

    def ask(batch, top):  # type: ignore[no-untyped-def]
        asked.append(len(batch))
        values = np.stack([np.sort(part.astype(float).ravel())[::-1][:top] for part in batch])
        return np.where(values < 10, -np.inf, values)

    films = [np.full((56, 40), 20, np.uint8), np.full((56, 56), 20, np.uint8), np.full((40, 8), 3, np.uint8)]
    films[0][3, 3], films[1][50, 50], films[1][2, 2] = 200, 90, 60
    films[2][0, 0] = 30
    with np.errstate(all="raise"):
        found = film_evidence(films, ask, 56, 1, 3, 2)
    assert found.tolist() == [(200 + 20 + 20) / 3, (90 + 60 + 20) / 3, pytest.approx(found[2])]
    assert found[2] >= 10, "what is −inf in a window is no patch"
    assert asked == [2, 1], "windows of several films share a batch"


def test_a_checkpoints_patch_head_is_read_back_and_another_file_is_refused(tmp_path: Path) -> None:
    head = PatchHead(np.arange(4, dtype=np.float32), -2.5)
    write_patch_head(head, tmp_path)
    again = read_patch_head(tmp_path)
    assert again is not None and np.array_equal(again.weight, head.weight) and again.bias == head.bias
    (tmp_path / FILE_NAME).write_bytes(b"no safetensors")
    with pytest.raises(ValueError, match=r"patch_head\.safetensors: not a patch head"):
        read_patch_head(tmp_path)
    write_patch_head(None, tmp_path)
    assert read_patch_head(tmp_path) is None


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnextv2"])
def test_with_a_patch_head_pipeline_and_predictor_still_agree(tmp_path: Path, kind: str) -> None:
    made = headed(tmp_path, kind=kind)
    processor = AutoImageProcessor.from_pretrained(made, backend="pil")
    plain = pipeline("image-classification", model=str(made), image_processor=processor, device="cpu")
    image = grey(90, 60)
    predictor = BonePredictor.from_pretrained(made, device="cpu")
    expected = {row["label"]: row["score"] for row in plain(image, top_k=3)}
    assert predictor.predict(image)[0].raw_probabilities == pytest.approx(expected, abs=1e-4)
    once, again = predictor.predict(image)[0], predictor.predict(image, zoom=True)[0]
    assert again.raw_probabilities == once.raw_probabilities and again.probabilities != pytest.approx(once.probabilities, abs=1e-3)


def test_a_patch_head_of_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    other = headed(tmp_path)
    write_patch_head(PatchHead(np.zeros(7, np.float32), 0.0), other)
    with pytest.raises(CheckpointError, match="patches of 7 numbers"):
        BonePredictor.from_pretrained(other, device="cpu")


# Joining
def test_joined_log_odds_by_hand_and_the_abnormal_classes_keep_their_differences() -> None:
    logits = np.array([[0.3, -0.4, 1.1], [2.0, 0.0, -1.0]])
    joined = LOOK.joined(logits, [1.5, -2.0], 0)
    for row, seen, found in zip(logits, (1.5, -2.0), joined, strict=True):
        single = math.log(math.exp(row[1]) + math.exp(row[2])) - row[0]
        wanted = 0.7 * single + 0.5 * seen + 0.2
        assert math.log(math.exp(found[1]) + math.exp(found[2])) - found[0] == pytest.approx(wanted)
        assert found[1] - found[2] == pytest.approx(row[1] - row[2])
    with pytest.raises(ValueError, match="finite"):
        LOOK.joined(logits, [1.0, np.nan], 0)


def test_a_finding_with_zoom_has_the_joined_probabilities(looking: BonePredictor) -> None:
    films = [np.asarray(grey(90, 60, seed)) for seed in range(5)]
    plain, zoomed = (looking.predict(films, batch_size=2, zoom=zoom) for zoom in (False, True))
    evidence = looking.evidence(films, batch_size=3)
    for one, two, film, seen in zip(plain, zoomed, films, evidence, strict=True):
        calibrated = looking.logits([film])[0].astype(float) / 1.5
        expected = 1 / (1 + math.exp(-(0.7 * log_odds(calibrated[None], 0)[0] + 0.5 * seen + 0.2)))
        assert 1 - two.probabilities["healthy"] == pytest.approx(expected, abs=1e-5)
        assert (one.zoomed, two.zoomed) == (False, True) and two.to_dict()["zoomed"] is True
        assert abs(two.probabilities["healthy"] - one.probabilities["healthy"]) > 1e-3
    by_window = [max(looking._highest_patches([part], 1)[0, 0] for part in windows(film, 56, 2)) for film in films]
    assert looking.evidence(films, top=1) == pytest.approx(by_window, abs=1e-5), "top 1 is the maximum"


def test_only_doubtful_films_are_looked_at_again(folder: Path, looking: BonePredictor) -> None:
    films = [np.asarray(grey(90, 60, seed)) for seed in range(6)]
    abnormal = sorted(1 - one.probabilities["healthy"] for one in looking.predict(films))
    middle = replace(LOOK, doubtful=(abnormal[1] + 1e-4, abnormal[4] - 1e-4))
    other = BonePredictor(
        looking.model, looking.spec, replace(looking.decision, second_look=middle), calibrated=True, checkpoint="x",
        patch_head=looking.patch_head,
    )  # fmt: skip
    found = other.predict([films[0], b"no image", *films[1:]], zoom=True)
    assert sum(one.zoomed for one in found) == 2 and not found[1].zoomed and not found[1].readable
    for one, two in zip(looking.predict(films), [found[0], *found[2:]], strict=True):
        assert two.zoomed or two.probabilities == pytest.approx(one.probabilities)


def test_mirror_and_zoom_average_both_looks_of_both_views(looking: BonePredictor) -> None:
    film = np.asarray(grey(90, 60, 4))
    views = [film, film[:, ::-1]]
    mean = np.mean([looking.logits([view])[0] for view in views], axis=0).astype(float) / 1.5
    seen = np.mean([looking.evidence([view])[0] for view in views])
    expected = 1 / (1 + math.exp(-(0.7 * log_odds(mean[None], 0)[0] + 0.5 * seen + 0.2)))
    finding = looking.predict(film, mirror=True, zoom=True)[0]
    assert finding.mirrored and finding.zoomed and 1 - finding.probabilities["healthy"] == pytest.approx(expected, abs=1e-5)
    assert abs(looking.evidence([views[1]])[0] - looking.evidence([film])[0]) > 1e-3, "views alike would say nothing"


def test_a_heat_map_stays_that_of_the_whole_film(looking: BonePredictor) -> None:
    film = np.asarray(grey(80, 60, 1))
    one, two = (looking.predict(film, heatmap=True, zoom=zoom)[0].heatmap for zoom in (False, True))
    assert one is not None and two is not None and np.array_equal(one, two)


def test_zoom_is_refused_where_there_is_no_second_look(tmp_path: Path) -> None:
    bare = BonePredictor.from_pretrained(telling_checkpoint(tmp_path / "bare"), device="cpu")
    with pytest.raises(CheckpointError, match=r"no patch_head\.safetensors.*box_loss"):
        bare.predict(grey(), zoom=True)
    unfitted = BonePredictor.from_pretrained(headed(tmp_path / "unfitted", look=None), device="cpu")
    with pytest.raises(CheckpointError, match="hf-bones second-look"):
        unfitted.predict(grey(), zoom=True)


# decision.json
def test_a_second_look_survives_its_file_and_version_1_is_still_read(tmp_path: Path) -> None:
    written = DecisionRule(1.7, THREE_CLASS, 224, second_look=replace(LOOK, doubtful=(0.1, 0.9), scale=2.5, top=3, fitted_on={"n": 4}))
    path = write_decision(written, tmp_path)
    assert read_decision(tmp_path) == written
    data = json.loads(path.read_text())
    assert data["schema_version"] == 2 and data["second_look"]["doubtful"] == [0.1, 0.9]
    del data["second_look"]
    path.write_text(json.dumps({**data, "schema_version": 1}))
    assert read_decision(tmp_path) == replace(written, second_look=None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scale", 0.5, "scale"),
        ("top", 0, "top"),
        ("doubtful", [0.9, 0.1], "doubtful"),
        ("evidence", None, "float"),
        ("offset", 1e999, "finite"),
    ],
)
def test_a_malformed_second_look_is_refused_by_name(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = write_decision(DecisionRule(1.0, THREE_CLASS, 56, second_look=LOOK), tmp_path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "second_look": {**data["second_look"], key: value}}))
    with pytest.raises(ValueError, match=f"decision.json.*{message}"):
        read_decision(tmp_path)


def test_the_command_fits_a_checkpoint_and_zoom_then_works(tmp_path: Path) -> None:
    from datasets import DatasetDict

    made = headed(tmp_path / "mine", look=None)
    rows = [bone_row(np.asarray(grey(60, 50, seed)), seed) for seed in range(36)]
    DatasetDict(train=bone_rows(rows[:3]), validation=bone_rows(rows)).save_to_disk(str(tmp_path / "films"))
    choices = SecondLookChoices(doubtful_from=0.1, doubtful_to=0.95, device="cpu")
    assert (choices.scale, choices.top) == (SCALE, TOP)
    asked = ["second-look", str(made), str(tmp_path / "films"), "--doubtful-from", "0.1", "--doubtful-to", "0.95", "--device", "cpu"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and "of 36 films looked at twice" in done.output, done.output
    look = fit_second_look_of(made, tmp_path / "films", choices)
    stored = read_decision(made)
    assert stored is not None and stored.second_look == look and stored.temperature == 1.5
    assert look.doubtful == (0.1, 0.95) and look.fitted_on["n"] == 36

    # What command line, report, data and card say of it
    told = {}
    for zoom in (False, True):
        out = tmp_path / f"zoom {zoom}"
        asked = [
            "evaluate",
            str(made),
            str(tmp_path / "films"),
            "--split",
            "validation",
            "--repeats",
            "20",
            "--no-baselines",
            "--out",
            str(out),
        ]
        done = CliRunner().invoke(app, [*asked, "--out", str(out), *(["--zoom"] if zoom else [])])
        assert done.exit_code == 0, done.output
        data = json.loads((out / "metrics.json").read_text())
        told[zoom] = data["slices"][0]["figures"]["log_loss"]["value"]
        assert data["method"]["zoom"] == (look.fitted_on["doubtful"] if zoom else None)
        for text in (done.output, (out / "report.md").read_text(), measured_table(data, THREE_CLASS)):
            assert ("doubtful films again, in windows at twice the size" in text) is zoom
    assert abs(told[True] - told[False]) > 1e-3
    grey(60, 50, 3).save(tmp_path / "film.png")
    asked = ["predict", str(tmp_path / "film.png"), "--zoom", "--csv", str(tmp_path / "found.csv"), "--model"]
    assert CliRunner().invoke(app, [*asked, str(made)]).exit_code == 0
    (tmp_path / "found.csv").unlink()
    assert CliRunner().invoke(app, [*asked, str(telling_checkpoint(tmp_path / "none"))]).exit_code == 2
    assert not (tmp_path / "found.csv").exists(), "refused before a file is begun"
    for wrong, message in (("bundled", "folder of your own"), (telling_checkpoint(tmp_path / "bare"), "no decision.json")):
        with pytest.raises(ValueError, match=message):
            fit_second_look_of(wrong, tmp_path / "films", choices)
    with pytest.raises(ValueError, match="split 'train'"):
        fit_second_look_of(made, tmp_path / "films", replace(choices, split="train"))
