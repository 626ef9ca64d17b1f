"""Agreement of two reviewers: `python -m pytest tests/curation/review/test_agreement.py`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from small_review import small_review
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.review.agreement import AS_THEY_CAME, agree, choose_pair, kappas_of, label_readings, readings_of, use_readings
from hf_bones.manifest.store import open_manifest


def readings_with(table: list[list[int]], names: tuple[str, ...] = ("healthy", "fractured")) -> dict[str, dict[str, str]]:
    """Two reviewers whose readings make that table."""
    pairs = [(a, b) for a, row in zip(names, table, strict=True) for b, count in zip(names, row, strict=True) for _ in range(count)]
    return {"ada": {f"{n}": a for n, (a, _) in enumerate(pairs)}, "bea": {f"{n}": b for n, (_, b) in enumerate(pairs)}}


def test_the_textbook_case():
    found = agree("ada", "bea", readings_with([[20, 5], [10, 15]]), categories=("healthy", "fractured"))
    assert found.kappa == pytest.approx(0.4) and found.count == 50 and found.agreed == 35
    assert found.table.tolist() == [[20, 5], [10, 15]] and found.categories == ("healthy", "fractured")
    assert found.interval[0] < 0.4 < found.interval[1] and found.interval[0] > 0.1 and found.interval[1] < 0.7
    assert len(found.differing) == 15 and all(ours != theirs for _, ours, theirs in found.differing)


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=3, max_size=3).filter(lambda t: np.sum(t) > 0))
def test_the_resampled_kappa_is_scikit_learns(table):
    pairs = [(i, j) for i in range(3) for j in range(3) for _ in range(table[i][j])]
    with np.errstate(all="ignore"):
        expected = cohen_kappa_score(*zip(*pairs, strict=True), labels=[0, 1, 2]) if len(set(sum(pairs, ()))) > 1 else math.nan
    assert kappas_of(np.array([table], dtype=float))[0] == pytest.approx(expected, nan_ok=True)


def test_one_category_alone_has_no_kappa():
    found = agree("ada", "bea", readings_with([[7, 0], [0, 0]]))
    assert math.isnan(found.kappa) and math.isnan(found.interval[0]) and found.agreed == 7


def test_no_image_in_common_is_said_without_an_error():
    found = agree("ada", "bea", {"ada": {"1": "healthy"}, "bea": {"2": "healthy"}})
    assert found.count == 0 and math.isnan(found.kappa) and not found.differing


def test_copies_read_alike_do_not_narrow_the_interval():
    readings = readings_with([[20, 5], [10, 15]])
    alone = agree("ada", "bea", readings).interval
    tripled = {name: {f"{sha}-{n}": label for sha, label in read.items() for n in range(3)} for name, read in readings.items()}
    groups = {sha: sha.partition("-")[0] for sha in tripled["ada"]}
    grouped = agree("ada", "bea", tripled, groups=groups).interval
    naive = agree("ada", "bea", tripled).interval
    assert grouped == pytest.approx(alone, abs=0.08)
    assert naive[1] - naive[0] < 0.75 * (grouped[1] - grouped[0])


def test_a_name_without_readings_is_an_error_that_names_the_others():
    with pytest.raises(ValueError, match="'eve' has read no image; readings are there of: ada, bea"):
        agree("ada", "eve", readings_with([[1, 1], [1, 1]]))


def test_readings_are_what_stands_of_each_reviewer(tmp_path):
    first, second, third, *_ = small_review(tmp_path)
    with open_manifest(tmp_path) as manifest:
        manifest.decide(first, "relabel", "", "ada", label="fractured")
        manifest.decide(first, "relabel", "", "bea", label="healthy")
        manifest.decide(first, "relabel", "", "ada", label="beyond_repair")  # ada thought again
        wrong = manifest.decide(second, "relabel", "", "ada", label="healthy")
        manifest.undo(wrong, "ada")
        manifest.decide(third, "drop", "copy", "ada")
        assert label_readings(manifest.decisions()) == {"ada": {first: "beyond_repair"}, "bea": {first: "healthy"}}
        assert use_readings(manifest.decisions()) == {"ada": {first: "keep", third: "drop"}, "bea": {first: "keep"}}
        manifest.decide(third, "keep", "restored", "ada")
        assert use_readings(manifest.decisions())["ada"][third] == "keep"
        assert readings_of(manifest)[AS_THEY_CAME][second] == "fractured"


def test_the_two_busiest_are_compared_and_a_lone_reviewer_with_the_labels_as_they_came():
    came = {AS_THEY_CAME: {str(n): "healthy" for n in range(9)}}
    ada, bea, cem = {"1": "x", "2": "x", "3": "x"}, {"1": "x", "2": "x"}, {"1": "x"}
    assert choose_pair({"cem": cem, "ada": ada, "bea": bea, **came}) == ("ada", "bea")
    assert choose_pair({"cem": cem, "ada": ada, "bea": bea, **came}, second="ada") == ("bea", "ada")
    assert choose_pair({"ada": ada, **came}) == ("ada", AS_THEY_CAME)
    assert choose_pair(came) is None and choose_pair({}) is None


def test_the_command_prints_kappa_and_where_they_differ(tmp_path):
    hashes = small_review(tmp_path)
    nobody = CliRunner().invoke(app, ["curate", "agreement", str(tmp_path)])
    assert nobody.exit_code == 2 and "nobody has read these images yet" in nobody.output
    with open_manifest(tmp_path) as manifest:
        for place, sha256 in enumerate(hashes):
            manifest.decide(sha256, "relabel", "", "ada", label="fractured" if place % 2 else "healthy")
            manifest.decide(sha256, "relabel", "", "bea", label="fractured" if place % 2 or place == 0 else "healthy")
    done = CliRunner().invoke(app, ["curate", "agreement", str(tmp_path), "--first", "ada", "--second", "bea"])
    assert done.exit_code == 0 and "12 images read by both, 11 alike" in done.output
    assert "1 images need adjudication" in done.output
    assert "Cohen's kappa 0.83 (95 % interval" in done.output and f"{hashes[0][:12]}  healthy / fractured" in done.output
