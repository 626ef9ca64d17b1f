"""The quickstart's last line and its page of errors say what its evaluation found. Run: pytest tests/evaluation/report/test_last_line.py"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scored_rows import ABOUT, NAMES, QUICK, scored

from hf_bones.evaluation.report.baselines import MAJORITY, majority_probabilities
from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.results import Evaluation
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.quickstart import closing_text

TRAINED_ON = np.repeat([0, 1, 2], [10, 30, 20])  # class 1 is the commonest


def evaluated(rows: ScoredRows, out: Path) -> Evaluation:
    baselines = {MAJORITY: majority_probabilities(TRAINED_ON, len(NAMES), len(rows.labels))}
    return evaluate_probabilities(rows, out / "report", ABOUT, baselines=baselines, resampling=QUICK)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_last_line_counts_what_was_right_and_what_a_guess_gets(seed: int, tmp_path: Path) -> None:
    rows = scored(seed=seed)
    right, guessed = int((rows.predicted == rows.labels).sum()), int((rows.labels == 1).sum())
    text = closing_text(tmp_path, evaluated(rows, tmp_path))
    assert text.splitlines()[-1] == f"Right on {right} of 120 drawn films that it had not seen; guessing gets {guessed}."
    assert f"its {120 - right} wrong" in text and "says nothing about real films" in text


def test_the_page_that_it_names_shows_each_wrong_film_with_what_was_drawn_and_what_was_said(tmp_path: Path) -> None:
    rows = scored(seed=2)
    wrong = np.flatnonzero(rows.predicted != rows.labels)
    kept = np.r_[wrong[:3], np.flatnonzero(rows.predicted == rows.labels)]
    columns = ("labels", "probabilities", "groups", "sources", "regions", "image_ids")
    parts = {name: np.asarray(getattr(rows, name))[kept] for name in columns}
    few = replace(rows, **parts, image=lambda index: rows.image(int(kept[index])))
    text = closing_text(tmp_path, evaluated(few, tmp_path))
    page = tmp_path / "report" / "worst_errors.html"
    assert str(page) in text
    shown = page.read_text()
    assert shown.count("<dt>image</dt>") == 3 == shown.count("<dt>predicted</dt>")
    for row in wrong[:3]:
        assert f"image-{row}, labelled {NAMES[rows.labels[row]]}, predicted {NAMES[rows.predicted[row]]}" in shown


def test_a_model_without_an_error_has_none_to_show(tmp_path: Path) -> None:
    rows = scored(probabilities=np.eye(3)[scored().labels])
    text = closing_text(tmp_path, evaluated(rows, tmp_path))
    assert "Right on 120 of 120" in text and "no wrong film to show" in text
