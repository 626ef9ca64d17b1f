"""Splits of what is curated, and their proof: `python -m pytest tests/curation/splits/test_split_subject.py`."""

import json
import sqlite3
from collections import defaultdict

import pytest
from small_collection import bring, digest, jpeg, see
from small_films import LABELS, build, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.candidate import Candidate
from hf_bones.curation.recipe import SplitSettings
from hf_bones.curation.splits.command import split_subject
from hf_bones.curation.splits.group_keys import COPIES, GROUP, HASH, PAGE, group_keys, merged_groups
from hf_bones.curation.splits.names import GroupLeakError
from hf_bones.curation.splits.proof import prove
from hf_bones.curation.subject import collection_subject
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.subject import open_subject
from hf_bones.manifest.store import ImageRecord, Manifest, open_manifest


def fill(folder, *known):
    """A collection with a record for each mapping of `known`, named by its place."""
    with open_manifest(folder, create=True) as manifest:
        for place, values in enumerate(known):
            sha256 = f"{place:064x}"
            manifest.add_image(
                ImageRecord(sha256, f"images/{place}.jpg", 1, **({"label": LABELS[place % 3], "provider": "atlas"} | values))
            )
    return folder


def patients(count, films=3, **known):
    """`count` patients with `films` films each, labels in turn."""
    return [{"patient": f"p{patient}", "label": LABELS[patient % 3], **known} for patient in range(count) for _ in range(films)]


def splits(folder):
    with open_manifest(folder) as manifest:
        return [record.split for record in manifest.images()]


def run(folder, **choices):
    settings = SplitSettings(**{key: choices.pop(key) for key in list(choices) if key not in ("anew", "dry_run")})
    with open_subject(folder) as subject:
        return split_subject(subject, settings, **choices)


def keys_of(folder):
    with open_manifest(folder) as manifest:
        return group_keys(manifest, manifest.images(), "collection")


def kind(proof, name):
    return next(each for each in proof.kinds if each.kind == name)


def test_whole_patients_are_dealt_out_and_the_proof_says_so(tmp_path):
    done = run(fill(tmp_path, *patients(60)))
    found = defaultdict(set)
    for place, split in enumerate(splits(tmp_path)):
        found[place // 3].add(split)
    assert all(len(homes) == 1 for homes in found.values())
    assert done.proof.holds and (done.proof.groups, done.proof.images, done.dealt, done.changed) == (60, 180, 180, 180)
    patient = kind(done.proof, GROUP)
    assert (patient.keys, patient.shared, patient.in_two_splits) == (60, 60, 0)
    for stratum in done.proof.strata:
        assert stratum.total == 60 and stratum.share("train") == pytest.approx(0.7, abs=0.1)


def test_the_same_seed_deals_alike_and_a_second_run_changes_nothing(tmp_path):
    first = run(fill(tmp_path / "a", *patients(40)), seed=3)
    assert run(fill(tmp_path / "b", *patients(40)), seed=3).proof == first.proof
    assert run(tmp_path / "a", seed=4).changed == 0 and run(tmp_path / "a", seed=3).proof == first.proof
    assert run(tmp_path / "a", seed=4, anew=True).changed > 0


def test_splits_that_are_there_are_kept_and_new_images_follow_their_patient(tmp_path):
    films = patients(30)
    for place, film in enumerate(films):
        film["split"] = ("train", "val", "test")[place // 3 % 3] if place % 3 else ""
    done = run(fill(tmp_path, *films))
    assert splits(tmp_path) == [("train", "validation", "test")[place // 3 % 3] for place in range(90)]
    assert done.dealt == 30 and "30 of 90" in done.notes[0]


def test_a_page_a_copy_and_a_patient_join_in_one_chain(tmp_path):
    fill(
        tmp_path,
        {"patient": "1"}, {"patient": "1", "copy_group": "c"}, {"page": "http://p/1", "copy_group": "c"}, {"page": "http://p/1"},
        {"patient": "2", "page": "http://p/1"},  # the source's one page for all of its patients joins nothing
        {},
    )  # fmt: skip
    groups = merged_groups(keys_of(tmp_path))
    names = [groups[f"{place:064x}"] for place in range(6)]
    assert names[:5] == ["atlas: 1"] * 4 + ["atlas: 2"] and names[5] == f"{5:064x}"


def test_what_was_dropped_or_is_unused_joins_nothing(tmp_path):
    fill(tmp_path, {"patient": "1"}, {"patient": "1", "copy_group": "c"}, {"patient": "2", "copy_group": "c"}, {"patient": "2"})
    assert len(set(merged_groups(keys_of(tmp_path)).values())) == 1
    with open_manifest(tmp_path) as manifest:
        number = manifest.decide(f"{1:064x}", "drop", "a copy", "ada")
        assert len(set(merged_groups(keys_of(tmp_path)).values())) == 2
        manifest.undo(number, "ada")
        manifest.set_columns(f"{2:064x}", {"split": "unused"})
    assert len(set(merged_groups(keys_of(tmp_path)).values())) == 2


def test_every_place_where_an_image_was_seen_counts(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        free = {"licence": "CC0-1.0"}
        see(
            manifest, "atlas", "wrist", "healthy",
            Candidate("http://h/1.jpg", details={"patient": "1"}, **free),
            Candidate("http://h/1-again.jpg", details={"patient": "2"}, **free),
            Candidate("http://h/2.jpg", details={"group": "2"}, **free), Candidate("http://h/3.jpg", page="http://p/9", **free),
            Candidate("http://h/unused.jpg", details={"patient": "3", "split": "unused"}, **free),
            Candidate("http://h/4.jpg", details={"patient": "3"}, **free),
        )  # fmt: skip
        for name, seed in (("1", 1), ("1-again", 1), ("2", 2), ("3", 3), ("4", 4), ("unused", 1)):
            bring(manifest, f"http://h/{name}.jpg", jpeg(seed))
    groups = merged_groups(keys_of(tmp_path))
    one, two, three, four = (groups[digest(jpeg(seed))] for seed in (1, 2, 3, 4))
    # The first image is one of patient 1 and, byte for byte, one of patient 2; a row that is marked unused joins nothing.
    assert one == two == "atlas: 1" and three == "http://p/9" and four == "atlas: 3"


def test_given_splits_that_tear_a_group_are_refused_by_kind_and_nothing_is_written(tmp_path):
    films = [{**film, "split": "train"} for film in patients(10)]
    films[4]["split"], films[0]["copy_group"], films[29]["copy_group"], films[29]["split"] = "test", "copy7", "copy7", "validation"
    fill(tmp_path, *films)
    with pytest.raises(GroupLeakError, match=r"2 of patient or group \(such as atlas: p1: test and train\); 1 of near-duplicates"):
        run(tmp_path)
    assert splits(tmp_path) == [film["split"] for film in films]
    done = run(tmp_path, anew=True)
    assert done.proof.holds and splits(tmp_path)[0] == splits(tmp_path)[29]


def test_images_left_out_for_now_follow_their_group_and_others_are_left_alone(tmp_path):
    films = patients(12)
    films[1]["label"], films[4]["split"], films[8]["split"] = "", "unused", "test"
    fill(tmp_path, *films)
    with open_manifest(tmp_path) as manifest:
        manifest.decide(f"{8:064x}", "drop", "blurred", "ada")
    done = run(tmp_path)
    found = splits(tmp_path)
    assert found[1] == found[0] and found[4] == "unused" and found[8] == "test"
    assert done.proof.images == 33 and done.proof.left_out == {"no label": 1, "dropped": 1, "marked unused": 1}
    # Once it has a label, the image stands where it may stand.
    with open_manifest(tmp_path) as manifest:
        manifest.decide(f"{1:064x}", "relabel", "", "ada", label="fractured")
    assert run(tmp_path).changed == 0


def test_regions_are_spread_too(tmp_path):
    # Each patient has one region; without it in the strata, whole regions would be at the mercy of the order.
    films = [
        {"patient": f"p{n}", "label": "healthy", "region": ("hand", "leg", "hip")[n % 3]} for n in range(120) for _ in range(1 + n % 5)
    ]
    spread = {}
    for weight in (0.0, 0.5):
        done = run(fill(tmp_path / str(weight), *films), region_weight=weight)
        spread[weight] = sum(abs(each.share("test") - 0.15) for each in done.proof.regions)
    assert spread[0.5] < spread[0.0] and spread[0.5] < 0.05


def test_a_torn_key_fails_the_proof(tmp_path):
    fill(tmp_path, {"patient": "1"}, {"patient": "1"}, {"patient": "2"})
    with open_manifest(tmp_path) as manifest:
        records = list(manifest.images())
        homes = dict(zip((record.sha256 for record in records), ("train", "test", "test"), strict=True))
        proof = prove(records, homes, group_keys(manifest, records, "collection"), {"train": 0.7, "validation": 0.15, "test": 0.15})
    assert not proof.holds and proof.groups_in_two_splits == 1
    assert kind(proof, GROUP).examples == ("atlas: 1: test and train",) and kind(proof, HASH).in_two_splits == 0
    assert (kind(proof, PAGE).keys, kind(proof, COPIES).keys, proof.groups_by_split) == (0, 0, {"train": 1, "test": 2})


def test_a_dataset_is_split_where_it_stands_and_its_groups_hold_over_all_sources(tmp_path):
    rows = [*rows_of(12, group="", source="one"), *rows_of(12, group="", source="two")]
    rows = [type(row)(**{**row.__dict__, "group": f"g{place % 12}", "image_id": f"i{place}"}) for place, row in enumerate(rows)]
    rows = [type(row)(**{**row.__dict__, "content": rows_of(24)[place].content}) for place, row in enumerate(rows)]
    build(rows, tmp_path / "films")
    done = run(tmp_path / "films", anew=True, seed=5)
    assert done.proof.groups == 12 and done.proof.images == 24 and done.proof.holds
    with open_subject(tmp_path / "films") as subject:
        homes = defaultdict(set)
        for record in subject.manifest.images():
            homes[record.group].add(record.split)
    assert all(len(each) == 1 for each in homes.values())


def test_a_failure_half_way_leaves_the_splits_as_they_were(tmp_path, monkeypatch):
    fill(tmp_path, *patients(10))
    whole = Manifest.set_columns

    def break_off(self, sha256, values):
        if sha256 == f"{20:064x}":
            raise sqlite3.OperationalError("disk I/O error")
        whole(self, sha256, values)

    monkeypatch.setattr(Manifest, "set_columns", break_off)
    with pytest.raises(sqlite3.OperationalError):
        run(tmp_path)
    assert set(splits(tmp_path)) == {""}


def test_the_command_prints_the_proof_writes_it_and_the_build_keeps_the_splits(tmp_path):
    fill(tmp_path / "c", *patients(20))
    command = ["curate", "split", str(tmp_path / "c"), "--out", str(tmp_path / "proof.json")]
    dry = CliRunner().invoke(app, [*command, "--dry-run", "--regions"])
    assert dry.exit_code == 0 and "dry run" in dry.output and set(splits(tmp_path / "c")) == {""}
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "0 of 20 groups are in two splits (60 images)" in done.output
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["holds"] and proof["images_by_split"]["train"] == splits(tmp_path / "c").count("train")
    assert sorted(row.split for row in collection_rows(tmp_path / "c").rows) == sorted(splits(tmp_path / "c"))


def test_nothing_to_split_and_bad_proportions_are_said(tmp_path):
    fill(tmp_path, {"label": ""})
    with pytest.raises(ValueError, match="no image to split"):
        run(tmp_path)
    with pytest.raises(ValueError, match="must sum to 1"):
        run(tmp_path, train=0.9)
    with (
        collection_subject(fill(tmp_path / "b", {"split": "tuesday"})) as subject,
        pytest.raises(ValueError, match="'tuesday' names no split"),
    ):
        split_subject(subject, SplitSettings())
