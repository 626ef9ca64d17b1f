"""Folders of images become a CSV, which an interrupted run continues. Run: pytest tests/inference/test_predict_folder.py"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tiny import grey, png

from hf_bones.inference.folder import list_files, predict_paths
from hf_bones.inference.predictor import BonePredictor


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of seven readable films, one text file, hidden files and sub-folders."""
    folder = tmp_path / "films"
    for index, name in enumerate(["b.png", "a.png", "arm/2.png", "arm/1.PNG", "arm/left, upper/x.png", "leg/no_suffix", "z;x.png"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(grey(60 + index, 50, seed=index)))
    (folder / "arm" / "notes.txt").write_text("left wrist")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "c.png").write_bytes(png(grey(60, 60)))
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def test_folders_are_walked_in_a_stable_order_without_hidden_files(films: Path) -> None:
    listed = [str(path.relative_to(films)) for path in list_files([films])]
    assert listed == ["a.png", "b.png", "z;x.png", "arm/1.PNG", "arm/2.png", "arm/notes.txt", "arm/left, upper/x.png", "leg/no_suffix"]


def test_a_missing_path_is_an_error_before_anything_is_predicted(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        predict_paths(predictor, [films, tmp_path / "nothing_here"], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_becomes_a_csv(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    counts = predict_paths(predictor, [films, films / "a.png"], tmp_path / "out.csv", batch_size=3)
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["file", "verdict", "p_healthy", "p_fractured", "p_beyond_repair", "reasons"]
    assert [row["file"] for row in rows] == [str(path) for path in list_files([films])]
    assert sum(counts.values()) == len(rows) == 8 and counts["unreadable"] == 1
    text = next(row for row in rows if row["file"].endswith("notes.txt"))
    assert text["verdict"] == "unreadable" and text["p_healthy"] == "" and text["reasons"]
    assert all(sum(float(row[f"p_{name}"]) for name in predictor.names) == pytest.approx(1, abs=1e-5) for row in rows if row != text)


def test_an_interrupted_run_continues_where_it_stopped(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    counts = predict_paths(predictor, [films], whole, batch_size=2)
    lines = whole.read_text().splitlines(keepends=True)
    cut.write_text("".join(lines[:4]) + lines[4][:9])  # killed while it wrote the fourth row
    seen: list[Path] = []
    real = predictor.predict_iter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "predict_iter", lambda images, **options: real(seen.extend(images) or seen, **options))
        assert predict_paths(predictor, [films], cut, resume=True, batch_size=2) == counts
    assert [row["file"] for row in rows_of(cut)] == [row["file"] for row in rows_of(whole)]
    assert len(seen) == 5, "the three whole rows are not predicted again"


def test_rows_are_on_disk_before_the_run_ends(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    real = predictor.predict_iter

    def dies_at_the_fifth(images, **options):
        for index, finding in enumerate(real(images, **options)):
            if index == 4:
                raise KilledError
            yield finding

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "predict_iter", dies_at_the_fifth)
        with pytest.raises(KilledError):
            predict_paths(predictor, [films], tmp_path / "out.csv", batch_size=2)
    assert len(rows_of(tmp_path / "out.csv")) == 4


def test_an_existing_csv_is_not_overwritten_nor_mixed(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("file,verdict,p_cat,reasons\n")
    with pytest.raises(FileExistsError, match="--resume"):
        predict_paths(predictor, [films], target)
    with pytest.raises(ValueError, match="p_cat"):
        predict_paths(predictor, [films], target, resume=True)
    assert target.read_text() == "file,verdict,p_cat,reasons\n"


def test_the_csv_may_stand_in_the_folder_it_describes(films: Path, predictor: BonePredictor) -> None:
    target = films / "out.csv"
    predict_paths(predictor, [films], target)
    predict_paths(predictor, [films], target, resume=True)
    assert len(rows_of(target)) == 8 and "out.csv" not in target.read_text()


def test_file_names_that_are_not_utf8_do_not_end_the_run(predictor: BonePredictor, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    odd = Path(str(folder / "r") + b"\xf6ntgen.png".decode("utf-8", "surrogateescape"))
    try:
        odd.write_bytes(png(grey(60, 60)))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    predict_paths(predictor, [folder], tmp_path / "out.csv")
    predict_paths(predictor, [folder], tmp_path / "out.csv", resume=True)
    assert [row["file"] for row in rows_of(tmp_path / "out.csv")] == [str(odd)]
