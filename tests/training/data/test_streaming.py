"""Training from Parquet shards without a copy of them. Run: pytest tests/training/data/test_streaming.py"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import main, parse_recipe
from hub_server import HubServer
from repository import ROOT
from small_run import StopAt, assert_same_weights, last_step
from small_shards import arguments, rewritten
from two_processes import free_port, launch_environment

from hf_bones.dataset.streamed.row_groups import RowGroupFiles
from hf_bones.dataset.streamed.shards import commit_of, find_shards, kept_index, read_index
from hf_bones.finetune import public_places
from hf_bones.record import read_json
from hf_bones.training.data.read_ahead import ReadAhead
from hf_bones.training.data.streaming import SHARDS_FILE, run_shards
from hf_bones.training.trainer import train


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
    with pytest.raises(KeyboardInterrupt):
        train(recipe, callbacks=[StopAt(4)])
    assert last_step(tmp_path / "run").name == "checkpoint-3"
    extra = Path(found.dataset) / "data" / "train-00003-of-00003.parquet"
    extra.write_bytes(next(extra.parent.glob("train-*")).read_bytes())
    assert run_shards(recipe.data, recipe.training, resumed=True) != find_shards(found.dataset)
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


def test_two_processes_stream_from_the_hub_to_what_one_reaches_from_a_folder(ground, whole, tmp_path, hub: HubServer):
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
