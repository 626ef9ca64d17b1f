"""The parts of the rows that tell whether a model looks at the break, by hand on small tables.

Run: pytest tests/evaluation/report/test_slices.py"""

from __future__ import annotations

import json

import numpy as np
import pytest
from scored_rows import ABOUT, NAMES, QUICK

from hf_bones.curation.duplicates.seen_films import CHOSEN, LEARNT
from hf_bones.evaluation.report.cautions import seen_caution, seen_note
from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import break_slices, slices_of
from hf_bones.evaluation.report.summary import summary_text
from hf_bones.evaluation.seen import SeenRows

NO, YES, UNKNOWN = False, True, None


def rows_of(labels, abnormal, **columns):
    """Rows with P(abnormal) as given, all of it in class `fractured`, each a group of its own."""
    count = len(labels)
    scores = np.array(abnormal, dtype=float)
    columns = {"regions": ["hand"] * count} | columns
    return ScoredRows(
        names=NAMES,
        normal_id=0,
        labels=np.array(labels),
        probabilities=np.stack([1 - scores, scores, np.zeros(count)], axis=1),
        groups=[f"g{row}" for row in range(count)],
        sources=["hospital"] * count,
        image_ids=[f"film {row}" for row in range(count)],
        **columns,
    )


def members(rows):
    slices, notes = break_slices(rows)
    return {part.name: np.flatnonzero(part.mask).tolist() for part in slices}, notes


def test_bare_films_are_those_known_to_show_neither_and_healthy_ones_not_known_to():
    rows = rows_of(
        [0, 0, 0, 1, 1, 1, 1],
        [0.1] * 7,
        casts=[UNKNOWN, YES, NO, NO, YES, NO, UNKNOWN],
        hardware=[NO, NO, YES, NO, NO, YES, NO],
        severities=[np.nan] * 7,
    )
    found, notes = members(rows)
    assert found == {"bare": [0, 3]}
    assert notes[0] == (
        "Bare: 1 abnormal films are left out, of which it is not known whether they show a cast or metal; "
        "of 1 of its healthy films it is not known, and they are taken as showing none."
    )
    assert notes[1:] == [
        "Within region: left out, since all films are of one region.",
        "By severity: left out, since no abnormal film has a `severity`.",
    ]


def test_an_old_dataset_leaves_slices_out_and_says_why():
    found, notes = members(rows_of([0, 1], [0.1, 0.9]))
    assert found == {}
    assert notes[0] == "Bare: left out, since the dataset says of no abnormal film whether it shows a cast (column `cast`)."
    found, notes = members(rows_of([1, 1], [0.1, 0.9]))
    assert found == {} and notes == ["Bare, within region, by severity: left out, since no healthy film is among the rows."]


def test_regions_need_ten_films_of_both_kinds():
    labels = [0] * 20 + [1] * 20
    regions = (["hand"] * 10 + ["leg"] * 10) + (["hand"] * 10 + ["leg"] * 9 + ["unknown"])
    found, notes = members(rows_of(labels, [0.5] * 40, regions=regions))
    assert list(found) == ["within hand"] and found["within hand"] == [*range(10), *range(20, 30)]
    assert "Within region: fewer than 10 healthy or 10 abnormal films of leg." in notes


def test_grades_are_told_apart_and_each_meets_all_healthy_films():
    found, _ = members(rows_of([0, 1, 1, 2, 1], [0.5] * 5, severities=[0.0, 1 / 3, 0.67, 1.0, np.nan]))
    assert found == {"light breaks": [0, 1], "middle breaks": [0, 2], "severe breaks": [0, 3]}


@pytest.fixture
def shortcut():
    """Forty healthy films and forty broken ones: half of these in a cast and found, half bare and not told from healthy ones."""
    labels = [0] * 40 + [1] * 40
    scores = [0.1, 0.6] * 20 + [0.9] * 20 + [0.1, 0.6] * 10
    casts = [UNKNOWN] * 40 + [YES] * 20 + [NO] * 20
    return rows_of(labels, scores, casts=casts, hardware=[NO] * 80, severities=[0.0] * 40 + [0.2] * 40)


def test_a_model_that_reads_casts_is_found_out(shortcut, tmp_path):
    done = evaluate_probabilities(shortcut, tmp_path, ABOUT, resampling=QUICK)
    # By hand: a cast wins against all healthy films; a bare break is as likely as not above one.
    assert done.tables[0].figures["auroc_abnormal"].value == pytest.approx(0.75)
    bare = next(table for table in done.break_tables if table.name == "bare")
    assert bare.figures["auroc_abnormal"].value == pytest.approx(0.5) and bare.supports == {
        "healthy": 40,
        "fractured": 20,
        "beyond_repair": 0,
    }
    assert bare.figures["auroc_abnormal"].interval is not None
    stored = json.loads(done.metrics.read_text())["break_slices"]
    assert [table["name"] for table in stored["tables"]] == ["bare", "light breaks"]
    report = done.report.read_text()
    section = report.split("## Does it look at the break?")[1].split("\n## ")[0]
    (line,) = [line for line in section.splitlines() if line.startswith("| bare")]
    assert "0.50 (0." in line and line.endswith("| 40 | 20 |")


def seen_as(rows, how):
    return rows_of(rows.labels, rows.probabilities[:, 1], casts=rows.casts, hardware=rows.hardware, seen=SeenRows(tuple(how)))


def test_figures_without_films_that_were_learnt_from_stand_beside_those_with(shortcut, tmp_path):
    how = [""] * 40 + [LEARNT] * 18 + [CHOSEN] * 2 + [""] * 20  # the casts
    done = evaluate_probabilities(seen_as(shortcut, how), tmp_path, ABOUT, resampling=QUICK)
    (warning,) = done.warnings
    assert warning.startswith(
        "18 of these 80 films were learnt from, and the checkpoint was chosen by 2 more "
        "(figures without them, 60 films: AUROC(abnormal) 0.50 ("
    )
    assert warning in summary_text(done)
    by_name = {table.name: table for table in done.tables}
    assert by_name["all"].figures["auroc_abnormal"].value == pytest.approx(0.75)
    assert by_name["not seen in training"].n == 60
    assert by_name["not seen in training"].figures["auroc_abnormal"].value == pytest.approx(0.5)
    assert json.loads(done.metrics.read_text())["seen"] == {"known": True, "learnt": 18, "chosen": 2, "rows": 80}
    assert "| not seen in training |" in done.report.read_text().split("## In short")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ([LEARNT] * 80, "All 80 films were learnt from: figures say how well it remembers them"),
        ([LEARNT] * 79 + [CHOSEN], "79 of these 80 films were learnt from, and the checkpoint was chosen by 1 more and none is left: "),
    ],
)
def test_where_all_were_seen_it_says_so_plainly(shortcut, how, said):
    (warning,) = seen_caution(SeenRows(tuple(how)), "test", [])
    assert warning.startswith(said) and "train again" in warning
    assert "train again" not in seen_caution(SeenRows(tuple(how)), "train", [])[0], "a run's own training films were asked for"
    assert [part.kind for part in slices_of(seen_as(shortcut, how))] == ["all"]
    assert break_slices(seen_as(shortcut, how))[0], "of films seen all alike, the parts can still be told apart"


def test_that_none_was_seen_or_nobody_knows_is_said_too():
    for seen, said in [(SeenRows(None), "is not known: it has no list"), (SeenRows(("",) * 80), "None of these films was learnt from")]:
        assert not seen_caution(seen, "test", []) and said in seen_note(seen)[0]
