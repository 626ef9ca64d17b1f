"""What the version before the folders were laid out anew wrote still opens: dataset, array cache, collection, checkpoint, recipe, record.

`stand_ins/earlier.zip` was made by that version (0.1.0 of 2026-11-28): 18 drawn films built and cached at 28 px, a collection of six with
two decisions, a ViT of one block trained for two epochs, its evaluation, and in `expected.json` what that version read from them.

Run: pytest tests/test_earlier_files.py
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hf_bones import BonePredictor
from hf_bones.config.recipe import load_recipe, recipe_from_dict
from hf_bones.dataset.arrays.reading import open_arrays
from hf_bones.dataset.schema import load_bones
from hf_bones.finetune import run
from hf_bones.hub.card import write_card
from hf_bones.manifest.store import open_manifest

SIZE = 28


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    with zipfile.ZipFile(Path(__file__).parent / "stand_ins" / "earlier.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def expected(earlier):
    return json.loads((earlier / "expected.json").read_text())


def test_a_dataset_has_its_rows(earlier, expected):
    dataset = load_bones(earlier / "dataset")
    rows = [[split, row["sha256"], row["label"]] for split in dataset for row in dataset[split]]
    assert rows == expected["rows"]


def test_an_array_cache_was_made_by_opening_code_that_gives_the_same_pixels(earlier):
    """Where that code changes without changing a pixel, its digest joins `SAME_PIXELS`; where pixels change, this test ends."""
    arrays = open_arrays(earlier / "dataset" / "arrays" / str(SIZE), SIZE, earlier / "dataset")
    assert not any("opening code" in problem for problem in arrays.problems)


def test_a_collection_has_its_images_and_decisions(earlier, expected):
    with open_manifest(earlier / "collection") as manifest:
        images = [[image.sha256, image.label, image.decision, image.licence, image.file] for image in manifest.images()]
    assert images == expected["images"]
    assert all((earlier / "collection" / file).is_file() for *_, file in images)


def test_a_checkpoint_predicts_what_it_predicted(earlier, expected):
    predictor = BonePredictor.from_pretrained(earlier / "checkpoint", device="cpu")
    findings = predictor.predict(load_bones(earlier / "dataset")["test"]["image"])
    found = [list(finding.raw_probabilities.values()) for finding in findings]
    assert np.allclose(found, expected["test_probabilities"], atol=1e-6)


def test_a_recipe_and_the_one_in_a_record_are_read(earlier):
    recipe = load_recipe(earlier / "recipe.yaml")
    assert (recipe.training.epochs, recipe.augment.rotation_degrees, recipe.search.trials) == (2, 10, 3)
    recorded = recipe_from_dict(json.loads((earlier / "checkpoint" / "record.json").read_text())["recipe"])
    assert (recorded.name, recorded.model.image_size, recorded.trainer) == ("earlier", SIZE, {"max_grad_norm": 1.0})


def test_record_and_figures_become_a_card(earlier):
    write_card(earlier / "checkpoint", evaluation=earlier / "evaluation")
    assert "On held-out test images: not measured" not in (earlier / "checkpoint" / "README.md").read_text()


def test_a_run_is_resumed(earlier, monkeypatch, capsys):
    monkeypatch.chdir(earlier)
    recipe = load_recipe("recipe.yaml")
    recipe.training.output_dir = "checkpoint"
    run(recipe)
    assert "checkpoint-4" in capsys.readouterr().out
    record = json.loads((earlier / "checkpoint" / "record.json").read_text())
    assert record["history"][-1]["step"] == 4
