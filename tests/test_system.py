"""What the system refuses, in words, and whether a place can be written to. Run: pytest tests/test_system.py"""

import errno
import resource

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hf_bones.system import NotWritableError, disk_is_full, refusal, require_writable


@pytest.fixture
def small_files():
    """No file grows over 20 kB while a test runs, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_known_by_whatever_a_library_makes_of_it(tmp_path, small_files):
    values = torch.arange(100_000)

    def as_text():
        with (tmp_path / "text").open("w") as stream:
            stream.write("x" * 100_000)

    for write in (
        lambda: torch.save({"a": values}, tmp_path / "a.pt"),
        lambda: save_file({"a": values}, tmp_path / "a.safetensors"),
        lambda: np.save(tmp_path / "a.npy", values.numpy()),
        as_text,
    ):
        with pytest.raises(Exception) as raised:
            write()
        assert disk_is_full(raised.value), raised.value
    assert not disk_is_full(ValueError("the image is larger than 20 pixels"))


def test_the_cause_counts_too():
    error = ValueError("cannot be saved")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert disk_is_full(error)


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path):
    for place in (tmp_path, tmp_path / "new" / "folder", tmp_path / "file.csv"):
        require_writable(place)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there.csv").write_text("a")
    require_writable(tmp_path / "there.csv")
    assert (tmp_path / "there.csv").read_text() == "a"


def test_a_place_that_cannot_be_written_is_named_with_what_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for place, why in (
        (tmp_path / "file" / "x", "a file lies where a folder is wanted"),
        (tmp_path / "loop" / "x", "a link leads back to itself"),
        (tmp_path / ("n" * 300), "shorter name"),
    ):
        with pytest.raises(NotWritableError, match=f"{place.name} cannot be written: .*{why}"):
            require_writable(place)


def test_a_folder_of_somebody_else_is_named(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "tmpabc"))

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    with pytest.raises(NotWritableError) as raised:
        require_writable(tmp_path / "run")
    assert str(raised.value) == (
        f"{tmp_path / 'run'} cannot be written: {tmp_path}: Permission denied (change its permissions, or name another place)"
    )


def test_a_refusal_names_its_file_and_what_to_do():
    assert refusal(PermissionError(errno.EACCES, "Permission denied", b"a")) == (
        "a: Permission denied (change its permissions, or name another place)"
    )
    assert refusal(OSError("plain words")) == "plain words"
