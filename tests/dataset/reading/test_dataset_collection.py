"""Rows for a dataset from a collection: which stay together, which are left out.

Run: pytest tests/dataset/reading/test_dataset_collection.py
"""

import math

import pytest
from small_collection import bring, digest, jpeg, keep, see, small_collection
from small_films import LABELS

from hf_bones.collect.candidate import Candidate
from hf_bones.curation.splits.names import GroupLeakError
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.reading.detect import detect_kind, read_source
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.manifest.store import open_manifest


def add(folder, seed=1, **known):
    """An image with this record, its file in place."""
    with open_manifest(folder, create=True) as manifest:
        return keep(manifest, jpeg(seed), **({"format": "JPEG", "label": "healthy", "licence": "CC0-1.0"} | known))


def groups(folder, **choices):
    return {row.sha256: row.group for row in collection_rows(folder, **choices).rows}


def test_pages_that_show_the_same_image_stand_together(tmp_path):
    small_collection(tmp_path)
    found = groups(tmp_path)
    # a.jpg stands on page 1, its copy on page 2, where d.jpg stands too.
    assert found == {digest(jpeg(1)): "http://p/1", digest(jpeg(4)): "http://p/1"}


def test_a_patient_counts_more_than_a_page_and_only_within_its_source(tmp_path):
    page = "http://hub/one-page-for-all"
    first = add(tmp_path, 1, provider="hub", patient="7", page=page)
    same = add(tmp_path, 2, provider="hub", patient="7", page=page)
    other = add(tmp_path, 3, provider="hub", patient="8", page=page)
    foreign = add(tmp_path, 4, provider="folder", group="7")
    found = groups(tmp_path)
    assert found[first] == found[same] and len({found[first], found[other], found[foreign]}) == 3


def test_what_the_manifest_knows_goes_into_the_row(tmp_path):
    add(
        tmp_path, label="fractured", subtype="hairline", region="wrist", view="lateral", provider="hub", split="val", severity=0.3,
        boxes=((0.5, 0.5, 0.2, 0.2),), synthetic=True, licence="CC-BY-4.0",
    )  # fmt: skip
    (row,) = collection_rows(tmp_path).rows
    assert (row.label, row.subtype, row.region, row.view, row.source, row.split) == (
        "fractured", "hairline", "wrist", "lateral", "hub", "validation",
    )  # fmt: skip
    assert (row.severity, row.boxes, row.synthetic, row.licence) == (0.3, ((0.5, 0.5, 0.2, 0.2),), True, "CC-BY-4.0")
    assert row.file.read_bytes() == jpeg(1) and row.image_id == digest(jpeg(1))[:16]


def test_source_and_licence_given_by_hand_fill_in_what_is_not_known_and_change_nothing_else(tmp_path):
    add(tmp_path, 1, licence="unknown")
    add(tmp_path, 2, provider="commons", licence="CC0-1.0")
    rows = read_source(str(tmp_path), ReadingChoices(source_name="mine", licence="CC-BY-4.0")).rows
    assert [(row.source, row.licence) for row in rows] == [("mine", "CC-BY-4.0"), ("commons", "CC0-1.0")]
    assert [row.licence for row in collection_rows(tmp_path).rows] == ["unknown", "CC0-1.0"]
    assert all(math.isnan(row.severity) for row in rows)


def test_an_image_under_two_labels_is_left_out_until_somebody_keeps_it(tmp_path):
    small_collection(tmp_path)
    torn = digest(jpeg(2))
    assert [left.reason for left in collection_rows(tmp_path).left_out] == ["seen under different labels: fractured, healthy"]
    with open_manifest(tmp_path) as manifest:
        manifest.set_columns(torn, {"label": "fractured", "label_basis": "reader"})
        manifest.decide(torn, "keep", "a fracture", "ada")
    reading = collection_rows(tmp_path)
    assert not reading.left_out and next(row for row in reading.rows if row.sha256 == torn).label == "fractured"


def test_images_without_a_label_are_left_out_by_name(tmp_path):
    with open_manifest(tmp_path, create=True) as manifest:
        see(manifest, "web", "xray", "", Candidate("http://h/1.jpg", licence="CC0-1.0"))
        sha256 = bring(manifest, "http://h/1.jpg", jpeg(1))
    reading = collection_rows(tmp_path)
    assert not reading.rows and [(left.name, left.reason) for left in reading.left_out] == [
        (f"images/{sha256[:2]}/{sha256}.jpg", "no label")
    ]


def test_a_split_that_is_none_is_named_with_its_image(tmp_path):
    sha256 = add(tmp_path, split="tuesday")
    with pytest.raises(SourceError, match=f"{sha256[:12]}: 'tuesday' names no split"):
        collection_rows(tmp_path)


def test_a_folder_with_a_manifest_is_a_collection_and_an_empty_one_says_what_to_do(tmp_path):
    open_manifest(tmp_path, create=True).connection.close()
    (tmp_path / "images" / "ab").mkdir(parents=True)  # not a folder of labels
    assert detect_kind(str(tmp_path)) == "collection"
    with pytest.raises(SourceError, match="no image yet"):
        collection_rows(tmp_path)


def nine(folder):
    """Nine images, labels in turn, each on a page of its own, with the splits train, validation and test."""
    return [
        add(folder, seed, label=LABELS[seed % 3], page=f"http://p/{seed}", split=("train", "validation", "test")[seed // 3])
        for seed in range(9)
    ]


@pytest.mark.parametrize("shared", [{"page": "http://p/0"}, {"copy_group": "copy1"}, {"patient": "7"}, {"group": "study 7"}])
def test_a_split_that_tears_a_page_a_patient_or_near_duplicates_is_refused(tmp_path, shared):
    hashes = nine(tmp_path / "c")
    with open_manifest(tmp_path / "c") as manifest:
        for sha256 in (hashes[0], hashes[6]):  # both healthy, in train and in test
            manifest.set_columns(sha256, shared)
    with pytest.raises(GroupLeakError, match=r"1 group\(s\) are in more than one split: .* in test and train"):
        build_command([str(tmp_path / "c")], tmp_path / "d", progress=False)
    assert not (tmp_path / "d").exists()
    with open_manifest(tmp_path / "c") as manifest:
        manifest.decide(hashes[6], "drop", "a copy", "ada")
    assert sum(map(len, build_command([str(tmp_path / "c")], tmp_path / "d", progress=False).dataset.values())) == 8


def test_near_duplicates_are_one_group_of_the_dataset_and_unused_images_are_left_out(tmp_path):
    hashes = nine(tmp_path / "c")
    with open_manifest(tmp_path / "c") as manifest:
        for sha256 in hashes[:2]:
            manifest.set_columns(sha256, {"copy_group": "copy1", "label": "healthy"})
        manifest.set_columns(hashes[8], {"split": "unused"})
    done = build_command([str(tmp_path / "c")], tmp_path / "d", progress=False)
    found = {row["sha256"]: row["group"] for part in done.dataset.values() for row in part.remove_columns("image")}
    assert found[hashes[0]] == found[hashes[1]] and len(set(found.values())) == 7
    assert hashes[8] not in found and done.summary["left_out"] == {"marked unused": 1}


def test_a_reviewers_label_is_the_datasets(tmp_path):
    hashes = nine(tmp_path / "c")
    with open_manifest(tmp_path / "c") as manifest:
        manifest.decide(hashes[0], "relabel", "", "ada", label="beyond_repair", subtype="comminuted")
    done = build_command([str(tmp_path / "c")], tmp_path / "d", progress=False)
    (row,) = (row for row in done.dataset["train"].remove_columns("image") if row["sha256"] == hashes[0])
    assert (LABELS[row["label"]], row["subtype"]) == ("beyond_repair", "comminuted")


def test_a_file_that_is_missing_is_refused_and_the_rest_is_built(tmp_path):
    gone = nine(tmp_path / "c")[0]
    (tmp_path / "c" / f"images/{gone[:2]}/{gone}.jpg").unlink()
    done = build_command([str(tmp_path / "c")], tmp_path / "d", progress=False)
    assert [image.reason for image in done.refused] == ["unreadable_file"] and sum(map(len, done.dataset.values())) == 8


def test_an_image_on_which_reviewers_differ_is_left_out_of_a_collection_and_counted(tmp_path):
    read, disputed = add(tmp_path, 1), add(tmp_path, 2)
    with open_manifest(tmp_path) as manifest:
        manifest.decide(read, "relabel", "confirmed", "ada", label="healthy")
        for by, label in (("ada", "fractured"), ("bo", "healthy")):
            manifest.decide(disputed, "relabel", "", by, label=label)
    reading = collection_rows(tmp_path)
    assert [row.sha256 for row in reading.rows] == [read]
    assert [left.reason for left in reading.left_out] == ["needs adjudication: ada fractured, bo healthy"]
    assert reading.notes == ["1 image left out, on which reviewers differ (needs adjudication); refused.csv names them with their votes"]


def test_a_near_duplicate_of_an_image_on_which_reviewers_differ_is_as_doubtful(tmp_path):
    disputed, _ = (add(tmp_path, seed, label="fractured", copy_group="c") for seed in (1, 2))
    with open_manifest(tmp_path) as manifest:
        for by, label in (("ada", "fractured"), ("bo", "healthy")):
            manifest.decide(disputed, "relabel", "", by, label=label)
    assert [left.reason for left in collection_rows(tmp_path).left_out] == [
        "needs adjudication: ada fractured, bo healthy",
        "its near-duplicates carry different labels: fractured, healthy",
    ]
