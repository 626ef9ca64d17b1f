"""A whole run with box_loss leaves a patch head, patches that join and a second look. Run: pytest tests/training/test_second_look_run.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import main
from datasets import DatasetDict, load_from_disk
from safetensors.torch import load_file
from small_run import arguments
from tiny import bar_picture

from hf_bones import BonePredictor
from hf_bones.config.recipe import ModelConfig
from hf_bones.hub.push import files_to_push
from hf_bones.inference import join_fit
from hf_bones.inference.decision import read_decision
from hf_bones.inference.join import PatchJoin
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.auxiliary import trained_patch_head
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.backbone.patch_head import FILE_NAME, read_patch_head
from hf_bones.training.build import add_further_weights


@pytest.fixture(scope="module")
def boxed(smaller: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smaller ground, its broken pictures with a box."""
    folder = tmp_path_factory.mktemp("boxed")
    (folder / "start").symlink_to(smaller / "start")
    splits = load_from_disk(str(smaller / "dataset"))
    drawn = {split: rows.map(lambda row: {"boxes": [[0.5, 0.47, 1.0, 0.13]] if row["label"] else []}) for split, rows in splits.items()}
    DatasetDict(drawn).save_to_disk(str(folder / "dataset"))
    return folder


def test_a_run_with_boxes_leaves_a_patch_head_and_a_second_look_and_one_without_takes_them_away(
    boxed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    more = ("--head_start", "random", "--box_loss", "1", "--epochs", "2", "--augment", "true", "--tile_probability", "0.4")
    monkeypatch.setattr(join_fit, "pays", lambda join: True)  # what two epochs on 9 pictures give need not pay
    assert main(arguments(boxed, output, *more, "--join_patches", "true", "--second_look", "true")) == 0
    head, decision = read_patch_head(output), read_decision(output)
    assert head is not None and head.weight.shape == (32,) and head.bias != -4.0, "where it started"
    assert not [name for name in load_file(output / "model.safetensors") if "auxiliary" in name]
    assert decision is not None and decision.second_look is not None and decision.second_look.fitted_on["n"] == 9
    assert decision.patches is not None and decision.patches.fitted_on["n"] == 9
    assert FILE_NAME in {path.name for path in files_to_push(output)}
    card = (output / "README.md").read_text()
    assert "A second look (`--zoom`) is fitted" in card and "9 validation images" in card and "The patches join every answer" in card
    predictor = BonePredictor.from_pretrained(output, device="cpu")
    film = np.repeat(np.repeat(bar_picture(1, 7), 3, axis=0), 3, axis=1)
    one, two = (predictor.predict(film, zoom=zoom)[0] for zoom in (False, True))
    assert two.zoomed and two.probabilities != one.probabilities

    # A run from it starts where its patch head left off.
    for folder, expected in ((output, head.bias), (boxed / "start", None)):
        again, _ = load_model(ModelConfig(str(folder), image_size=56), THREE_CLASS)
        add_further_weights(again, ModelConfig(str(folder), image_size=56), 56, {}, boxes=True)
        known = trained_patch_head(again, steps=False)
        assert (known.bias if known else None) == expected

    assert main(arguments(boxed, output, "--epochs", "1", "--resume", "false")) == 0
    decision = read_decision(output)
    assert decision is not None and decision.second_look is None and decision.patches is None and not (output / FILE_NAME).exists()
    assert "second look" not in (output / "README.md").read_text()


@pytest.mark.parametrize(("gained", "kept"), [(0.02, True), (0.0, True), (-0.01, False)])
def test_patches_that_cost_out_of_fold_join_no_answer(
    gained: float, kept: bool, boxed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = {"n": 9, "groups": 9, "auroc_abnormal": [0.5, 0.5 + gained], "auroc_gained": [gained, -0.1, 0.1]}
    monkeypatch.setattr(join_fit, "fit_patches", lambda *given, **more: PatchJoin(1.0, 0.5, 0.0, fitted_on=fitted))
    more = ("--head_start", "random", "--epochs", "0", "--patch_head", "fitted", "--join_patches", "true")
    assert main(arguments(boxed, tmp_path / "run", *more)) == 0
    decision, told = read_decision(tmp_path / "run"), capsys.readouterr().out
    assert decision is not None and (decision.patches is not None) == kept
    assert f"({gained:+.3f}" in told and ("patches join no answer" in told) == (not kept)
