"""The folder layouts of FracAtlas, GRAZPEDWRI-DX and MURA, as tiny copies. Run: pytest tests/dataset/reading/test_importers.py"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_bones.curation.splits.names import SPLITS, find_leaks
from hf_bones.dataset.build import BuildError
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.detect import detect_kind
from hf_bones.dataset.reading.importers import fracatlas_group, fracatlas_rows, grazpedwri_rows, read_row_list
from hf_bones.dataset.reading.mura import mura_rows
from hf_bones.dataset.reading.tables import SourceError


def film(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 48), dtype=np.uint8)).save(path)


@pytest.fixture
def fracatlas(tmp_path: Path) -> Path:
    root = tmp_path / "FracAtlas"
    lines = ["image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,lateral,oblique"]
    for number in range(0, 200, 10):
        fractured = number % 20 == 0
        name = f"IMG{number:07d}"
        film(root / "images" / ("Fractured" if fractured else "Non_fractured") / f"{name}.jpg", number)
        lines.append(
            f"{name}.jpg,1,0,0,{int(number == 0)},0,{int(number == 20)},0,{int(fractured)},{int(fractured)},1,{int(number == 0)},0"
        )
    (root / "dataset.csv").write_text("\n".join(lines) + "\n")
    (root / "Annotations" / "YOLO").mkdir(parents=True)
    (root / "Annotations" / "YOLO" / "IMG0000000.txt").write_text("0 0.5 0.5 0.25 0.5\n\n0 0.1 0.2 0.3 0.2 0.3 0.6\n")
    (root / "Annotations" / "YOLO" / "IMG0000010.txt").write_text("")  # films without a fracture have an empty file
    (root / "Annotations" / "PASCAL VOC").mkdir()
    (root / "Annotations" / "PASCAL VOC" / "IMG0000020.xml").write_text(
        "<annotation><size><width>200</width><height>100</height></size><object><name>fractured</name><bndbox><xmin>50</xmin>"
        "<ymin>25</ymin><xmax>150</xmax><ymax>120</ymax></bndbox></object></annotation>"
    )
    return root


@pytest.fixture
def graz(tmp_path: Path) -> Path:
    root = tmp_path / "GRAZPEDWRI-DX"
    lines = ["filestem,patient_id,fracture_visible,ao_classification,projection,diagnosis_uncertain,metal,cast"]
    films = {  # stem: patient, fracture, projection, uncertain, metal, cast
        "0001_1297860395_01_WRI-L1_M014": "1,1,23r-M/2.1,1,,,1.0",
        "0001_1297860435_01_WRI-L2_M014": "1,1,23r-M/2.1,2,,1,",
        "0002_0354485735_01_WRI-R1_F012": "2,,,1,,,",
        "0003_0354485759_01_WRI-R2_F012": "3,,,2,1,,",
        "0004_0354485760_01_WRI-R2_F012": "4,,,2,,1,",
    }
    for index, (stem, cells) in enumerate(films.items()):
        film(root / f"images_part{1 + index % 4}" / f"{stem}.png", index)
        lines.append(f"{stem},{cells}")
    (root / "dataset.csv").write_text("\n".join(lines) + "\n")
    labels = root / "folder_structure" / "yolov5" / "labels"
    labels.mkdir(parents=True)
    (labels / "0001_1297860395_01_WRI-L1_M014.txt").write_text("8 0.9 0.05 0.05 0.05\n3 0.5 0.5 0.2 0.2\n")
    return root


@pytest.fixture
def mura(tmp_path: Path) -> Path:
    root = tmp_path / "MURA-v1.1"
    for split, patients in (("train", range(30)), ("valid", range(100, 108))):
        for patient in patients:
            word = "positive" if patient % 2 else "negative"
            for region in ("XR_HAND", "XR_WRIST"):
                film(root / split / region / f"patient{patient:05d}" / f"study1_{word}" / "image1.png", patient)
    film(root / "train" / "XR_HAND" / "patient00001" / "study1_positive" / "._image1.png")
    return root


def test_the_layouts_are_told_apart(fracatlas: Path, graz: Path, mura: Path) -> None:
    kinds = [detect_kind(str(root)) for root in (fracatlas, graz, mura, mura.parent)]
    assert kinds == ["fracatlas", "grazpedwri", "mura", "mura"]


def test_fracatlas_gives_labels_regions_views_and_boxes(fracatlas: Path) -> None:
    rows = {row.image_id: row for row in fracatlas_rows(fracatlas).rows}
    assert Counter(row.label for row in rows.values()) == {"fractured": 10, "healthy": 10}
    first = rows["IMG0000000"]
    assert (first.region, first.view, first.licence, first.group) == ("hand+shoulder", "frontal+lateral", "CC-BY-4.0", "fa000")
    # A box as it stands, and the bounding box of a polygon.
    assert np.allclose(first.boxes, [(0.5, 0.5, 0.25, 0.5), (0.2, 0.4, 0.2, 0.4)])
    assert rows["IMG0000020"].boxes == ((0.5, 0.625, 0.5, 0.75),)  # PASCAL VOC, cut at the lower edge
    assert rows["IMG0000010"].boxes == ()
    assert rows["IMG0000010"].severity == 0
    assert [rows[f"IMG00000{number}"].hardware for number in (10, 20)] == [False, True]
    assert {row.cast for row in rows.values()} == {None}, "FracAtlas does not say which limbs are in a cast: unknown is not no"
    assert math.isnan(first.severity)


def test_fracatlas_is_split_by_runs_of_25_numbers(fracatlas: Path, tmp_path: Path) -> None:
    assert [fracatlas_group(f"IMG{n:07d}.jpg") for n in (24, 25, 4374)] == ["fa000", "fa001", "fa174"]
    data = build_command([str(fracatlas)], tmp_path / "out", BuildChoices(labels="two-class"), progress=False).dataset
    assert set(data) == set(SPLITS)
    assert {g for part in data.values() for g in part["group"]} == {f"fa{n:03d}" for n in range(8)}


def test_a_list_of_rows_gives_labels_and_splits_and_leaves_the_rest_out(fracatlas: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "image_id,label,split,group,severity\nIMG0000000,beyond_repair,train,fa000,0.83\nIMG0000010,healthy,train,fa000,0\n"
        "IMG0000040,fractured,test,fa001,0.33\nIMG0000990,healthy,test,fa039,0\n"
    )
    built = build_command([str(fracatlas)], tmp_path / "out", BuildChoices(fracatlas_rows=str(tmp_path / "rows.csv")), progress=False)
    rows = {row["image_id"]: (split, row["label"]) for split, part in built.dataset.items() for row in part}
    assert rows["IMG0000040"] == ("test", 1)
    assert rows["IMG0000000"][1] == 2
    assert set(rows) == {"IMG0000000", "IMG0000010", "IMG0000040"}
    assert built.summary["left_out"] == {"not in the list of rows": 17}
    assert any("1 images of the list are not in" in note for note in built.notes)


def test_the_packaged_list_has_the_rows_of_the_published_figures() -> None:
    rows = list(read_row_list("packaged").values())
    counts = Counter((row["split"], row["label"]) for row in rows)
    assert [counts["test", name] for name in ("healthy", "fractured", "beyond_repair")] == [512, 93, 22]
    assert [counts["validation", name] for name in ("healthy", "fractured", "beyond_repair")] == [409, 71, 17]
    # The shipped model learnt from two more, found later to be near-duplicates of validation films; they are left out now.
    assert [counts["train", name] for name in ("healthy", "fractured", "beyond_repair")] == [1715, 301, 48]
    assert sorted(row["image_id"] for row in rows if row["split"] == "unused") == ["IMG0004113", "IMG0004117"]
    used = [row for row in rows if row["split"] != "unused"]
    assert find_leaks([row["group"] for row in used], [row["split"] for row in used]) == {}
    assert all(row["group"] == fracatlas_group(row["image_id"]) for row in rows)
    casts = Counter((row["label"] != "healthy", row["cast"]) for row in rows)
    assert casts == {(False, ""): 2636, (True, "0"): 419, (True, "1"): 135}, "graders looked at broken limbs only"


def test_graz_groups_by_patient_and_keeps_fracture_boxes_only(graz: Path) -> None:
    reading = grazpedwri_rows(graz)
    assert [(row.label, row.group, row.view) for row in reading.rows] == [
        ("fractured", "graz-1", "frontal"), ("fractured", "graz-1", "lateral"), ("healthy", "graz-2", "frontal"),
    ]  # fmt: skip
    assert np.allclose(reading.rows[0].boxes, [(0.5, 0.5, 0.2, 0.2)])
    assert all(row.file is not None and row.file.is_file() for row in reading.rows)
    assert [(row.hardware, row.cast) for row in reading.rows] == [(False, True), (True, False), (False, False)], "an empty cell is its no"


def test_graz_films_that_are_neither_healthy_nor_fractured_are_left_out_unless_asked_for(graz: Path) -> None:
    assert [row.reason for row in grazpedwri_rows(graz).left_out] == ["diagnosis marked uncertain", "metal but no visible fracture"]
    assert len(grazpedwri_rows(graz, keep_uncertain=True).rows) == 4  # metal is no doubt


def test_mura_words_are_refused_until_mapped_by_hand(mura: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"38 × 'negative'.*any kind"):
        build_command([str(mura)], tmp_path / "out", progress=False)
    with pytest.raises(BuildError, match="not a fracture"):
        build_command([str(mura)], tmp_path / "out", BuildChoices(label_map=("negative=healthy",)), progress=False)


def test_mura_keeps_its_validation_patients_and_finds_a_test_split_in_train(mura: Path, tmp_path: Path) -> None:
    words = ["positive=fractured", "negative=healthy"]
    data = build_command([str(mura)], tmp_path / "out", BuildChoices(labels="two-class", label_map=words), progress=False).dataset
    assert set(data["validation"]["group"]) == {f"mura-patient{n:05d}" for n in range(100, 108)}
    patients = {split: set(data[split]["group"]) for split in SPLITS}
    assert len(patients["train"]) + len(patients["test"]) == 30  # both hands and wrists of a patient on one side
    assert not patients["train"] & patients["test"]
    assert set(data["train"]["region"]) == {"hand", "wrist"}


def test_mura_skips_the_files_that_macos_left(mura: Path) -> None:
    assert len(mura_rows(mura.parent).rows) == 2 * 38


def test_a_folder_that_is_not_the_layout_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"dataset\.csv is missing"):
        fracatlas_rows(tmp_path)
    (tmp_path / "dataset.csv").write_text("name,fractured\n")
    with pytest.raises(SourceError, match="no column image_id; columns found: name, fractured"):
        fracatlas_rows(tmp_path)
    with pytest.raises(SourceError, match="no column filestem, patient_id, fracture_visible"):
        grazpedwri_rows(tmp_path)
    with pytest.raises(SourceError, match="expected MURA's folders"):
        mura_rows(tmp_path)


def test_an_annotation_that_cannot_be_read_is_named_with_its_line(fracatlas: Path) -> None:
    (fracatlas / "Annotations" / "YOLO" / "IMG0000000.txt").write_text("0 0.5 0.5 0.25 0.5\n0 0.5 half\n")
    with pytest.raises(SourceError, match=r"IMG0000000\.txt, line 2"):
        fracatlas_rows(fracatlas)
