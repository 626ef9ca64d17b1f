"""A checkpoint that is not as it was written is not resumed from; one run at a time writes into a folder; a full disk is a sentence.

Run: pytest tests/training/run/test_damaged_checkpoints.py
"""

import resource
import shutil
from pathlib import Path

import pytest
from command_line import main, parse_recipe
from small_run import arguments, last_step

from hf_bones.record import read_json
from hf_bones.training.errors import DamagedCheckpointError, DiskFullError
from hf_bones.training.run.checkpoints import best_whole_checkpoint, has_fitted_start, last_complete_checkpoint, numbered, prepare_output
from hf_bones.training.run.hashes import HASHES, damaged_files, write_hashes
from hf_bones.training.run.lock import LOCK, run_lock
from hf_bones.training.trainer import train


@pytest.fixture(scope="module")
def finished(smaller, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished") / "run"
    assert main(arguments(smaller, output, "--epochs", "3")) == 0
    return output


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_each_checkpoint_has_the_hashes_of_all_its_files(finished):
    folders = numbered(finished)
    assert len(folders) == 2
    for folder in [*folders, finished / "start"]:
        assert set(read_json(folder / HASHES)) == {path.name for path in folder.iterdir()} - {HASHES}
        assert damaged_files(folder) == []
    assert not (finished / LOCK).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", HASHES])
def test_a_flipped_bit_is_noticed_in_every_file_and_the_checkpoint_before_is_taken(copy, name, caplog):
    newest, before = numbered(copy)
    if name == HASHES:
        (newest / HASHES).write_text("{")
    else:
        flip_a_bit(newest / name)
    assert last_complete_checkpoint(copy) == before
    assert f"{newest} is damaged ({name}: not as written)" in caplog.text


def test_a_file_that_is_gone_is_noticed_and_a_checkpoint_of_an_earlier_version_is_taken_as_it_is(copy):
    newest, before = numbered(copy)
    (newest / HASHES).unlink()
    assert last_complete_checkpoint(copy) == newest
    (newest / "trainer_state.json").unlink()  # stopped while saving
    assert last_complete_checkpoint(copy) == before
    (before / "optimizer.pt").unlink()
    assert last_complete_checkpoint(copy) is None


def test_the_run_goes_on_from_the_whole_one_and_sets_the_damaged_one_aside(smaller, copy, capsys, caplog):
    newest, before = numbered(copy)
    flip_a_bit(newest / "model.safetensors")
    assert main(arguments(smaller, copy, "--epochs", "3")) == 0
    assert f"resuming    from {before}" in capsys.readouterr().out
    assert f"{newest} is damaged (model.safetensors: not as written)" in caplog.text
    assert (copy / f"damaged-{newest.name}").is_dir() and last_step(copy).name == newest.name


def test_a_damaged_best_checkpoint_is_named_and_the_next_best_taken(copy, caplog):
    newest, before = numbered(copy)
    number = int(before.name.rpartition("-")[2])
    history = [{"step": number, "eval_selection": 0.4}, {"step": 1, "eval_selection": 0.9}]
    assert best_whole_checkpoint(copy, newest, history) == newest
    assert best_whole_checkpoint(copy, Path("moved/away") / newest.name, history) == newest
    flip_a_bit(newest / "model.safetensors")
    assert best_whole_checkpoint(copy, newest, history) == before and "damaged" in caplog.text
    flip_a_bit(before / "model.safetensors")
    with pytest.raises(DamagedCheckpointError, match="--resume false"):
        best_whole_checkpoint(copy, newest, history)


def test_a_damaged_start_is_fitted_again(copy):
    run = read_json(copy / "run.json")
    assert has_fitted_start(run, copy)
    flip_a_bit(copy / "start" / "model.safetensors")
    assert not has_fitted_start(run, copy)


def test_where_every_checkpoint_is_damaged_the_run_starts_over_beside_them(copy):
    for folder in numbered(copy):
        flip_a_bit(folder / "optimizer.pt")
    assert prepare_output(read_json(copy / "run.json"), copy, resume=True) is None
    assert numbered(copy) == [] and len(list(copy.glob("damaged-checkpoint-*"))) == 2


def test_a_second_run_into_the_same_folder_is_refused_and_leaves_it_alone(smaller, tmp_path, capsys):
    with run_lock(tmp_path / "run"):
        assert main(arguments(smaller, tmp_path / "run")) == 2
        assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
    assert "another run is writing here" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()  # nothing was written into it


def test_a_run_that_was_killed_holds_no_lock(tmp_path):
    (tmp_path / LOCK).write_text("")
    with run_lock(tmp_path):
        pass


def test_only_the_first_of_several_processes_holds_the_lock(tmp_path, monkeypatch):
    with run_lock(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with run_lock(tmp_path):
            pass


def test_a_full_disk_is_a_sentence_that_names_the_checkpoint_which_is_left(smaller, copy):
    newest, before = numbered(copy)
    shutil.rmtree(newest)
    recipe = parse_recipe(arguments(smaller, copy, "--epochs", "3"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # as a full disk: a file of weights does not fit
    try:
        with pytest.raises(DiskFullError, match=r"the disk takes no more .*Make room, then the same command resumes from") as raised:
            train(recipe)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(before) in str(raised.value) and not newest.exists()  # what was half written takes no room


def test_hashes_cover_what_lies_in_folders_below(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.bin").write_bytes(b"a")
    write_hashes(tmp_path)
    (tmp_path / "below" / "a.bin").unlink()
    assert damaged_files(tmp_path) == ["below/a.bin"]
