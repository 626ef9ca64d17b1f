"""Other people's trees of folders: where splits, labels and patients stand, and what lies beside them.

Run: pytest tests/dataset/reading/layouts/test_folder_layouts.py
"""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from small_films import encoded, picture

from hf_bones.dataset.build import BuildError, BuildResult
from hf_bones.dataset.choices import BuildChoices, ReadingChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.detect import detect_kind, read_source
from hf_bones.dataset.reading.layouts.folder_names import names_structure, split_of_folder
from hf_bones.dataset.reading.tables import SourceError

TWO = ("fractured", "healthy")


def lay(root: Path, *places: str) -> Path:
    """An image of its own at each place."""
    for number, place in enumerate(places):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(encoded(picture(number)))
    return root


def seen(root: Path, **choices: object) -> Counter[tuple[str, str]]:
    return Counter((row.split, row.label) for row in read_source(str(root), ReadingChoices(**choices)).rows)


def built(root: Path, out: Path, **choices: object) -> BuildResult:
    return build_command([str(root)], out, BuildChoices(labels="two-class", **choices), progress=False)


@pytest.mark.parametrize(
    "place",
    [
        "{split}/{label}/0.png", "{label}/{split}/0.png", "images/{split}/{label}/0.png", "{split}/images/{label}/0.png",
        "{split}/{label}/images/0.png", "only/{split}/{label}/0.png", "only/one/{label}/{split}/0.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("Training_data", "Valid-Set", "TEST images"), ("TrainSet", "dev", "02_testing")]
)
def test_splits_are_kept_wherever_they_stand_and_however_they_are_spelled(place: str, words: tuple[str, ...], tmp_path: Path) -> None:
    lay(tmp_path / "set", *(place.format(split=split, label=label) for split in words for label in TWO))
    assert seen(tmp_path / "set") == {(split, label): 1 for split in ("train", "validation", "test") for label in TWO}


def test_a_split_and_a_label_in_one_name_are_both_read(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"{split}_{label}/0.png" for split in ("train", "Test") for label in TWO))
    assert seen(tmp_path / "set") == {(split, label): 1 for split in ("train", "test") for label in TWO}


@pytest.mark.parametrize("word", ["results", "fold3", "none", "fracture_test", "trains", "wrist"])
def test_a_word_that_names_no_split_is_none(word: str) -> None:
    assert split_of_folder(word) == ""


def test_a_lone_folder_is_descended_and_named(tmp_path: Path) -> None:
    lay(tmp_path / "data", *(f"Bone_Fractures/{label}/{i}.png" for label in TWO for i in range(3)))
    (tmp_path / "data" / "LICENSE").write_text("free")
    reading = read_source(str(tmp_path / "data"))
    assert {row.source for row in reading.rows} == {"Bone_Fractures"}
    assert reading.rows[0].image_id == "fractured/0.png"
    assert reading.layout == "in Bone_Fractures/: LABEL/image"


@pytest.mark.parametrize("inner", ["{label}/0.png", "train/{label}/0.png", "{label}/train/0.png"])
def test_a_set_that_is_called_after_fractures_is_no_label(inner: str, tmp_path: Path) -> None:
    lay(tmp_path / "a", *(f"bone fracture/{inner.format(label=label)}" for label in TWO))
    assert {row.label for row in read_source(str(tmp_path / "a")).rows} == set(TWO)
    lay(tmp_path / "b", *(f"{s}/bone fracture/{label}/0.png" for s in ("train", "test") for label in TWO))
    assert {row.label for row in read_source(str(tmp_path / "b")).rows} == set(TWO)


def test_a_lone_label_or_split_is_no_wrapper(tmp_path: Path) -> None:
    assert seen(lay(tmp_path / "a", "healthy/p1/0.png", "healthy/p2/0.png")) == {("", "healthy"): 2}
    assert seen(lay(tmp_path / "b", "test/healthy/0.png", "test/fractured/0.png")) == {("test", "healthy"): 1, ("test", "fractured"): 1}


def test_folders_above_the_labels_are_parts_of_one_source(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"{region}/{label}/0.png" for region in ("wrist", "elbow") for label in ("normal", "fracture")))
    reading = read_source(str(tmp_path / "set"))
    assert Counter(row.label for row in reading.rows) == {"normal": 2, "fracture": 2}
    assert any("labels lie below elbow, wrist" in note for note in reading.notes)


def test_a_folder_beside_the_splits_is_left_out_by_name(tmp_path: Path) -> None:
    lay(
        tmp_path / "set",
        *(f"{s}/{label}/{i}.png" for s in ("train", "val", "test") for label in TWO for i in range(2)),
        "misc/a.png",
        "b.png",
    )
    found = built(tmp_path / "set", tmp_path / "out")
    assert sum(row["count"] for row in found.summary["counts"]) == 12
    assert any("1 file, beside the splits, in none of them: misc/ (misc/a.png)" in note for note in found.notes)
    with (tmp_path / "out" / "refused.csv").open(newline="") as stream:
        assert {row["file"]: row["reason"] for row in csv.DictReader(stream)} == {"misc/a.png": "left_out", "b.png": "left_out"}


def test_images_beside_split_folders_within_a_label_are_left_out_by_name(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"{label}/{s}/0.png" for s in ("Train", "Test") for label in TWO), "healthy/loose.png")
    reading = read_source(str(tmp_path / "set"))
    assert [(row.name, row.reason) for row in reading.left_out] == [("healthy/loose.png", "beside the splits, in none of them: healthy/")]


def test_a_label_folder_beside_the_splits_is_refused_by_name(tmp_path: Path) -> None:
    lay(tmp_path / "set", "train/healthy/0.png", "test/healthy/0.png", "fractured/0.png")
    with pytest.raises(SourceError, match="label folder fractured lies beside the splits test, train"):
        read_source(str(tmp_path / "set"))


def test_a_split_beside_labels_is_refused_and_never_offered_as_a_label(tmp_path: Path) -> None:
    lay(tmp_path / "set", "healthy/0.png", "fractured/0.png", "test/healthy/0.png")
    with pytest.raises(SourceError, match="'test' names a split and lies beside fractured, healthy") as caught:
        read_source(str(tmp_path / "set"))
    assert "--label-map" not in str(caught.value)


def test_a_patient_who_is_called_like_a_split_is_said(tmp_path: Path) -> None:
    lay(tmp_path / "set", "healthy/p1/0.png", "healthy/test/0.png", "fractured/p2/0.png")
    reading = read_source(str(tmp_path / "set"))
    assert {row.split for row in reading.rows} == {""}
    assert any("healthy/test/ is named after a split, and its neighbours are not" in note for note in reading.notes)


def test_masks_and_results_beside_labels_are_left_out_and_stray_images_reported(tmp_path: Path) -> None:
    lay(tmp_path / "set", "healthy/0.png", "fractured/0.png", "masks/0.png", "stray.png", "Results/plot.png")
    reading = read_source(str(tmp_path / "set"))
    assert {row.label for row in reading.rows} == set(TWO)
    assert sorted(row.name for row in reading.left_out) == ["Results/plot.png", "masks/0.png", "stray.png"]
    assert any("no label: it lies in no label's folder (stray.png)" in note for note in reading.notes)


@pytest.mark.parametrize("word", ["train", "Test_set", "images", "x-ray", "masks", "results", "annotations"])
def test_no_label_map_is_offered_for_a_structural_word(word: str, tmp_path: Path) -> None:
    assert names_structure(word)
    (tmp_path / "a.png").write_bytes(encoded(picture(1)))
    (tmp_path / "t.csv").write_text(f"file,label\na.png,{word}\n")
    with pytest.raises(BuildError, match="names a part of a layout") as caught:
        build_command([str(tmp_path / "t.csv")], tmp_path / "out", progress=False)
    assert "--label-map" not in str(caught.value)


def test_a_flat_folder_is_answered_with_the_tree_that_is_wanted(tmp_path: Path) -> None:
    for root in (lay(tmp_path / "flat", "0.png", "1.png"), lay(tmp_path / "up" / "xyz", "0.png").parent):
        with pytest.raises(SourceError, match=r"(?s)Wanted is a folder for each label.*healthy/ +film01\.png.*fractured/") as caught:
            read_source(str(root))
        assert "--label-map" not in str(caught.value)
    lay(tmp_path / "split", "train/0.png", "test/1.png")
    with pytest.raises(SourceError, match=r"(?s)2 images, none in a label's folder.*Wanted is"):
        read_source(str(tmp_path / "split"))


def test_a_flat_folder_names_the_table_that_lies_there(tmp_path: Path) -> None:
    (lay(tmp_path / "flat", "0.png") / "labels.csv").write_text("file,label\n0.png,healthy\n")
    with pytest.raises(SourceError, match=r"hf-bones build .*flat/labels\.csv"):
        detect_kind(str(tmp_path / "flat"))
    (lay(tmp_path / "set", "images/0.png") / "labels.csv").write_text("file,label\nimages/0.png,healthy\n")
    with pytest.raises(SourceError, match=r"hf-bones build .*set/labels\.csv"):
        detect_kind(str(tmp_path / "set"))


def test_folders_below_labels_are_offered_as_groups_and_taken(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"{label}/{label[0]}{p}/study1/{v}.png" for label in TWO for p in range(5) for v in range(2)))
    assert any("10 folders lie between labels and images" in note and "--group-from folder" in note for note in built(
        tmp_path / "set", tmp_path / "plain"
    ).notes)  # fmt: skip
    found = built(tmp_path / "set", tmp_path / "grouped", group_from="folder")
    groups = {split: set(part["group"]) for split, part in found.dataset.items()}
    assert sorted(group for part in groups.values() for group in part) == sorted(f"{label[0]}{p}" for label in TWO for p in range(5))
    assert any("groups: 10" in line for lines in found.summary["read"] for line in lines)


def test_patients_above_the_labels_are_groups_too(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"patient{p}/{label}/0.png" for p in range(3) for label in TWO))
    assert any("3 folders lie above the labels (such as patient0/)" in note for note in read_source(str(tmp_path / "set")).notes)
    rows = read_source(str(tmp_path / "set"), ReadingChoices(group_from="folder")).rows
    assert {row.group for row in rows} == {"patient0", "patient1", "patient2"}


def test_a_subtype_below_a_label_is_no_patient_and_one_of_another_class_is_told_of(tmp_path: Path) -> None:
    reading = read_source(str(lay(tmp_path / "set", "fractured/hairline/0.png", "fractured/comminuted/0.png", "healthy/0.png")))
    assert len(reading.notes) == 1
    assert "1 images in fractured/comminuted/ were read as 'fractured'" in reading.notes[0]


def test_one_patient_under_two_labels_is_one_group(tmp_path: Path) -> None:
    lay(tmp_path / "set", "healthy/p1/0.png", "fractured/p1/0.png", "healthy/p2/0.png")
    assert [row.group for row in read_source(str(tmp_path / "set"), ReadingChoices(group_from="folder")).rows] == ["p1", "p1", "p2"]


def test_groups_from_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder lies between a label and its images"):
        read_source(str(lay(tmp_path / "set", "healthy/0.png", "fractured/0.png")), ReadingChoices(group_from="folder"))
    with pytest.raises(SourceError, match="--group-from patient: only 'folder' is known"):
        read_source(str(tmp_path / "set"), ReadingChoices(group_from="patient"))


def test_a_word_that_is_unused_leaves_its_rows_out(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"{label}/{i}.png" for label in (*TWO, "implants only") for i in range(4)))
    with pytest.raises(BuildError, match="--label-map 'implants only=unused'"):
        built(tmp_path / "set", tmp_path / "out")
    found = built(tmp_path / "set", tmp_path / "out", label_map=("Implants Only=unused",))
    assert sum(row["count"] for row in found.summary["counts"]) == 8
    assert found.summary["left_out"] == {"label 'implants only' is unused, as the label map says": 4}


def test_a_mapped_word_is_a_label_whatever_it_looks_like(tmp_path: Path) -> None:
    lay(tmp_path / "set", "dev/0.png", "results/0.png")
    assert seen(tmp_path / "set", label_map=("dev=healthy", "results=fractured")) == {("", "dev"): 1, ("", "results"): 1}


def test_drawn_means_drawn_though_a_folder_of_that_name_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay(tmp_path / "drawn", "healthy/0.png")
    found = build_command(["drawn"], tmp_path / "out", BuildChoices(count=9, drawn_size=64), progress=False)
    assert found.summary["synthetic"]["all"]
    assert any("'./drawn'" in note for note in found.notes)
    assert detect_kind("./drawn") == "folder"


def test_an_archive_is_read_as_the_folder_in_it(tmp_path: Path) -> None:
    lay(tmp_path / "set", *(f"{s}/{label}/0.png" for s in ("train", "test") for label in TWO))
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.png")):
            archive.write(path, f"kaggle/{path.relative_to(tmp_path / 'set')}")
            archive.writestr(f"__MACOSX/kaggle/._{path.parent.parent.name}{path.parent.name}", b"junk")
    reading = read_source(str(tmp_path / "download.zip"))
    assert sorted((row.split, row.label, row.image_id) for row in reading.rows)[0] == ("test", "fractured", "test/fractured/0.png")
    assert len(reading.rows) == 4 and {row.source for row in reading.rows} == {"kaggle"}


def test_an_archive_that_is_hostile_or_none_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../out.png", b"x")
    with pytest.raises(SourceError, match=r"bad\.zip"):
        read_source(str(tmp_path / "bad.zip"))
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(SourceError, match="or a ZIP or TAR archive"):
        read_source(str(tmp_path / "text.zip"))


def test_a_build_ends_with_what_it_read(tmp_path: Path) -> None:
    lay(
        tmp_path / "set",
        *(f"{s}/{label}/{i}.png" for s in ("Train", "Test") for label in ("fracture", "normal") for i in range(2)),
        "x.png",
    )
    lines = built(tmp_path / "set", tmp_path / "out").summary["read"]
    assert lines == [
        [
            "set (folder): 8 images, SPLIT/LABEL/image; splits: Test as test, Train as train",
            "splits: test 4, train 4",
            "labels: 'fracture' as fractured 4, 'normal' as healthy 4",
            "groups: none stated, so each image stands alone",
            "left out: 1, each with its reason in refused.csv",
        ]
    ]
    assert "- Read: set (folder): 8 images" in (tmp_path / "out" / "README.md").read_text()


def test_a_locked_folder_does_not_hide_the_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "set", *(f"{s}/{label}/0.png" for s in ("train", "test") for label in TWO), "locked/healthy/0.png")
    read, ask = Path.iterdir, Path.is_dir

    def refuse(path: Path) -> None:
        if "locked" in path.parts[-2:-1]:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", lambda self: refuse(self) or ask(self))
    monkeypatch.setattr(Path, "iterdir", lambda self: refuse(self / "inner") or read(self))
    assert detect_kind(str(tmp_path / "set")) == "folder"
