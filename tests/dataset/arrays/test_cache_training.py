"""Training from an array cache: by itself, said so, with the same result. Run: pytest tests/dataset/arrays/test_cache_training.py"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import main, parse_recipe
from small_run import arguments, weights
from tiny import bar_dataset, tiny_checkpoint

from hf_bones.config.recipe import DataConfig
from hf_bones.dataset.arrays.index import RECORD
from hf_bones.dataset.arrays.reading import arrays_folder
from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.finetune import public_places
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json
from hf_bones.training.data.batches import SquareCollator, TrainingRows
from hf_bones.training.data.rows import training_rows
from hf_bones.training.run.checkpoints import prepare_output
from hf_bones.training.run_scheme import noted

SIZE = 56
ROWS = 48 + 18  # of training and validation


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A dataset with its cache, and a small network."""
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    tiny_checkpoint(folder / "start")
    cached(folder / "dataset")
    return folder


def cached(dataset: Path, out: Path | None = None) -> Path:
    folder = arrays_folder(dataset, SIZE, out)
    write_arrays(dataset, SIZE, folder, progress=False)
    return folder


def run(ground: Path, output: Path, *more: str) -> dict:
    assert main(arguments(ground, output, "--epochs", "1", *more)) == 0
    return read_json(output / "record.json")


@pytest.fixture(scope="module")
def without(ground, tmp_path_factory):
    output = tmp_path_factory.mktemp("without") / "run"
    return output, run(ground, output, "--use_arrays", "false")


def assert_same_run(first: Path, second: Path) -> None:
    """The same weights and the same losses, to the last bit."""
    a, b = weights(first), weights(second)
    assert all(torch.equal(a[name], b[name]) for name in a)
    timeless = [
        [{key: value for key, value in entry.items() if "second" not in key and "runtime" not in key} for entry in record["history"]]
        for record in (read_json(first / "record.json"), read_json(second / "record.json"))
    ]
    assert timeless[0] == timeless[1] and any("loss" in entry for entry in timeless[0])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_cache_is_used_by_itself_and_changes_nothing_of_the_result(ground, without, tmp_path, capsys, monkeypatch, workers):
    from hf_bones.training.data import rows as sources

    def never(*_arguments, **_more):
        raise AssertionError("an image was decoded though the cache has it")

    monkeypatch.setattr(sources, "open_image", never)
    record = run(ground, tmp_path / "run", "--data_loader_workers", workers)
    assert f"arrays      {ROWS} of {ROWS} images from the array cache {arrays_folder(ground / 'dataset', SIZE)}" in capsys.readouterr().out
    assert record["data"]["arrays"]["images"] == ROWS
    assert record["data"]["arrays"]["preprocessing"]["size"] == "56 px"
    assert_same_run(tmp_path / "run", without[0])


def test_it_can_be_turned_off_and_the_record_says_so(without):
    assert without[1]["data"]["arrays"] == {"images": 0, "preprocessing": {}}
    assert without[1]["recipe"]["data"]["use_arrays"] is False


def test_damaged_images_are_decoded_and_the_result_is_the_same(ground, without, tmp_path, caplog, capsys):
    copy = shutil.copytree(ground, tmp_path / "ground")
    folder = cached(copy / "dataset")
    (pixels,) = folder.glob("pixels-*.u8")
    content = bytearray(pixels.read_bytes())
    content[:: len(content) // 5] = b"\0" * len(content[:: len(content) // 5])
    pixels.write_bytes(content)
    run(copy, tmp_path / "run")
    assert "decoded from the dataset instead" in caplog.text
    assert_same_run(tmp_path / "run", without[0])


def test_a_cache_of_another_preprocessing_is_named_once_and_not_used(ground, without, tmp_path, caplog, capsys):
    from hf_bones.dataset.arrays.index import Header, read_index, write_index

    copy = shutil.copytree(ground, tmp_path / "ground")
    folder = arrays_folder(copy / "dataset", SIZE)
    index = read_index(folder)
    write_index(folder, Header({**index.header.preprocessing, "Pillow": "9.0"}, index.header.splits, index.header.pixels), index.records)
    record = run(copy, tmp_path / "run")
    assert f"arrays      0 of {ROWS} images from the array cache" in capsys.readouterr().out
    warnings = [entry.getMessage() for entry in caplog.records if "array cache" in entry.getMessage()]
    assert len(warnings) == 1 and "Pillow 9.0 (now " in warnings[0] and f"hf-bones cache {copy / 'dataset'} --size 56" in warnings[0]
    assert record["data"]["arrays"]["images"] == 0
    assert_same_run(tmp_path / "run", without[0])


def test_without_a_cache_the_command_that_makes_one_is_named(ground, tmp_path, capsys):
    copy = shutil.copytree(ground, tmp_path / "ground")
    shutil.rmtree(copy / "dataset" / "arrays")
    run(copy, tmp_path / "run")
    assert f"arrays      none at 56 px: each epoch decodes the images again (hf-bones cache {copy / 'dataset'}" in capsys.readouterr().out


def test_a_cache_elsewhere_is_found_and_its_folder_stays_out_of_the_record(ground, tmp_path, capsys):
    copy = shutil.copytree(ground, tmp_path / "ground")
    shutil.move(copy / "dataset" / "arrays", tmp_path / "far" / "arrays")
    record = run(copy, tmp_path / "run", "--arrays_dir", str(tmp_path / "far" / "arrays"))
    assert f"{ROWS} of {ROWS} images from the array cache {tmp_path / 'far' / 'arrays' / '56'}" in capsys.readouterr().out
    assert record["recipe"]["data"]["arrays_dir"] == "arrays"


def test_a_run_is_resumed_whether_or_not_it_had_a_cache(ground, without):
    for use in ("true", "false"):
        recipe = parse_recipe(arguments(ground, without[0], "--epochs", "1", "--use_arrays", use))
        assert prepare_output(noted(recipe), without[0], resume=True) is not None
    assert "arrays_dir" not in public_places(recipe.data, recipe.model, recipe.distill)


@pytest.mark.parametrize(("start", "count"), [("fork", 2), ("spawn", 1)])
def test_loader_workers_read_the_cache_each_for_itself(ground, start, count):
    rows, _ = training_rows(DataConfig(dataset=str(ground / "dataset")), THREE_CLASS, 0, SIZE)
    plain, _ = training_rows(DataConfig(dataset=str(ground / "dataset"), use_arrays=False), THREE_CLASS, 0, SIZE)
    assert (rows.from_arrays, plain.from_arrays) == (48, 0)
    batches = [
        list(
            torch.utils.data.DataLoader(
                TrainingRows(found.sources, np.asarray(found.labels), SIZE, seed=0),
                batch_size=7,
                collate_fn=SquareCollator(SIZE),
                num_workers=workers,
                multiprocessing_context=start if workers else None,
            )
        )
        for found, workers in ((rows, count), (plain, 0))
    ]
    for mine, theirs in zip(*batches, strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_rows_of_another_size_than_the_caches_are_decoded(ground):
    rows, _ = training_rows(DataConfig(dataset=str(ground / "dataset")), THREE_CLASS, 0, SIZE)
    assert max(rows.sources[0].fitted([3], 40)[0].shape) == 40


def test_licences_and_limits_choose_the_rows_of_the_cache_too(ground):
    config = DataConfig(dataset=str(ground / "dataset"), train_licences=["CC0-1.0"], max_train_rows=12)
    rows, validation = training_rows(config, THREE_CLASS, 0, SIZE)
    assert (rows.from_arrays, validation.from_arrays) == (12, 9)
    source = rows.sources[0]
    for row in range(12):
        assert np.array_equal(source.fitted([row], SIZE)[0], TrainingRows([Plain(source)], np.zeros(12), SIZE, 0)[row]["pixels"])


class Plain:
    """The same images without their arrays."""

    def __init__(self, source) -> None:
        self.pixels, self.count = source.pixels, len(source)

    def __len__(self) -> int:
        return self.count


@pytest.mark.parametrize(("rank", "warnings"), [("0", 1), ("1", 0)])
def test_each_process_has_the_cache_and_one_speaks_of_what_is_wrong(ground, tmp_path, monkeypatch, caplog, rank, warnings):
    copy = shutil.copytree(ground / "dataset", tmp_path / "dataset")
    index = arrays_folder(copy, SIZE) / "index"
    index.write_bytes(index.read_bytes()[: -RECORD.itemsize])  # the last row of the test split
    index.write_bytes(index.read_bytes()[: -20 * RECORD.itemsize])  # and some of validation
    monkeypatch.setenv("RANK", rank)
    rows, validation = training_rows(DataConfig(dataset=str(copy)), THREE_CLASS, 0, SIZE)
    assert (rows.from_arrays, validation.from_arrays) == (48, 15)
    assert len([entry for entry in caplog.records if "array cache" in entry.getMessage()]) == warnings
