"""A patch head fitted to a finished network. Run: pytest tests/training/test_patch_fit.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import main
from datasets import DatasetDict, load_from_disk
from safetensors.torch import load_file
from small_run import arguments
from tiny import telling_checkpoint

from hf_bones.config.recipe import ModelConfig, RecipeError
from hf_bones.inference.decision import read_decision
from hf_bones.inference.network import content_mask, patch_logits
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import stack_inputs
from hf_bones.training import patch_fit
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.backbone.patch_head import read_patch_head
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.patch_fit import fit_patch_head, patch_weights


class Films:
    """Grey noise; the broken ones with one bright patch in their box, and one broken film of which nobody drew the box."""

    def __init__(self, count: int, boxed: bool = True) -> None:
        random = np.random.default_rng(0)
        self.images = [random.integers(40, 90, (56, 42), dtype=np.uint8) for _ in range(count)]
        self.places: list[list[list[float]] | None] = [[] for _ in range(count)]
        for row in range(1, count, 2):
            y, x = random.integers(0, 4), random.integers(0, 3)
            self.images[row][14 * y : 14 * y + 14, 14 * x : 14 * x + 14] += 150
            self.places[row] = [[(x + 0.5) / 3, (y + 0.5) / 4, 0.2, 0.15]] if boxed and row > 1 else None

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> np.ndarray:
        return self.images[row]

    def boxes(self, row: int) -> list[list[float]] | None:
        return self.places[row]


def test_a_fitted_head_finds_the_boxed_patches_of_films_it_was_not_fitted_to(tmp_path: Path) -> None:
    model, spec = load_model(ModelConfig(str(telling_checkpoint(tmp_path)), image_size=56), THREE_CLASS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    films = Films(60)
    rows = TrainingRows([Films(40)], np.arange(40) % 2, spec.size, 0, with_boxes=True)
    head = fit_patch_head(model, spec, rows, 7, torch.device("cpu"))
    found = patch_logits(
        model, head, torch.from_numpy(stack_inputs(films.images, spec)), content_mask([(56, 42)] * 60, spec.size, torch.device("cpu"))
    )
    for row in range(41, 60, 2):
        (cx, cy, _w, _h), *_ = films.places[row]
        assert divmod(int(found[row].argmax()), 4) == (int(cy * 4), int(cx * 3))
    assert found[41::2].amax(dim=(1, 2)).min() > found[40::2].amax(dim=(1, 2)).max(), "whole films say less"
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(RecipeError, match=r"0 of .* lie in a fracture box.*patch_head to trained"):
        fit_patch_head(model, spec, TrainingRows([Films(6, boxed=False)], np.arange(6) % 2, 56, 0, with_boxes=True), 4, torch.device("cpu"))


def test_a_run_without_a_step_gives_a_finished_checkpoint_patches_that_join(smaller: Path, tmp_path: Path) -> None:
    splits = load_from_disk(str(smaller / "dataset"))
    drawn = {split: rows.map(lambda row: {"boxes": [[0.5, 0.47, 1.0, 0.13]] if row["label"] else []}) for split, rows in splits.items()}
    (tmp_path / "boxed").mkdir()
    (tmp_path / "boxed" / "start").symlink_to(smaller / "start")
    DatasetDict(drawn).save_to_disk(str(tmp_path / "boxed" / "dataset"))
    asked = ("--head_start", "random", "--epochs", "0", "--patch_head", "fitted", "--join_patches", "true")
    assert main(arguments(tmp_path / "boxed", tmp_path / "run", *asked)) == 0
    head, decision = read_patch_head(tmp_path / "run"), read_decision(tmp_path / "run")
    assert head is not None and np.abs(head.weight).max() > 0
    assert decision is not None and decision.patches is not None and decision.patches.fitted_on["n"] == 9
    start, after = (load_file(folder / "model.safetensors") for folder in (smaller / "start", tmp_path / "run"))
    assert all(torch.equal(after[name], value) for name, value in start.items() if "embeddings" in name), "no weight moved"


class Shafts(Films):
    """Each film twice: a bright patch in noise, and the same film with a brighter one in its place, whose box is known."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(1)
        self.images, self.places, self.shafts = [], [], []
        for _ in range(count):
            film = random.integers(40, 90, (56, 42), dtype=np.uint8)
            y, x = (int(random.integers(0, most)) for most in (4, 3))
            for more, boxes in ((90, []), (165, [[(x + 0.5) / 3, (y + 0.5) / 4, 0.2, 0.15]])):
                self.images.append(film.copy())
                self.images[-1][14 * y : 14 * y + 14, 14 * x : 14 * x + 14] += more
                self.places.append(boxes)
                self.shafts.append((y, x))


def test_a_broken_copy_is_set_against_its_film_at_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_fit, "OUTSIDE", 1)  # of 12 patches: shafts of whole films seldom come in by chance
    model, spec = load_model(ModelConfig(str(telling_checkpoint(tmp_path)), image_size=56), THREE_CLASS)
    films = Shafts(30)
    rows = TrainingRows([films], np.arange(60) % 2, spec.size, 0, with_boxes=True)
    copies_of = {row: row - 1 for row in range(1, 60, 2)}
    said = {}
    for name, known in (("set against", copies_of), ("alone", {})):
        head = fit_patch_head(model, spec, rows, 7, torch.device("cpu"), copies_of=known)
        mask = content_mask([(56, 42)] * 60, spec.size, torch.device("cpu"))
        found = patch_logits(model, head, torch.from_numpy(stack_inputs(films.images, spec)), mask)
        said[name] = np.array([float(found[row][place]) for row, place in enumerate(films.shafts)])
    assert said["set against"][1::2].min() > said["set against"][::2].max(), "breaks are told from whole shafts"
    assert (said["alone"][::2] > said["set against"][::2]).all(), "without the comparison whole shafts look broken"


def test_drawn_breaks_weigh_half_of_real_ones_however_many_there_are() -> None:
    kinds = np.repeat([patch_fit.WHOLE, patch_fit.BROKEN, patch_fit.DRAWN, patch_fit.SET_AGAINST], [500, 40, 200, 150])
    weights = patch_weights(kinds)
    whole, real, drawn, against = (weights[kinds == kind].sum() for kind in range(4))
    assert drawn == pytest.approx(real / 2) and real + drawn == pytest.approx(whole + against) == pytest.approx(len(kinds) / 2)
    assert against / whole == pytest.approx(20 / 500), "as much as 20 patches that lie in no box"
    assert patch_weights(np.repeat([0, 1], [30, 10])) == pytest.approx(np.repeat([2 / 3, 2], [30, 10]))
    only_drawn = patch_weights(np.repeat([0, 2, 3], [30, 10, 5]))
    assert only_drawn[30:40].sum() == pytest.approx(22.5)
