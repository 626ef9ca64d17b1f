"""What contradicts itself is reported with what was done: files under two labels or splits, FracAtlas against itself, odd file names.

Run: pytest tests/dataset/faults/test_contradictions.py
"""

from __future__ import annotations

import csv
import os
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

from small_films import LABELS, build, encoded, picture, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.importers import fracatlas_rows


def reported(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def split_folders(root: Path, test_from: int) -> Path:
    """train and val of eight and three films a class, and a test split whose films are those of train from number `test_from` on."""
    for place, label in enumerate(LABELS):
        for split, numbers in (("train", range(8)), ("val", range(20, 23)), ("test", range(test_from, 8 + test_from))):
            for number in numbers:
                path = root / split / label / f"{split}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(picture(100 * place + number)))
    return root


def test_identical_files_under_two_labels_are_left_out_and_listed(tmp_path: Path) -> None:
    rows = rows_of(30)
    rows += [replace(rows[number], label="fractured", group=f"again{number}", image_id=f"again{number}") for number in (0, 3)]
    built = build(rows, tmp_path / "out")
    assert sum(len(part) for part in built.dataset.values()) == 28
    assert "identical files under two labels: 4 left out; contradictions.csv names them" in built.notes
    found = reported(tmp_path / "out" / "contradictions.csv")
    assert sorted(Counter(row["case"] for row in found).values()) == [2, 2]
    assert {(row["file"], row["stated"], row["done"]) for row in found} == {
        *((f"i{number}", "label healthy", "left out") for number in (0, 3)),
        *((f"again{number}", "label fractured", "left out") for number in (0, 3)),
    }
    assert built.summary["left_out"] == {"identical files have different labels": 4}


def test_a_class_is_not_lost_over_identical_files(tmp_path: Path) -> None:
    rows = rows_of(3, content=encoded(picture(1)))
    built = build(rows, tmp_path / "out")
    assert sum(len(part) for part in built.dataset.values()) == 3
    assert {row["done"] for row in reported(tmp_path / "out" / "contradictions.csv")} == {"kept"}


def test_identical_files_in_two_splits_stop_the_build_with_all_of_them_in_a_file_and_a_command_that_works(tmp_path: Path) -> None:
    source, out = split_folders(tmp_path / "films", test_from=0), tmp_path / "out"
    failed = CliRunner().invoke(app, ["build", str(source), "--out", str(out), "-q"])
    assert failed.exit_code == 2
    assert "24 file(s) are in more than one split, byte for byte" in failed.stderr
    assert "--leave-out-leaks" not in failed.stderr, "it would leave nothing to train on"
    found = reported(tmp_path / "out-contradictions.csv")
    assert len(found) == 48 and {row["done"] for row in found} == {"the build was stopped"}
    command = shlex.split(failed.stderr.strip().rpartition(": hf-bones ")[2])
    assert CliRunner().invoke(app, command).exit_code == 0
    data = load_bones(out)
    where = Counter((row["sha256"], split) for split, part in data.items() for row in part.remove_columns("image"))
    assert sum(where.values()) == 57 and len(where) == 33, "each film is in one split, with all its copies"


def test_films_that_are_in_test_too_can_be_left_out_of_train(tmp_path: Path) -> None:
    source, out = split_folders(tmp_path / "films", test_from=6), tmp_path / "out"
    failed = CliRunner().invoke(app, ["build", str(source), "--out", str(out), "-q"])
    command = shlex.split(failed.stderr.partition("leave the rest out: hf-bones ")[2].splitlines()[0])
    assert CliRunner().invoke(app, command).exit_code == 0
    assert {split: len(part) for split, part in load_bones(out).items()} == {"train": 18, "validation": 9, "test": 24}
    found = reported(out / "contradictions.csv")
    assert Counter((row["done"], row["stated"].rpartition(" ")[2]) for row in found) == {("kept", "test"): 6, ("left out", "train"): 6}


def test_a_patient_in_two_splits_is_settled_in_the_same_ways(tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture(number)))
    split = [("train", "train", "val", "test")[number // 3 % 4] for number in range(24)]
    lines = [f"{number}.png,{LABELS[number % 3]},{split[number]},p{number % 21}" for number in range(24)]
    (tmp_path / "t.csv").write_text("\n".join(["file,label,split,patient", *lines]) + "\n")
    words = ["build", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), "-q"]
    failed = CliRunner().invoke(app, words)
    assert "3 group(s) are in more than one split" in failed.stderr
    assert failed.stderr.strip().endswith("--split-anew")
    assert CliRunner().invoke(app, [*words, "--leave-out-leaks"]).exit_code == 0
    assert [row["stated"] for row in reported(tmp_path / "out" / "contradictions.csv")] == ["split train, the group in test too"] * 3
    assert CliRunner().invoke(app, [*words, "--split-anew", "--overwrite"]).exit_code == 0
    assert sum(len(part) for part in load_bones(tmp_path / "out").values()) == 24
    assert not (tmp_path / "out" / "contradictions.csv").exists(), "that of the earlier build is gone"


def fracatlas(root: Path) -> Path:
    """Twelve films as FracAtlas lies there: 0–2 are marked as broken and have boxes, of the others the comments below tell."""
    lines = ["image_id,fractured"]
    for number in range(12):
        broken = number < 3
        lines.append(f"IMG{number:07d}.jpg,{int(broken)}")
        folder = "Fractured" if broken or number == 5 else "Non_fractured"  # 5: the folder says broken, the table does not
        (root / "images" / folder).mkdir(parents=True, exist_ok=True)
        (root / "images" / folder / f"IMG{number:07d}.jpg").write_bytes(encoded(picture(number), "JPEG"))
    (root / "images" / "Fractured" / "IMG0000099.jpg").write_bytes(encoded(picture(99), "JPEG"))  # in no row
    (root / "Annotations" / "YOLO").mkdir(parents=True)
    for number in (0, 1, 7):  # 2 is broken and has no box; 7 is whole and has one
        (root / "Annotations" / "YOLO" / f"IMG{number:07d}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "dataset.csv").write_text("\n".join(lines) + "\n")
    return root


def test_fracatlas_against_itself_is_reported_and_left_out(tmp_path: Path) -> None:
    source = fracatlas(tmp_path / "FracAtlas")
    build_command([str(source)], tmp_path / "out", BuildChoices(labels="two-class"), progress=False)
    found = {row["file"]: (row["stated"], row["done"]) for row in reported(tmp_path / "out" / "contradictions.csv")}
    assert found == {
        "IMG0000002.jpg": ("no box, the table says fractured", "kept"),
        "IMG0000005.jpg": ("in Fractured, the table says not fractured", "left out"),
        "IMG0000007.jpg": ("1 boxes, the table says not fractured", "left out"),
        "IMG0000099.jpg": ("no row in the table", "left out"),
    }
    ids = {row["image_id"] for part in load_bones(tmp_path / "out").values() for row in part.remove_columns("image")}
    assert ids == {f"IMG{number:07d}" for number in range(12) if number not in (5, 7)}


def test_a_list_of_rows_decides_what_fracatlas_leaves_open(tmp_path: Path) -> None:
    source = fracatlas(tmp_path / "FracAtlas")
    rows = "".join(f"IMG{number:07d},healthy,,fa000,\n" for number in (5, 7, 8))
    (tmp_path / "rows.csv").write_text("image_id,label,split,group,severity\n" + rows)
    reading = fracatlas_rows(source, rows=tmp_path / "rows.csv")
    assert [row.image_id for row in reading.rows] == ["IMG0000005", "IMG0000007", "IMG0000008"]
    assert {each.done for each in reading.contradictions if each.file in ("IMG0000005.jpg", "IMG0000007.jpg")} == {"kept"}


def test_a_name_that_is_no_utf8_costs_nothing(films: Path, tmp_path: Path) -> None:
    odd = os.fsencode(films / "healthy") + b"/f\xe9mur.png"
    with open(odd, "wb") as stream:  # noqa: PTH123 - a Path cannot be made of bytes
        stream.write(encoded(picture(77)))
    with open(os.fsencode(films / "fractured") + b"/\xff.png", "wb") as stream:  # noqa: PTH123
        stream.write(b"no image")
    failed = CliRunner().invoke(app, ["build", str(films), "--out", str(tmp_path / "out")])
    assert failed.exit_code == 0, failed.output
    names = {row["image_id"] for part in load_bones(tmp_path / "out").values() for row in part.remove_columns("image")}
    assert "healthy/f\\xe9mur.png" in names and len(names) == 19
    assert "fractured/\\xff.png,not_an_image" in (tmp_path / "out" / "refused.csv").read_text(encoding="utf-8")
    assert "2 file names are no UTF-8" in failed.output
