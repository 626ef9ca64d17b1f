"""Rows of Parquet shards: their order, columns, licences and damage. Run: pytest tests/training/data/test_streamed_rows.py"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from command_line import main, parse_recipe
from small_shards import arguments, config, rewritten

from hf_bones.config.recipe import DataConfig, RecipeError
from hf_bones.dataset.schema import DatasetSchemaError
from hf_bones.dataset.streamed.shards import find_shards
from hf_bones.labels import THREE_CLASS
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.read_ahead import ReadAhead
from hf_bones.training.data.rows import training_rows
from hf_bones.training.data.streaming import StreamSampler, stream_sampler
from hf_bones.training.errors import DamagedImageError, ShardsOutOfReachError
from hf_bones.training.run.watch import says_what_to_change


def sampler(rows: int = 4000, group: int = 50, batch: int = 16, lanes: int = 8, seed: int = 0, ahead: ReadAhead | None = None):
    return StreamSampler(np.zeros(rows, dtype=int), np.arange(rows) // group, seed, batch, lanes, ahead)


def test_each_row_is_seen_once_an_epoch_in_an_order_of_its_own():
    drawn = sampler(rows=53, group=7, batch=8, lanes=4)
    orders = [drawn.order(epoch) for epoch in range(8)]
    assert all(len(order) == len(set(order.tolist())) == 48 for order in orders)
    assert len({tuple(order) for order in orders}) == 8
    assert set(np.concatenate(orders).tolist()) == set(range(53)), "what is left over differs from epoch to epoch"
    assert np.array_equal(drawn.order(3), sampler(rows=53, group=7, batch=8, lanes=4).order(3))


def test_a_row_group_is_read_once_while_few_are_in_play():
    drawn = sampler()
    kept: OrderedDict[int, None] = OrderedDict()
    fetched = 0
    for unit in drawn.units[drawn.order(0)]:
        fetched += unit not in kept
        kept[unit] = kept.pop(unit, None)
        if len(kept) > 12:  # one and a half times the lanes, as the disk is asked to hold
            kept.popitem(last=False)
    assert fetched <= 80 + 8, "80 row groups, those between two lanes twice"


def test_a_batch_is_mixed_from_all_row_groups_in_play():
    drawn = sampler()
    batches = drawn.units[drawn.order(0)].reshape(-1, 16)
    assert min(len(set(batch.tolist())) for batch in batches) >= 7
    of_first, of_second = set(batches[:, :8].ravel().tolist()), set(batches[:, 8:].ravel().tolist())
    assert len(of_first & of_second) <= 8, "two machines read different row groups"


class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, key):
        return torch.tensor(key)

    def __len__(self):
        return 53


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_see_the_rows_between_them_once_and_with_the_same_draws(processes):
    shares = []
    for rank in range(processes):
        loader = torch.utils.data.DataLoader(
            Numbers(), batch_size=8 // processes, sampler=sampler(rows=53, group=7, batch=8, lanes=4), drop_last=False
        )
        shard = prepare_data_loader(loader, num_processes=processes, process_index=rank, put_on_device=False, rng_types=[])
        shard.set_epoch(1)
        shares.append(torch.cat(list(shard)))
    alone = torch.tensor(list(sampler_at(1)))
    together = torch.cat(shares)
    assert torch.equal(together[together[:, 1].argsort()], alone)
    assert len(set(together[:, 0].tolist())) == 48


def sampler_at(epoch: int) -> StreamSampler:
    drawn = sampler(rows=53, group=7, batch=8, lanes=4)
    drawn.set_epoch(epoch)
    return drawn


def test_streamed_rows_are_those_of_the_dataset(ground, tmp_path):
    streamed = training_rows(config(ground, tmp_path), THREE_CLASS, 0)
    stored = training_rows(DataConfig(dataset=str(ground / "dataset")), THREE_CLASS, 0)
    for mine, theirs in zip(streamed, stored, strict=True):
        for name in ("labels", "groups", "licences", "origins", "hashes", "synthetic", "regions"):
            assert getattr(mine, name) == getattr(theirs, name)
        assert all(np.array_equal(mine.sources[0].pixels(row), theirs.sources[0].pixels(row)) for row in range(len(mine)))
        assert [mine.sources[0].boxes(row) for row in range(6)] == [theirs.sources[0].boxes(row) for row in range(6)]


def test_only_rows_of_the_wanted_licences_are_seen(ground, tmp_path):
    train_rows, _ = training_rows(config(ground, tmp_path, train_licences=["CC0-1.0"]), THREE_CLASS, 0)
    stored, _ = training_rows(DataConfig(dataset=str(ground / "dataset"), train_licences=["CC0-1.0"]), THREE_CLASS, 0)
    assert train_rows.hashes == stored.hashes and set(train_rows.licences) == {"CC0-1.0"}
    assert all(np.array_equal(train_rows.sources[0].pixels(row), stored.sources[0].pixels(row)) for row in (0, 11, 23))


def test_loader_workers_share_what_is_fetched(ground, tmp_path):
    rows, _ = training_rows(config(ground, tmp_path), THREE_CLASS, 0)
    labels = np.asarray(rows.labels)
    data = TrainingRows(rows.sources, labels, 56, seed=0)
    order = StreamSampler(labels, rows.stream.units, 0, 8, 4)
    for copy, workers in ((data, 2), (pickle.loads(pickle.dumps(data)), 0)):  # as forked workers have it, and as spawned ones do
        loader = torch.utils.data.DataLoader(copy, batch_size=8, sampler=order, collate_fn=list, num_workers=workers)
        seen = [row["label"] for batch in loader for row in batch]
        assert seen == labels[order.order(0)].tolist()
    assert len(list((tmp_path / "groups").glob("*.arrow"))) == len(rows.stream.index.sizes) == 12


def with_label(values) -> pa.Table:
    def change(table: pa.Table) -> pa.Table:
        schema = table.schema.remove_metadata()
        place = table.column_names.index("label")
        return table.cast(schema).set_column(place, "label", values(table["label"]))

    return change


def test_labels_may_be_words(ground, tmp_path):
    words = with_label(lambda column: pa.array([THREE_CLASS.names[label] for label in column.to_pylist()]))
    rows, _ = training_rows(rewritten(ground, tmp_path, words), THREE_CLASS, 0)
    assert rows.labels == training_rows(config(ground, tmp_path), THREE_CLASS, 0)[0].labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_label(lambda column: column), "not classes by name"),
        (with_label(lambda column: pa.array(["healthy", None] * (len(column) // 2))), "rows of .* have no label"),
        (with_label(lambda column: pa.array(["fractred"] * len(column))), "has no class .'fractred'.*did you mean 'fractured'"),
        (lambda table: table.drop_columns("label"), "no column label; it has image"),
        (
            lambda table: table.set_column(table.column_names.index("group"), "group", pa.array(["g1000"] * len(table))),
            "groups are in both",
        ),
    ],
)
def test_what_is_wrong_with_the_columns_is_named(ground, tmp_path, change, message):
    with pytest.raises((RecipeError, DatasetSchemaError), match=message):
        training_rows(rewritten(ground, tmp_path, change), THREE_CLASS, 0)


def test_shards_without_optional_columns_are_read_and_a_lack_of_groups_is_said(ground, tmp_path, caplog):
    found = rewritten(ground, tmp_path, lambda table: table.select(["image", "label"]))
    rows, _ = training_rows(found, THREE_CLASS, 0)
    assert len(set(rows.groups)) == len(set(rows.hashes)) == 48 and set(rows.licences) == {"unknown"}
    assert "has no column 'group'" in caplog.text
    found.train_licences = ["CC0-1.0"]
    with pytest.raises(RecipeError, match=r"train_licences: .* has no column 'licence'"):
        training_rows(found, THREE_CLASS, 0)


def test_rows_without_a_value_stand_for_themselves(ground, tmp_path):
    def change(table: pa.Table) -> pa.Table:
        groups = [None if row % 2 else group for row, group in enumerate(table["group"].to_pylist())]
        return table.set_column(table.column_names.index("group"), "group", pa.array(groups, pa.string()))

    rows, _ = training_rows(rewritten(ground, tmp_path, change), THREE_CLASS, 0)
    assert len(set(rows.groups)) == 48 and None not in rows.groups and rows.groups[0] == "g0"


def test_a_damaged_image_is_named_by_its_place(ground, tmp_path):
    def change(table: pa.Table) -> pa.Table:
        images = table["image"].to_pylist()
        images[7]["bytes"] = b"no image"
        return table.set_column(table.column_names.index("image"), "image", pa.array(images, table.schema.field("image").type))

    rows, _ = training_rows(rewritten(ground, tmp_path, change), THREE_CLASS, 0)
    with pytest.raises(DamagedImageError, match=r"row 2 of row group 1 in train-00000-of-00003\.parquet"):
        rows.sources[0].pixels(7)


def test_a_row_group_that_cannot_be_fetched_ends_the_run_with_what_to_do(ground, tmp_path):
    found = rewritten(ground, tmp_path, lambda table: table)
    rows, _ = training_rows(found, THREE_CLASS, 0)
    Path(rows.stream.index.files[1]).unlink()
    loader = torch.utils.data.DataLoader(TrainingRows(rows.sources, np.asarray(rows.labels), 56, 0), batch_size=8, num_workers=1)

    @says_what_to_change
    def read(recipe):
        return list(loader)

    with pytest.raises(
        ShardsOutOfReachError, match=r"^dataset: row group 0 of train-00001-of-00003\.parquet could not be fetched: .*resumes"
    ):
        read(parse_recipe(arguments(ground, tmp_path / "run")))


def test_drawn_rows_are_mixed_in(ground, tmp_path):
    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--drawn_images", "12"))
    rows, _ = training_rows(recipe.data, THREE_CLASS, 0)
    drawn = stream_sampler(rows, recipe.data.stream_row_groups, recipe.training.batch_size, recipe.training.seed)
    assert sorted(drawn.order(0)[:60].tolist()) == sorted(set(drawn.order(0).tolist())) and len(drawn) == 56
    places = np.flatnonzero(drawn.order(0) >= 48)
    assert len(places) >= 8 and places.max() - places.min() > 20, "not all at once"
    next(iter(drawn))


def test_images_that_are_only_named_are_refused(ground, tmp_path):
    def change(table: pa.Table) -> pa.Table:
        images = [{"bytes": None, "path": "/far/away.png"} for _ in range(len(table))]
        return table.set_column(table.column_names.index("image"), "image", pa.array(images, table.schema.field("image").type))

    rows, _ = training_rows(rewritten(ground, tmp_path, change), THREE_CLASS, 0)
    with pytest.raises(DatasetSchemaError, match="only named by"):
        rows.sources[0].pixels(0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sampling", "balanced"], "streaming: true and sampling: balanced: .*set sampling to uniform"),
        (["--max_train_rows", "20"], "max_train_rows: .*use max_steps"),
        (["--stream_row_groups", "0"], r"stream_row_groups: expected a number in \[1"),
        (["--stream_gb", "1e-5"], "stream_gb: 4 row groups at a time take .*lower stream_row_groups"),
        (["--label_scheme", "two-class"], "has no class .'beyond_repair'"),
    ],
)
def test_keys_that_do_not_go_with_streaming_are_named(ground, tmp_path, capsys, more, message):
    assert main(arguments(ground, tmp_path / "run", *more)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_built_folder_is_refused_with_what_to_do(ground, tmp_path):
    with pytest.raises(DatasetSchemaError, match=r"Parquet shards, not \.arrow.*needs no streaming.*push_to_hub"):
        find_shards(str(ground / "dataset"))


def test_a_missing_split_is_named(ground, tmp_path):
    shards = find_shards(str(ground / "shards"))
    shards.pop("validation")
    with pytest.raises(RecipeError, match="no 'validation' split"):
        training_rows(config(ground, tmp_path), THREE_CLASS, 0, shards=shards)
