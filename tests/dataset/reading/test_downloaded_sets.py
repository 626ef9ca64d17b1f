"""From `hf-bones download` to `hf-bones build`: drawn films in the layouts that FracAtlas and GRAZPEDWRI-DX are published in.

Run: pytest tests/dataset/reading/test_downloaded_sets.py"""

from __future__ import annotations

import functools
import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from registries import FRACATLAS, GRAZPEDWRI, make_quick, packed, publish_figshare, publish_zenodo, sets_file
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.download.state import NAME
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.dataset.reading.importers import grazpedwri_rows
from hf_bones.dataset.schema import load_bones


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def film(seed, label, kind="JPEG", bits=8):
    pixels = draw_radiograph(seed, label=label, size=72).pixels
    image = Image.fromarray(pixels if bits == 8 else pixels.astype(np.uint16) * 257)
    into = io.BytesIO()
    image.save(into, kind)
    return into.getvalue()


@functools.cache
def fracatlas_archive():
    table = ["image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,lateral,oblique"]
    members = {"FracAtlas/Utilities/Fracture Split/train.csv": "image_id\n", "__MACOSX/FracAtlas/._dataset.csv": b"x"}
    for number in range(0, 300, 15):
        fractured = number % 2
        name = f"IMG{number:07d}"
        folder = "Fractured" if fractured else "Non_fractured"
        members[f"FracAtlas/images/{folder}/{name}.jpg"] = film(number, "fractured" if fractured else "healthy")
        members[f"FracAtlas/Annotations/YOLO/{name}.txt"] = "0 0.5 0.5 0.25 0.5\n" if fractured else ""
        members[f"FracAtlas/Annotations/PASCAL VOC/{name}.xml"] = "<annotation/>"
        table.append(f"{name}.jpg,1,0,0,0,0,0,0,{fractured},{fractured},1,0,0")
    members["FracAtlas/Annotations/COCO JSON/COCO_fracture_masks.json"] = json.dumps({"images": [], "annotations": []})
    return packed({"FracAtlas/dataset.csv": "\n".join(table) + "\n", **members})


GRAZ_COLUMNS = (
    "filestem,patient_id,timehash,gender,age,laterality,projection,initial_exam,ao_classification,cast,diagnosis_uncertain,osteopenia,"
    "fracture_visible,metal,device_manufacturer"
)


@functools.cache
def graz_files():
    """Twelve patients with two films each, and a film for each reason to be left out; five archives, one of them with a folder on top."""
    rows, parts, labels = [], {1: {}, 2: {}, 3: {}, 4: {}}, {}

    def add(number, patient, fracture=0, ao="", cast="", uncertain="", metal="", boxes="8 0.9 0.05 0.05 0.05\n"):
        stem = f"{patient:04d}_{1297860395 + number:010d}_01_WRI-{'LR'[number % 2]}{1 + number % 2}_M014"
        rows.append(
            f"{stem},{patient},{number},M,9.5,{'LR'[number % 2]},{1 + number % 2},1,{ao},{cast},{uncertain},,{fracture or ''},{metal},S"
        )
        parts[1 + number % 4][f"{stem}.png"] = film(number, "fractured" if fracture else "healthy", "PNG", bits=16)
        labels[f"folder_structure/yolov5/labels/{stem}.txt"] = boxes
        return stem

    for patient in range(1, 13):
        for view in range(2):
            number = 2 * patient + view
            if patient % 2:
                add(
                    number,
                    patient,
                    1,
                    "23r-M/2.1",
                    "1" if view else "",
                    boxes="3 0.5 0.5 0.2 0.2\n8 0.9 0.05 0.05 0.05\n7 0.4 0.4 0.1 0.1\n",
                )
            else:
                add(number, patient)
    doubtful = {
        add(30, 20, cast="1"): "cast but no visible fracture",
        add(31, 21, metal="1"): "metal but no visible fracture",
        add(32, 22, ao="23r-M/3.1"): "an AO class but no visible fracture",
        add(33, 23, uncertain="1"): "diagnosis marked uncertain",
        add(34, 24, boxes="5 0.5 0.5 0.2 0.2\n8 0.9 0.05 0.05 0.05\n"): "a box of periostealreaction but no visible fracture",
        add(35, 25, boxes="3 0.5 0.5 0.2 0.2\n"): "a box of fracture but no visible fracture",
    }
    files = {"dataset.csv": "\n".join([GRAZ_COLUMNS, *rows]).encode() + b"\n"}
    files |= {f"images_part{part}.zip": packed(films) for part, films in parts.items()}
    return files | {"folder_structure.zip": packed({"folder_structure/yolov5/meta.yaml": "nc: 9\n", **labels})}, doubtful


@pytest.fixture
def download(tmp_path, rogue, monkeypatch):
    make_quick(monkeypatch)

    def call(name, out):
        done = run("download", name, "--out", out, "--sets", sets_file(tmp_path, rogue), "--allow-private", "127.0.0.1")
        assert done.exit_code == 0, done.output
        return done

    return call


def test_fracatlas_goes_straight_into_a_dataset(download, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": fracatlas_archive()})
    download("fracatlas", tmp_path / "raw")
    done = run("build", tmp_path / "raw", "--labels", "two-class", "--out", tmp_path / "built", "--json", "--quiet")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert any("The dataset: figshare 22363012, version 6, CC-BY-4.0; cite I. Abedeen et al." in note for note in summary["notes"])
    rows = [row for split in load_bones(str(tmp_path / "built")).values() for row in split.remove_columns("image")]
    assert Counter(row["label"] for row in rows) == {0: 10, 1: 10} and {row["region"] for row in rows} == {"hand"}
    assert {row["licence"] for row in rows} == {"CC-BY-4.0"} and all(bool(row["boxes"]) == (row["label"] == 1) for row in rows)
    assert len({row["group"] for row in rows}) == 12


def test_grazpedwri_goes_straight_into_a_dataset_by_patients_and_says_what_is_neither(download, rogue, tmp_path):
    files, doubtful = graz_files()
    publish_figshare(rogue, GRAZPEDWRI, files, version=2)
    download("grazpedwri", tmp_path / "raw")
    assert sorted(path.name for path in (tmp_path / "raw").iterdir() if path.name[0] != ".") == sorted(
        ["dataset.csv", "folder_structure", NAME, *(f"images_part{part}" for part in range(1, 5))]
    )
    done = run("build", tmp_path / "raw", "--labels", "two-class", "--out", tmp_path / "built", "--json", "--quiet")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["left_out"] == Counter(doubtful.values())
    data = load_bones(str(tmp_path / "built"))
    rows = [{"split": split, **row} for split, part in data.items() for row in part.remove_columns("image")]
    assert Counter(row["label"] for row in rows) == {0: 12, 1: 12}
    patients = {split: {row["group"] for row in rows if row["split"] == split} for split in data}
    assert sum(map(len, patients.values())) == 12 == len(set().union(*patients.values()))
    assert all(len(row["boxes"]) == row["label"] for row in rows)  # of fractures alone, not of text or swelling
    picture = np.asarray(data["train"][0]["image"])
    assert picture.dtype == np.uint8 and picture.std() > 10  # 16 bits, windowed


def test_the_reasons_stand_beside_the_names_and_doubt_alone_can_be_kept(download, rogue, tmp_path):
    files, doubtful = graz_files()
    publish_figshare(rogue, GRAZPEDWRI, files, version=2)
    download("grazpedwri", tmp_path / "raw")
    assert {row.name: row.reason for row in grazpedwri_rows(tmp_path / "raw").left_out} == doubtful
    kept = grazpedwri_rows(tmp_path / "raw", keep_uncertain=True)
    assert len(kept.rows) == 25 and len(kept.left_out) == 5


def test_a_set_by_doi_brings_its_licence_and_its_name_into_a_build(download, rogue, tmp_path):
    films = {f"wrists/{label}/{number}.png": film(number, label, "PNG") for label in ("healthy", "fractured") for number in range(6)}
    publish_zenodo(rogue, "99", {"films.zip": packed(films)}, licence={"id": "cc-by-sa-4.0"})
    download("doi:10.5281/zenodo.99", tmp_path / "raw")
    done = run("build", tmp_path / "raw/wrists", "--labels", "two-class", "--out", tmp_path / "built")
    assert done.exit_code == 0 and "note: Wrists: zenodo 99, version v2, CC-BY-SA-4.0; cite Roentgen" in done.stdout
    rows = load_bones(str(tmp_path / "built"))["train"]
    assert set(rows["licence"]) == {"CC-BY-SA-4.0"} and set(rows["source"]) == {"zenodo-99"}
    stated = run(
        "build", tmp_path / "raw/wrists", "--labels", "two-class", "--out", tmp_path / "b", "--licence", "CC0-1.0", "--source-name", "mine"
    )
    assert stated.exit_code == 0 and set(load_bones(str(tmp_path / "b"))["train"]["source"]) == {"mine"}


def test_half_a_download_is_not_built_from(download, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": fracatlas_archive()})
    download("fracatlas", tmp_path / "raw")
    record = json.loads((tmp_path / "raw" / NAME).read_text())
    (tmp_path / "raw" / NAME).write_text(json.dumps(record | {"finished": ""}))
    done = run("build", tmp_path / "raw", "--labels", "two-class", "--out", tmp_path / "built")
    assert done.exit_code == 2 and "the download is not finished: run `hf-bones download` again first" in done.stderr
