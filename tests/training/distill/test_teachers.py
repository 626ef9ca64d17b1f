"""What teachers say: losses, views, files of probabilities. Run: pytest tests/training/distill/test_teachers.py"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_student import NAMES, hashes_of, recipe_of, trainer_of
from tiny import bar_picture, tiny_checkpoint

from hf_bones.config.recipe import RecipeError, load_recipe, override, recipe_names
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.preprocess import InputSpec, to_input
from hf_bones.training.bone_trainer import TILES
from hf_bones.training.distill.features import feature_distance, match_grid, mean_over_image
from hf_bones.training.distill.probabilities import read_probabilities, targets_of, write_probabilities
from hf_bones.training.distill.run import distill
from hf_bones.training.distill.teacher import ask, load_teacher, mean_probabilities, teacher_view
from hf_bones.training.distill.trainer import TARGETS, VIEW, tempered_kl


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


def test_what_a_teacher_says_of_a_film_does_not_hold_for_a_tile_of_it(ground, tmp_path):
    trainer = trainer_of(recipe_of(ground, tmp_path / "run", "--tile_probability", "0.5"))
    generator = torch.Generator().manual_seed(0)
    targets = {
        TARGETS: torch.full((4, 3), torch.nan),
        VIEW: torch.randn(4, 3, 42, 42, generator=generator),
        "heights": torch.full((4,), 42),
        "widths": torch.full((4,), 42),
    }
    outputs = {"logits": torch.randn(4, 3, generator=generator)}

    def taught(*tiles):
        return float(trainer.further_losses(outputs, {**targets, TILES: torch.tensor(tiles)})["teacher"])

    whole = float(trainer.further_losses(outputs, targets)["teacher"])
    assert taught(False, False, False, False) == pytest.approx(whole)
    assert taught(True, True, True, True) == 0
    parts = [taught(*(place != kept for place in range(4))) for kept in range(4)]
    assert min(parts) > 0 and sum(parts) == pytest.approx(whole, rel=1e-5)


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
        trainer_of(override(recipe_of(ground, tmp_path / "run"), {"teacher": [str(tmp_path / "plain")]}))


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
        ([[0.5, 0.5, 0.0]] * 2, ["a", "a"], "image a is in it twice"),
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
