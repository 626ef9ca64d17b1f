"""From images to a dataset folder that both loaders read, with its card. Run: pytest tests/dataset/test_build.py"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from small_films import LABELS, build, encoded, picture, rows_of

from hf_bones.curation.splits.names import SPLITS
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.dataset.schema import COLUMNS
from hf_bones.images.opening import open_image
from hf_bones.labels import THREE_CLASS


def test_a_folder_per_label_becomes_a_dataset_that_both_loaders_read_alike(films: Path, tmp_path: Path, no_shared_cache: Path) -> None:
    built = build_command([str(films)], tmp_path / "out", progress=False)
    saved, loaded = datasets.load_from_disk(str(tmp_path / "out")), datasets.load_dataset(str(tmp_path / "out"))
    for split in SPLITS:
        each = 4 if split == "train" else 1
        assert Counter(saved[split]["label"]) == {0: each, 1: each, 2: each}
        assert saved[split].features == loaded[split].features
        assert saved[split].features["label"].names == list(LABELS)
        for one, other in zip(saved[split], loaded[split], strict=True):
            assert np.array_equal(np.asarray(one["image"]), np.asarray(other["image"]))
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


def test_several_inputs_become_one_dataset_and_a_source_of_one_class_is_named(films: Path, manifest: Path, tmp_path: Path) -> None:
    built = build_command([str(manifest), str(films)], tmp_path / "out", progress=False)
    there = {(row["source"], row["split"]) for row in built.summary["counts"]}
    assert there >= {("films", split) for split in SPLITS} and sum(row["count"] for row in built.summary["counts"]) == 6 + 18
    notes = " ".join(built.notes)
    assert "source without a healthy film: 'web'. How its films look tells their class; train with sampling: source" in notes
    assert "no images of source 'web' in test: too few groups, or the given splits are so" in notes and "'films' in" not in notes


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


def test_every_column_of_the_contract_is_there(tmp_path: Path) -> None:
    assert tuple(build(rows_of(9), tmp_path / "out").dataset["train"].features) == COLUMNS
