"""What the demo is started with: `python -m pytest tests/app/demo/test_demo_settings.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_bones.app.demo.models.shelf import ModelEntry
from hf_bones.app.demo.settings import log_in, models_named
from hf_bones.inference.checkpoint import CheckpointError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_BONES_MODEL", raising=False)
    monkeypatch.delenv("HF_BONES_AUTH", raising=False)
    monkeypatch.chdir(tmp_path)


def test_models_come_from_options_or_the_environment_or_are_the_bundled_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert models_named() == models_named([]) == [ModelEntry("bundled")]
    monkeypatch.setenv("HF_BONES_MODEL", " me/bones@v2, bundled ,")
    assert models_named() == [ModelEntry("me/bones", "v2"), ModelEntry("bundled")]
    assert models_named(["me/other"], "v3") == [ModelEntry("me/other", "v3")]
    (tmp_path / "runs" / "a@b").mkdir(parents=True)
    assert models_named(["runs/a@b", "/models/a@b"]) == [ModelEntry("runs/a@b"), ModelEntry("/models/a@b")], "folders"


def test_a_revision_belongs_to_one_model() -> None:
    with pytest.raises(ValueError, match="write me/a@v2 instead"):
        models_named(["me/a", "me/b"], "v2")
    with pytest.raises(ValueError, match="name one revision"):
        models_named(["me/a@v1"], "v2")


def test_a_folder_without_a_checkpoint_is_said_before_the_page_is_up(tmp_path: Path) -> None:
    ModelEntry("bundled").check()
    ModelEntry("me/bones", "v2").check()  # the Hub is asked when it is loaded
    (tmp_path / "empty").mkdir()
    for model, said in (("empty", "no config.json"), ("nowhere", "no checkpoint 'nowhere'"), (tmp_path / "empty", "no config.json")):
        with pytest.raises(CheckpointError, match=said):
            ModelEntry(model).check()


def test_who_may_log_in_comes_from_an_option_a_file_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert log_in() is None
    assert log_in("ada:a:b") == ("ada", "a:b")
    file = tmp_path / "log-in"
    file.write_text("bob:secret\n# more\n")
    assert log_in(file=file) == ("bob", "secret")
    monkeypatch.setenv("HF_BONES_AUTH", "eve:hush")
    assert log_in() == ("eve", "hush") and log_in("ada:x") == ("ada", "x")
    with pytest.raises(ValueError, match="give one of them"):
        log_in("ada:x", file)
    with pytest.raises(ValueError, match=r"--auth-file .*missing: cannot be read"):
        log_in(file=tmp_path / "missing")


@pytest.mark.parametrize("text", ["hush-hush", ":hush-hush", "ada:", "", " :hush-hush"])
def test_a_log_in_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="--auth: write USER:PASSWORD") as error:
        log_in(text)
    assert "hush-hush" not in str(error.value)
