"""What a build refuses, reports or stops at, and what it leaves behind then: nothing. Run: pytest tests/dataset/test_build_errors.py"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from small_films import LABELS, build, encoded, picture, rows_of

from hf_bones.curation.splits.names import GroupLeakError
from hf_bones.dataset.build import BuildError
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.labels import TWO_CLASS


def test_an_unreadable_file_is_reported_and_the_rest_is_built(films: Path, tmp_path: Path) -> None:
    (films / "healthy" / "cut.jpg").write_bytes(encoded(picture(5), "JPEG")[:300])
    (films / "healthy" / "letter.png").write_bytes(b"Dear colleague")
    (films / "healthy" / "notes.txt").write_text("a sidecar is not even tried")
    built = build_command([str(films)], tmp_path / "out", progress=False)
    assert sum(len(part) for part in built.dataset.values()) == 18
    with (tmp_path / "out" / "refused.csv").open(newline="") as stream:
        refused = {row["file"]: row["reason"] for row in csv.DictReader(stream)}
    assert refused == {"healthy/cut.jpg": "undecodable_or_truncated", "healthy/letter.png": "not_an_image"}
    assert built.summary["refused"] == {"undecodable_or_truncated": 1, "not_an_image": 1}


def test_a_file_that_the_manifest_names_but_is_not_there_is_reported(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "in" / "6.jpg").unlink()
    built = build_command([str(manifest)], tmp_path / "out", progress=False)
    assert [(image.name, image.reason) for image in built.refused] == [("in/6.jpg", "unreadable_file")]


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
    rows = [SourceRow(label=LABELS[i % 3], content=encoded(picture(i % 12)), image_id=f"i{i}", source="s") for i in range(36)]
    built = build(rows, tmp_path / "out")
    split_of = {(row["sha256"], split) for split, part in built.dataset.items() for row in part}
    assert len(split_of) == 12
    assert any("12 files are there more than once" in note for note in built.notes)


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


def test_a_folder_in_the_way_is_told_to_be_replaceable_only_where_it_is(films: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"is not a dataset folder.*choose another --out$"):
        build_command([str(films)], films, progress=False)
    build_command([str(films)], films / "built", progress=False)
    again = build_command([str(films)], tmp_path / "out", progress=False)
    assert sum(len(part) for part in again.dataset.values()) == 18
    assert any("in a dataset that was built: built/" in note for note in again.notes)


def test_a_misspelt_path_kind_and_scheme_name_the_nearest(films: Path, tmp_path: Path) -> None:
    near = films.with_name(films.name + "s")
    for source, choices, said in (
        (near, BuildChoices(), rf"no such file or folder.*did you mean {films}\?"),
        (films, BuildChoices(kind="folde"), "did you mean 'folder'"),
        (films, BuildChoices(labels="two-clas"), "did you mean 'two-class'"),
        (films, BuildChoices(kind="manifest"), "a folder, and of kind manifest are tables"),
    ):
        with pytest.raises(ValueError, match=said):
            build_command([str(source)], tmp_path / "out", choices, progress=False)
