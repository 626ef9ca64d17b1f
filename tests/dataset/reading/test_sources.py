"""Folders, tables, datasets of others and drawn films become rows; datasets are loaded back.

Run: pytest tests/dataset/reading/test_sources.py
"""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from small_films import LABELS, build, encoded, picture, rows_of

from hf_bones.curation.splits.names import SPLITS
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command, parse_label_map
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.dataset.reading.dataset_rows import dataset_rows
from hf_bones.dataset.reading.detect import detect_kind
from hf_bones.dataset.reading.layouts.folders import folder_rows
from hf_bones.dataset.reading.listed.table_rows import manifest_rows
from hf_bones.dataset.reading.tables import SourceError, parse_boxes
from hf_bones.dataset.schema import DatasetSchemaError
from hf_bones.images.opening import open_image


def test_a_parquet_manifest_reads_like_the_csv(manifest: Path, tmp_path: Path) -> None:
    table = datasets.Dataset.from_csv(str(manifest), cache_dir=str(tmp_path / "c"), keep_in_memory=True)
    table.to_parquet(str(manifest.with_suffix(".parquet")))
    one, other = (build_command([str(manifest.with_suffix(end))], tmp_path / end[1:], progress=False) for end in (".csv", ".parquet"))
    assert one.summary["data_sha256"] == other.summary["data_sha256"]
    assert one.summary["split_sha256"] == other.summary["split_sha256"]


def test_columns_under_other_peoples_names_are_recognised(manifest: Path, tmp_path: Path) -> None:
    text = manifest.read_text().replace("file,label", "Image_Path,Class", 1).replace(",block,split,", ",patient_id,Partition,", 1)
    manifest.write_text(text)
    assert build_command([str(manifest)], tmp_path / "out", progress=False).dataset["train"]["group"][:] == ["b0", "b1", "b4"]


def test_a_saved_dataset_can_be_built_from_again_and_loses_nothing(manifest: Path, tmp_path: Path) -> None:
    first = build_command([str(manifest)], tmp_path / "one", progress=False)
    second = build_command([str(tmp_path / "one")], tmp_path / "two", progress=False)
    assert second.summary["data_sha256"] == first.summary["data_sha256"]
    assert second.summary["split_sha256"] == first.summary["split_sha256"]
    for split in SPLITS:
        for one, other in zip(first.dataset[split], second.dataset[split], strict=True):
            assert np.array_equal(np.asarray(one["image"]), np.asarray(other["image"]))
            assert one["boxes"] == other["boxes"]


def test_metal_and_casts_are_kept_and_what_nobody_knows_stays_unknown(tmp_path: Path) -> None:
    lines = ["file,label,metal,cast"]
    for number, cells in enumerate(["1,0.0", "no,True", ",", "perhaps,1.0"]):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture(number)))
        lines.append(f"{number}.png,{('healthy', 'fractured')[number % 2]},{cells}")
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n")
    choices = BuildChoices(labels="two-class")
    for source, out in ((tmp_path / "films.csv", tmp_path / "one"), (tmp_path / "one", tmp_path / "two")):
        built = build_command([str(source)], out, choices, progress=False)
        rows = {row["image_id"]: (row["hardware"], row["cast"]) for part in built.dataset.values() for row in part.remove_columns("image")}
        assert [rows[f"{number}.png"] for number in range(4)] == [(True, False), (False, True), (None, None), (None, True)]


def test_a_dataset_built_before_these_columns_still_loads(tmp_path: Path) -> None:
    build(rows_of(9), tmp_path / "new")
    older = load_bones(tmp_path / "new").remove_columns(["hardware", "cast"])
    older.save_to_disk(str(tmp_path / "old"))
    assert "cast" not in load_bones(tmp_path / "old")["train"].features
    again = build_command([str(tmp_path / "old")], tmp_path / "again", progress=False).dataset["train"]
    assert again["cast"][:] == [None] * len(again)


def test_a_dataset_of_others_is_read_by_its_image_and_label_columns(tmp_path: Path, no_shared_cache: Path) -> None:
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["Normal", "Fracture"]))
    records = [{"image": {"bytes": encoded(picture(i)), "path": None}, "label": i % 2} for i in range(12)]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    datasets.Dataset.from_list(records, features=features).to_parquet(str(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet"))
    built = build_command([str(tmp_path / "hub")], tmp_path / "out", BuildChoices(labels="two-class", licence="MIT"), progress=False)
    assert set(built.dataset) == set(SPLITS)  # a lone train split is no split
    assert built.dataset["train"].features["label"].names == ["healthy", "fractured"]
    assert set(built.dataset["train"]["licence"]) == {"MIT"}


def test_drawn_radiographs_say_what_they_are(tmp_path: Path) -> None:
    built = build_command(["drawn"], tmp_path / "out", BuildChoices(count=12, drawn_size=96), progress=False)
    row = built.dataset["train"][0]
    assert (row["source"], row["licence"], row["synthetic"]) == ("drawn", "CC0-1.0", True)
    assert sum(len(part) for part in built.dataset.values()) == 12
    assert built.summary["synthetic"] == {"all": True, "rows": 12}
    assert all(isinstance(cast, bool) for part in built.dataset.values() for cast in part["cast"])
    assert draw_radiograph(int(row["image_id"].removeprefix("drawn-")), LABELS[row["label"]], size=96).cast is row["cast"]
    again = build_command(["drawn"], tmp_path / "again", BuildChoices(count=12, drawn_size=96), progress=False)
    assert again.summary["data_sha256"] == built.summary["data_sha256"]


def test_two_sources_become_one_dataset(films: Path, manifest: Path, tmp_path: Path) -> None:
    built = build_command([str(manifest), str(films)], tmp_path / "out", progress=False)
    assert {row["source"] for row in built.summary["counts"]} == {"atlas", "web", "films"}
    assert sum(row["count"] for row in built.summary["counts"]) == 6 + 18


def test_a_table_without_a_needed_column_names_the_file_and_its_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("picture,label\na.png,healthy\n")
    with pytest.raises(SourceError, match=r"t\.csv: no column for file \(also called path.*\)\. Columns found: picture, label"):
        manifest_rows(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("a.png,healthy,7 0 0 0,train", "box"), ("a.png,healthy,,fold9", "'fold9' names no split"), (",healthy,,train", "file name is empty")],
)
def test_a_cell_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "t.csv").write_text(f"file,label,boxes,split\nok.png,healthy,,train\n{line}\n")
    with pytest.raises(SourceError, match=rf"t\.csv, line 3: .*{complaint}"):
        manifest_rows(tmp_path / "t.csv")


def test_a_table_that_is_no_text_is_named(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        (tmp_path / name).write_bytes(b"\x81\x00\x00\x00PNG")
        with pytest.raises(SourceError, match=f"{name} cannot be read as a table"):
            manifest_rows(tmp_path / name)


def test_loading_something_else_names_what_is_missing_and_what_to_run(tmp_path: Path) -> None:
    datasets.DatasetDict(train=datasets.Dataset.from_dict({"image": [1], "label": [0]})).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(DatasetSchemaError, match=r"lacks the columns subtype, group.*hf-bones build"):
        load_bones(tmp_path / "d")
    with pytest.raises(FileNotFoundError, match="hf-bones build"):
        load_bones(tmp_path / "nowhere")


def test_labels_that_are_bare_numbers_are_refused(tmp_path: Path) -> None:
    build(rows_of(9), tmp_path / "out")
    bare = load_bones(tmp_path / "out").cast_column("label", datasets.Value("int64"))
    bare.save_to_disk(str(tmp_path / "bare"))
    with pytest.raises(DatasetSchemaError, match="not classes by name"):
        load_bones(tmp_path / "bare")


def test_split_folders_around_label_folders_are_kept(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "normal").mkdir(parents=True)
        (tmp_path / split / "normal" / "a.png").write_bytes(encoded(picture(1)))
    assert [(row.split, row.label) for row in folder_rows(tmp_path).rows] == [("train", "normal"), ("validation", "normal")]


def test_images_of_a_dataset_are_read_only_when_needed(tmp_path: Path) -> None:
    build(rows_of(9), tmp_path / "out")
    row = dataset_rows(str(tmp_path / "out")).rows[0]
    assert callable(row.content)
    assert open_image(row.content()).pixels.shape == (40, 48)


@pytest.mark.parametrize("text", ["0.5 0.5 0.1 0.2", "[[0.5, 0.5, 0.1, 0.2]]", [[0.5, 0.5, 0.1, 0.2]]])
def test_boxes_are_read_in_each_spelling(text: object) -> None:
    assert parse_boxes(text) == ((0.5, 0.5, 0.1, 0.2),)


def test_sources_are_told_apart(manifest: Path, films: Path, tmp_path: Path) -> None:
    build(rows_of(9), tmp_path / "saved")
    kinds = [detect_kind(str(spec)) for spec in (manifest, films, tmp_path / "saved", "owner/name", "drawn")]
    assert kinds == ["manifest", "folder", "dataset", "dataset", "drawn"]
    with pytest.raises(SourceError, match="no such file or folder"):
        detect_kind("/no/such/place")


def test_a_label_map_without_equals_is_refused() -> None:
    assert parse_label_map(["positive=fractured"]) == {"positive": "fractured"}
    with pytest.raises(ValueError, match="'positive' must read"):
        parse_label_map(["positive"])
