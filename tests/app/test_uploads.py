"""Uploads go with their server, however it ends: `python -m pytest tests/app/test_uploads.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from hf_bones.app.uploads import PREFIX, remove_leftovers, uploads_folder

# Without gradio, which takes seconds to import: what `serving` holds around a page is all that a signal meets.
SERVER = """
import time
from hf_bones.app.uploads import ended_like_ctrl_c, uploads_folder
with ended_like_ctrl_c(), uploads_folder() as folder:
    (folder / "film.png").write_bytes(b"a film")
    print(folder, flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def _server() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_server_that_is_ended_takes_its_uploads_with_it_and_a_killed_one_leaves_them_to_the_next(place: Path) -> None:
    ended, killed = _server(), _server()
    assert (ended[1] / "film.png").is_file() and (killed[1] / "film.png").is_file() and ended[1] != killed[1]
    ended[0].send_signal(signal.SIGTERM)
    assert ended[0].wait(10) == 0 and not ended[1].exists()
    assert remove_leftovers(place) == [] and (killed[1] / "film.png").is_file(), "its server still runs"
    killed[0].kill()
    killed[0].wait(10)
    with uploads_folder() as own:
        assert not killed[1].exists() and own.parent == place and os.environ["GRADIO_TEMP_DIR"] == str(own)
    assert list(place.iterdir()) == [] and os.environ["GRADIO_TEMP_DIR"] == str(place)


def test_nothing_of_others_is_swept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "gradio").mkdir()
    (place / f"{PREFIX}without-lock").mkdir()
    (place / f"{PREFIX}file").write_text("a file")
    elsewhere = place / "films"
    elsewhere.mkdir()
    (elsewhere / "hf_bones.lock").touch()
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    held = place / f"{PREFIX}held"
    held.mkdir()
    before = sorted(place.iterdir())
    with FileLock(held / "hf_bones.lock"):
        assert remove_leftovers(place) == [] and sorted(place.iterdir()) == before
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert remove_leftovers(place) == [] and held.is_dir(), "another user's"
    monkeypatch.undo()
    assert remove_leftovers(place) == [held]
