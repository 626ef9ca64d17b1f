"""Whether the Hub can be reached is known within seconds. Run: pytest tests/test_reach.py"""

import errno
import socket
import sys
import threading
import time

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from hf_bones import reach
from hf_bones.config.recipe import RecipeError
from hf_bones.reach import UnreachedError, from_hub, hub_problem, offline_where_unreached, require_there


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """The Hub is asked, at an address that a test names."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(reach, "_answered", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def unreached(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")


def test_a_hub_that_listens_is_reached_and_trusted_for_a_while(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert hub_problem() is None
    assert hub_problem() is None  # not asked again


def test_a_closed_port_a_name_service_that_hangs_and_offline_mode_are_told_apart(unreached, monkeypatch):
    assert "127.0.0.1 cannot be reached: Connection refused" in hub_problem()
    end = threading.Event()

    def hang(*_, **__):
        end.wait(20)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    started = time.monotonic()
    assert "does not answer within 0.2 s" in hub_problem(0.2)
    assert time.monotonic() - started < 3
    end.set()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_problem() == "HF_HUB_OFFLINE is set"


def test_a_proxy_is_asked_in_place_of_the_hub(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert hub_problem() is None


def test_the_libraries_are_offline_while_the_hub_cannot_be_reached_and_no_longer(unreached):
    with offline_where_unreached() as problem:
        assert problem and sys.modules["huggingface_hub.constants"].HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_what_is_not_there_is_said_before_anything_is_loaded(unreached, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "films").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="data/films: an empty folder, and no dataset"):
        require_there("data/films", "dataset")
    (tmp_path / "data" / "films" / "dataset_dict.json").write_text("{}")
    require_there("data/films", "dataset")
    with pytest.raises(FileNotFoundError, match=r"data/fimls: no such folder here, and not found on the Hub .*did you mean data/films"):
        require_there("data/fimls", "dataset")
    with pytest.raises(FileNotFoundError, match=r"\./data/fimls: no such folder; did you mean data/films"):
        require_there("./data/fimls", "dataset")
    with pytest.raises(UnreachedError, match=r"facebook/dinov2-small: .*not found on the Hub.*name a folder with --model"):
        require_there("facebook/dinov2-small", "model", "--model")


def test_what_is_in_the_cache_needs_no_network(unreached, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--me--bones" / "snapshots" / "abc").mkdir(parents=True)
    require_there("me/bones", "model")
    with from_hub("me/bones", "model"):
        assert constants.HF_HUB_OFFLINE


def test_what_the_libraries_raise_becomes_one_line(unreached, monkeypatch):
    with pytest.raises(UnreachedError, match="me/bones: no such folder here") as raised, from_hub("me/bones", "model", "--model"):
        raise OSError("We couldn't connect to the Hub.\nCheck your internet connection")
    assert "\n" not in str(raised.value) and "--model" in str(raised.value)
    with pytest.raises(RecipeError, match="keep_blocks"), from_hub("me/bones", "model"):
        raise RecipeError("keep_blocks: 99 is too many")  # of a cached model: its own message stays
    with pytest.raises(PermissionError), from_hub("me/bones", "model"):
        raise PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(reach, "hub_problem", lambda: None)
    with pytest.raises(UnreachedError), from_hub("me/bones", "dataset"):
        raise LocalEntryNotFoundError("not cached")

    class RepositoryNotFoundError(OSError):
        """Stands for the error of that name of the Hub's client, which needs an answer of a server to be made."""

    with pytest.raises(FileNotFoundError, match="no dataset of that name on the Hub that you may read"), from_hub("me/bones", "dataset"):
        raise RepositoryNotFoundError("404 Client Error.\n\nRepository Not Found")
    with pytest.raises(ZeroDivisionError), from_hub("me/bones", "dataset"):
        raise ZeroDivisionError
