"""Recipes compared: trained, scored, ranked, gone on with. Run: pytest tests/evaluation/compare/test_compare.py"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import bar_dataset, tiny_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.config.recipe import RecipeError
from hf_bones.curation.duplicates.seen_films import seen_films, write_seen_films
from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.compare import runs as compare_runs
from hf_bones.evaluation.compare.choices import CompareChoices
from hf_bones.evaluation.compare.figures import ALL
from hf_bones.evaluation.compare.report import terminal_lines
from hf_bones.evaluation.compare.run import compare
from hf_bones.evaluation.compare.runs import Entrant, entrants_of, run_recipe, train_all
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.finetune import run
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.metrics import classification_metrics
from hf_bones.record import read_json, write_json
from hf_bones.training.run.checkpoints import prepare_output
from hf_bones.training.run_scheme import noted

FEW = Resampling(repeats=60)
NAMES = THREE_CLASS.names


def recipe_file(folder: Path, name: str, **stages: dict) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "description": f"The recipe {name} of a test.", **stages}))
    return path


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset", train=36, held_out=36)
    tiny_checkpoint(folder / "start")
    probe = {"epochs": 0, "head_start": "probe", "cpu": True}
    recipe_file(folder, "frozen", model={"model": str(folder / "start"), "image_size": 56, "trainable": "head"}, training=probe)
    steps = {"max_steps": 2, "batch_size": 8, "cpu": True}
    recipe_file(folder, "cnn", model={"model": "small-cnn", "from_scratch": True, "image_size": 32}, training=steps)
    recipe_file(folder, "broken", model={"model": str(folder / "nowhere")}, training={"cpu": True})
    return folder


def recipes(ground: Path, *names: str) -> list[str]:
    return [str(ground / f"{name}.yaml") for name in names]


def compared(ground: Path, out: Path, *names: str, train=run, **more):
    checkpoints = tuple(f"{name}={place}" for name, place in more.pop("checkpoints", {}).items())
    options = {"seeds": (0, 1), "repeats": FEW.repeats, "train_images": 12, "device": "cpu", "checkpoints": checkpoints, **more}
    return compare(recipes(ground, *names), str(ground / "dataset"), out, CompareChoices(**options), train=train)


def untrained(recipe):
    raise AssertionError(f"{recipe.name} was to be trained again")


@pytest.fixture(scope="module")
def out(ground, tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def done(ground, out):
    comparison = compared(ground, out, "frozen", "broken", "cnn", checkpoints={"elsewhere": str(ground / "start")})
    (out / "first").mkdir()  # later tests compare again into the same folder
    for path in out.glob("leaderboard.*"):
        shutil.copy(path, out / "first")
    return comparison


def test_every_recipe_checkpoint_and_baseline_has_a_row_and_the_order_is_that_of_validation(done):
    names = {standing.name for standing in done.standings}
    assert names == {"frozen", "cnn", "elsewhere", "majority class", "statistics-only forest"}
    scores = [standing.selection.value for standing in done.standings]
    assert scores == sorted(scores, reverse=True)
    assert [standing.rank for standing in done.standings] == [1, 2, 3, 4, 5]
    assert len(done.neighbours) == 4


def test_a_recipe_that_fails_is_named_and_stops_nothing(done, out):
    assert {(failure.name, failure.seed) for failure in done.failures} == {("broken", 0), ("broken", 1)}
    assert "nowhere" in done.failures[0].reason
    text = (out / "first" / "leaderboard.md").read_text()
    assert "| – | broken | failed" in text and "nowhere" in text.split("## Failed")[1]
    assert "Traceback" in (out / "runs" / "broken-0" / "error.txt").read_text()


def test_the_figures_are_means_over_the_seeds_of_what_the_predictor_says(done, out, ground):
    from hf_bones.dataset.schema import load_bones

    test = load_bones(ground / "dataset")["test"]
    images = [row["image"] for row in test]
    standing = next(one for one in done.standings if one.name == "cnn")
    each = []
    for seed in (0, 1):
        findings = BonePredictor.from_pretrained(out / "runs" / f"cnn-{seed}", device="cpu").predict(images)
        table = np.array([[finding.probabilities[name] for name in NAMES] for finding in findings])
        each.append(classification_metrics(np.array(test["label"]), table, NAMES))
    (shown,) = standing.shown
    for key in ("auroc_abnormal", "balanced_accuracy", "auroc_ovr_beyond_repair", "sensitivity_fractured_at_specificity_85"):
        values = [one[key] for one in each]
        assert shown.figures[key].value == pytest.approx(np.mean(values), abs=1e-6)
        assert shown.spread[key] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert shown.counts["correct_healthy"] == pytest.approx(np.mean([one["correct_healthy"] for one in each]))


def test_a_row_has_its_costs_and_its_overfit_gap(done, ground):
    rows = {standing.name: standing for standing in done.standings}
    cnn, elsewhere = rows["cnn"], rows["elsewhere"]
    assert cnn.cost.parameters > 100_000 and cnn.cost.size == 32 and cnn.cost.milliseconds > 0
    assert elsewhere.cost.megabytes == pytest.approx((ground / "start" / "model.safetensors").stat().st_size / 1e6)
    assert cnn.gap == pytest.approx(cnn.train_auroc - cnn.validation.figures["auroc_abnormal"].value)
    assert elsewhere.gap is None and elsewhere.contender.minutes is None and cnn.contender.minutes > 0
    assert rows["majority class"].cost is None and rows["majority class"].shown[0].figures["auroc_abnormal"].value == 0.5
    assert done.clockwork.threads >= 1


def test_given_again_nothing_is_trained_or_looked_at_anew_and_the_table_is_the_same(done, out, ground):
    looks = read_json(out / "runs" / "frozen-0" / "record.json")["test_looks"]
    assert len(looks) == 1 and looks[0]["split"] == "test"
    again = compared(ground, out, "frozen", "cnn", train=untrained, checkpoints={"elsewhere": str(ground / "start")})
    assert read_json(out / "runs" / "frozen-0" / "record.json")["test_looks"] == looks
    assert next(one for one in again.standings if one.name == "elsewhere").looks == 1
    before = {one.name: one.shown[0].figures for one in done.standings}
    assert {one.name: one.shown[0].figures for one in again.standings} == before


def test_films_that_a_checkpoint_had_before_are_told_with_the_figure_without_them(done, out, ground):
    seen = {one.name: [(each.split, each.known, each.learnt, each.words) for each in one.seen] for one in done.standings}
    assert seen["elsewhere"] == [("test", False, 0, ""), ("validation", False, 0, "")], "it carries no list"
    assert seen["majority class"] == []
    test = load_bones(str(ground / "dataset"))["test"]
    taught = shutil.copytree(ground / "start", out / "taught")
    write_seen_films(seen_films(test["sha256"][:6], [False] * 6, [None] * 6), taught / "seen.npz")
    again = compared(ground, out, "frozen", train=untrained, checkpoints={"taught": str(taught)}, baselines=False)
    on_test, on_validation = next(one for one in again.standings if one.name == "taught").seen
    assert on_test.words == "6 of these 36 films were learnt from" and on_test.known and not on_validation.words
    kept = test.select(range(6, 36))
    said = BonePredictor.from_pretrained(str(taught), device="cpu").predict(list(kept["image"]))
    table = np.array([[one.probabilities[name] for name in NAMES] for one in said])
    assert on_test.without.value == pytest.approx(classification_metrics(kept["label"][:], table, NAMES)["auroc_abnormal"])
    section = (out / "leaderboard.md").read_text().split("## Films that a model had before")[1].split("\n## ")[0]
    assert "6 of these 36 films were learnt from" in section
    (line,) = [line for line in terminal_lines(again) if line.startswith("warning: taught, test: 6 of these 36 films")]
    assert "(without them AUROC(abnormal)" in line


def test_a_finished_run_keeps_its_checkpoint_and_no_step_of_the_way(done, out):
    folder = out / "runs" / "cnn-0"
    assert (folder / "model.safetensors").is_file() and not list(folder.glob("checkpoint-*"))


def test_another_setting_in_the_same_folder_is_an_error_before_anything_is_trained(done, out, ground):
    with pytest.raises(RecipeError, match=r"cnn-0 holds a run of 'cnn' whose weight_decay differ"):
        compared(ground, out, "cnn", train=untrained, settings=("weight_decay=0.5",))


def test_json_and_csv_hold_what_the_table_shows(done, out):
    data = json.loads((out / "first" / "leaderboard.json").read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert [row["name"] for row in data["standings"]] == [one.name for one in done.standings]
    assert data["seeds"] == [0, 1] and data["dataset"]["split"] == "test"
    assert data["settings"]["cnn"]["from_scratch"] == "True" and "seed" not in data["settings"]["cnn"]
    rows = list(csv.DictReader((out / "first" / "leaderboard.csv").open()))
    line = next(row for row in rows if row["model"] == "frozen" and row["rows"] == f"test: {ALL}")
    standing = next(one for one in done.standings if one.name == "frozen")
    assert float(line["auroc_abnormal"]) == standing.shown[0].figures["auroc_abnormal"].value
    assert [row["failure"] != "" for row in rows if row["model"] == "broken"] == [True, True]
    assert (out / "first" / "leaderboard.png").read_bytes().startswith(b"\x89PNG")


def test_the_files_name_no_folder_of_this_machine(done, out, ground):
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json"):
        assert str(out) not in (out / "first" / name).read_text()
    assert str(ground) not in (out / "first" / "leaderboard.md").read_text().split("## Failed")[0]


def fake_train(log: list[str], stop_at: str = ""):
    def train(recipe):
        folder = Path(recipe.training.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        log.append(folder.name)
        if folder.name == stop_at:
            raise KeyboardInterrupt
        write_json(folder / "record.json", {})
        prepare_output(noted(recipe), folder, resume=True)
        return folder

    return train


def test_seeds_come_in_turn_and_a_stopped_comparison_goes_on_with_the_run_that_it_was_at(ground, tmp_path):
    entrants = entrants_of(recipes(ground, "frozen", "cnn"), [], str(ground / "dataset"), [])
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train_all(entrants, (0, 1), tmp_path, fake_train(log, stop_at="cnn-0"))
    assert log == ["frozen-0", "cnn-0"]
    finished, failures = train_all(entrants, (0, 1), tmp_path, fake_train(log))
    assert log == ["frozen-0", "cnn-0", "cnn-0", "frozen-1", "cnn-1"]
    assert not failures and [one.seed for one in finished["cnn"]] == [0, 1]


def test_minutes_of_a_run_that_was_gone_on_with_are_those_of_all_its_tries(ground, tmp_path, monkeypatch):
    (entrant,) = entrants_of(recipes(ground, "frozen"), [], str(ground / "dataset"), [])
    folder = Path(run_recipe(entrant, 0, tmp_path).training.output_dir)
    monkeypatch.setattr(compare_runs, "last_complete_checkpoint", lambda _: folder)
    monkeypatch.setattr(compare_runs, "differing_keys", lambda *_: [])
    write_json(folder / "clock.json", {"seconds": 600.0, "finished": False})
    finished, _ = train_all([entrant], (0,), tmp_path, lambda recipe: folder)
    assert 10 <= finished["frozen"][0].minutes < 10.1
    # Killed outright, an hour before its last checkpoint was written.
    write_json(folder / "clock.json", {"seconds": 600.0, "finished": False, "began": folder.stat().st_mtime - 3600})
    finished, _ = train_all([entrant], (0,), tmp_path, lambda recipe: folder)
    assert 70 <= finished["frozen"][0].minutes < 70.2


def test_all_recipes_get_the_same_data_and_each_its_own_seed_and_folder(ground, tmp_path):
    found = entrants_of(["quickstart", "dinov2-small"], ["epochs=3", "quickstart:learning_rate=1e-3"], "films", ["CC-BY-4.0"])
    assert {one.recipe.data.dataset for one in found} == {"films"}
    assert {tuple(one.recipe.data.train_licences) for one in found} == {("CC-BY-4.0",)}
    assert {one.recipe.data.drawn_validation_images for one in found} == {0}
    assert [one.recipe.training.epochs for one in found] == [3, 3]
    assert found[0].recipe.training.learning_rate == 1e-3 != found[1].recipe.training.learning_rate
    recipe = run_recipe(Entrant("quickstart", found[0].recipe), 7, tmp_path)
    assert recipe.training.seed == 7 and recipe.training.output_dir == str(tmp_path / "runs" / "quickstart-7")


def test_a_setting_that_yaml_would_take_for_something_else_stays_a_word(ground):
    (found,) = entrants_of(["quickstart"], ["mixed_precision=no", "class_weights=none"], "films", [])
    assert (found.recipe.training.mixed_precision, found.recipe.training.class_weights) == ("no", "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epochs"], "expected key=value"),
        (["epoch=3"], "did you mean 'epochs'"),
        (["quikstart:epochs=3"], "did you mean 'quickstart'"),
        (["seed=3"], "by --seeds"),
        (["dataset=x"], "by --dataset"),
        (["epochs=many"], "epochs: expected float"),
        (["epochs=[3"], "not valid YAML"),
        (["train_licences=[CC0-1.0]"], "by --licence"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        entrants_of(["quickstart"], settings, "films", [])


def test_recipes_of_one_name_or_of_two_schemes_cannot_be_compared(ground):
    with pytest.raises(RecipeError, match="named twice"):
        entrants_of(["quickstart", "quickstart"], [], "films", [])
    with pytest.raises(RecipeError, match="label_scheme"):
        entrants_of(["quickstart", "small-cnn"], ["small-cnn:label_scheme=two-class"], "films", [])


def test_what_cannot_be_compared_is_said_before_training(ground, tmp_path):
    from hf_bones.labels import TWO_CLASS

    two = tiny_checkpoint(tmp_path / "two", scheme=TWO_CLASS)
    with pytest.raises(ValueError, match="it has the classes"):
        compared(ground, tmp_path / "out", "frozen", train=untrained, checkpoints={"two": str(two)})
    with pytest.raises(ValueError, match="a row of that name"):
        compared(ground, tmp_path / "out", "frozen", train=untrained, checkpoints={"frozen": str(two)})
    with pytest.raises(ValueError, match="no split 'tset'"):
        compared(ground, tmp_path / "out", "frozen", train=untrained, split="tset")
    with pytest.raises(ValueError, match="each once"):
        compared(ground, tmp_path / "out", "frozen", train=untrained, seeds=(1, 1))
    with pytest.raises(ValueError, match="nothing to compare"):
        compared(ground, tmp_path / "out", train=untrained)


def test_the_command_shows_the_ranking_and_ends_with_1_where_a_recipe_failed(done, out, ground):
    words = ["compare", *recipes(ground, "frozen", "broken"), "--dataset", str(ground / "dataset"), "--out", str(out), "--seeds", "0", "1"]
    result = CliRunner().invoke(app, [*words, "--repeats", "50", "--train-images", "12", "--device", "cpu", "--no-baselines"])
    assert result.exit_code == 1, result.output
    assert "failed: broken, seed 1" in result.output and "1 frozen" in result.output
    text = (out / "leaderboard.md").read_text()
    assert "hf-bones compare frozen.yaml broken.yaml --dataset dataset" in text and str(ground) not in text.split("Command:")[1]
    result = CliRunner().invoke(app, ["compare", "smal-cnn", "--dataset", str(ground / "dataset"), "--out", str(out)])
    assert result.exit_code == 2 and "did you mean 'small-cnn'" in result.output
