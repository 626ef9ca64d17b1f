"""What `hf_bones` promises to Python programs: `python -m pytest tests/api/test_functions.py`. Its examples run in test_examples.py."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_films import write_drawn_films
from PIL import Image
from tiny import telling_checkpoint

import hf_bones
from hf_bones.config.recipe import RecipeError
from hf_bones.dataset.choices import BuildChoices
from hf_bones.evaluation.report.choices import EvaluateChoices

FUNCTIONS = ("build", "curate", "train", "evaluate", "predict", "push")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, json, hf_bones; dir(hf_bones); print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout))
    assert "hf_bones" in loaded
    assert not loaded & {"torch", "transformers", "datasets", "numpy", "hf_bones.api"}


def test_every_promised_name_is_there_whatever_was_imported_before() -> None:
    import hf_bones.curation.subject  # a package of the name of a function would stand in its way

    assert set(FUNCTIONS) < set(hf_bones.__all__) <= set(dir(hf_bones))
    for name in hf_bones.__all__:
        assert getattr(hf_bones, name) is not None
    for name in FUNCTIONS:
        assert inspect.isfunction(getattr(hf_bones, name)), name
    with pytest.raises(AttributeError, match="trian"):
        hf_bones.trian  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_documented_and_every_section_is_there(name: str) -> None:
    text = inspect.getdoc(getattr(hf_bones, name))
    assert text is not None
    sections = dict(re.findall(r"^(Args|Returns|Raises|Examples):\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE))
    assert list(sections) == ["Args", "Returns", "Raises", "Examples"]
    parameters = inspect.signature(getattr(hf_bones, name)).parameters.values()
    assert re.findall(r"^    (\*{0,2}\w+):", sections["Args"], re.MULTILINE) == [str(each).split(":")[0] for each in parameters]


@pytest.mark.parametrize(("function", "choices"), [(hf_bones.build, BuildChoices), (hf_bones.evaluate, EvaluateChoices)])
def test_the_keywords_are_what_the_command_asks_for_with_its_defaults(function, choices: type) -> None:
    parameters = inspect.signature(function).parameters
    wanted = {field.name: field.default for field in dataclasses.fields(choices)}
    given = {name: parameters[name].default for name in wanted if name in parameters}
    assert given == wanted | {name: None for name in given if name == "label_map"}


def test_a_wrong_keyword_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"build\(\): unknown keyword 'licens'; did you mean 'licence'\?"):
        hf_bones.build("films", "out", licens="CC0-1.0")
    with pytest.raises(RecipeError, match=r"train\(\): unknown key 'epoch'; did you mean 'epochs'\?"):
        hf_bones.train("small-cnn", out="runs/x", epoch=1)
    with pytest.raises(TypeError, match="given as out"):
        hf_bones.train("small-cnn", out="runs/x", output_dir="runs/y")
    with pytest.raises(ValueError, match=r"'blury'.*did you mean 'blurry'"):
        hf_bones.curate("data/mine", drop=["blury"])
    with pytest.raises(ValueError, match="split=True"):
        hf_bones.curate("data/mine", seed=3)
    with pytest.raises(ValueError, match="cannot be used together"):
        hf_bones.push("runs/x", "ada/x", evaluation="runs/report", keep_card=True)


def test_curating_drops_nothing_unless_asked_and_says_what_it_did(tmp_path: Path) -> None:
    films = write_drawn_films(tmp_path / "films", each=4)
    with Image.open(films[0]) as film:  # near-duplicates: one film twice, and one under two labels
        film.save(tmp_path / "films" / "healthy" / "again.jpg", quality=70)
    with Image.open(films[1]) as film:
        film.save(tmp_path / "films" / "fractured" / "again.jpg", quality=70)
    data = tmp_path / "data"
    built = hf_bones.build(tmp_path / "films", data, label_map={}, progress=False)
    assert sum(map(len, built.dataset.values())) == 14

    found = hf_bones.curate(data, workers=1, progress=False)
    same, torn = {"healthy/0.png", "healthy/again.jpg"}, {"healthy/1.png", "fractured/again.jpg"}
    assert sorted(map(sorted, found.near_duplicates)) == sorted(map(sorted, (same, torn)))
    assert [set(group) for group in found.contradictory] == [torn]
    assert (found.images, found.dropped, found.splits, found.written) == (14, 0, {}, ())

    again = hf_bones.curate(data, drop_near_duplicates=True, split=True, anew=True, seed=1, workers=1, progress=False)
    assert again.dropped == 1 and sum(again.splits.values()) == 11, "the worse one is dropped, the torn pair waits"
    rebuilt = hf_bones.build(data, data, overwrite=True, progress=False)
    assert {split: len(part) for split, part in rebuilt.dataset.items()} == dict(again.splits)


def test_predict_takes_files_folders_pictures_and_arrays_in_their_order(tmp_path: Path) -> None:
    films = write_drawn_films(tmp_path / "films", each=1, size=96)
    model = hf_bones.BonePredictor.from_pretrained(telling_checkpoint(tmp_path / "model"))
    (tmp_path / "films" / "healthy" / "broken.png").write_bytes(b"no image")
    picture = Image.open(films[1])
    found = hf_bones.predict([films[2], tmp_path / "films" / "healthy", picture, np.asarray(picture)], model)
    assert [finding.source for finding in found[:3]] == [str(films[2]), str(films[0]), str(films[0].with_name("broken.png"))]
    assert [finding.readable for finding in found] == [True, True, False, True, True]
    assert found[3].probabilities == pytest.approx(found[4].probabilities)
    (alone,) = hf_bones.predict(str(films[2]), tmp_path / "model", heatmap=True)
    assert alone.probabilities == pytest.approx(found[0].probabilities, abs=1e-6) and alone.heatmap.shape == Image.open(films[2]).size[::-1]
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        hf_bones.predict("nothing.png", model)
