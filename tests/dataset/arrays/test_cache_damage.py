"""Array caches that were damaged or left behind: noticed, never read, repaired. Run: pytest tests/dataset/arrays/test_cache_damage.py"""

import ast
import json
import os
import shutil
from importlib import resources
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from small_cache import FILMS, SIZE, decoded, opened, pixels_of, served, write
from small_films import build, encoded, picture, rows_of

from hf_bones.dataset.arrays import index as cache_index
from hf_bones.dataset.arrays import writing as cache_writing
from hf_bones.dataset.arrays.index import read_index, write_index
from hf_bones.dataset.arrays.reading import arrays_folder, folder_states, open_arrays, verify_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.reading.sources import SourceRow


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    stamp = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as a bad disk would: nothing else tells


def assert_repaired(films: Path, damaged: int, decoded_again: int) -> None:
    report = write(films)
    assert (report.damaged, report.decoded) == (damaged, decoded_again)
    assert served(films) == (FILMS, 0)
    assert verify_arrays(films, SIZE, arrays_folder(films, SIZE), progress=False) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_flipped_bit_in_the_pixels_costs_that_image_alone(films, share, caplog):
    file = pixels_of(films)
    flip(file, int(share * file.stat().st_size))
    assert served(films) == (FILMS - 1, 1)
    assert len(caplog.records) == 1
    assert "is damaged" in caplog.text and "decoded from the dataset instead" in caplog.text and str(file.parent) in caplog.text
    assert f"hf-bones cache {films} --size {SIZE}" in caplog.text
    problems = verify_arrays(films, SIZE, arrays_folder(films, SIZE), progress=False)
    assert len(problems) == 1 and problems[0].startswith("1 of ")
    assert_repaired(films, damaged=1, decoded_again=1)


def test_every_flipped_bit_in_the_index_is_noticed(films):
    index = arrays_folder(films, SIZE) / "index"
    whole = index.read_bytes()
    for place in [*range(0, whole.index(b"\n") + 1, 29), *range(whole.index(b"\n") + 1, len(whole), 71)]:
        index.write_bytes(whole)
        flip(index, place)
        there, missing = served(films)
        assert missing == 1 or there == 0
        assert open_arrays(index.parent, SIZE, films).problems
    assert_repaired(films, damaged=1, decoded_again=1)


def test_pixels_that_were_cut_short_are_not_read_past_their_end(films):
    file = pixels_of(films)
    os.truncate(file, file.stat().st_size // 2)
    there, missing = served(films)
    assert there + missing == FILMS and missing >= FILMS // 2
    assert "cut short" in open_arrays(file.parent, SIZE, films).problems[0]
    assert_repaired(films, damaged=missing, decoded_again=missing)


def test_pixels_cut_short_while_they_are_mapped_do_not_kill_the_reader(films):
    arrays = opened(films)["train"]
    assert all(image is not None for image in arrays.read(range(len(arrays))))
    os.truncate(pixels_of(films), 100)
    assert arrays.read(range(len(arrays))) == [None] * len(arrays)


def test_pixels_that_are_gone_are_noticed(films, caplog):
    arrays = opened(films)["train"]
    pixels_of(films).unlink()
    assert arrays.read([0, 1]) == [None, None] and "cannot be mapped" in caplog.text
    assert served(films) == (0, FILMS)
    report = write(films)
    assert report.decoded == FILMS and "is gone" in report.notes[0]


def test_a_record_that_points_at_another_image_is_not_believed(films):
    """Whole records in the wrong order: each checksum holds, and each row still gets its own pixels."""
    folder = arrays_folder(films, SIZE)
    index = read_index(folder)
    write_index(folder, index.header, index.records[::-1])
    assert served(films) == (FILMS, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Pillow": "1.0"}, "Pillow 1.0 (now "),
        ({"opening code": "0" * 16}, "opening code 0000000000000000 (now "),
        ({"size": "31 px"}, "size 31 px (now 32 px)"),
    ],
)
def test_a_cache_made_in_another_way_is_passed_over_whole(films, change, message):
    folder = arrays_folder(films, SIZE)
    index = read_index(folder)
    header = cache_index.Header({**index.header.preprocessing, **change}, index.header.splits, index.header.pixels)
    write_index(folder, header, index.records)
    arrays = open_arrays(folder, SIZE, films)
    assert arrays.splits == {} and message in arrays.problems[0]
    report = write(films)
    assert report.decoded == FILMS and message in report.notes[0]
    assert served(films) == (FILMS, 0)


def test_the_key_covers_all_code_that_opens_and_scales():
    package = resources.files("hf_bones")
    seen: set[str] = set()
    waiting = ["images/opening", "preprocess"]
    while waiting:
        name = waiting.pop()
        seen.add(f"{name}.py")
        for node in ast.walk(ast.parse((package / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hf_bones."):
                found = node.module.removeprefix("hf_bones.").replace(".", "/")
                files = [found] if (package / f"{found}.py").is_file() else [f"{found}/{each.name}" for each in node.names]
                waiting += [file for file in files if f"{file}.py" not in seen]
    assert seen == set(cache_index._OPENING_CODE)


def test_a_dataset_built_anew_keeps_the_arrays_of_the_images_it_still_has(films):
    rows = rows_of(FILMS)
    rows[4:6] = [SourceRow("fractured", content=encoded(picture(500 + i)), group=f"new{i}", source="s", image_id=f"n{i}") for i in range(2)]
    build(rows, films, overwrite=True)
    arrays = open_arrays(arrays_folder(films, SIZE), SIZE, films)
    assert "new or changed" in arrays.problems[0]
    assert served(films) == (FILMS - 2, 2)
    report = write(films)
    assert (report.decoded, report.kept) == (2, FILMS - 2)
    assert served(films) == (FILMS, 0)
    assert report.pixel_bytes == pytest.approx(report.used_bytes, rel=0.01)


def test_the_same_original_stored_in_another_size_is_another_image(films):
    """`--max-side` changes the pixels that a dataset stores, and not the column `sha256`."""
    before = load_bones(films)["train"]["sha256"][:]
    build(rows_of(FILMS), films, overwrite=True, max_side=40)
    assert load_bones(films)["train"]["sha256"][:] == before
    assert served(films) == (0, FILMS)


def test_a_dataset_whose_files_were_only_copied_is_read_through_their_hashes(films, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(films, copy, copy_function=shutil.copyfile)
    assert opened(copy).problems == () and opened(copy).hashed and not opened(films).hashed
    assert served(copy) == (FILMS, 0)
    assert write(copy).decoded == 0
    assert not opened(copy).hashed


def test_a_dataset_replaced_while_it_was_loaded_is_not_taken_for_the_one_that_was(films):
    """The rows at hand are the old ones, the files and the cache the new ones."""
    states, parts = folder_states(films), load_bones(films)
    old = {split: decoded(part) for split, part in parts.items()}
    build(list(reversed(rows_of(FILMS))), films, overwrite=True)
    write(films)
    arrays = open_arrays(arrays_folder(films, SIZE), SIZE, films, parts, states)
    assert arrays.hashed
    for split, wanted in old.items():
        assert all(np.array_equal(*pair) for pair in zip(arrays[split].read(range(len(wanted))), wanted, strict=True))


def test_a_dataset_replaced_while_it_was_cached_is_hashed_afterwards(films, monkeypatch):
    hash_all = cache_writing._hash_all

    def replaced_meanwhile(parts, progress):
        found = hash_all(parts, progress)
        build(list(reversed(rows_of(FILMS))), films, overwrite=True)
        return found

    shutil.rmtree(films / "arrays")
    monkeypatch.setattr(cache_writing, "_hash_all", replaced_meanwhile)
    write(films, out=films.parent / "far")
    arrays = open_arrays(films.parent / "far" / str(SIZE), SIZE, films)
    assert arrays.hashed and served(films, films.parent / "far") == (FILMS, 0)


def test_images_that_the_dataset_only_names_are_hashed_each_time(films):
    part = load_bones(films)["train"].cast_column("image", datasets.Image(decode=False))
    files = [films / f"{row}.png" for row in range(len(part))]
    for file, cell in zip(files, part["image"], strict=True):
        file.write_bytes(cell["bytes"])
    table = part.data.table
    named = pa.array([{"bytes": None, "path": str(file)} for file in files], table.schema.field("image").type)
    table = table.set_column(table.schema.get_field_index("image"), table.schema.field("image"), named)
    stored = films / "train" / part.cache_files[0]["filename"].rpartition("/")[2]
    stored.unlink()  # the old content is still mapped
    with pa.OSFile(str(stored), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert write(films).decoded == 0
    files[1].write_bytes(encoded(picture(700)))
    arrays = opened(films)
    assert [image is None for image in arrays["train"].read(range(3))] == [False, True, False]


def test_a_newer_format_is_said_to_be_one(films):
    index = arrays_folder(films, SIZE) / "index"
    line, _, body = index.read_bytes().partition(b"\n")
    header = json.loads(line.partition(b" ")[2])
    text = json.dumps({**header, "format": 99}).encode()
    index.write_bytes(cache_index._hex(text) + b" " + text + b"\n" + body)
    assert "format 99" in open_arrays(index.parent, SIZE, films).problems[0]
