"""Array caches: what is written, where it lies, what is read. Run: pytest tests/dataset/arrays/test_cache.py"""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cache import SIZE, cached_films, decoded, opened, write
from small_films import build, encoded, picture

from hf_bones.dataset.arrays.index import read_index
from hf_bones.dataset.arrays.reading import arrays_folder, open_arrays
from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.images.opening import open_image
from hf_bones.preprocess import fit_to


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return cached_films(tmp_path_factory.mktemp("films") / "dataset")


def part_of(stored):
    """A split that holds these encoded images."""
    cells = [{"image": {"bytes": data, "path": None}} for data in stored]
    return datasets.Dataset.from_list(cells, features=datasets.Features({"image": datasets.Image()}))


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine is not None and mine.dtype == np.uint8 and np.array_equal(mine, theirs)


def test_each_row_comes_back_as_training_would_decode_it(films):
    arrays = opened(films)
    assert arrays.problems == ()
    for split, part in load_bones(films).items():
        assert_same(arrays[split].read(range(len(part))), decoded(part))


@settings(max_examples=25)
@given(
    shapes=st.lists(st.tuples(st.integers(32, 300), st.integers(32, 300)), min_size=1, max_size=4),
    size=st.sampled_from([16, 55, 160, 224]),
    kind=st.sampled_from(["PNG", "JPEG", "16 bit", "colour"]),
)
def test_pixels_are_bit_equal_for_any_shape_size_and_format(tmp_path_factory, shapes, size, kind):
    stored = []
    for seed, shape in enumerate(shapes):
        grey = picture(seed, shape)
        if kind == "16 bit":
            stored.append(encoded(grey.astype(np.uint16) * 200 + 7))
        elif kind == "colour":
            stored.append(encoded(np.stack([grey, grey // 2, grey // 3], axis=-1)))
        else:
            stored.append(encoded(grey, kind))
    part = part_of(stored)
    folder = tmp_path_factory.mktemp("any")
    assert write_arrays({"train": part}, size, folder, progress=False).decoded == len(set(stored))
    arrays = open_arrays(folder, size, "", {"train": part})
    assert arrays is not None and arrays.problems == ()
    assert_same(arrays["train"].read(range(len(part))), [fit_to(open_image(data).pixels, size) for data in stored])


def test_the_files_hold_the_pixels_and_little_else(films):
    folder = arrays_folder(films, SIZE)
    wanted = [image for part in load_bones(films).values() for image in decoded(part)]
    (pixels,) = folder.glob("pixels-*.u8")
    assert pixels.stat().st_size == sum(image.size for image in wanted)
    assert read_index(folder).records.nbytes <= 70 * len(wanted)


def test_rows_are_read_in_any_order_and_more_than_once(films):
    part = load_bones(films)["train"]
    wanted = decoded(part)
    order = np.random.default_rng(0).integers(0, len(part), 50).tolist()
    assert_same(opened(films)["train"].read(order), [wanted[row] for row in order])
    chosen = opened(films)["train"].select([5, 3, 8])
    assert_same(chosen.read([2, 0]), [wanted[8], wanted[5]])


def test_what_was_read_is_the_readers_own(films):
    arrays = opened(films)["train"]
    first, again = arrays.read([0, 0])
    arrays.cache.close()
    assert np.array_equal(first, again)
    assert_same(arrays.read([0]), [first])


def test_identical_images_are_stored_once_and_each_row_has_them(tmp_path):
    same = encoded(picture(1))
    rows = [SourceRow("healthy", content=same, group="g", image_id=f"i{i}") for i in range(4)]
    rows += [SourceRow("healthy", content=encoded(picture(i)), group=f"h{i}", image_id=f"j{i}") for i in (2, 3)]
    build(rows, tmp_path / "dataset")
    report = write(tmp_path / "dataset")
    assert (report.images, report.decoded, report.kept) == (6, 3, 0)
    arrays = opened(tmp_path / "dataset")
    for split, part in load_bones(tmp_path / "dataset").items():
        assert_same(arrays[split].read(range(len(part))), decoded(part))
    assert report.pixel_bytes == report.used_bytes == 3 * fit_to(picture(1), SIZE).size


def test_a_second_run_decodes_nothing(films):
    before = (arrays_folder(films, SIZE) / "index").read_bytes()
    report = write(films)
    assert (report.decoded, report.kept, report.damaged, report.notes) == (0, 30, 0, [])
    assert (arrays_folder(films, SIZE) / "index").read_bytes() == before


def test_a_dataset_has_a_cache_of_its_own_for_each_size(films):
    write(films, 48)
    assert arrays_folder(films, 48) == films / "arrays" / "48"
    part = load_bones(films)["validation"]
    for size in (SIZE, 48):
        assert_same(opened(films, size)["validation"].read(range(len(part))), decoded(part, size))


def test_where_a_cache_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert arrays_folder(tmp_path, 224) == tmp_path / "arrays" / "224"
    assert arrays_folder("someone/films", 224) == tmp_path / "cache" / "hf-bones" / "arrays" / "someone--films" / "224"
    assert arrays_folder("someone/films", 224, tmp_path / "elsewhere") == tmp_path / "elsewhere" / "224"


def test_a_cache_beside_the_dataset_does_not_disturb_loading(films):
    assert len(datasets.load_dataset(str(films), split="train")) == len(load_bones(films)["train"])


def test_no_cache_is_none_and_not_an_error(films, tmp_path):
    assert open_arrays(tmp_path / "nothing", SIZE, films) is None


def test_an_image_that_cannot_be_opened_is_named_and_the_others_are_there(tmp_path):
    part = part_of([encoded(picture(0)), b"not an image", encoded(picture(2))])
    report = write_arrays({"train": part}, SIZE, tmp_path, progress=False)
    assert report.decoded == 2 and len(report.refused) == 1 and report.refused[0].startswith("train/1: not_an_image")
    arrays = open_arrays(tmp_path, SIZE, "", {"train": part})
    assert [image is None for image in arrays["train"].read(range(3))] == [False, True, False]
    assert "1 images of train are not in it" in arrays.problems[0] or "1 of 3 images of train" in arrays.problems[0]


def test_many_threads_may_read_at_once(films):
    arrays = opened(films)["train"]
    wanted = decoded(load_bones(films)["train"])
    orders = [np.random.default_rng(seed).permutation(len(wanted)).tolist() for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for order, found in zip(orders, pool.map(arrays.read, orders), strict=True):
            assert_same(found, [wanted[row] for row in order])


def test_other_processes_read_while_a_run_writes(films, tmp_path):
    script = """
import json, pickle, sys
arrays = pickle.loads(bytes.fromhex(sys.stdin.read()))
count = len(arrays)
same = all(all(image is not None for image in arrays.read(range(count))) for _ in range(200))
print(json.dumps(bool(same)))
"""
    handed = pickle.dumps(opened(films)["train"]).hex()
    readers = [subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for reader in readers:
        reader.stdin.write(handed)
        reader.stdin.close()
    for _ in range(5):
        assert write(films).decoded == 0
    assert [json.loads(reader.stdout.read()) for reader in readers] == [True, True]
    assert [reader.wait() for reader in readers] == [0, 0]


def test_an_unchanged_dataset_needs_neither_torch_nor_datasets(films):
    script = """
import sys
from pathlib import Path
from hf_bones.dataset.arrays.reading import arrays_folder, open_arrays
arrays = open_arrays(arrays_folder(sys.argv[1], 32), 32, Path(sys.argv[1]))
assert arrays["train"].read([0])[0] is not None and not arrays.problems
print(sorted({"torch", "datasets", "pandas", "transformers"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(films)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
