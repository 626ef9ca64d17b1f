"""From images to a dataset folder that both loaders read. Run: pytest tests/test_build.py"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_bones.curate.splits import SPLITS, GroupLeakError
from hf_bones.dataset.build import BuildError, BuildResult, build_dataset, load_bones
from hf_bones.dataset.detect import build_command, detect_kind, parse_label_map
from hf_bones.dataset.schema import COLUMNS, DatasetSchemaError
from hf_bones.dataset.sources import SourceError, SourceRow, dataset_rows, folder_rows, manifest_rows, parse_boxes
from hf_bones.imaging import open_image
from hf_bones.labels import THREE_CLASS, TWO_CLASS

LABELS = ("healthy", "fractured", "beyond_repair")


def picture(seed: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    """Smooth grey noise, (H, W) uint8, different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def rows_of(count: int, **given: object) -> list[SourceRow]:
    """`count` readable rows, labels in turn, a group each unless `given` says otherwise."""
    return [
        SourceRow(**{"label": LABELS[i % 3], "content": encoded(picture(i)), "group": f"g{i}", "source": "s", "licence": "CC0-1.0",
                     "image_id": f"i{i}", **given})
        for i in range(count)
    ]  # fmt: skip


def build(rows: list[SourceRow], folder: Path, **options: object) -> BuildResult:
    return build_dataset(rows, folder, progress=False, **options)


def pixels_of(row: dict) -> np.ndarray:
    return np.asarray(row["image"])


@pytest.fixture
def no_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`load_dataset` writes its copy here, not into the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder per label, six films each."""
    for label_id, label in enumerate(LABELS):
        (tmp_path / "films" / label).mkdir(parents=True)
        for i in range(6):
            (tmp_path / "films" / label / f"{i}.png").write_bytes(encoded(picture(10 * label_id + i)))
    return tmp_path / "films"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A table with given splits, copies, boxes and a row marked unused, and its films."""
    (tmp_path / "xray" / "in").mkdir(parents=True)
    lines = [
        "file,label,source,licence,original_label,region,view,boxes_xywh_norm,block,split,severity,break_type,copy_group",
        "in/0.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,leg,frontal,,b0,train,0,,c1",
        "in/1.jpg,fractured,atlas,CC-BY-4.0,Fractured,hand,lateral,0.5 0.5 0.25 0.125;0.25 0.75 0.5 0.5,b1,train,0.33,transverse,",
        "in/2.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,leg,frontal,,b2,unused,0,,c1",
        "in/3.jpg,beyond_repair,web,unclear,comminuted,unknown,unknown,,b3,val,,unclear,",
        "in/4.jpg,beyond_repair,web,unclear,,unknown,unknown,,b4,train,1.00,nonunion,",
        "in/5.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,hip,frontal,,b5,test,0,,c2",
        "in/6.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,hip,frontal,,b6,test,0,,c2",
    ]
    for i in range(7):
        (tmp_path / "xray" / "in" / f"{i}.jpg").write_bytes(encoded(picture(i), "JPEG"))
    (tmp_path / "xray" / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "xray" / "manifest.csv"


# -- the whole way -----------------------------------------------------------------------------------------------------------------------


def test_a_folder_per_label_becomes_a_dataset_that_both_loaders_read_alike(films: Path, tmp_path: Path, no_shared_cache: Path) -> None:
    built = build_command([str(films)], tmp_path / "out", progress=False)
    saved, loaded = datasets.load_from_disk(str(tmp_path / "out")), datasets.load_dataset(str(tmp_path / "out"))
    for split in SPLITS:
        assert Counter(saved[split]["label"]) == {0: 4, 1: 4, 2: 4} if split == "train" else {0: 1, 1: 1, 2: 1}
        assert saved[split].features == loaded[split].features
        assert saved[split].features["label"].names == list(LABELS)
        for one, other in zip(saved[split], loaded[split], strict=True):
            assert np.array_equal(pixels_of(one), pixels_of(other))
            assert {k: v for k, v in one.items() if k not in ("image", "severity")} == {
                k: v for k, v in other.items() if k not in ("image", "severity")
            }
    assert any("no group" in note for note in built.notes)


def test_nothing_is_written_beside_the_folder(films: Path, tmp_path: Path, no_shared_cache: Path) -> None:
    build_command([str(films)], tmp_path / "out", progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"films", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "train", "validation", "test", "dataset_dict.json", "README.md", "summary.json", "refused.csv",
    }  # fmt: skip


def test_a_manifest_keeps_its_splits_boxes_groups_and_words(manifest: Path, tmp_path: Path) -> None:
    built = build_command([str(manifest)], tmp_path / "out", progress=False)
    data = built.dataset
    assert {split: data[split]["image_id"][:] for split in data} == {
        "train": ["in/0.jpg", "in/1.jpg", "in/4.jpg"], "validation": ["in/3.jpg"], "test": ["in/5.jpg", "in/6.jpg"],
    }  # fmt: skip
    assert built.summary["left_out"] == {"marked unused": 1}
    broken = data["train"][1]
    assert broken["boxes"] == [[0.5, 0.5, 0.25, 0.125], [0.25, 0.75, 0.5, 0.5]]
    assert (broken["subtype"], broken["group"], broken["licence"], broken["region"]) == ("transverse", "b1", "CC-BY-4.0", "hand")
    assert broken["severity"] == pytest.approx(0.33)
    assert data["train"][2]["subtype"] == "non_union"
    assert data["validation"][0]["subtype"] == "comminuted"  # "unclear" says nothing, so the source's own word stands in
    assert math.isnan(data["validation"][0]["severity"])
    assert data["test"]["group"][:] == ["b5", "b5"]  # copies of one picture are one group


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
            assert np.array_equal(pixels_of(one), pixels_of(other))
            assert one["boxes"] == other["boxes"]


def test_a_dataset_of_others_is_read_by_its_image_and_label_columns(tmp_path: Path, no_shared_cache: Path) -> None:
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["Normal", "Fracture"]))
    records = [{"image": {"bytes": encoded(picture(i)), "path": None}, "label": i % 2} for i in range(12)]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    datasets.Dataset.from_list(records, features=features).to_parquet(str(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet"))
    built = build_command([str(tmp_path / "hub")], tmp_path / "out", labels="two-class", licence="MIT", progress=False)
    assert set(built.dataset) == set(SPLITS)  # a lone train split is no split
    assert built.dataset["train"].features["label"].names == ["healthy", "fractured"]
    assert set(built.dataset["train"]["licence"]) == {"MIT"}


def test_drawn_radiographs_say_what_they_are(tmp_path: Path) -> None:
    built = build_command(["drawn"], tmp_path / "out", count=12, drawn_size=96, progress=False)
    row = built.dataset["train"][0]
    assert (row["source"], row["licence"], row["synthetic"]) == ("drawn", "CC0-1.0", True)
    assert sum(len(part) for part in built.dataset.values()) == 12
    assert built.summary["synthetic"] == {"all": True, "rows": 12}
    again = build_command(["drawn"], tmp_path / "again", count=12, drawn_size=96, progress=False)
    assert again.summary["data_sha256"] == built.summary["data_sha256"]


def test_two_sources_become_one_dataset(films: Path, manifest: Path, tmp_path: Path) -> None:
    built = build_command([str(manifest), str(films)], tmp_path / "out", progress=False)
    assert {row["source"] for row in built.summary["counts"]} == {"atlas", "web", "films"}
    assert sum(row["count"] for row in built.summary["counts"]) == 6 + 18


# -- pixels ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        encoded(picture(1), "JPEG"),
        encoded(picture(1), "PNG"),
        encoded(np.stack([picture(1), picture(2), picture(3)], axis=2), "JPEG"),
        encoded(picture(1).astype(np.uint16) * 200, "PNG"),
        encoded(picture(1), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    ],
    ids=["grey-jpeg", "grey-png", "colour-jpeg", "16-bit-png", "turned-jpeg"],
)
def test_what_is_stored_decodes_to_what_the_opener_gave(data: bytes, tmp_path: Path) -> None:
    rows = [SourceRow(label=label, content=data, image_id=label, group=label) for label in LABELS]
    stored = build(rows, tmp_path / "out").dataset["train"][0]["image"]
    assert stored.mode == "L"
    assert np.array_equal(np.asarray(stored), open_image(data).pixels)


def test_a_plain_grey_jpeg_is_stored_as_it_is(tmp_path: Path) -> None:
    rows = rows_of(3, content=encoded(picture(1), "JPEG"), split="train")
    part = build(rows, tmp_path / "out").dataset["train"].cast_column("image", datasets.Image(decode=False))
    assert part[0]["image"]["bytes"] == rows[0].content


def test_names_in_metadata_do_not_reach_the_dataset(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Mrs Patient"
    for name, data in {
        "exif": encoded(picture(1), "JPEG", exif=exif),
        "comment": encoded(picture(1), "JPEG", comment=b"Mrs Patient"),
        "trailing": encoded(picture(1), "JPEG") + b"Mrs Patient",
    }.items():
        assert b"Mrs Patient" in data
        build(rows_of(3, content=data, split="train"), tmp_path / name)
        assert b"Mrs Patient" not in next((tmp_path / name / "train").glob("*.arrow")).read_bytes()


def test_max_side_shrinks_large_images_only(tmp_path: Path) -> None:
    rows = rows_of(3, split="train")
    rows[0] = SourceRow(label="healthy", content=encoded(picture(1, (100, 200))), group="g0", image_id="i0", split="train")
    sizes = [row["image"].size for row in build(rows, tmp_path / "out", max_side=64).dataset["train"]]
    assert sizes == [(64, 32), (48, 40), (48, 40)]


# -- refusals and errors -----------------------------------------------------------------------------------------------------------------


def test_an_unreadable_file_is_reported_and_the_rest_is_built(films: Path, tmp_path: Path) -> None:
    (films / "healthy" / "cut.jpg").write_bytes(encoded(picture(5), "JPEG")[:300])
    (films / "healthy" / "letter.png").write_bytes(b"Dear colleague")
    (films / "healthy" / "notes.txt").write_text("a sidecar is not even tried")
    built = build_command([str(films)], tmp_path / "out", progress=False)
    assert sum(len(part) for part in built.dataset.values()) == 18
    with (tmp_path / "out" / "refused.csv").open(newline="") as stream:
        refused = {Path(row["file"]).name: row["reason"] for row in csv.DictReader(stream)}
    assert refused == {"cut.jpg": "undecodable_or_truncated", "letter.png": "not_an_image"}
    assert built.summary["refused"] == {"undecodable_or_truncated": 1, "not_an_image": 1}


def test_a_file_that_the_manifest_names_but_is_not_there_is_reported(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "in" / "6.jpg").unlink()
    built = build_command([str(manifest)], tmp_path / "out", progress=False)
    assert [(Path(image.name).name, image.reason) for image in built.refused] == [("6.jpg", "unreadable_file")]


def test_losing_a_whole_class_is_an_error_and_leaves_no_folder(films: Path, tmp_path: Path) -> None:
    for path in (films / "fractured").iterdir():
        path.write_bytes(b"not an image")
    with pytest.raises(BuildError, match=r"'fractured' \(6\) was refused \(6 × not_an_image\)"):
        build_command([str(films)], tmp_path / "out", progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"films"}


def test_labels_that_stand_for_nothing_are_listed_with_counts_before_any_image_is_opened(tmp_path: Path) -> None:
    def read() -> bytes:
        raise AssertionError("an image was opened")

    rows = [SourceRow(label=label, content=read) for label in ["healthy", "postive", "postive", "abnormal"]]
    with pytest.raises(BuildError, match=r"(?s)3 of 4 rows.* 2 × 'postive'.* 1 × 'abnormal'.*hardware") as caught:
        build(rows, tmp_path / "out")
    assert "--label-map" in str(caught.value)


def test_a_label_map_settles_what_a_word_means(tmp_path: Path) -> None:
    rows = rows_of(6, label="positive") + rows_of(6, label="normal")
    rows = [SourceRow(label=r.label, content=r.content, group=f"{r.label}{i}", image_id=str(i)) for i, r in enumerate(rows)]
    built = build(rows, tmp_path / "out", scheme=TWO_CLASS, label_map={"positive": "fractured"})
    assert Counter(row["label"] for row in built.summary["counts"]) == {"healthy": 3, "fractured": 3}


def test_a_group_in_two_given_splits_stops_the_build(tmp_path: Path) -> None:
    rows = [*rows_of(3, split="train"), SourceRow(label="healthy", content=encoded(picture(9)), group="g1", split="test", image_id="x")]
    with pytest.raises(GroupLeakError, match="'g1' in test and train"):
        build(rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_copies_in_two_given_splits_stop_the_build_unless_one_is_unused(tmp_path: Path) -> None:
    rows = rows_of(3, split="train")
    twin = {"label": "healthy", "content": encoded(picture(9)), "group": "other", "copy_group": "c", "image_id": "x"}
    rows[0] = SourceRow(label="healthy", content=encoded(picture(0)), group="g0", copy_group="c", image_id="i0", split="train")
    with pytest.raises(GroupLeakError, match="'g0' in test and train"):
        build([*rows, SourceRow(**twin, split="test")], tmp_path / "out")
    assert len(build([*rows, SourceRow(**twin, split="unused")], tmp_path / "out").dataset["train"]) > 0


def test_the_same_file_in_two_given_splits_stops_the_build_whatever_the_groups_say(tmp_path: Path) -> None:
    rows = [*rows_of(3, split="train"), SourceRow(label="healthy", content=encoded(picture(1)), group="new", split="test", image_id="x")]
    with pytest.raises(GroupLeakError, match=r"byte for byte: i1 \(train\) = x \(test\)"):
        build(rows, tmp_path / "out")


def test_without_groups_identical_files_stay_together(tmp_path: Path) -> None:
    rows = [
        SourceRow(label=LABELS[i % 3], content=encoded(picture(i % 12)), image_id=f"i{i}", source="s") for i in range(36)
    ]
    built = build(rows, tmp_path / "out")
    split_of = {(row["sha256"], split) for split, part in built.dataset.items() for row in part}
    assert len(split_of) == 12
    assert any("12 files stand there more than once" in note for note in built.notes)


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
        (tmp_path / name).write_bytes(b"\xff\xfe\x00\x81")
        with pytest.raises(SourceError, match=f"{name} cannot be read as a table"):
            manifest_rows(tmp_path / name)


def test_an_interrupted_build_leaves_no_folder(tmp_path: Path) -> None:
    def interrupt() -> bytes:
        raise KeyboardInterrupt

    rows = [*rows_of(40), SourceRow(label="healthy", content=interrupt, group="last", image_id="last")]
    with pytest.raises(KeyboardInterrupt):
        build(rows, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_replaced_only_when_asked_and_only_if_it_is_a_dataset(tmp_path: Path) -> None:
    build(rows_of(9), tmp_path / "out")
    with pytest.raises(BuildError, match="--overwrite"):
        build(rows_of(12), tmp_path / "out")
    assert sum(map(len, build(rows_of(12), tmp_path / "out", overwrite=True).dataset.values())) == 12
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.txt").write_text("precious")
    with pytest.raises(BuildError, match="not a dataset folder"):
        build(rows_of(9), tmp_path / "holiday", overwrite=True)
    assert (tmp_path / "holiday" / "photo.txt").read_text() == "precious"


# -- card, loading, small things ---------------------------------------------------------------------------------------------------------


def test_the_card_counts_defines_and_says_where_it_all_came_from(manifest: Path, tmp_path: Path) -> None:
    built = build_command([str(manifest)], tmp_path / "out", progress=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| train | atlas | CC-BY-4.0 | 1 | 1 | 0 | 2 |" in card
    assert "| **all** | | | 3 | 1 | 2 | 6 |" in card
    assert all(label.definition in card for label in THREE_CLASS.classes)
    assert "- unclear: 2 images" in card
    assert built.summary["data_sha256"] in card
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["counts"] == built.summary["counts"]
    assert str(tmp_path) not in card  # nobody else's folders belong in a card


def test_the_same_rows_and_seed_give_the_same_dataset_and_another_seed_another_split(tmp_path: Path) -> None:
    one, same, other = (build(rows_of(60), tmp_path / str(i), seed=seed) for i, seed in enumerate([0, 0, 1]))
    assert one.summary == same.summary
    assert one.summary["data_sha256"] == other.summary["data_sha256"]
    assert one.summary["split_sha256"] != other.summary["split_sha256"]


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


def test_every_column_of_the_contract_is_there(tmp_path: Path) -> None:
    assert tuple(build(rows_of(9), tmp_path / "out").dataset["train"].features) == COLUMNS


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
