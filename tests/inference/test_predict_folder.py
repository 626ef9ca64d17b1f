"""Folders of images become a CSV, which an interrupted run continues. Run: pytest tests/inference/test_predict_folder.py"""

from __future__ import annotations

import csv
import errno
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tiny import grey, png

from hf_bones.inference.folder import list_files, predict_paths
from hf_bones.inference.heat import BAR_ROOM
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
    with path.open(newline="", encoding="utf-8") as stream:
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
    made_by = ["checkpoint", "revision", "options"]
    assert list(rows[0]) == ["file", "verdict", "p_healthy", "p_fractured", "p_beyond_repair", "reasons", *made_by]
    assert {row["options"] for row in rows} == {""} and len({row["revision"] for row in rows}) == 1
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


@pytest.mark.parametrize("other", [{"mirror": True}, {"heatmaps": "heat"}])
def test_a_csv_of_other_options_is_not_resumed(films: Path, predictor: BonePredictor, tmp_path: Path, other: dict) -> None:
    target = tmp_path / "out.csv"
    predict_paths(predictor, [films / "a.png"], target)
    before = target.read_text()
    with pytest.raises(ValueError, match=f"with {'mirror' if 'mirror' in other else 'heatmaps'}.*same options again, or name another"):
        predict_paths(predictor, [films], target, resume=True, **other)
    assert target.read_text() == before


def test_a_csv_of_another_checkpoint_under_the_same_name_is_not_resumed(films: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder, target = tmp_path / "model", tmp_path / "out.csv"
    shutil.copytree(checkpoint, folder)
    predict_paths(BonePredictor.from_pretrained(folder, device="cpu"), [films / "a.png"], target)
    shutil.copytree(checkpoint, tmp_path / "moved")  # the same model at another place is the same
    predict_paths(BonePredictor.from_pretrained(tmp_path / "moved", device="cpu"), [films / "b.png"], target, resume=True)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(ValueError, match="do not go into one table"):
        predict_paths(BonePredictor.from_pretrained(folder, device="cpu"), [films], target, resume=True)


def test_heat_maps_lie_as_the_films_do(films: Path, predictor: BonePredictor, tmp_path: Path) -> None:
    predict_paths(predictor, [films], tmp_path / "out.csv", heatmaps=tmp_path / "heat")
    found = sorted(str(path.relative_to(tmp_path / "heat")) for path in (tmp_path / "heat").rglob("*") if path.is_file())
    readable = [path for path in list_files([films]) if path.name != "notes.txt"]
    assert found == sorted(f"{path.relative_to(films)}.png" for path in readable)
    with Image.open(tmp_path / "heat" / "arm" / "1.PNG.png") as picture:
        width, height = Image.open(films / "arm" / "1.PNG").size
        assert picture.mode == "RGB" and picture.size == (width + BAR_ROOM, max(96, height)), "the film, and the colour bar beside it"


def test_what_a_folder_hides_is_told(films: Path, predictor: BonePredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (films / "elsewhere").symlink_to(tmp_path / "empty", target_is_directory=True)
    (films / "round").symlink_to("round")
    scan = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("leg"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    told: dict[Path, str] = {}
    counts = predict_paths(predictor, [films, tmp_path / "empty"], tmp_path / "out.csv", passed_over=told.__setitem__)
    assert {path.name: why.split(",")[0] for path, why in told.items()} == {"elsewhere": "a link to a folder", "empty": "no files in it"}
    unreadable = {Path(row["file"]).name for row in rows_of(tmp_path / "out.csv") if row["verdict"] == "unreadable"}
    assert unreadable == {"leg", "notes.txt", "round"} and counts["unreadable"] == 3


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
    assert [row["file"] for row in rows_of(tmp_path / "out.csv")] == [f"{folder}/r\\xf6ntgen.png"]
