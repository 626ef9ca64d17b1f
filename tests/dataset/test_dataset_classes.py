"""A dataset knows its classes, and a build says what hinders training on it. Run: pytest tests/dataset/test_dataset_classes.py"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from small_films import encoded, picture
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.faults.advice import Films, class_advice
from hf_bones.dataset.scheme import chosen_scheme, scheme_of_names, written_scheme
from hf_bones.labels import THREE_CLASS, TWO_CLASS


def folders(root: Path, **counts: int) -> Path:
    """A folder for each label with so many films."""
    for place, (label, count) in enumerate(counts.items()):
        for number in range(count):
            path = root / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(100 * place + number)))
    return root


def built(source: Path, out: Path, *words: str) -> str:
    """What `hf-bones build` says."""
    done = CliRunner().invoke(app, ["build", str(source), "--out", str(out), *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def advised(output: str) -> list[str]:
    """The words of the command that a build advises."""
    (line,) = [line for line in output.splitlines() if line.startswith("not fit for training yet")]
    return shlex.split(line.rpartition(": hf-bones ")[2])


def classes_of(out: Path) -> dict[str, set[str]]:
    data = load_bones(out)
    return {split: {part.features["label"].names[label] for label in part["label"]} for split, part in data.items()}


def test_films_of_two_classes_are_answered_with_the_scheme_that_fits(tmp_path: Path) -> None:
    output = built(folders(tmp_path / "films", normal=8, fracture=8), tmp_path / "out")
    assert "no film is of class 'beyond_repair'; the films are of the classes of scheme two-class" in output
    again = CliRunner().invoke(app, advised(output))
    assert again.exit_code == 0 and "not fit for training" not in again.stdout
    assert written_scheme(tmp_path / "out") == TWO_CLASS


def test_a_class_of_one_film_is_answered_with_a_command_that_works(tmp_path: Path) -> None:
    output = built(folders(tmp_path / "films", healthy=8, broken=8, comminuted=1), tmp_path / "out")
    assert "class 'beyond_repair' has 1 group of films, and none in validation" in output
    assert "--label-map comminuted=fractured" in shlex.join(advised(output))
    assert CliRunner().invoke(app, advised(output)).exit_code == 0
    assert classes_of(tmp_path / "out") == {split: {"healthy", "fractured"} for split in ("train", "validation", "test")}


def test_films_of_one_class_are_answered_with_what_can_be_had(tmp_path: Path) -> None:
    output = built(folders(tmp_path / "films", healthy=6), tmp_path / "out")
    assert "all films are of class 'healthy', and training needs two classes" in output
    assert advised(output)[:3] == ["evaluate", "bundled", str(tmp_path / "out")]


def test_given_splits_that_lack_a_class_are_answered_with_new_ones(tmp_path: Path) -> None:
    folders(tmp_path / "films" / "train", healthy=8, fractured=8, beyond_repair=8)
    folders(tmp_path / "films" / "val", healthy=0, fractured=0)
    for label in ("healthy", "fractured"):
        for split, number in (("val", 50), ("test", 60)):
            path = tmp_path / "films" / split / label / "x.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(number + len(label))))
    output = built(tmp_path / "films", tmp_path / "out", "--labels", "three-class")
    assert "class 'beyond_repair' has 8 groups of films, and none in validation" in output
    assert CliRunner().invoke(app, advised(output)).exit_code == 0


def test_a_set_that_is_there_to_test_with_is_not_judged_as_one_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(picture(1)))
    (tmp_path / "t.csv").write_text("file,label,split\na.png,healthy,test\n")
    assert "not fit for training" not in built(tmp_path / "t.csv", tmp_path / "out")


JOINED = ("--labels", "two-class", "--label-map", "b=fractured")
HALVES = ("--split-anew", "--proportions", "0.5", "0.5", "0")


@pytest.mark.parametrize(
    ("labels", "splits", "scheme", "options"),
    [
        ("hhffb", "tvtvt", THREE_CLASS, JOINED),
        ("hhffbb", "tvtvtt", TWO_CLASS, None),  # a class that the scheme lacks is none of its business
        ("hhffbb", "tttttt", THREE_CLASS, HALVES),
        ("hhhfff", "tttttt", TWO_CLASS, ("--split-anew",)),
        ("hhff", "tttt", TWO_CLASS, HALVES),
        ("hhhf", "tvtt", TWO_CLASS, None),
        ("ffffbbbb", "tvtvtvtv", THREE_CLASS, None),
    ],
)  # fmt: skip
def test_advice_is_the_least_that_makes_films_fit_for_training(labels: str, splits: str, scheme: object, options: object) -> None:
    names = {"h": "healthy", "f": "fractured", "b": "beyond_repair"}
    names_of_splits = {"t": "train", "v": "validation"}
    films = Films(
        [names[label] for label in labels], list(map(str, range(len(labels)))), [names_of_splits[s] for s in splits], list(labels)
    )
    advice = class_advice(films, scheme)  # type: ignore[arg-type]
    assert (advice.options if advice else None) == options


def test_a_dataset_that_is_built_again_keeps_its_classes(tmp_path: Path) -> None:
    source = folders(tmp_path / "films", healthy=6, fractured=6)
    build_command([str(source)], tmp_path / "two", BuildChoices(labels="two-class"), progress=False)
    again = build_command([str(tmp_path / "two")], tmp_path / "again", progress=False)
    assert again.dataset["train"].features["label"].names == ["healthy", "fractured"]
    assert chosen_scheme("auto", [str(tmp_path / "two"), str(source)]) == THREE_CLASS, "a folder says nothing of its scheme"
    assert chosen_scheme("three-class", [str(tmp_path / "two")]) == THREE_CLASS


def test_classes_that_are_known_by_name_alone_need_a_normal_one() -> None:
    assert scheme_of_names(["fractured", "healthy"], "d") == TWO_CLASS
    assert scheme_of_names(["cast", "healthy"], "d").normal == "healthy"
    with pytest.raises(ValueError, match=r"d: its classes are cast, bare, and none is 'healthy'.*--label-scheme FILE"):
        scheme_of_names(["cast", "bare"], "d")
