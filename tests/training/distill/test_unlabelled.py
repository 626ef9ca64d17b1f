"""Images without labels. Run: pytest tests/training/distill/test_unlabelled.py"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_student import NAMES, hashes_of, recipe_of, trainer_of
from tiny import bar_dataset, bar_picture

from hf_bones.config.recipe import RecipeError
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.record import read_json
from hf_bones.training.data.batches import UNLABELLED, RunSampler
from hf_bones.training.distill.unlabelled import LIST_NAME, unlabelled_rows


# Images without labels
def film_dataset(folder: Path) -> Path:
    """A dataset whose validation and test rows are drawn radiographs: near-duplicates are told by what is in a picture."""
    from datasets import DatasetDict

    bones = load_bones(str(bar_dataset(folder, train=6, held_out=3)))

    def film(row, index, start):
        pixels = draw_radiograph(start + index, NAMES[row["label"]], size=320).pixels
        return {"image": Image.fromarray(pixels)}

    held_out = {
        split: bones[split].map(film, with_indices=True, fn_kwargs={"start": start}, features=bones[split].features)
        for split, start in (("validation", 100), ("test", 200))
    }
    DatasetDict(train=bones["train"], **held_out).save_to_disk(str(folder / "films"))
    return folder / "films"


def test_images_without_labels_are_told_apart_and_what_is_left_out_is_listed(ground, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    for seed in range(300, 304):
        Image.fromarray(draw_radiograph(seed, "fractured", size=320).pixels).save(folder / f"{seed}.png")
    seen = Image.fromarray(draw_radiograph(201, NAMES[1], size=320).pixels)  # the second test row
    seen.resize((seen.width * 3 // 4, seen.height * 3 // 4)).save(folder / "smaller copy of a test film.jpg", quality=80)
    Image.fromarray(bar_picture(0, 0)).save(folder / "labelled.png")
    (folder / "again.png").write_bytes((folder / "300.png").read_bytes())
    (folder / "notes.txt").write_text("no image")
    recipe = recipe_of(ground, tmp_path / "run", "--dataset", str(film_dataset(tmp_path / "bones")), "--unlabelled", str(folder))
    labelled = [hashlib.sha256((folder / "labelled.png").read_bytes()).hexdigest()]
    rows = unlabelled_rows(recipe.distill, recipe.data, labelled, tmp_path / "run", progress=False)
    listed = read_json(tmp_path / "run" / LIST_NAME)["folders"][0]
    assert list(listed["kept"]) == ["300.png", "301.png", "302.png", "303.png"] and len(rows) == 4
    assert listed["held_out"] == ["smaller copy of a test film.jpg"]
    assert (listed["repeated"], listed["labelled"]) == (["again.png"], ["labelled.png"])
    assert "not_an_image" in listed["refused"]["notes.txt"]
    assert rows.report[0]["copies_of_held_out"] == 1 and rows.report[0]["name"] == "more"
    assert rows.sources[0].pixels(0).ndim == 2
    written = (tmp_path / "run" / LIST_NAME).stat().st_mtime_ns
    assert unlabelled_rows(recipe.distill, recipe.data, labelled, tmp_path / "run", progress=False).hashes == rows.hashes
    assert (tmp_path / "run" / LIST_NAME).stat().st_mtime_ns == written


def test_licences_hold_for_images_without_labels_too(ground, tmp_path):
    allowed = ("--train_licences", "CC0-1.0", "--output_dir", str(tmp_path / "run"))
    plain = recipe_of(ground, tmp_path, *allowed, "--unlabelled", str(ground / "more"))
    with pytest.raises(RecipeError, match="no licence in unlabelled_licences, but train_licences allows CC0"):
        unlabelled_rows(plain.distill, plain.data, [], tmp_path / "run")
    other = recipe_of(ground, tmp_path, *allowed, "--unlabelled", str(ground / "more"), "--unlabelled_licences", "CC-BY-NC-4.0")
    with pytest.raises(RecipeError, match=r"'CC-BY-NC-4\.0', but train_licences"):
        unlabelled_rows(other.distill, other.data, [], tmp_path / "run")
    bar_dataset(tmp_path / "bones", train=6, held_out=3)
    rows = recipe_of(ground, tmp_path, *allowed, "--unlabelled", str(tmp_path / "bones"))
    found = unlabelled_rows(rows.distill, replace(rows.data, dataset=""), [], tmp_path / "run", progress=False)
    assert found.licences == ["CC0-1.0"] * 3 and found.report[0]["other_licence"] == 3


def test_rows_of_the_dataset_itself_that_do_not_train_with_their_label_may_train_without(ground, tmp_path):
    recipe = recipe_of(ground, tmp_path / "run", "--unlabelled", str(ground / "dataset"))
    hashes = hashes_of(ground, "train")
    found = unlabelled_rows(recipe.distill, replace(recipe.data, dataset=""), hashes[:40], tmp_path / "run", progress=False)
    assert found.hashes == hashes[40:] and found.report[0]["labelled_already"] == 40
    np.testing.assert_array_equal(found.sources[0].pixels(0), bar_picture(40 % 3, 40))


def test_a_folder_that_gives_nothing_is_named(ground, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    empty = recipe_of(ground, tmp_path / "run", "--unlabelled", str(tmp_path / "empty"))
    with pytest.raises(RecipeError, match=r"nothing in .*empty can be learnt from \(1 refused"):
        unlabelled_rows(empty.distill, empty.data, [], tmp_path / "run", progress=False)
    gone = recipe_of(ground, tmp_path / "run", "--unlabelled", str(tmp_path / "gone"))
    with pytest.raises(RecipeError, match="gone' is not a folder"):
        unlabelled_rows(gone.distill, gone.data, [], tmp_path / "run")


def test_images_without_labels_weigh_as_a_class_of_their_own_in_balanced_sampling():
    labels = np.array([0] * 80 + [1] * 10 + [UNLABELLED] * 10)
    drawn = labels[[row for row, _ in RunSampler(labels, "balanced", 0, 1, 3000)]]
    assert [abs((drawn == kind).mean() - 1 / 3) < 0.05 for kind in (0, 1, UNLABELLED)] == [True] * 3


def test_labels_teach_only_where_there_are_labels(ground, tmp_path):
    recipe = recipe_of(ground, tmp_path / "run", "--unlabelled", str(ground / "more"), "--class_weights", "none")
    trainer = trainer_of(recipe)
    trainer.model.train()
    logits, labels = torch.randn(4, 3), torch.tensor([0, UNLABELLED, 2, UNLABELLED])
    known = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]], reduction="sum")
    assert trainer.loss_of_labels({"logits": logits}, labels).item() == pytest.approx(0.5 * known.item() / 4, rel=1e-5)
    assert trainer.loss_of_labels({"logits": logits}, torch.full((4,), UNLABELLED)).item() == 0
    assert len(trainer.labelled_rows()) == 48 and len(trainer.train_dataset) == 48 + 24
    trainer.model.eval()
    whole = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0]))
    assert trainer.loss_of_labels({"logits": logits}, torch.tensor([0, 1, 2, 0])).item() == pytest.approx(whole.item(), rel=1e-5)
