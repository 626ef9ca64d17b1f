"""What a report says at its top of figures that say little or too much. Run: pytest tests/evaluation/report/test_cautions.py"""

import csv

import numpy as np
import pytest
from datasets import Dataset

from hf_bones.evaluation.report.cautions import cautions
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.labels import THREE_CLASS
from hf_bones.training.run.learnt_rows import FILE, HEAD

HASHES = [f"{number:064x}" for number in range(40)]


def rows(labels, groups):
    count = len(labels)
    return ScoredRows(
        probabilities=np.full((count, 3), 1 / 3),
        labels=np.asarray(labels),
        groups=groups,
        sources=["s"] * count,
        regions=[""] * count,
        names=THREE_CLASS.names,
        normal_id=0,
        image_ids=HASHES[:count],
    )


ENOUGH = [0] * 20 + [1] * 20


@pytest.fixture
def run_folder(tmp_path):
    with (tmp_path / FILE).open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *((digest, 0, "train") for digest in HASHES[:3]), (HASHES[5], 1, "validation")])
    return tmp_path


def told(labels, groups, folder, split):
    return cautions(Dataset.from_dict({"sha256": HASHES[: len(labels)]}), rows(labels, groups), folder, split)


def test_films_that_the_run_had_are_counted(run_folder):
    (said,) = told(ENOUGH, ["p"] * 40, run_folder, "test")
    assert said.startswith("The checkpoint learnt from 3 and was chosen by 1 of these 40 films") and "train again" in said
    (said,) = told(ENOUGH, ["p"] * 40, run_folder, "train")
    assert "train again" not in said
    assert not told(ENOUGH, ["p"] * 40, None, "test")


def test_few_films_and_unknown_patients_are_said():
    few, unknown = told([0] * 12 + [1] * 3, HASHES[:15], None, "test")
    assert few == "Too few films to judge a model by: 15, of them 3 of fractured. Figures may be far off either way."
    assert unknown.startswith("No patient")
