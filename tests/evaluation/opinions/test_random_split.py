"""What a random split would have claimed: `python -m pytest tests/evaluation/opinions/test_random_split.py`."""

import dataclasses
import json

import numpy as np
import pytest
from small_films import build, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.recipe import SplitSettings
from hf_bones.curation.splits.dealing import split_groups
from hf_bones.curation.splits.group_keys import COPIES, GROUP, PAGE, Key
from hf_bones.evaluation.opinions.random_split import (
    FEATURES_FOLDER,
    GROUPED,
    NEAREST,
    RANDOM,
    REGRESSION,
    RandomScore,
    random_score,
    score_lines,
    score_table,
)
from hf_bones.manifest.store import ImageRecord

LABELS = ("healthy", "fractured", "beyond_repair")
PATIENTS, FILMS = 90, 4


def films():
    """Patients whose films look alike and whose label nothing in them tells: records, patients, features."""
    generator = np.random.default_rng(0)
    looks = generator.normal(size=(PATIENTS, 16))
    owners = np.repeat(np.arange(PATIENTS), FILMS)
    features = looks[owners] + 0.01 * generator.normal(size=(len(owners), 16))
    records = [ImageRecord(f"{place:064x}", "f", 1, label=LABELS[owner % 3]) for place, owner in enumerate(owners)]
    return records, [f"p{owner}" for owner in owners], features


def scored(features=None, splits=None, keys=(), **settings):
    records, groups, own = films()
    splits = splits or split_groups(groups, [record.label for record in records], seed=1)
    values = own if features is None else features
    return random_score(records, groups, splits, keys, lambda asked: values, SplitSettings(**settings), repeats=200)


def claim(score: RandomScore, classifier: str, split: str, figure: str = "balanced_accuracy"):
    return next(each for each in score.claims if (each.classifier, each.split, each.figure) == (classifier, split, figure))


def test_where_only_the_patient_tells_the_label_a_random_split_claims_to_know_it():
    score = scored()
    honest, claimed = claim(score, NEAREST, GROUPED), claim(score, NEAREST, RANDOM)
    assert honest.value < 0.6 and claimed.value > 0.95
    assert honest.interval is not None and honest.interval[0] <= honest.value <= honest.interval[1] < claimed.value
    assert honest.n == pytest.approx(0.15 * PATIENTS * FILMS, abs=2 * FILMS) and claimed.n == pytest.approx(honest.n, abs=3)


def test_where_the_film_tells_the_label_both_splits_agree():
    records, _, own = films()
    told = np.eye(3)[[LABELS.index(record.label) for record in records]] * 20
    score = scored(np.concatenate([own, told], axis=1), random_score_strength=1.0)
    for classifier in (NEAREST, REGRESSION):
        assert claim(score, classifier, GROUPED).value == claim(score, classifier, RANDOM).value == 1.0
    assert claim(score, REGRESSION, GROUPED, "auroc_abnormal").value == 1.0


def test_the_same_images_and_seed_give_the_same_score():
    assert scored() == scored() != scored(seed=5)


def test_torn_keys_are_counted_by_kind():
    records, groups, _ = films()
    keys = [Key(record.sha256, GROUP, group) for record, group in zip(records, groups, strict=True)]
    keys += [Key(records[0].sha256, COPIES, "c1"), Key(records[1].sha256, COPIES, "c1"), Key(records[9].sha256, COPIES, "c2")]
    score = scored(keys=keys)
    torn, shared = score.torn[GROUP]
    assert shared == PATIENTS and torn > PATIENTS / 2
    assert score.torn[COPIES][1] == 1 and score.torn[PAGE] == (0, 0)
    assert score_lines(score)[0] == f"the random split tears {torn} of {PATIENTS} shared: {GROUP}"
    assert score_table(score).row_count == 2 + 5


def test_images_that_cannot_be_opened_are_counted_and_not_scored():
    _, _, own = films()
    own[:7] = np.nan
    score = scored(own)
    assert score.without_features == 7 and "7 images could not be opened" in score_lines(score)[-1]


def test_a_split_that_cannot_be_scored_says_why():
    with pytest.raises(ValueError, match="0 in test"):
        scored(splits=["train"] * (PATIENTS * FILMS))
    records, groups, own = films()
    same = [dataclasses.replace(record, label="healthy") for record in records]
    with pytest.raises(ValueError, match="two labels or more"):
        random_score(same, groups, ["train", "test"] * (len(same) // 2), (), lambda asked: own, SplitSettings())


def test_the_command_scores_frozen_features_of_the_bundled_model(tmp_path):
    build(rows_of(30), tmp_path / "films")
    command = ["curate", "split", str(tmp_path / "films"), "--random-score", "--out", str(tmp_path / "proof.json")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and RANDOM in done.output and "balanced accuracy" in done.output
    report = json.loads((tmp_path / "proof.json").read_text())
    claims = report["random_split"]["claims"]
    assert {(each["classifier"], each["split"]) for each in claims} == {(c, s) for c in (REGRESSION, NEAREST) for s in (GROUPED, RANDOM)}
    assert list((tmp_path / "films" / FEATURES_FOLDER).rglob("*.npz"))
