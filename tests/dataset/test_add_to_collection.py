"""Images of one's own in a collection: `python -m pytest tests/dataset/test_add_to_collection.py`."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from small_collection import digest, small_collection
from small_films import build, encoded, picture, rows_of, write_films, write_manifest
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.upkeep.export import export_collection
from hf_bones.collect.upkeep.forget import forget
from hf_bones.collect.upkeep.status import collection_status, label_conflicts
from hf_bones.dataset.add_to_collection import add_images, portable_name
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.reading.detect import read_source
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.manifest.store import open_manifest


def table(folder, *rows, name="films.csv", columns=("file", "label")):
    """A table in `folder` whose rows' first cells name pictures that are drawn by the second to last letter of the name."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return str(folder / name)


def film(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed)))
    return path


def records(out):
    with open_manifest(out) as manifest:
        return {record.url: record for record in manifest.images()}


def test_a_folder_of_films_is_a_collection_with_labels_and_the_bytes_as_they_are(tmp_path):
    films = write_films(tmp_path)
    added = add_images([str(films)], tmp_path / "c", choices=ReadingChoices(licence="CC BY 4.0"), creator="Ada")
    assert (added.result.stored, added.result.refused, added.conflicts) == (18, 0, 0)
    one = records(tmp_path / "c")["folder:films/healthy/3.png"]
    assert (one.label, one.label_basis, one.provider, one.licence, one.width) == ("healthy", "folder", "films", "CC-BY-4.0", 48)
    assert one.creator == "Ada" and "Ada" in one.attribution
    assert (tmp_path / "c" / one.file).read_bytes() == (films / "healthy" / "3.png").read_bytes()


def test_all_that_a_table_says_of_an_image_stands_in_the_manifest(tmp_path):
    add_images([str(write_manifest(tmp_path))], tmp_path / "c")
    found = records(tmp_path / "c")
    one = found["table:xray/manifest.csv/in/1.jpg"]
    assert (one.label, one.subtype, one.region, one.view, one.group, one.split) == (
        "fractured", "transverse", "hand", "lateral", "b1", "train",
    )  # fmt: skip
    assert (one.provider, one.label_basis, one.severity, len(one.boxes)) == ("atlas", "table", 0.33, 2)
    copies = [found[f"table:xray/manifest.csv/in/{i}.jpg"] for i in (0, 2)]
    assert copies[0].copy_group == copies[1].copy_group == "xray/manifest.csv: c1" and copies[1].split == "unused"
    # "unclear" is no licence, and an own file of unknown licence is taken all the same.
    assert (found["table:xray/manifest.csv/in/3.jpg"].licence, found["table:xray/manifest.csv/in/3.jpg"].licence_text) == (
        "unknown", "unclear",
    )  # fmt: skip


def test_a_dataset_of_the_collection_is_the_dataset_of_the_table(tmp_path):
    source = str(write_manifest(tmp_path))
    add_images([source], tmp_path / "c")
    direct = build_command([source], tmp_path / "direct", progress=False).dataset
    through = build_command([str(tmp_path / "c")], tmp_path / "through", progress=False).dataset
    columns = ("sha256", "label", "subtype", "region", "view", "source", "boxes")
    for split in ("train", "validation", "test"):
        one, other = (sorted(zip(*(part[split][name] for name in columns), strict=True)) for part in (direct, through))
        assert one == other
        assert len(set(through[split]["group"])) == len(set(direct[split]["group"]))


def test_the_same_bytes_under_two_labels_are_a_conflict_and_no_row_is_lost(tmp_path):
    film(tmp_path / "t" / "a.png", 1), film(tmp_path / "t" / "b.png", 1), film(tmp_path / "t" / "c.png", 2)
    rows = [("a.png", "healthy"), ("b.png", "fractured"), ("c.png", "healthy"), ("c.png", "beyond_repair")]
    added = add_images([table(tmp_path / "t", *rows)], tmp_path / "c")
    with open_manifest(tmp_path / "c") as manifest:
        conflicts = label_conflicts(manifest)
    assert added.conflicts == 2 and conflicts == {
        digest(encoded(picture(1))): ["fractured", "healthy"],
        digest(encoded(picture(2))): ["beyond_repair", "healthy"],
    }
    assert len(collection_rows(tmp_path / "c").left_out) == 2


def test_of_identical_files_the_one_counts_that_is_not_marked_unused(tmp_path):
    film(tmp_path / "t" / "a.png", 1), film(tmp_path / "t" / "b.png", 1)
    rows = [("a.png", "healthy", "unused", "hand"), ("b.png", "healthy", "test", "wrist")]
    for _ in range(2):
        add_images([table(tmp_path / "t", *rows, columns=("file", "label", "split", "region"))], tmp_path / "c")
        (one,) = records(tmp_path / "c").values()
        assert (one.split, one.region, one.url) == ("test", "wrist", "table:t/films.csv/b.png")


def test_what_is_no_image_is_refused_by_name_and_what_is_missing_is_tried_again(tmp_path):
    film(tmp_path / "t" / "a.png", 1)
    (tmp_path / "t" / "page.png").write_bytes(b"<html>" * 20)
    source = table(tmp_path / "t", ("a.png", "healthy"), ("page.png", "healthy"), ("late.png", "fractured"))
    first = add_images([source], tmp_path / "c")
    assert (first.result.stored, first.result.refused, first.result.failed) == (1, 1, 1)
    assert first.reasons == {"not_an_image": 1, "local_source": 1}
    with open_manifest(tmp_path / "c") as manifest:
        kept = manifest.connection.execute("SELECT kept FROM fetches WHERE state = 'refused'").fetchone()[0]
        assert (tmp_path / "c" / kept).read_bytes() == b"<html>" * 20
        assert str(tmp_path) not in "".join(row[0] for row in manifest.rows("SELECT detail FROM fetches"))
    film(tmp_path / "t" / "late.png", 2)
    second = add_images([source], tmp_path / "c")
    assert (second.result.stored, second.result.refused, second.result.failed) == (1, 0, 0)
    assert second.reasons == {"not_an_image": 1}


def test_a_file_that_has_changed_under_its_name_is_another_image(tmp_path):
    film(tmp_path / "t" / "a.png", 1)
    source = table(tmp_path / "t", ("a.png", "healthy"))
    add_images([source], tmp_path / "c")
    film(tmp_path / "t" / "a.png", 2)
    for _ in range(2):
        add_images([source], tmp_path / "c")
    new = digest(encoded(picture(2)))
    assert {url: record.sha256 for url, record in records(tmp_path / "c").items()} == {
        "table:t/films.csv/a.png": digest(encoded(picture(1))),
        f"table:t/films.csv/a.png#{new[:12]}": new,
    }


def test_a_label_that_was_changed_in_the_table_shows_as_a_conflict(tmp_path):
    film(tmp_path / "t" / "a.png", 1)
    assert add_images([table(tmp_path / "t", ("a.png", "healthy"))], tmp_path / "c").conflicts == 0
    assert add_images([table(tmp_path / "t", ("a.png", "fractured"))], tmp_path / "c").conflicts == 1


def test_no_path_of_this_machine_gets_into_the_manifest(tmp_path):
    inside, outside = film(tmp_path / "t" / "in" / "a.png", 1), film(tmp_path / "elsewhere" / "b.png", 2)
    film(tmp_path / "next" / "c.png", 3)
    add_images([table(tmp_path / "t", (inside, "healthy"), (outside, "healthy"), ("../next/c.png", "healthy"))], tmp_path / "c")
    assert sorted(records(tmp_path / "c")) == ["table:t/films.csv/b.png", "table:t/films.csv/in/a.png", "table:t/films.csv/next/c.png"]
    export_collection(tmp_path / "c", tmp_path / "c.jsonl")
    assert str(tmp_path) not in (tmp_path / "c.jsonl").read_text()
    assert portable_name(r"C:\Users\ada\film 1.png", tmp_path) == "film 1.png"


def test_sources_of_the_same_name_do_not_hide_each_other(tmp_path):
    film(tmp_path / "one" / "t" / "a.png", 1), film(tmp_path / "two" / "t" / "a.png", 2)
    sources = [table(tmp_path / part / "t", ("a.png", "healthy")) for part in ("one", "two")]
    for _ in range(2):
        add_images(sources, tmp_path / "c")
    assert sorted(records(tmp_path / "c")) == ["table:t/films.csv/a.png", "table:t/films.csv/a.png#2"]


def test_labels_that_stand_for_no_class_stop_it_before_anything_is_written(tmp_path):
    film(tmp_path / "t" / "a.png", 1)
    source = table(tmp_path / "t", ("a.png", "positive"))
    with pytest.raises(ValueError, match="1 × 'positive'"):
        add_images([source], tmp_path / "c")
    assert not (tmp_path / "c").exists()
    add_images([source], tmp_path / "c", choices=ReadingChoices(label_map=("positive=fractured",)))
    assert [record.label for record in records(tmp_path / "c").values()] == ["fractured"]


def test_an_image_without_a_label_is_added_without_one_and_a_subtype_brings_its_class(tmp_path):
    film(tmp_path / "t" / "a.png", 1), film(tmp_path / "t" / "b.png", 2)
    add_images([table(tmp_path / "t", ("a.png", ""), ("b.png", "comminuted"))], tmp_path / "c")
    assert {(r.label, r.subtype, r.label_basis) for r in records(tmp_path / "c").values()} == {
        ("", "", ""), ("beyond_repair", "comminuted", "table"),
    }  # fmt: skip


def test_a_saved_dataset_is_added_row_by_row_with_its_splits(tmp_path):
    build(rows_of(9, region="wrist"), tmp_path / "films")
    added = add_images([str(tmp_path / "films")], tmp_path / "c")
    found = records(tmp_path / "c")
    assert added.result.stored == 9 and {record.label_basis for record in found.values()} == {"dataset"}
    assert {(record.title, record.group, record.region) for record in found.values()} == {(f"i{i}", f"g{i}", "wrist") for i in range(9)}
    assert {record.split for record in found.values()} == {"train", "validation", "test"}


def test_urls_that_wait_for_the_network_go_on_waiting(tmp_path):
    small_collection(tmp_path / "c", base="http://127.0.0.1:9")  # nothing answers there
    added = add_images([str(write_films(tmp_path))], tmp_path / "c")
    assert added.result.stored == 18 and added.result.failed == 0
    assert added.result.states["waiting"] == 1  # later.jpg


def test_collections_and_datasets_are_not_taken_for_each_other(tmp_path):
    small_collection(tmp_path / "c")
    with pytest.raises(SourceError, match="'collection' are not added"):
        add_images([str(tmp_path / "c")], tmp_path / "d")
    build(rows_of(9), tmp_path / "films")
    with pytest.raises(SourceError, match="is a built dataset"):
        add_images([str(write_films(tmp_path / "more"))], tmp_path / "films")


def test_an_added_image_can_be_forgotten_and_does_not_come_back(tmp_path):
    films = write_films(tmp_path)
    add_images([str(films)], tmp_path / "c")
    gone = forget(tmp_path / "c", "folder:films/healthy/3.png")
    assert gone.hashes == (digest((films / "healthy" / "3.png").read_bytes()),)
    add_images([str(films)], tmp_path / "c")
    assert collection_status(tmp_path / "c").images == 17


def test_killed_it_goes_on_where_it_stopped(tmp_path):
    rows = []
    for seed in range(400):
        film(tmp_path / "t" / f"{seed}.png", seed)
        rows.append((f"{seed}.png", "healthy"))
    source, out = table(tmp_path / "t", *rows), tmp_path / "c"
    command = [sys.executable, "-m", "hf_bones.cli.main", "collection", "add", source, "--out", str(out)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            if len(list(out.glob("images/*/*.png"))) >= 20 or running.poll() is not None:
                break
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGKILL)
    finally:
        running.wait()
    before = collection_status(out).images
    assert 0 < before < 400
    done = CliRunner().invoke(app, command[3:])
    assert done.exit_code == 0 and f"this run: {400 - before:,} added, 0 duplicates, 0 refused, 0 failed" in done.output
    status = collection_status(out)
    assert (status.images, status.missing, len(list(out.glob("images/*/*.png")))) == (400, 0, 400)


def test_a_table_may_say_whose_word_a_label_is_and_whether_metal_is_seen(tmp_path):
    film(tmp_path / "t" / "a.png", 1)
    source = table(tmp_path / "t", ("a.png", "healthy", "two readers", "1"), columns=("file", "label", "label_basis", "hardware"))
    (row,) = read_source(source).rows
    assert (row.label_basis, row.hardware) == ("two readers", True)
    add_images([source], tmp_path / "c")
    (one,) = records(tmp_path / "c").values()
    assert (one.label_basis, one.hardware) == ("two readers", True)
