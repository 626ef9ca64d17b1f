"""Training from Parquet shards without a copy of them. Run: pytest tests/training/data/test_streaming.py"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from command_line import main, parse_recipe
from hub_server import HubServer, hub  # noqa: F401 - a fixture
from test_trainer import ROOT, assert_same_weights, last_step
from tiny import bar_dataset, tiny_checkpoint
from transformers import TrainerCallback
from two_processes import free_port, launch_environment

from hf_bones.config.recipe import DataConfig, RecipeError
from hf_bones.dataset.schema import DatasetSchemaError
from hf_bones.dataset.streamed.row_groups import RowGroupFiles
from hf_bones.dataset.streamed.shards import commit_of, find_shards, kept_index, read_index
from hf_bones.finetune import public_places
from hf_bones.labels import THREE_CLASS
from hf_bones.record import read_json
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.read_ahead import ReadAhead
from hf_bones.training.data.rows import training_rows
from hf_bones.training.data.streaming import SHARDS_FILE, StreamSampler, run_shards, stream_sampler
from hf_bones.training.errors import DamagedImageError, ShardsOutOfReachError
from hf_bones.training.run.watch import says_what_to_change
from hf_bones.training.trainer import train

GROUP = 5  # rows of a row group


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Path:
    """A built dataset, the same one as shards, and a checkpoint to start from."""
    from datasets import load_from_disk

    folder = tmp_path_factory.mktemp("ground")
    built = load_from_disk(str(bar_dataset(folder / "dataset")))
    for split, part in built.items():
        for number in range(3):
            place = folder / "shards" / "data" / f"{split}-{number:05d}-of-00003.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            part.shard(3, number, contiguous=True).to_parquet(place, batch_size=GROUP)
    tiny_checkpoint(folder / "start")
    return folder


def config(ground: Path, folder: Path, **changes) -> DataConfig:
    settings = {"dataset": str(ground / "shards"), "streaming": True, "stream_dir": str(folder / "groups"), "stream_row_groups": 4}
    return DataConfig(**{**settings, **changes})


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--recipe", "quickstart", "--cpu", "true", "--model", str(ground / "start"), "--trainable", "all", "--image_size", "56"),
        *("--dataset", str(ground / "shards"), "--streaming", "true", "--stream_dir", str(output.parent / "groups")),
        *("--stream_row_groups", "4", "--drawn_images", "0", "--drawn_validation_images", "0", "--output_dir", str(output)),
        *("--batch_size", "8", "--epochs", "2", "--learning_rate", "3e-3", "--head_learning_rate", "3e-3", "--head_start", "random", *more),
    ]


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


def rewritten(ground: Path, folder: Path, change) -> DataConfig:
    """The shards, each train table changed."""
    for path in (ground / "shards" / "data").glob("*.parquet"):
        table = pq.read_table(path)
        place = folder / "shards" / "data" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(change(table) if path.name.startswith("train") else table, place, row_group_size=GROUP)
    return config(folder, folder)


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
        ShardsOutOfReachError, match=r"^dataset: row group 0 of train-00001-of-00003\.parquet could not be fetched: .*goes on"
    ):
        read(parse_recipe(arguments(ground, tmp_path / "run")))


def test_drawn_rows_are_mixed_in(ground, tmp_path):
    recipe = parse_recipe(arguments(ground, tmp_path / "run", "--drawn_images", "12"))
    rows, _ = training_rows(recipe.data, THREE_CLASS, 0)
    drawn = stream_sampler(rows, recipe)
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
        (["--sampling", "balanced"], "sampling: balanced .*streaming"),
        (["--max_train_rows", "20"], "max_train_rows: .*use max_steps"),
        (["--stream_row_groups", "0"], "stream_row_groups: expected at least 1"),
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


def test_the_index_is_read_once_for_all_runs_until_a_shard_changes(ground, tmp_path):
    shards = find_shards(str(rewritten(ground, tmp_path, lambda table: table).dataset))["train"]
    first = kept_index(shards, "bars", tmp_path / "groups", progress=False)
    kept = next((tmp_path / "groups").glob("*.index"))
    again = kept_index(shards, "bars", tmp_path / "groups", progress=False)
    assert again.table.equals(first.table) and again.files == first.files
    for name in ("units", "places", "shards", "row_groups", "sizes"):
        assert np.array_equal(getattr(again, name), getattr(first, name))
    assert np.bincount(first.units).tolist() == [5, 5, 5, 1] * 3
    os.utime(shards[0], ns=(1, 1))
    kept_index(shards, "bars", tmp_path / "groups", progress=False)
    assert {path.name for path in (tmp_path / "groups").glob("*.index")} > {kept.name}


def test_row_groups_on_disk_keep_to_the_limit_and_stay_readable_while_open(ground, tmp_path):
    shard = find_shards(str(ground / "shards"))["train"][0]
    sizes = read_index([shard], "bars", progress=False).sizes
    files = RowGroupFiles(tmp_path / "groups", limit=int(3 * sizes.max()))
    held = files.images(shard, 0)
    before = held.to_pylist()
    for number in (1, 2, 3):
        files.images(shard, number)
        time.sleep(0.02)  # times of use differ
    there = list((tmp_path / "groups").glob("*.arrow"))
    assert files.path(shard, 0) not in there and sum(path.stat().st_size for path in there) <= files.limit
    assert held.to_pylist() == before
    assert RowGroupFiles(tmp_path / "groups", files.limit).images(shard, 0).to_pylist() == before, "fetched anew"
    assert not list((tmp_path / "groups").glob("*.partial"))


def test_a_row_group_is_fetched_by_one_of_those_that_ask_together(ground, tmp_path, monkeypatch):
    from hf_bones.dataset.streamed import row_groups

    shard = find_shards(str(ground / "shards"))["train"][0]
    read, reads = row_groups._read_images, []
    monkeypatch.setattr(row_groups, "_read_images", lambda *place: (reads.append(place), time.sleep(0.05), read(*place))[-1])
    askers = [threading.Thread(target=RowGroupFiles(tmp_path, 10**9).images, args=(shard, 1)) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert reads == [(shard, 1)]


def test_what_comes_next_is_fetched_ahead_by_the_process_that_will_see_it(monkeypatch, caplog):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    fetched: list[int] = []

    def fetch(unit: int) -> None:
        fetched.append(unit)
        if unit == 4:
            raise OSError("no network")

    ahead = ReadAhead(fetch, window=4)
    units = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9])
    ahead.plan(units, batch_size=4)  # the second half of each batch is this process's
    waited(lambda: len(fetched) == 1)
    assert fetched == [1]
    ahead.at(12)  # a resumed run has passed 3 and 5
    waited(lambda: len(fetched) == 2)
    assert fetched == [1, 7]
    ahead.stop()
    ahead.at(16)
    assert fetched == [1, 7]
    ahead.plan(np.array([4]), batch_size=1)
    monkeypatch.setenv("RANK", "0")
    ahead.plan(np.array([4]), batch_size=1)
    waited(lambda: "no network" in caplog.text)


def waited(done, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done()


class Stop(TrainerCallback):
    """Ends a run as a lost machine would, after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise InterruptedError("lost")


@pytest.fixture(scope="module")
def whole(ground, tmp_path_factory) -> Path:
    """One uninterrupted run in one process, from the folder of shards."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert main(arguments(ground, output, "--evaluations_per_epoch", "2")) == 0
    return output


def test_a_run_stopped_in_an_epoch_goes_on_with_the_shards_that_it_began_with(ground, whole, tmp_path):
    found = rewritten(ground, tmp_path, lambda table: table)
    # Six batches an epoch, a checkpoint after every third.
    recipe = parse_recipe(arguments(tmp_path, tmp_path / "run", "--evaluations_per_epoch", "2", "--model", str(ground / "start")))
    with pytest.raises(InterruptedError):
        train(recipe, callbacks=[Stop(step=4)])
    assert last_step(tmp_path / "run").name == "checkpoint-3"
    extra = Path(found.dataset) / "data" / "train-00003-of-00003.parquet"
    extra.write_bytes(next(extra.parent.glob("train-*")).read_bytes())
    assert run_shards(recipe, tmp_path / "run", resumed=True) != find_shards(found.dataset)
    trained = train(recipe)
    assert trained.data["streamed"] == {"commit": None, "shards": 3, "row_groups": 12}
    assert_same_weights(last_step(tmp_path / "run"), last_step(whole), atol=1e-6)


def test_the_folder_of_row_groups_stays_out_of_the_record(ground, tmp_path):
    recipe = parse_recipe(arguments(ground, tmp_path / "run"))
    assert public_places(recipe.data, recipe.model, recipe.distill)["stream_dir"] == "groups"


PUSH = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("ada/bars", repo_type="dataset", private=True)
api.upload_folder(repo_id="ada/bars", repo_type="dataset", folder_path=sys.argv[1])
"""


def test_two_processes_stream_from_the_hub_to_what_one_reaches_from_a_folder(ground, whole, tmp_path, hub: HubServer):  # noqa: F811
    hub.run_python(PUSH, tmp_path / "home", str(ground / "shards"))
    hub.requests.clear()
    output = tmp_path / "run"
    more = ("--evaluations_per_epoch", "2", "--dataset", "ada/bars", "--processes", "2", "--data_loader_workers", "1")
    port = free_port()
    both = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments(ground, output, *more)],
            env=hub.environment(tmp_path / "home") | launch_environment(rank, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        for rank in (0, 1)
    ]
    printed = [process.communicate(timeout=400)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed[0][-3000:]
    commit = hub.repo("ada/bars", "dataset").branches["main"]
    assert f"of 3 shards at commit {commit[:8]}, 4 at a time" in printed[0]
    assert_same_weights(last_step(output), last_step(whole), atol=2e-4)
    ranges = [path for method, path, status in hub.requests if status == 206]
    # 12 + 6 row groups of images, each fetched once by whichever process was first; footers and small columns of six shards.
    assert len(ranges) <= 18 + 6 * 8
    assert {commit_of(shard) for shard in read_json(output / SHARDS_FILE)["shards"]["train"]} == {commit}
