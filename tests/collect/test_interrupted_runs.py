"""Runs that are killed, or whose disk or decoder fails, lose nothing. Run: pytest tests/collect/test_interrupted_runs.py"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rogue_server
from collecting import files, outcomes, run
from small_collection import digest, jpeg

from hf_bones.manifest.store import open_manifest

CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {stand_ins!r})
from collecting import run
if {limit}:
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
if __name__ == "__main__":
    try:
        run(Path({out!r}), *{urls!r})
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        print(type(error).__name__, error)
        sys.exit(3)
"""


def child(tmp_path, urls, limit=0):
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(stand_ins=str(Path(rogue_server.__file__).parent), out=str(tmp_path / "c"), urls=urls, limit=limit))
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)


def check_whole(out, bodies):
    """One file and one row for each body, all bytes right, nothing besides."""
    with open_manifest(out) as manifest:
        stored = {record.sha256: record.file for record in manifest.images()}
        assert manifest.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert set(stored) == {digest(body) for body in bodies}
    assert {path.relative_to(out).as_posix() for path in files(out)} == set(stored.values())
    assert all(digest(path.read_bytes()) == path.stem for path in files(out))
    assert not files(out, "partial")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_at_any_moment_goes_on_and_fetches_nothing_twice(tmp_path, rogue, how):
    bodies = [jpeg(seed, side=64) for seed in range(60)]

    def slowly(body):
        def answer(reply):
            time.sleep(0.02)
            reply.send(body)

        return answer

    urls = [rogue.answer(f"/{n}.jpg", slowly(body)) for n, body in enumerate(bodies)]
    for target in (10, 30):
        process = child(tmp_path, urls)
        deadline = time.monotonic() + 60
        while len(rogue.images_asked()) < target and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, how) if how == signal.SIGKILL else process.send_signal(how)
        process.wait(30)
        recorded = recorded_paths(tmp_path / "c")
        before = len(rogue.images_asked())
    process = child(tmp_path, urls)
    assert process.wait(120) == 0, process.stdout.read()
    assert not set(rogue.images_asked()[before:]) & recorded
    check_whole(tmp_path / "c", bodies)


def recorded_paths(out):
    if not (out / "manifest.db").is_file():
        return set()
    return {path for path, (state, _) in outcomes(out).items() if state != "waiting"}


def test_a_full_disk_stops_the_run_loses_nothing_and_room_lets_it_go_on(tmp_path, rogue):
    """A limit on the size of files stands in for the full disk: the same error comes from the same call."""
    bodies = [jpeg(1), jpeg(2), jpeg(3, side=2000)]
    urls = [rogue.page(f"/{n}.jpg", body) for n, body in enumerate(bodies)]
    process = child(tmp_path, urls, limit=800_000)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 3 and "make room" in said, said
    assert not files(tmp_path / "c", "partial")
    run(tmp_path / "c", *urls)
    check_whole(tmp_path / "c", bodies)


def test_a_decoder_that_dies_takes_down_one_file_and_no_other(tmp_path, rogue, monkeypatch):
    """A worker is killed from outside while it decodes, over and over, for one file; the others come through."""
    import hf_bones.collect.examine as examine_module

    monkeypatch.setattr(examine_module, "_examine_in_time", dies_on_the_marked)
    urls = [rogue.page(f"/{n}.jpg", jpeg(n)) for n in range(6)]
    urls.append(rogue.page("/deadly.jpg", jpeg(7) + b"DEADLY"))
    run(tmp_path, *urls)
    states = outcomes(tmp_path)
    assert states.pop("/deadly.jpg") == ("refused", "decoder_died") and set(states.values()) == {("stored", "")}


def dies_on_the_marked(body, sha256, folder, limits, keep_refused):
    from hf_bones.collect.examine import examine

    if body.endswith(b"DEADLY"):
        os.kill(os.getpid(), signal.SIGKILL)
    return examine(body, sha256, folder, limits, keep_refused)


def test_what_a_killed_run_left_without_a_row_is_cleared_away(tmp_path, rogue):
    run(tmp_path, rogue.page("/a.jpg", jpeg()))
    (tmp_path / "images/ff").mkdir()
    (tmp_path / "images/ff/stray.jpg").write_bytes(b"stray")
    (tmp_path / "partial/half").write_bytes(b"half")
    with sqlite3.connect(tmp_path / "manifest.db") as connection:
        connection.execute("UPDATE facts SET value = 'yes' WHERE key = 'interrupted'")
    run(tmp_path)
    assert len(files(tmp_path)) == 1 and not files(tmp_path, "partial")
