"""Exports of annotation tools, imagefolder and MURA's own tables. Run: pytest tests/dataset/reading/layouts/test_exports.py"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_films import encoded, picture

from hf_bones.dataset.build import BuildError
from hf_bones.dataset.choices import BuildChoices, ReadingChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.detect import detect_kind, read_source
from hf_bones.dataset.reading.tables import SourceError

SPLITS = ("train", "valid", "test")


def film(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed)))
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def coco(root: Path, words: dict[str, str], *, table: str = "{split}/_annotations.coco.json", place: str = "{split}") -> Path:
    """In each split four films of 48 x 40 px, the second and fourth with a box of each of `words`: {category: "id"}."""
    for number, split in enumerate(SPLITS):
        images = [{"id": i, "file_name": f"{i}.png", "width": 48, "height": 40} for i in range(4)]
        for i in range(4):
            film(root / place.format(split=split) / f"{i}.png", 10 * number + i)
        boxes = [
            {"id": 10 * i + int(kind), "image_id": i, "category_id": int(kind), "bbox": [12, 10, 24, 20]}
            for i in (1, 3)
            for kind in words.values()
        ]
        categories = [{"id": 0, "name": "bones"}, *({"id": int(kind), "name": word} for word, kind in words.items())]
        write(root / table.format(split=split), json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return root


def yolo(root: Path, place: str, names: str = "names: ['fracture', 'healthy']") -> Path:
    for number, split in enumerate(SPLITS):
        for i in range(4):
            path = film(root / place.format(split=split, what="images") / f"{i}.png", 10 * number + i)
            text = root / place.format(split=split, what="labels") / f"{i}.txt"
            write(text, "0 0.5 0.5 0.5 0.5\n" if i % 2 else "")
            assert path.is_file()
    write(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\nnc: 2\n{names}\n")
    return root


def voc(root: Path) -> Path:
    for number, split in enumerate(SPLITS):
        for i in range(4):
            film(root / split / f"{i}.png", 10 * number + i)
            corners = "<bndbox><xmin>12</xmin><ymin>10</ymin><xmax>36</xmax><ymax>30</ymax></bndbox>"
            found = f"<object><name>fracture</name>{corners}</object>" if i % 2 else ""
            write(root / split / f"{i}.xml", f"<annotation><size><width>48</width><height>40</height></size>{found}</annotation>")
    return root


def boxes_csv(root: Path) -> Path:
    for number, split in enumerate(SPLITS):
        for i in range(4):
            film(root / split / f"{i}.png", 10 * number + i)
        lines = [f"{i}.png,48,40,fracture,12,10,36,30" for i in (1, 3)]
        write(root / split / "_annotations.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "\n".join(lines))
    return root


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("coco", lambda root: coco(root, {"fracture": "1"})),
        ("coco", lambda root: coco(root, {"fracture": "1"}, table="annotations/instances_{split}.json", place="images/{split}")),
        ("yolo", lambda root: yolo(root, "{split}/{what}")),
        ("yolo", lambda root: yolo(root, "{what}/{split}")),
        ("voc", voc),
        ("boxes-csv", boxes_csv),
    ],
)
def test_an_export_with_boxes_gives_labels_boxes_and_splits(kind: str, make: Callable[[Path], Path], tmp_path: Path) -> None:
    root = make(tmp_path / "export")
    assert detect_kind(str(root)) == kind
    found = build_command([str(root)], tmp_path / "out", BuildChoices(labels="two-class"), progress=False)
    assert {split: len(part) for split, part in found.dataset.items()} == {"train": 4, "validation": 4, "test": 4}
    for part in found.dataset.values():
        assert sorted(part["label"]) == [0, 0, 1, 1]
        for row in part:
            assert np.allclose(row["boxes"], [(0.5, 0.5, 0.5, 0.5)] if row["label"] else np.zeros((0,)))
    assert any("boxes of 'fracture' (6)" in note and "6 images without any box were read as healthy" in note for note in found.notes)
    assert any("boxes: on 6 images" in lines for lines in found.summary["read"])


def test_the_gravest_box_gives_the_label(tmp_path: Path) -> None:
    rows = read_source(str(coco(tmp_path / "x", {"fracture": "1", "comminuted fracture": "2", "normal": "3"}))).rows
    assert {row.label: len(row.boxes) for row in rows} == {"healthy": 0, "comminuted fracture": 2}


def test_a_box_of_a_word_that_stands_for_no_class_makes_nothing_healthy(tmp_path: Path) -> None:
    coco(tmp_path / "x", {"metal": "1"})
    with pytest.raises(BuildError, match="6 × 'metal'"):
        build_command([str(tmp_path / "x")], tmp_path / "out", progress=False)
    rows = read_source(str(tmp_path / "x"), ReadingChoices(label_map=("metal=unused",))).rows
    assert len(rows) == 6 and {row.label for row in rows} == {"healthy"}
    coco(tmp_path / "y", {"metal": "1", "fracture": "2"})
    assert {row.label: len(row.boxes) for row in read_source(str(tmp_path / "y")).rows} == {"healthy": 0, "fracture": 1}


def test_exported_copies_of_one_original_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "x"
    for i in range(4):
        film(root / "train" / "images" / f"IMG{i // 2}_jpg.rf.{i:032x}.png", i)
        write(root / "train" / "labels" / f"IMG{i // 2}_jpg.rf.{i:032x}.txt", "0 0.5 0.5 0.2 0.2\n")
    write(root / "data.yaml", "names:\n  0: fracture\n")
    assert {row.group for row in read_source(str(root)).rows} == {"train/IMG0_jpg", "train/IMG1_jpg"}


def test_images_that_no_annotation_names_are_left_out(tmp_path: Path) -> None:
    film(coco(tmp_path / "x", {"fracture": "1"}) / "train" / "extra.png", 99)
    reading = read_source(str(tmp_path / "x"))
    assert [(row.name, row.reason) for row in reading.left_out] == [("train/extra.png", "in no annotation file")]
    film(yolo(tmp_path / "y", "{split}/{what}") / "results.png", 99)
    assert [row.name for row in read_source(str(tmp_path / "y")).left_out] == ["results.png"]


def test_a_name_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    film(tmp_path / "secret.png", 5)
    root = coco(tmp_path / "x", {"fracture": "1"})
    data = json.loads((root / "train" / "_annotations.coco.json").read_text())
    data["images"][0]["file_name"] = "../../secret.png"
    write(root / "train" / "_annotations.coco.json", json.dumps(data))
    assert all(row.file.is_relative_to(root) for row in read_source(str(root)).rows if row.file)
    data["images"][0]["file_name"] = str(tmp_path / "secret.png")
    write(root / "train" / "_annotations.coco.json", json.dumps(data))
    assert all(row.file.is_relative_to(root) for row in read_source(str(root)).rows if row.file)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[", "not a readable COCO file"),
        ("[]", "not a readable COCO file"),
        ('{"images": [], "annotations": []}', "no key 'categories'"),
        ("[" * 100_000, "COCO file"),
        (
            '{"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"id": 7, "image_id": 1, "category_id": 1, '
            '"bbox": [1, 2, 3, 4]}], "categories": [{"id": 1, "name": "fracture"}]}',
            "annotation 7: its bbox",
        ),
        (
            '{"images": [], "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}], "categories": []}',
            "annotation 7 names category 1 of image 1",
        ),
    ],
)
def test_a_coco_file_that_cannot_be_read_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    film(tmp_path / "0.png")
    write(tmp_path / "_annotations.coco.json", text)
    with pytest.raises(SourceError, match=rf"_annotations\.coco\.json.*{complaint}"):
        read_source(str(tmp_path))


@pytest.mark.parametrize("names", ["names: 3", "names: {a: b}", "names: " + "[" * 500])
def test_a_yaml_that_names_no_classes_is_named(names: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.yaml"):
        read_source(str(yolo(tmp_path, "{split}/{what}", names)))


@pytest.mark.parametrize("line", ["0 nan 0.5 0.5 0.5", "inf 0.5 0.5 0.5 0.5", "0 0.5 0.5", "fracture 0.5 0.5 0.5 0.5"])
def test_a_line_of_yolo_that_cannot_be_read_is_named(line: str, tmp_path: Path) -> None:
    write(yolo(tmp_path, "{split}/{what}") / "test" / "labels" / "1.txt", f"0 0.5 0.5 0.5 0.5\n{line}\n")
    with pytest.raises(SourceError, match=r"test/labels/1\.txt, line 2"):
        read_source(str(tmp_path))


def test_a_column_for_each_class_is_read_and_what_is_marked_twice_or_not_left_out(tmp_path: Path) -> None:
    for split in SPLITS:
        for i in range(4):
            film(tmp_path / split / f"{i}.png", i)
        marks = "0.png, 1, 0\n1.png, 0, 1\n2.png, 1, 1\n3.png, 0, 0\n"
        write(tmp_path / split / "_classes.csv", f"filename, fracture, normal\n{marks}")
    assert detect_kind(str(tmp_path)) == "classes-csv"
    reading = read_source(str(tmp_path))
    assert {(row.split, row.label) for row in reading.rows} == {
        (s, w) for s in ("train", "validation", "test") for w in ("fracture", "normal")
    }
    assert {row.reason for row in reading.left_out} == {"marked as fracture and normal", "marked as no class"}
    write(tmp_path / "test" / "_classes.csv", "filename,fracture\n0.png,maybe\n")
    with pytest.raises(SourceError, match=r"_classes\.csv, line 2: 'maybe' is neither 0 nor 1"):
        read_source(str(tmp_path))


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_an_imagefolder_is_read_by_its_metadata_in_each_split(name: str, tmp_path: Path) -> None:
    for number, split in enumerate(SPLITS):
        records = []
        for i in range(3):
            film(tmp_path / split / f"{i}.png", 10 * number + i)
            if i < 2:
                records.append({"file_name": f"{i}.png", "label": ("healthy", "fractured")[i], "patient": f"p{number}"})
        lines = ["file_name,label,patient", *(",".join(record.values()) for record in records)]
        write(tmp_path / split / name, "\n".join(lines if name.endswith("csv") else map(json.dumps, records)))
    assert detect_kind(str(tmp_path)) == "imagefolder"
    reading = read_source(str(tmp_path))
    assert sorted((row.split, row.label, row.group, row.image_id) for row in reading.rows)[0] == ("test", "fractured", "p2", "test/1.png")
    assert len(reading.rows) == 6
    assert [row.name for row in reading.left_out] == ["test/2.png", "train/2.png", "valid/2.png"]


def test_one_metadata_file_for_all_splits_takes_them_from_the_names(tmp_path: Path) -> None:
    write(tmp_path / "metadata.csv", "file_name,label\ntrain/0.png,healthy\ntest/1.png,fractured\n")
    film(tmp_path / "train" / "0.png", 0), film(tmp_path / "test" / "1.png", 1)
    assert [(row.split, row.label) for row in read_source(str(tmp_path)).rows] == [("train", "healthy"), ("test", "fractured")]


def test_metadata_without_labels_leaves_them_to_the_folders(tmp_path: Path) -> None:
    film(tmp_path / "healthy" / "0.png", 0), film(tmp_path / "fractured" / "1.png", 1)
    write(tmp_path / "metadata.csv", "file_name,age\nhealthy/0.png,7\nfractured/1.png,8\n")
    reading = read_source(str(tmp_path))
    assert sorted(row.label for row in reading.rows) == ["fractured", "healthy"]
    assert "metadata.csv has no column of labels, and was not read" in reading.notes


@pytest.fixture
def mura(tmp_path: Path) -> Path:
    root = tmp_path / "MURA-v1.1"
    for number, split in enumerate(("train", "valid")):
        studies, images = [], []
        for patient in range(2):
            word = ("negative", "positive")[patient]
            study = f"MURA-v1.1/{split}/XR_HAND/patient{10 * number + patient:05d}/study1_{word}/"
            film(tmp_path / study / "image1.png", 10 * number + patient)
            studies.append(f"{study},{patient}")
            images.append(f"{study}image1.png")
        write(root / f"{split}_labeled_studies.csv", "\n".join(studies) + "\n")
        write(root / f"{split}_image_paths.csv", "\n".join(images) + "\n")
    return root


@pytest.mark.parametrize("table", ["train_labeled_studies.csv", "train_image_paths.csv"])
@pytest.mark.parametrize("head", ["", "study,label\n", "path,label\n"])
def test_a_table_of_mura_is_read_without_a_header_and_with_one(head: str, table: str, mura: Path) -> None:
    if "path" not in table:
        write(mura / table, head + (mura / table).read_text())
    assert detect_kind(str(mura / table)) == "mura"
    rows = read_source(str(mura / table)).rows
    assert [(row.label, row.split, row.group, row.region) for row in rows] == [
        ("negative", "train", "mura-patient00000", "hand"), ("positive", "train", "mura-patient00001", "hand"),
    ]  # fmt: skip


def test_a_study_whose_folder_states_no_label_takes_that_of_the_table(mura: Path) -> None:
    for study in mura.glob("*/XR_HAND/*/study1_*"):
        study.rename(study.with_name("study1"))
    for table in mura.glob("*_labeled_studies.csv"):
        write(table, table.read_text().replace("_negative", "").replace("_positive", ""))
    assert sorted(row.label for row in read_source(str(mura)).rows) == ["negative", "negative", "positive", "positive"]


def test_studies_of_mura_that_contradict_or_are_missing_are_left_out_by_name(mura: Path) -> None:
    table = mura / "train_labeled_studies.csv"
    write(table, table.read_text().replace("_negative/,0", "_negative/,1") + "MURA-v1.1/train/XR_HAND/patient00099/study1_negative/,0\n")
    reading = read_source(str(table))
    assert [row.group for row in reading.rows] == ["mura-patient00001"]
    assert [row.reason for row in reading.left_out] == [
        "train_labeled_studies.csv says positive, its folder negative", "no such file or folder",
    ]  # fmt: skip
    write(table, "MURA-v1.1/train/XR_HAND/patient00001/study1_positive/,yes\n")
    with pytest.raises(SourceError, match=r"train_labeled_studies\.csv, line 1"):
        read_source(str(table))
