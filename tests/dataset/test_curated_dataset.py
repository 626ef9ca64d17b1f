"""A built dataset with decisions, built anew: `python -m pytest tests/dataset/test_curated_dataset.py`."""

import csv
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from small_films import build, encoded, picture, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.recipe import SplitSettings
from hf_bones.curation.splits.command import split_subject
from hf_bones.curation.splits.names import GroupLeakError
from hf_bones.dataset import writing
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.schema import load_bones
from hf_bones.dataset.subject import open_subject
from hf_bones.manifest.store import MANIFEST_NAME, open_manifest
from hf_bones.manifest.votes import ADJUDICATED


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A built dataset of 18 films."""
    return build(rows_of(18), tmp_path / "films").folder


def hashes(place: Path) -> dict[str, str]:
    """Image id → hash."""
    with open_subject(place) as subject:
        return {record.title: record.sha256 for record in subject.manifest.images()}


def decide(place: Path, image: str, decision: str, reason: str = "", by: str = "ada", **new) -> None:
    with open_subject(place) as subject:
        subject.manifest.decide(hashes(place)[image], decision, reason, by, **new)


def rows(place: Path) -> dict[str, tuple[str, str, str]]:
    """Image id → split, label, subtype."""
    return {
        row["image_id"]: (split, part.features["label"].names[row["label"]], row["subtype"])
        for split, part in load_bones(place).items()
        for row in part.remove_columns("image")
    }


def again(place: Path, output: Path, **choices):
    return build_command([str(place)], output, BuildChoices(**choices), progress=False)


def test_what_was_dropped_is_left_out_with_its_reason_and_relabelled_images_have_their_new_label(place, tmp_path):
    decide(place, "i4", "drop", "blurred")
    decide(place, "i5", "relabel", label="fractured", subtype="hairline")
    decide(place, "i6", "keep")
    done = again(place, tmp_path / "new")
    before, after = rows(place), rows(tmp_path / "new")
    assert after["i5"] == (before["i5"][0], "fractured", "hairline")
    assert {name: row for name, row in after.items() if name != "i5"} == {
        name: row for name, row in before.items() if name not in ("i4", "i5")
    }
    assert done.summary["left_out"] == {"dropped: blurred": 1}
    with (tmp_path / "new" / "refused.csv").open() as stream:
        assert list(csv.reader(stream))[1:] == [["i4", "left_out", "dropped: blurred"]]
    assert [note for note in done.notes if "reviewer" in note or "dropped" in note] == [
        "1 images that were dropped are left out; refused.csv names them with their reasons", "1 images have a reviewer's label",
    ]  # fmt: skip


def test_an_image_on_which_reviewers_differ_is_left_out_and_counted_until_it_is_adjudicated(place, tmp_path):
    decide(place, "i4", "relabel", by="ada", label="fractured")
    decide(place, "i4", "relabel", by="bo", label="healthy")
    decide(place, "i5", "drop", "blurred", by="ada")
    decide(place, "i5", "keep", "kept", by="bo")
    done = again(place, tmp_path / "new")
    assert rows(tmp_path / "new").keys() == rows(place).keys() - {"i4", "i5"}
    assert done.summary["left_out"] == {
        "needs adjudication: ada fractured, bo healthy": 1,
        "needs adjudication: ada drop, bo keep": 1,
    }
    note = "2 images left out, on which reviewers differ (needs adjudication); refused.csv names them with their votes"
    assert note in done.notes and not any("dropped" in note for note in done.notes)
    decide(place, "i4", "relabel", ADJUDICATED, by="cem", label="fractured")
    decide(place, "i5", "keep", ADJUDICATED, by="cem")
    again(place, tmp_path / "settled")
    assert rows(tmp_path / "settled").keys() == rows(place).keys() and rows(tmp_path / "settled")["i4"][1] == "fractured"


def test_a_decision_that_was_undone_is_not_applied(place, tmp_path):
    with open_subject(place) as subject:
        number = subject.manifest.decide(hashes(place)["i4"], "drop", "blurred", "ada")
        subject.manifest.undo(number, "ada")
    again(place, tmp_path / "new")
    assert rows(tmp_path / "new") == rows(place)


def test_splits_that_were_made_for_it_are_those_of_the_new_dataset(tmp_path):
    place = build(rows_of(36), tmp_path / "films").folder
    with open_subject(place) as subject:
        made = split_subject(subject, SplitSettings(train=0.5, validation=0.25, test=0.25, seed=9), anew=True)
        wanted = {record.title: record.split for record in subject.manifest.images()}
    assert made.changed > 0
    done = again(place, tmp_path / "new")
    assert {name: row[0] for name, row in rows(tmp_path / "new").items()} == wanted
    assert f"{made.changed} images moved to the splits that were made with seed 9" in done.notes


def torn_pair(place: Path) -> list[str]:
    """Two images of one label, in train and in test, which are now near-duplicates."""
    pair = [next(name for name, row in rows(place).items() if row[:2] == (split, "healthy")) for split in ("train", "test")]
    with open_subject(place) as subject:
        for name in pair:
            subject.manifest.set_columns(hashes(place)[name], {"copy_group": "copy1"})
    return pair


def test_near_duplicates_stay_together_and_torn_ones_are_refused_until_the_splits_are_made_anew(place, tmp_path):
    pair = torn_pair(place)
    with pytest.raises(GroupLeakError, match="hf-bones curate split --anew"):
        again(place, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert CliRunner().invoke(app, ["curate", "split", str(place)]).exit_code == 2
    assert CliRunner().invoke(app, ["curate", "split", str(place), "--anew"]).exit_code == 0
    again(place, tmp_path / "new")
    after = rows(tmp_path / "new")
    assert after[pair[0]][0] == after[pair[1]][0]
    groups = {row["image_id"]: row["group"] for part in load_bones(tmp_path / "new").values() for row in part.remove_columns("image")}
    assert groups[pair[0]] == groups[pair[1]] and len(set(groups.values())) == 17


def test_dropping_one_of_two_torn_copies_mends_it(place, tmp_path):
    pair = torn_pair(place)
    decide(place, pair[0], "drop", "copy")
    assert len(rows(again(place, tmp_path / "new").folder)) == 17


def test_built_onto_itself_it_keeps_its_decisions_and_a_second_time_changes_nothing(place, tmp_path):
    decide(place, "i4", "drop", "blurred")
    decide(place, "i5", "relabel", label="fractured")
    (place / "notes.txt").write_text("mine")
    first = again(place, place, overwrite=True)
    assert "1 dropped images are no longer in films, and can only be had again from its source" in first.notes
    once = rows(place)
    assert "i4" not in once and once["i5"][1] == "fractured" and (place / "notes.txt").read_text() == "mine"
    with open_subject(place) as subject:
        log = [(d.decision, d.reason, d.decided_by, d.label) for d in subject.manifest.decisions()]
        gone = [record for record in subject.manifest.images() if not record.file]
        assert all(len(subject.read(record)) == record.bytes for record in subject.manifest.images() if record.file)
    assert log == [("drop", "blurred", "ada", ""), ("relabel", "", "ada", "fractured")]
    assert [record.title for record in gone] == ["i4"]
    again(place, place, overwrite=True)
    assert rows(place) == once


def test_another_source_in_its_place_keeps_the_decisions_and_says_that_they_wait(place, tmp_path):
    decide(place, "i4", "drop", "blurred")
    source = tmp_path / "source"
    for index, label in enumerate(("healthy", "fractured", "beyond_repair") * 3):
        (source / label).mkdir(parents=True, exist_ok=True)
        (source / label / f"{index}.png").write_bytes(encoded(picture(index)))
    done = build_command([str(source)], place, BuildChoices(overwrite=True), progress=False)
    assert any("decisions about 1 images were kept in films/manifest.db but not applied" in note for note in done.notes)
    with open_subject(place) as subject:
        # The same picture, known by its bytes: i4 was picture 4.
        assert [record.title for record in subject.manifest.images() if record.decision == "drop" and record.file] == ["fractured/4.png"]
    assert len(rows(again(place, tmp_path / "new").folder)) == 8


def test_a_look_up_that_has_the_manifest_open_goes_on_writing_to_it(place, tmp_path):
    names = hashes(place)
    with open_subject(place) as reviewing:
        reviewing.manifest.decide(names["i1"], "drop", "before", "ada")
        again(place, place, overwrite=True)
        reviewing.manifest.decide(names["i2"], "drop", "after", "ada")
    with open_manifest(place) as manifest:
        assert [decision.reason for decision in manifest.decisions()] == ["before", "after"]


def test_decisions_in_the_log_of_a_killed_process_come_along(place, tmp_path):
    sha256 = hashes(place)["i4"]
    code = (
        "import os, signal; from pathlib import Path; from hf_bones.manifest.store import open_manifest; "
        f"m = open_manifest(Path({str(place)!r})); m.connection.execute('PRAGMA wal_autocheckpoint = 0'); "
        f"m.decide({sha256!r}, 'drop', 'blurred', 'ada'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert (place / f"{MANIFEST_NAME}-wal").stat().st_size > 0
    again(place, place, overwrite=True)
    with open_manifest(place) as manifest:
        assert [decision.reason for decision in manifest.decisions()] == ["blurred"]
    assert "i4" not in rows(place)


@pytest.mark.parametrize("step", range(5))
def test_killed_at_any_step_of_replacing_the_dataset_is_put_back_with_its_decisions(place, tmp_path, step):
    decide(place, "i4", "drop", "blurred")
    before = rows(place)
    # The moves are: the old away, its manifest (with its log) over, the new in place; the process ends before the n-th of them.
    code = f"""
import os, signal
from pathlib import Path
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
whole, left = Path.rename, [{step}]
def rename(self, target):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return whole(self, target)
Path.rename = rename
build_command([{str(place)!r}], Path({str(place)!r}), BuildChoices(overwrite=True), progress=False)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    killed = ended.returncode == -signal.SIGKILL
    assert killed or (ended.returncode == 0 and step >= 3), ended.stderr
    if not killed or place.exists():
        assert set(rows(place)) in (set(before), set(before) - {"i4"})
    done = again(place, place, overwrite=True)
    assert set(rows(place)) == set(before) - {"i4"}
    with open_manifest(place) as manifest:
        assert [(decision.decision, decision.reason) for decision in manifest.decisions()] == [("drop", "blurred")]
    assert Counter(note.startswith("films was restored first") for note in done.notes)[True] == (killed and step in (1, 2))
    if killed and step in (1, 2):
        assert not list(tmp_path.glob(".films.*"))  # the workspace of the killed build is gone


def test_an_error_in_the_moment_of_replacing_leaves_the_old_dataset(place, tmp_path, monkeypatch):
    decide(place, "i4", "drop", "blurred")
    before = rows(place)
    whole = Path.rename

    def fail_for_the_new_one(self, target):
        if self.name == writing.STAGED_NAME:
            raise OSError("no room")
        return whole(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="no room"):
        again(place, place, overwrite=True)
    monkeypatch.undo()
    assert rows(place) == before and [path.name for path in tmp_path.iterdir()] == ["films"]
    with open_manifest(place) as manifest:
        assert [decision.reason for decision in manifest.decisions()] == ["blurred"]
