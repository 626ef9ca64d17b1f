"""Each source held out in turn. Run: pytest tests/evaluation/compare/test_left_out.py"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import DatasetDict
from tiny import bar_picture, bone_row, bone_rows, telling_checkpoint, tiny_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.config.recipe import RecipeError, load_recipe
from hf_bones.evaluation.compare.choices import CompareChoices
from hf_bones.evaluation.compare.left_out import (
    OPEN,
    compare_left_out,
    known_sources,
    source_result,
    sources_to_hold_out,
    without,
)
from hf_bones.evaluation.compare.left_out_results import HeldOut
from hf_bones.evaluation.compare.runs import Entrant
from hf_bones.evaluation.compare.scores import split_rows
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.finetune import run
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json, write_json
from hf_bones.training.data.rows import describe_rows, training_rows
from hf_bones.training.run.checkpoints import prepare_output
from hf_bones.training.run_scheme import noted

# Source → films of each class in train; a sixth of them more in validation and in test. One has no healthy film, one has them alone.
PLAN = {"clinic": (14, 14, 14), "other clinic": (13, 12, 12), "web": (0, 12, 12), "well": (12, 0, 0)}


def dataset_of(folder: Path) -> Path:
    def part(start: int, share: float):
        rows = []
        for source, counts in PLAN.items():
            for label, count in enumerate(counts):
                for _ in range(round(count * share)):
                    index = start + len(rows)
                    rows.append(bone_row(bar_picture(label, index), index, source=source, label=label, synthetic=False))
        if start == 0:
            rows[0]["group"] = rows[-1]["group"] = "shared"  # a film of the clinic and one of "well" are of one patient
            rows += [bone_row(bar_picture(0, 900 + i), 900 + i, source="drawn", label=i % 3) for i in range(3)]  # synthetic
        return bone_rows(rows)

    DatasetDict(train=part(0, 1.0), validation=part(1000, 0.5), test=part(2000, 0.5)).save_to_disk(str(folder))
    return folder


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("left-out")
    dataset_of(folder / "dataset")
    tiny_checkpoint(folder / "start")
    write_json(folder / "start" / "record.json", {"data": {"sources": {"web": 24}}})
    head = {"model": str(folder / "start"), "image_size": 56, "trainable": "head"}
    plain = {"max_steps": 2, "batch_size": 8, "cpu": True}
    by_source = {**plain, "class_weights": "none", "sampling": "source", "choose_by": "worst_source", "cached_views": 1}
    for name, training, more in (("plain", plain, {}), ("by-source", by_source, {}), ("taught", plain, {"distill": {"teacher": ["x"]}})):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "model": head, "training": training, **more}))
    return folder


@pytest.fixture(scope="module")
def out(ground, tmp_path_factory):
    return tmp_path_factory.mktemp("out")


def compared(ground: Path, out: Path, *names: str, train=run, **more):
    choices = CompareChoices(leave_one_source_out=True, repeats=60, device="cpu", **more)
    return compare_left_out([str(ground / f"{name}.yaml") for name in names], str(ground / "dataset"), out, choices, train=train)


def train_once(recipe):
    """The first source's run is a real one; of the others only what they leave is."""
    folder = Path(recipe.training.output_dir)
    if folder.name == "by-source-without-clinic-0":
        return run(recipe)
    rows, validation = training_rows(recipe.data, THREE_CLASS, 0)
    assert set(validation.origins) <= set(rows.origins)
    telling_checkpoint(folder, seed=len(folder.name))
    prepare_output(noted(recipe), folder, resume=True)
    data = describe_rows(rows, validation, recipe.data, THREE_CLASS)
    write_json(folder / "record.json", {"data": data, "recipe": recipe.as_dict(), "test_looks": []})
    return folder


@pytest.fixture(scope="module")
def done(ground, out):
    return compared(ground, out, "by-source", train=train_once)


def test_every_source_but_the_drawn_one_is_held_out_in_turn_and_trained_without(done, out):
    assert [source.name for source in done.held_out] == ["clinic", "other clinic", "web", "well"]
    for source in done.held_out:
        record = read_json(out / "runs" / f"by-source-without-{source.name.replace(' ', '-')}-0" / "record.json")
        assert source.name not in record["data"]["sources"] and "drawn" in record["data"]["sources"]
        assert record["recipe"]["data"]["without_sources"] == [source.name]
        assert record["test_looks"] == []  # no film of test is looked at
    assert [len(source.rows.labels) for source in done.held_out] == [62, 55, 36, 17]
    assert {source.name: source.shared for source in done.held_out} == {"clinic": 1, "other clinic": 0, "web": 0, "well": 1}


def test_mean_and_worst_are_of_the_scores_of_the_sources(done):
    (result,) = done.results
    scores = {each.source: each.score for each in result.sources}
    assert result.mean == pytest.approx(np.mean([*scores.values()]))
    assert scores[result.worst] == min(scores.values())
    web, well, clinic = (result.of(name) for name in ("web", "well", "clinic"))
    assert (web.normal, well.abnormal) == (0, 0)
    assert web.score == web.recall.value and web.specificity.value is None and web.auroc.value is None
    assert well.score == well.specificity.value and well.recall.value is None
    assert clinic.score == pytest.approx((clinic.recall.value + clinic.specificity.value) / 2)
    assert web.knew and not clinic.knew


def test_the_report_says_what_a_source_of_one_class_can_tell_and_what_weights_had_learnt(done, out, ground):
    text = (out / "sources.md").read_text()
    assert "so it gives recall alone" in text and "so it gives specificity alone" in text
    assert "The weights that by-source started from had learnt from this source" in text.split("## web")[1].split("## well")[0]
    assert "1 more of its films share a group with another source and were not scored" in text
    assert "| recipe | mean over sources | worst source |" in text and str(ground) not in text
    data = json.loads((out / "sources.json").read_text())
    assert data["recipes"][0]["worst"] == done.results[0].worst and set(data["sources"]) == set(PLAN)
    lines = list(csv.DictReader((out / "sources.csv").open()))
    assert [line["source"] for line in lines] == list(PLAN)
    assert float(lines[0]["recall"]) == done.results[0].of("clinic").recall.value and lines[2]["specificity"] == ""
    assert "<h2 id=" in (out / "sources.html").read_text()


def test_given_again_nothing_is_trained_or_predicted_anew(done, out, ground, monkeypatch):
    from hf_bones.evaluation.compare import scores

    def never(*_, **__):
        raise AssertionError("this was to be kept")

    monkeypatch.setattr(scores, "predict_rows", never)
    again = compared(ground, out, "by-source", train=never)
    found, before = ([(each.source, each.score) for each in one.results[0].sources] for one in (again, done))
    assert found == before


def test_the_command_shows_mean_and_worst(done, out, ground):
    words = ["compare", str(ground / "by-source.yaml"), "--dataset", str(ground / "dataset"), "--out", str(out), "--leave-one-source-out"]
    result = CliRunner().invoke(app, [*words, "--repeats", "60", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "mean over sources" in result.output and done.results[0].worst in result.output and "sources.md" in result.output


def table(labels: list[int], right: list[bool]) -> np.ndarray:
    """Probabilities by which each film is called what it is, or healthy where it is broken and broken where it is healthy."""
    called = [label if ok else int(label == 0) for label, ok in zip(labels, right, strict=True)]
    return np.eye(3)[called] * 0.8 + 0.2 / 3


def held_out(labels: list[int]) -> HeldOut:
    rows = bone_rows(bone_row(bar_picture(label, index), index, label=label, source="x") for index, label in enumerate(labels))
    return HeldOut("x", split_rows({OPEN: rows}, OPEN, THREE_CLASS), 0)


def test_a_side_of_few_films_is_shown_and_does_not_count():
    labels = [0] * 3 + [1] * 20
    found = source_result(held_out(labels), [table(labels, [False] * 3 + [True] * 15 + [False] * 5)], Resampling(repeats=100))
    assert found.specificity.value == 0 and found.specificity.interval is None and "only 3 rows" in found.specificity.reason
    assert found.score == found.recall.value == 0.75
    low, high = found.interval
    assert 0.5 < low < 0.75 < high < 1
    few = [0] * 3 + [1] * 4
    assert source_result(held_out(few), [table(few, [True] * 7)], Resampling(repeats=100)).score is None


def test_figures_are_means_over_the_seeds():
    labels = [0] * 12 + [2] * 12
    tables = [table(labels, [True] * 12 + [True] * wrong + [False] * (12 - wrong)) for wrong in (6, 12)]
    found = source_result(held_out(labels), tables, Resampling(repeats=100))
    assert (found.recall.value, found.specificity.value, found.score, found.seeds) == (0.75, 1.0, 0.875, 2)


def test_what_cannot_be_held_out_is_said_before_training(ground, tmp_path):
    def never(recipe):
        raise AssertionError("nothing was to be trained")

    with pytest.raises(ValueError, match="--checkpoint: a finished one cannot be trained without a source"):
        compared(ground, tmp_path, "plain", train=never, checkpoints=("mine=runs/mine",))
    with pytest.raises(ValueError, match="--split: with --leave-one-source-out films of train and validation are scored"):
        compared(ground, tmp_path, "plain", train=never, split="validation")
    with pytest.raises(RecipeError, match="a teacher that has learnt from the source"):
        compared(ground, tmp_path, "taught", train=never)
    with pytest.raises(ValueError, match="name recipes to train"):
        compared(ground, tmp_path, train=never)
    one = split_rows({OPEN: bone_rows([bone_row(bar_picture(0, 0), 0, source="a", synthetic=False)])}, OPEN, THREE_CLASS)
    with pytest.raises(ValueError, match="has films of 1 source"):
        sources_to_hold_out(one)


def test_the_bundled_model_had_learnt_from_fracatlas():
    assert "fracatlas" in known_sources(load_recipe("own-films")) and known_sources(load_recipe("small-cnn")) == set()
    entrant = without(Entrant("own-films", load_recipe("own-films")), "St Mary's, ward 2")
    assert entrant.name == "own-films-without-St-Mary-s-ward-2" and entrant.recipe.data.without_sources == ["St Mary's, ward 2"]
