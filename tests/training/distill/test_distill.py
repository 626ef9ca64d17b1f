"""A student under its teachers: losses, files, images without labels, small runs. Run: pytest tests/training/distill/test_distill.py"""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import distill_main, main, parse_recipe
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny import bar_dataset, bar_picture, tiny_checkpoint
from transformers import TrainerCallback

from hf_bones.config.recipe import RecipeError, load_recipe, recipe_names
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.preprocess import InputSpec, to_input
from hf_bones.record import read_json
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.data.batches import UNLABELLED, RunSampler, TrainingRows
from hf_bones.training.data.rows import training_rows
from hf_bones.training.distill.features import feature_distance, match_grid, mean_over_image
from hf_bones.training.distill.probabilities import read_probabilities, targets_of, write_probabilities
from hf_bones.training.distill.run import check_distill, distill, make_distill_trainer, teacher_probabilities
from hf_bones.training.distill.teacher import ask, load_teacher, mean_probabilities, teacher_view
from hf_bones.training.distill.trainer import tempered_kl
from hf_bones.training.distill.unlabelled import LIST_NAME, unlabelled_rows
from hf_bones.training.run.checkpoints import last_complete_checkpoint

NAMES = THREE_CLASS.names


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A dataset, a teacher that has learnt it, a smaller network at a smaller size, and pictures without labels."""
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    tiny_checkpoint(folder / "start")
    tiny_checkpoint(folder / "small", blocks=2, size=42)
    write_pictures(folder / "more", range(5000, 5024))
    (folder / "last.yaml").write_text("trainer: {load_best_model_at_end: false}\n")  # the last weights, not those that know the labels best
    more = ["--model", str(folder / "start"), "--image_size", "56", "--epochs", "5", "--output_dir", str(folder / "teacher")]
    assert main([*common(folder), *more]) == 0
    return folder


def write_pictures(folder: Path, seeds) -> None:
    folder.mkdir(parents=True)
    for seed in seeds:
        Image.fromarray(bar_picture(seed % 3, seed)).save(folder / f"{seed}.png")


def common(ground: Path) -> list[str]:
    return [
        *("--recipe", str(ground / "last.yaml"), "--cpu", "true", "--dataset", str(ground / "dataset"), "--batch_size", "8"),
        *("--learning_rate", "3e-3", "--head_learning_rate", "3e-3"),
    ]


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    student = ["--model", str(ground / "small"), "--image_size", "42", "--output_dir", str(output)]
    return [*common(ground), *student, "--teacher", str(ground / "teacher"), "--epochs", "2", *more]


def recipe_of(ground: Path, output: Path, *more: str):
    return parse_recipe(arguments(ground, output, *more))


def trainer_of(recipe):
    """The Trainer of a recipe before its first step."""
    train_rows, validation_rows = training_rows(recipe.data, THREE_CLASS, 0)
    model, spec = load_model(recipe.model, THREE_CLASS)
    return make_distill_trainer(recipe, model, spec, THREE_CLASS, train_rows, validation_rows)


def hashes_of(ground: Path, split: str) -> list[str]:
    return list(load_bones(str(ground / "dataset"))[split]["sha256"])


# The losses


def test_the_distance_from_the_teacher_is_kl_at_the_temperature_times_its_square():
    random = np.random.default_rng(0)
    student, teacher, temperature = random.normal(size=(5, 3)), random.normal(size=(5, 3)), 3.0
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    by_hand = temperature**2 * (p * np.log(p / q)).sum(axis=1)
    probabilities = torch.from_numpy(softmax(teacher))  # what a teacher hands on: the temperature is applied to them as to its logits
    np.testing.assert_allclose(tempered_kl(torch.from_numpy(student), probabilities, temperature), by_hand, rtol=1e-3)


def test_a_student_that_says_what_a_certain_teacher_says_is_at_no_distance():
    certain = torch.tensor([[1.0, 0.0, 0.0]])
    assert tempered_kl(torch.tensor([[200.0, 0.0, 0.0]]), certain, 1.0).item() == pytest.approx(0, abs=1e-6)
    assert tempered_kl(torch.tensor([[0.0, 0.0, 0.0]]), certain, 1.0).item() == pytest.approx(np.log(3), rel=1e-4)


def test_feature_distances_do_not_depend_on_the_size_of_a_teachers_features():
    torch.manual_seed(0)
    mine, theirs = torch.randn(2, 4, 4, 8), torch.randn(2, 4, 4, 8)
    for kind in ("cosine", "mse"):
        torch.testing.assert_close(feature_distance(mine, theirs, kind), feature_distance(mine, 7 * theirs + 3, kind), rtol=1e-3, atol=1e-4)
    same = torch.nn.functional.layer_norm(theirs, (8,))
    assert feature_distance(same, theirs, "mse").abs().max() < 1e-6 and feature_distance(5 * same, theirs, "cosine").abs().max() < 1e-6


def test_patches_of_the_padding_do_not_count_and_grids_are_matched():
    distance = torch.zeros(1, 4, 4)
    distance[:, 2:] = 9.0  # an image that fills the upper half of 40 px
    assert mean_over_image(distance, torch.tensor([20]), torch.tensor([40]), 40).item() == 0
    assert mean_over_image(distance, torch.tensor([40]), torch.tensor([40]), 40).item() == pytest.approx(4.5)
    features = torch.arange(16.0).reshape(1, 4, 4, 1)
    assert match_grid(features, torch.zeros(1, 4, 4, 3)) is features
    torch.testing.assert_close(match_grid(features, torch.zeros(1, 2, 2, 3)).mean(), features.mean())


# Teachers


def test_a_teacher_sees_the_students_view_under_its_own_mean_std_and_size():
    pixels = bar_picture(1, 3, height=64, width=48)
    student, teacher = InputSpec(56), InputSpec(56, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    view = torch.from_numpy(to_input(pixels, student))[None]
    place = (torch.tensor([56]), torch.tensor([42]))
    np.testing.assert_allclose(teacher_view(view, *place, student, teacher)[0], to_input(pixels, teacher), atol=1e-5)
    assert teacher_view(view, *place, student, student) is view
    wide = teacher_view(view[:, :1], *place, student, replace(teacher, size=112))  # of a student with one grey channel
    assert wide.shape == (1, 3, 112, 112) and (wide[..., 84:] == 0).all() and (wide[..., :80].std() > 0.1)


def test_teachers_are_averaged_and_their_classes_matched_by_name(ground, tmp_path):
    from transformers import AutoModelForImageClassification

    turned = AutoModelForImageClassification.from_pretrained(ground / "teacher")
    order = [2, 0, 1]  # the same function, classes in another order
    with torch.no_grad():
        turned.classifier.weight.copy_(turned.classifier.weight[order])
        turned.classifier.bias.copy_(turned.classifier.bias[order])
    turned.config.id2label = {place: NAMES[index] for place, index in enumerate(order)}
    turned.config.label2id = {name: place for place, name in turned.config.id2label.items()}
    turned.save_pretrained(tmp_path / "turned")
    (tmp_path / "turned" / "preprocessor_config.json").write_bytes((ground / "teacher" / "preprocessor_config.json").read_bytes())
    one, other = load_teacher(str(ground / "teacher"), THREE_CLASS), load_teacher(str(tmp_path / "turned"), THREE_CLASS)
    pixels = torch.from_numpy(to_input(bar_picture(0, 1), one.spec))[None]
    torch.testing.assert_close(ask(one, pixels).probabilities, ask(other, pixels).probabilities)
    certain = ask(one, pixels)
    assert mean_probabilities([certain, replace(certain, probabilities=torch.tensor([[0.0, 0.0, 1.0]]))])[0, 2] >= 0.5


def test_a_teacher_teaches_what_it_learnt_and_not_what_balanced_its_verdicts(ground, tmp_path):
    folder = tmp_path / "balanced"
    shutil.copytree(ground / "teacher", folder)
    plain = load_teacher(str(ground / "teacher"), THREE_CLASS)
    added = {"healthy": -0.5, "fractured": 0.25, "beyond_repair": 1.5}
    head = load_file(folder / "model.safetensors")
    head["classifier.bias"] += torch.tensor(list(added.values()))
    save_file(head, folder / "model.safetensors", {"format": "pt"})
    (folder / "record.json").write_text(json.dumps({"verdict_shift": added}))
    balanced = load_teacher(str(folder), THREE_CLASS)
    pixels = torch.randn(2, 3, plain.spec.size, plain.spec.size)
    torch.testing.assert_close(ask(balanced, pixels).probabilities, ask(plain, pixels).probabilities)
    (folder / "record.json").write_text("{}")
    assert not torch.allclose(
        ask(load_teacher(str(folder), THREE_CLASS), pixels).probabilities, ask(plain, pixels).probabilities, atol=1e-2
    )


def test_what_shipped_recipes_call_probabilities_is_there():
    named = {place for name in recipe_names() for place in load_recipe(name).distill.teacher_probabilities}
    assert named
    for place in named:
        assert read_probabilities(place, THREE_CLASS).probabilities.shape[0] > 2000


def test_a_teacher_that_cannot_teach_this_is_refused_by_name(ground, tmp_path):
    from hf_bones.labels import TWO_CLASS

    with pytest.raises(RecipeError, match=r"teacher: .*no config\.json"):
        load_teacher(str(tmp_path), THREE_CLASS)
    with pytest.raises(RecipeError, match=r"teacher: .*tells apart .*label_scheme"):
        load_teacher(str(ground / "teacher"), TWO_CLASS)


def test_a_teacher_without_class_names_gives_features_only(ground, tmp_path):
    plain = load_teacher(str(tiny_checkpoint(tmp_path / "plain", scheme=None)), THREE_CLASS)
    lesson = ask(plain, torch.zeros(2, 3, 56, 56), "tokens")
    assert lesson.probabilities is None and lesson.features is not None and lesson.features.shape == (2, 4, 4, 32)
    with pytest.raises(RecipeError, match="class names"):
        trainer_of(recipe_of(ground, tmp_path / "run", "--teacher", str(tmp_path / "plain")))


# Files of probabilities


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_of_probabilities_is_matched_by_hash_and_class_name(tmp_path, suffix):
    values = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    write_probabilities(tmp_path / f"p{suffix}", ["a", "b"], values, ("beyond_repair", "healthy", "fractured"))
    file = read_probabilities(tmp_path / f"p{suffix}", THREE_CLASS)
    found = targets_of(["b", "c", "a"], ["", "", ""], [file], 3, may_lack=True)
    np.testing.assert_allclose(found[[0, 2]], [[0.3, 0.1, 0.6], [0.2, 0.7, 0.1]], atol=1e-6)
    assert np.isnan(found[1]).all()


def test_several_files_are_averaged_where_several_hold_an_image(tmp_path):
    for name, hashes, row in (("one", ["a", "b"], [1.0, 0, 0]), ("two", ["a"], [0.0, 1, 0])):
        write_probabilities(tmp_path / f"{name}.npz", hashes, [row] * len(hashes), NAMES)
    files = [read_probabilities(tmp_path / f"{name}.npz", THREE_CLASS) for name in ("one", "two")]
    np.testing.assert_allclose(targets_of(["a", "b"], ["", ""], files, 3, may_lack=False), [[0.5, 0.5, 0], [1, 0, 0]])


def test_an_image_that_a_file_lacks_is_named_with_the_file(ground, tmp_path):
    hashes = hashes_of(ground, "train")
    write_probabilities(tmp_path / "most.npz", hashes[:-1], np.full((len(hashes) - 1, 3), 1 / 3), NAMES)
    more = ("--teacher_probabilities", str(tmp_path / "most.npz"))
    with pytest.raises(RecipeError, match=rf"most\.npz: no probabilities of 1 of 48 .*{hashes[-1]} \(bars\)"):
        distill(recipe_of(ground, tmp_path / "run", *more))
    trainer = trainer_of(recipe_of(ground, tmp_path / "run", *more, "--missing_probabilities", "teacher"))
    assert trainer.asks_for_probabilities and np.isnan(trainer.lessons.targets).any(axis=1).sum() == 1


@pytest.mark.parametrize(
    ("values", "hashes", "message"),
    [
        ([[0.5, 0.2, 0.1]], ["a"], "image a has .*sum is 1"),
        ([[0.5, 0.5, 0.0]] * 2, ["a", "a"], "image a stands in it twice"),
        ([[np.nan, 0.5, 0.5]], ["a"], "image a has"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, values, hashes, message):
    write_probabilities(tmp_path / "bad.npz", hashes, values, NAMES)
    with pytest.raises(RecipeError, match=rf"bad\.npz: {message}"):
        read_probabilities(tmp_path / "bad.npz", THREE_CLASS)


def test_a_file_of_other_classes_or_another_kind_is_refused(tmp_path):
    write_probabilities(tmp_path / "two.npz", ["a"], [[0.5, 0.5]], ("healthy", "abnormal"))
    with pytest.raises(RecipeError, match=r"has classes .*abnormal.*label_scheme"):
        read_probabilities(tmp_path / "two.npz", THREE_CLASS)
    np.savez(tmp_path / "other.npz", logits=np.zeros(3))
    with pytest.raises(RecipeError, match="has no array sha256, probabilities, names"):
        read_probabilities(tmp_path / "other.npz", THREE_CLASS)
    with pytest.raises(RecipeError, match="no such file"):
        read_probabilities(tmp_path / "none.npz", THREE_CLASS)


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

    assert not [name for name in load_file(finished / "model.safetensors") if "auxiliary" in name]
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


class StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_a_stopped_run_resumes_to_what_an_uninterrupted_one_gives(ground, finished, tmp_path):
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(recipe_of(ground, output, *TAUGHT, str(ground / "more")), callbacks=[StopAt(22)])
    stopped = last_complete_checkpoint(output)
    assert stopped is not None and stopped.name == "checkpoint-18"
    trained = distill(recipe_of(ground, output, *TAUGHT, str(ground / "more")))
    assert [entry["step"] for entry in trained.history if "loss" in entry][-1] == 54
    last, whole = last_complete_checkpoint(output), last_complete_checkpoint(finished)
    assert last is not None and whole is not None
    a, b = load_file(last / "model.safetensors"), load_file(whole / "model.safetensors")
    assert a.keys() == b.keys() and any("projections" in name for name in a)
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["convnextv2", "vit"])
def test_features_of_other_architectures_teach_and_learn(ground, tmp_path, kind):
    student = tiny_checkpoint(tmp_path / kind, kind, size=64 if kind == "convnextv2" else 56)
    size = "64" if kind == "convnextv2" else "56"
    for features in ("tokens", "pooled"):
        more = ("--model", str(student), "--image_size", size, "--feature_weight", "1", "--features", features, "--feature_loss", "mse")
        trainer = trainer_of(recipe_of(ground, tmp_path / "run", *more))
        batch = trainer.data_collator([trainer.train_dataset[row] for row in range(4)])
        trainer.model.train()
        loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch))
        loss.backward()
        projection = trainer.model.auxiliary.projections[0].weight
        assert torch.isfinite(loss) and projection.grad is not None and projection.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": []}, "nobody teaches"),
        ({"temperature": 0.0}, "temperature: expected a number over 0"),
        ({"label_weight": 1.5}, "label_weight: expected"),
        ({"label_weight": 1.0}, "label_weight: 1 leaves the teacher no say while feature_weight is 0"),
        ({"feature_weight": 1.0, "teacher": [], "teacher_probabilities": ["x.npz"]}, "feature_weight: .*teacher"),
        ({"missing_probabilities": "teacher", "teacher": [], "teacher_probabilities": ["x.npz"]}, "missing_probabilities: .*teacher"),
        ({"features": "all"}, "features: expected tokens or pooled"),
        ({"feature_loss": "l1"}, "feature_loss: expected cosine or mse"),
    ],
)
def test_keys_that_do_not_go_together_are_named(changes, message):
    recipe = load_recipe("distill")
    with pytest.raises(RecipeError, match=message):
        check_distill(replace(recipe, distill=replace(recipe.distill, **changes)))


def test_nothing_to_learn_in_or_from_is_named():
    recipe = load_recipe("distill")
    for change, message in (({"epochs": 0.0}, "epochs: 0"), ({"cached_views": 4}, "cached_views")):
        with pytest.raises(RecipeError, match=message):
            check_distill(replace(recipe, training=replace(recipe.training, **change)))
    with pytest.raises(RecipeError, match="streaming to false"):
        check_distill(replace(recipe, data=replace(recipe.data, streaming=True)))
    frozen = replace(recipe, model=replace(recipe.model, trainable="head"), distill=replace(recipe.distill, feature_weight=1.0))
    with pytest.raises(RecipeError, match="feature_weight and trainable: head"):
        check_distill(frozen)


def test_a_recipe_without_distillation_is_what_it_was():
    assert "distill" not in load_recipe("quickstart").as_dict()
    assert load_recipe("distill").as_dict()["distill"]["teacher"] == ["runs/teacher"]
