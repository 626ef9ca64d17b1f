"""Whole small runs of a student under its teachers. Run: pytest tests/training/distill/test_distill.py"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import distill_main
from PIL import Image
from small_run import StopAt, last_step, weights
from small_student import NAMES, arguments, hashes_of, recipe_of, trainer_of
from tiny import bar_picture, tiny_checkpoint

from hf_bones.config.recipe import RecipeError, load_recipe
from hf_bones.config.rules import check_rules
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec
from hf_bones.record import read_json
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.rows import training_rows
from hf_bones.training.distill.probabilities import write_probabilities
from hf_bones.training.distill.run import distill, teacher_probabilities
from hf_bones.training.distill.teacher import load_teacher

# Whole runs
TAUGHT = ("--label_weight", "0", "--feature_weight", "1", "--epochs", "6", "--augment", "false", "--unlabelled")


@pytest.fixture(scope="module")
def finished(ground, tmp_path_factory):
    """An uninterrupted run that learns from the teacher alone: its folder, and the command's arguments."""
    output = tmp_path_factory.mktemp("finished") / "run"
    assert distill_main(arguments(ground, output, *TAUGHT, str(ground / "more"), "--with_baseline", "true")) == 0
    return output


def agreement(ground: Path, student: Path) -> float:
    """Share of unseen pictures of which student and teacher say the same; those of the middle class are what an untaught network misses."""
    rows = TrainingRows([Pictures(range(9000, 9045))], np.zeros(45), 42, 0)
    spec, said = InputSpec(42), []
    for folder in (student, ground / "teacher"):
        teacher = load_teacher(str(folder), THREE_CLASS)
        said.append(teacher_probabilities([teacher], rows, spec, 15, torch.device("cpu"), progress=False).argmax(axis=1))
    return float((said[0] == said[1]).mean())


class Pictures:
    def __init__(self, seeds) -> None:
        self.seeds = seeds

    def __len__(self) -> int:
        return len(self.seeds)

    def pixels(self, row: int) -> np.ndarray:
        return bar_picture(self.seeds[row] % 3, self.seeds[row])


def test_a_student_comes_to_agree_with_its_teacher_and_its_features_draw_near(ground, finished):
    assert agreement(ground, ground / "small") < 0.6
    assert agreement(ground, finished) > 0.8
    steps = [entry for entry in read_json(finished / "record.json")["history"] if "teacher_loss" in entry]
    for key in ("teacher_loss", "feature_loss"):
        first, last = (np.mean([entry[key] for entry in part]) for part in (steps[:4], steps[-4:]))
        assert last < 0.6 * first, key


def test_a_distilled_checkpoint_is_a_plain_classifier(finished):
    from transformers import pipeline

    assert not [name for name in weights(finished) if "auxiliary" in name]
    assert len(pipeline("image-classification", model=str(finished))(Image.fromarray(bar_picture(0, 1)).convert("RGB"), top_k=3)) == 3


def test_the_record_says_who_taught_on_what_and_what_it_was_worth(ground, finished):
    record = read_json(finished / "record.json")
    made = record["distillation"]
    assert made["teachers"][0]["name"] == "teacher" and len(made["teachers"][0]["sha256"]) == 64 and made["teachers"][0]["size"] == 56
    assert made["teachers"][0]["licences"] == {"CC-BY-4.0": 24, "CC0-1.0": 24}
    assert (made["labelled_images"], made["unlabelled_images"], made["unlabelled"][0]["name"]) == (48, 24, "more")
    assert str(ground) not in (finished / "record.json").read_text()
    assert record["recipe"]["distill"]["teacher"] == ["teacher"] and made["agreement"] > 0.7
    alone = read_json(finished / "labels-alone" / "record.json")
    assert "distillation" not in alone and alone["metrics"]["validation"] == made["labels_alone"]["validation"]
    assert max(entry["step"] for entry in alone["history"]) == made["steps"] == 6 * (72 // 8)
    value, low, high = made["labels_alone"]["difference"]["log_loss"]
    assert low <= value <= high
    assert value == pytest.approx(record["metrics"]["validation"]["log_loss"] - alone["metrics"]["validation"]["log_loss"], abs=1e-6)


def test_the_card_says_that_it_was_distilled_and_from_what(finished):
    card = (finished / "README.md").read_text()
    assert (
        "## Distillation" in card and "Teacher: teacher at 56 px" in card and "Without labels: more, 24 images, licence not stated" in card
    )
    assert "by distillation (95 %)" in card and "license: other" in card  # the folder's licence is not stated
    assert "## Distillation" not in (finished / "labels-alone" / "README.md").read_text()


def test_a_file_of_probabilities_is_what_the_student_learns(ground, tmp_path):
    hashes, turned = hashes_of(ground, "train"), np.full((48, 3), 0.02)
    turned[np.arange(48), [(row + 1) % 3 for row in range(48)]] = 0.96  # the next class instead of the true one
    write_probabilities(tmp_path / "turned.parquet", hashes, turned, NAMES)
    more = ("--teacher_probabilities", str(tmp_path / "turned.parquet"), "--label_weight", "0", "--epochs", "16", "--augment", "false")
    recipe = recipe_of(ground, tmp_path / "run", *more)
    recipe.distill.teacher = []
    trained = distill(recipe, rows=training_rows(recipe.data, THREE_CLASS, 0))
    assert (trained.logits.argmax(axis=1) == (trained.labels + 1) % 3).mean() > 0.6
    assert trained.distillation["images_with_probabilities_of_a_file"] == 48 and "agreement" not in trained.distillation


def test_a_stopped_run_resumes_to_what_an_uninterrupted_one_gives(ground, finished, tmp_path):
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(recipe_of(ground, output, *TAUGHT, str(ground / "more")), callbacks=[StopAt(22)])
    assert last_step(output).name == "checkpoint-18"
    trained = distill(recipe_of(ground, output, *TAUGHT, str(ground / "more")))
    assert [entry["step"] for entry in trained.history if "loss" in entry][-1] == 54
    last = weights(last_step(output))
    torch.testing.assert_close(last, weights(last_step(finished)), atol=1e-6, rtol=1e-4)
    assert any("projections" in name for name in last)


@pytest.mark.parametrize("kind", ["convnextv2", "vit"])
def test_features_of_other_architectures_teach_and_learn(ground, tmp_path, kind):
    student = tiny_checkpoint(tmp_path / kind, kind, size=64 if kind == "convnextv2" else 56)
    size = "64" if kind == "convnextv2" else "56"
    for features in ("tokens", "pooled"):
        more = ("--model", str(student), "--image_size", size, "--feature_weight", "1", "--features", features, "--feature_loss", "mse")
        trainer = trainer_of(recipe_of(ground, tmp_path / "run", *more))
        batch = trainer.data_collator([trainer.train_dataset[row] for row in range(4)])
        trainer.model.train()
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        projection = trainer.model.auxiliary.projections[0].weight
        assert torch.isfinite(loss) and projection.grad is not None and projection.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": []}, "there is no teacher"),
        ({"temperature": 0.0}, "temperature: expected a number in"),
        ({"label_weight": 1.5}, "label_weight: expected"),
        ({"label_weight": 1.0}, "label_weight: 1 and feature_weight: 0: the teacher has no say"),
        ({"feature_weight": 1.0, "teacher": [], "teacher_probabilities": ["x.npz"]}, "feature_weight: .*teacher"),
        ({"missing_probabilities": "teacher", "teacher": [], "teacher_probabilities": ["x.npz"]}, "missing_probabilities: .*teacher"),
        ({"features": "all"}, "features: expected tokens or pooled"),
        ({"feature_loss": "l1"}, "feature_loss: expected cosine or mse"),
    ],
)
def test_keys_that_do_not_go_together_are_named(changes, message):
    recipe = load_recipe("distill")
    with pytest.raises(RecipeError, match=message):
        check_rules(replace(recipe, distill=replace(recipe.distill, **changes)), "distill")


def test_nothing_to_learn_in_or_from_is_named():
    recipe = load_recipe("distill")
    for change, message in (({"epochs": 0.0}, "epochs: 0"), ({"cached_views": 4}, "cached_views")):
        with pytest.raises(RecipeError, match=message):
            check_rules(replace(recipe, training=replace(recipe.training, **change)), "distill")
    with pytest.raises(RecipeError, match="streaming to false"):
        check_rules(replace(recipe, data=replace(recipe.data, streaming=True)), "distill")
    frozen = replace(
        recipe,
        model=replace(recipe.model, trainable="head"),
        training=replace(recipe.training, layer_decay=1.0),
        distill=replace(recipe.distill, feature_weight=1.0),
    )
    with pytest.raises(RecipeError, match="feature_weight: 1 and trainable: head"):
        check_rules(frozen, "distill")


def test_a_recipe_without_distillation_is_what_it_was():
    assert "distill" not in load_recipe("quickstart").as_dict()
    assert load_recipe("distill").as_dict()["distill"]["teacher"] == ["runs/teacher"]
