"""A run takes the classes of its dataset, and says which would fit where one has no film. Run: pytest tests/training/test_run_classes.py"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from command_line import main
from small_films import build, rows_of
from small_run import arguments

from hf_bones import BonePredictor
from hf_bones.config.recipe import DataConfig, Recipe
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.labels import THREE_CLASS, TWO_CLASS, scheme_from_dict
from hf_bones.record import read_json
from hf_bones.training.run_scheme import run_scheme, with_scheme

CASTS = scheme_from_dict(
    {"name": "casts", "classes": [{"name": "bare", "definition": "No cast."}, {"name": "cast", "definition": "A cast."}], "normal": "bare"}
)


def rows(labels: str) -> list[SourceRow]:
    """A film a letter: h, f or b, each a group of its own."""
    names = {"h": "healthy", "f": "fractured", "b": "beyond_repair"}
    made = rows_of(len(labels))
    return [SourceRow(**{**vars(row), "label": names[letter]}) for row, letter in zip(made, labels, strict=True)]


def test_two_classes_are_trained_recorded_and_answered_without_an_option(smaller: Path, tmp_path: Path) -> None:
    build(rows("hf" * 12), tmp_path / "films", scheme=TWO_CLASS)
    words = ["--dataset", str(tmp_path / "films"), "--epochs", "1", "--max_train_rows", "8"]
    assert main(arguments(smaller, tmp_path / "run", *words)) == 0
    record = read_json(tmp_path / "run" / "record.json")
    assert record["recipe"]["data"]["label_scheme"] == "two-class"
    assert set(record["data"]["counts"]["train"]) == {"healthy", "fractured"}
    (finding,) = BonePredictor.from_pretrained(tmp_path / "run", device="cpu").predict([rows("h")[0].read()])
    assert set(finding.probabilities) == {"healthy", "fractured"}


def test_the_scheme_of_a_run_is_the_one_that_is_named_else_that_of_its_dataset(ground: Path, tmp_path: Path) -> None:
    own = [SourceRow(**{**vars(row), "label": ("bare", "cast")[number % 2]}) for number, row in enumerate(rows_of(12))]
    build(own, tmp_path / "casts", scheme=CASTS)
    assert run_scheme(DataConfig(dataset=str(tmp_path / "casts"))) == CASTS, "with its definitions"
    assert run_scheme(DataConfig(dataset=str(ground / "dataset"))) == THREE_CLASS, "by the names of its labels: no build wrote it"
    assert run_scheme(DataConfig(drawn_images=3)) == THREE_CLASS
    assert run_scheme(DataConfig(dataset=str(tmp_path / "casts"), label_scheme="two-class")) == TWO_CLASS
    assert with_scheme(Recipe("r", data=DataConfig(dataset=str(ground / "dataset")))).data.label_scheme == "three-class"
    assert with_scheme(Recipe("r", data=DataConfig(dataset=str(tmp_path / "casts")))).data.label_scheme == "auto"


def test_a_class_without_a_film_names_the_scheme_that_fits(smaller: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(rows("hf" * 12), tmp_path / "films")
    words = arguments(smaller, tmp_path / "run", "--dataset", str(tmp_path / "films"))
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "no training row of beyond_repair" in said and "the films are of the classes of scheme two-class" in said
    assert shlex.split(said.strip().rpartition("Train with it: hf-bones ")[2])[-2:] == ["--label-scheme", "two-class"]


@pytest.mark.parametrize(
    ("labels", "said", "ending"),
    [
        ("hf" * 8 + "b", "class 'beyond_repair' has 1 group of films", "--labels two-class --label-map beyond_repair=fractured --out"),
        ("hhhhhh", "all films are of class 'healthy'", "evaluate bundled"),
    ],
)
def test_what_cannot_be_trained_on_ends_in_a_command(
    smaller: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: str, said: str, ending: str
) -> None:
    build(rows(labels), tmp_path / "films")
    assert main(arguments(smaller, tmp_path / "run", "--dataset", str(tmp_path / "films"))) == 2
    message = capsys.readouterr().err
    assert said in message
    assert ending in message.strip().rpartition(": hf-bones ")[2]
