"""A run resumes only on the rows that it began with, and an evaluation says where it scores some of them.

Run: pytest tests/training/run/test_learnt_rows.py"""

import pytest

from hf_bones.config.recipe import RecipeError
from hf_bones.training.run.learnt_rows import FILE, learnt_rows, note_rows

TRAIN, VALIDATION = [("a" * 64, 0), ("b" * 64, 1)], [("c" * 64, 2)]


def test_the_rows_of_a_run_are_noted_and_read(tmp_path):
    note_rows(tmp_path, TRAIN, VALIDATION, resumed=False)
    assert learnt_rows(tmp_path) == {"a" * 64: "train", "b" * 64: "train", "c" * 64: "validation"}
    assert learnt_rows(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize(
    "train, validation",
    [(TRAIN[:1], VALIDATION), ([("a" * 64, 1), TRAIN[1]], VALIDATION), (VALIDATION, TRAIN)],
    ids=["a film less", "another label", "another split"],
)
def test_a_run_does_not_resume_on_other_rows(tmp_path, train, validation):
    note_rows(tmp_path, TRAIN, VALIDATION, resumed=False)
    before = (tmp_path / FILE).read_bytes()
    note_rows(tmp_path, TRAIN, VALIDATION, resumed=True)
    with pytest.raises(RecipeError, match=r"other rows.*--resume false"):
        note_rows(tmp_path, train, validation, resumed=True)
    assert (tmp_path / FILE).read_bytes() == before
    note_rows(tmp_path, train, validation, resumed=False)
    assert len(learnt_rows(tmp_path)) == len(train) + len(validation)


def test_a_run_of_an_earlier_version_resumes(tmp_path):
    note_rows(tmp_path, TRAIN, VALIDATION, resumed=True)
    assert learnt_rows(tmp_path)["c" * 64] == "validation"
