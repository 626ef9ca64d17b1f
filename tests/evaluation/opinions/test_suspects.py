"""Suspect labels: which ones the heads doubt, and where the doubt is kept.

Run: pytest tests/evaluation/opinions/test_suspects.py
"""

import csv
import hashlib
import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny import bar_dataset, bar_picture, png
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.recipe import OpinionSettings
from hf_bones.dataset.subject import open_subject
from hf_bones.evaluation.opinions.suspects import COLUMNS, MissingCleanlabError, doubt, suspect_labels, suspect_lines
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import ImageRecord, open_manifest

QUICK = OpinionSettings(folds=3, inner_folds=2, repeats=1, strengths=[1.0])


@pytest.fixture
def films(tmp_path):
    """A collection of 60 films in 30 groups, whose class a tiny network's features tell; every tenth has another label than it should."""
    with open_manifest(tmp_path / "films", create=True) as manifest:
        for index in range(60):
            body = png(Image.fromarray(bar_picture(index % 3, index)))
            (tmp_path / "films" / f"{index}.png").write_bytes(body)
            label = THREE_CLASS.names[(index + (index % 10 == 5)) % 3]
            told = {"label": label, "provider": "folder", "patient": f"p{index % 30}", "title": f"film {index}", "licence": "CC0-1.0"}
            manifest.add_image(ImageRecord(hashlib.sha256(body).hexdigest(), f"{index}.png", len(body), **told))
    return tmp_path / "films"


def opinions(place) -> list:
    with open_manifest(place) as manifest:
        return list(manifest.rows("SELECT * FROM opinions"))


def test_wrong_labels_are_the_most_suspect_and_kept_in_the_manifest(checkpoint, films):
    with open_subject(films) as subject:
        found = suspect_labels(subject, QUICK, model=checkpoint, progress=False)
    wrong = {f"film {index}" for index in range(5, 60, 10)}
    assert len(found.suspects) == 60 and {suspect.record.title for suspect in found.suspects[:6]} == wrong
    assert all(suspect.issue and suspect.suspicion > 0.5 for suspect in found.suspects[:6])
    assert [s.suspicion for s in found.suspects] == sorted((s.suspicion for s in found.suspects), reverse=True)
    assert sum(found.issues.values()) < 15 and found.auroc > 0.8
    kept = {row["sha256"]: row for row in opinions(films)}
    one = found.suspects[0]
    row = kept[one.record.sha256]
    assert len(kept) == 60 and row["label"] == one.record.label and row["suspicion"] == pytest.approx(one.suspicion)
    assert json.loads(row["probabilities"]) == pytest.approx(one.probabilities)
    assert sum(one.probabilities.values()) == pytest.approx(1) and row["suspicion"] == pytest.approx(1 - one.probabilities[one.label])
    assert row["model"] == "dinov2" and row["given_at"]


def test_the_reviewers_label_counts_and_what_was_dropped_is_not_judged(checkpoint, films):
    with open_subject(films) as subject:
        records = {record.title: record for record in subject.manifest.images()}
        right = THREE_CLASS.names[5 % 3]
        subject.manifest.decide(records["film 5"].sha256, "relabel", "wrong", "ada", label=right)
        subject.manifest.decide(records["film 15"].sha256, "drop", "blurred", "ada")
        found = suspect_labels(subject, QUICK, model=checkpoint, progress=False)
    by_title = {suspect.record.title: suspect for suspect in found.suspects}
    assert "film 15" not in by_title and found.left_out == {records["film 15"].sha256: "dropped: blurred"}
    assert by_title["film 5"].label == right and by_title["film 5"].suspicion < 0.5
    assert len(opinions(films)) == 59


def test_asked_again_a_model_replaces_its_own_opinions_and_leaves_others(checkpoint, films):
    with open_subject(films) as subject:
        subject.manifest.connection.execute(
            "INSERT INTO opinions VALUES (?, 'other', 'healthy', '{}', 0.5, 'then')", (next(subject.manifest.images()).sha256,)
        )
        for _ in range(2):
            suspect_labels(subject, QUICK, model=checkpoint, progress=False)
    assert sorted({row["model"] for row in opinions(films)}) == ["dinov2", "other"] and len(opinions(films)) == 61


def test_no_head_sees_an_image_of_the_group_that_it_judges(checkpoint, films, monkeypatch):
    from hf_bones.evaluation.opinions import out_of_fold

    asked = {}
    real = out_of_fold.deals

    def noted(features, labels, groups, *arguments, **options):
        asked["groups"] = list(groups)
        return real(features, labels, groups, *arguments, **options)

    monkeypatch.setattr(out_of_fold, "deals", noted)
    with open_subject(films) as subject:
        first, second, *_ = subject.manifest.images()
        for record in (first, second):
            subject.manifest.set_columns(record.sha256, {"copy_group": "c1", "split": "unused"})
        suspect_labels(subject, QUICK, model=checkpoint, progress=False)
    # Thirty patients of two films each, of whom two are joined by near-duplicates, marked unused or not.
    sizes = sorted(np.unique(asked["groups"], return_counts=True)[1].tolist())
    assert sizes == [2] * 28 + [4]


def test_an_image_that_cannot_be_opened_is_left_out_with_its_reason(checkpoint, films):
    (films / "7.png").write_bytes(b"<html>")  # not the bytes of its hash
    (films / "8.png").unlink()
    with open_subject(films) as subject:
        found = suspect_labels(subject, QUICK, model=checkpoint, progress=False)
    assert len(found.suspects) == 58 and sorted(reason.partition(":")[0] for reason in found.left_out.values()) == [
        "unreadable_file",
        "unreadable_file",
    ]
    assert "2 images were not judged" in "\n".join(suspect_lines(found))


def test_without_cleanlab_the_error_says_how_to_install_it(films, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "cleanlab" else real(name, *rest))
    with open_subject(films) as subject, pytest.raises(MissingCleanlabError, match=r"pip install 'hf-bones\[cleanlab\]'"):
        suspect_labels(subject, QUICK)
    done = CliRunner().invoke(app, ["curate", "suspects", str(films)])
    assert done.exit_code == 2 and "pip install 'hf-bones[cleanlab]'" in done.output


def test_doubt_is_one_less_the_probability_of_the_label():
    labels = np.array([0, 0, 0, 1, 1, 1])
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9]])
    suspicion, issue = doubt(labels, shares)
    np.testing.assert_allclose(suspicion, [0.1, 0.2, 0.9, 0.2, 0.3, 0.1])
    assert issue.tolist() == [False, False, True, False, False, False]


def test_the_command_prints_the_worst_and_writes_all_of_them(checkpoint, tmp_path):
    place = bar_dataset(tmp_path / "bars", train=30, held_out=9)
    done = CliRunner().invoke(
        app, ["curate", "suspects", str(place), "--model", checkpoint, "--worst", "3", "--csv", str(tmp_path / "s.csv")]
    )
    assert done.exit_code == 0, done.output
    assert "48 labels judged by dinov2" in done.output and "cleanlab calls" in done.output
    rows = list(csv.DictReader((tmp_path / "s.csv").open(encoding="utf-8")))
    assert len(rows) == 48 and tuple(rows[0])[:6] == COLUMNS and "p_beyond_repair" in rows[0]
    assert float(rows[0]["suspicion"]) >= float(rows[-1]["suspicion"])
    assert len(opinions(place)) == 48


def test_a_fine_tuned_backbone_is_named_as_one(checkpoint, films, tmp_path):
    import shutil

    tuned = tmp_path / "tuned"
    shutil.copytree(checkpoint, tuned)
    (tuned / "record.json").write_text(json.dumps({"recipe": {"training": {"epochs": 5}, "model": {"trainable": "all"}}}))
    with open_subject(films) as subject:
        found = suspect_labels(subject, replace(QUICK, folds=2), model=str(tuned), progress=False)
    assert "was fine-tuned" in "\n".join(suspect_lines(found))
