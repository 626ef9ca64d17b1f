"""Exports of annotation tools whose files have other names and places. Run: pytest tests/dataset/reading/layouts/test_other_exports.py"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_films import encoded, picture

from hf_bones.dataset.reading.detect import detect_kind, read_source
from hf_bones.dataset.reading.tables import SourceError

NAMES = [f"a{i}" for i in range(4)]
OBJECT = "<object><name>fracture</name><bndbox><xmin>12</xmin><ymin>10</ymin><xmax>36</xmax><ymax>30</ymax></bndbox></object>"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def films(folder: Path, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(NAMES):
        (folder / f"{name}{suffix}").write_bytes(encoded(picture(i)))


def coco(names: list[str]) -> str:
    boxes = [{"id": i, "image_id": i, "category_id": 0, "bbox": [5, 5, 20, 20]} for i in range(1, len(names), 2)]
    images = [{"id": i, "file_name": name, "width": 48, "height": 40} for i, name in enumerate(names)]
    return json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 0, "name": "fracture"}]})


def label_studio(root: Path) -> None:
    films(root / "images")
    write(root / "result.json", coco([f"../../label-studio/data/media/upload/1/{name}.png" for name in NAMES]))
    write(root / "package.json", "{}")


def one_for_each_split(root: Path) -> None:
    films(root / "train")
    films(root / "test", ".jpg")
    write(root / "train_annotations.json", coco([f"{name}.png" for name in NAMES]))
    write(root / "test_annotations.json", coco([f"{name}.jpg" for name in NAMES]))


def voc_folders(root: Path) -> None:
    films(root / "JPEGImages")
    for i, name in enumerate(NAMES):
        write(
            root / "Annotations" / f"{name}.xml",
            f"<annotation><size><width>48</width><height>40</height></size>{OBJECT if i % 2 else ''}</annotation>",
        )
    write(root / "ImageSets" / "Main" / "train.txt", "a0\na1\n")
    write(root / "ImageSets" / "Main" / "trainval.txt", "a0\na1\na2\n")
    write(root / "ImageSets" / "Main" / "test.txt", "a2  1\na3 -1\n")


def darknet(root: Path) -> None:
    films(root / "obj_train_data")
    for i, name in enumerate(NAMES):
        write(root / "obj_train_data" / f"{name}.txt", "0 .5 .5 .2 .2" if i % 2 else "")
    write(root / "obj.names", "fracture\n")
    write(root / "obj.data", "classes = 1\ntrain = data/train.txt\n")
    write(root / "train.txt", "data/obj_train_data/a0.png\ndata/obj_train_data/a1.png\n")
    write(root / "valid.txt", "data/obj_train_data/a2.png\ndata/obj_train_data/a3.png\n")


def yolo_of_another_name(root: Path) -> None:
    films(root / "images")
    for i, name in enumerate(NAMES):
        write(root / "labels" / f"{name}.txt", "0 .5 .5 .2 .2" if i % 2 else "")
    write(root / "wrists.yaml", "names:\n  0: fracture\n")


@pytest.mark.parametrize(
    ("kind", "make", "splits"),
    [
        ("coco", label_studio, ["", "", "", ""]),
        ("coco", one_for_each_split, ["test"] * 4 + ["train"] * 4),
        ("voc", voc_folders, ["train", "train", "test", "test"]),
        ("yolo", darknet, ["train", "train", "validation", "validation"]),
        ("yolo", yolo_of_another_name, ["", "", "", ""]),
    ],
)
def test_an_export_is_known_by_what_is_in_it(kind: str, make: Callable[[Path], None], splits: list[str], tmp_path: Path) -> None:
    make(tmp_path)
    assert detect_kind(str(tmp_path)) == kind
    rows = read_source(str(tmp_path)).rows
    assert [row.split for row in rows] == splits
    assert [(row.label, len(row.boxes)) for row in rows] == [("healthy", 0), ("fracture", 1)] * (len(splits) // 2)
    assert all(row.file is not None and row.file.is_file() for row in rows)


@pytest.mark.parametrize("kind", ["boxes", "classes"])
def test_a_csv_of_an_export_leads_to_no_file_outside_it(kind: str, tmp_path: Path) -> None:
    films(tmp_path / "x" / "train")
    (tmp_path / "secret.png").write_bytes(encoded(picture(9)))
    head, cells = {
        "boxes": ("filename,width,height,class,xmin,ymin,xmax,ymax", "48,40,fracture,12,10,36,30"),
        "classes": ("filename; fracture; normal", "1.0;0.0"),
    }[kind]
    mark = ";" if kind == "classes" else ","
    names = ["a0.png", "../../secret.png", str(tmp_path / "secret.png")]
    lines = [head, *(f"{name}{mark}{cells}" for name in names)]
    write(tmp_path / "x" / "train" / ("_annotations.csv" if kind == "boxes" else "_classes.csv"), "\n".join(lines) + "\n")
    rows = read_source(str(tmp_path / "x")).rows
    assert rows[0].label == "fracture" and all(row.file is not None and row.file.is_relative_to(tmp_path / "x") for row in rows)


def test_an_archive_that_lies_alone_in_a_folder_is_read_and_several_are_named(tmp_path: Path) -> None:
    films(tmp_path / "set" / "healthy")
    films(tmp_path / "set" / "fractured")
    (tmp_path / "given").mkdir()
    with zipfile.ZipFile(tmp_path / "given" / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
            archive.writestr(f"__MACOSX/{path.relative_to(tmp_path).parent}/._{path.name}", b"resource")
    write(tmp_path / "given" / "README.md", "A set.")
    assert sorted(row.label for row in read_source(str(tmp_path / "given")).rows) == ["fractured"] * 4 + ["healthy"] * 4
    (tmp_path / "given" / "more.zip").write_bytes((tmp_path / "given" / "set.zip").read_bytes())
    with pytest.raises(SourceError, match=r"holds the archives more\.zip, set\.zip: unpack them there"):
        read_source(str(tmp_path / "given"))
    (tmp_path / "given" / "part.rar").write_bytes(b"Rar!")
    with pytest.raises(SourceError, match="ZIP and TAR archives alone are read"):
        read_source(str(tmp_path / "given"))
