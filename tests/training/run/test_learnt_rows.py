"""A run resumes only on the rows that it began with.

Run: pytest tests/training/run/test_learnt_rows.py"""

import pytest

from hf_bones.config.recipe import RecipeError
from hf_bones.training.run.learnt_rows import FILE, note_rows

TRAIN, VALIDATION = [("a" * 64, 0), ("b" * 64, 1)], [("c" * 64, 2)]


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
    assert (tmp_path / FILE).read_text().count("\n") == 1 + len(train) + len(validation)


def test_a_run_of_an_earlier_version_resumes(tmp_path):
    note_rows(tmp_path, TRAIN, VALIDATION, resumed=True)
    assert f"{'c' * 64},2,validation" in (tmp_path / FILE).read_text()
