"""Array caches of runs that were killed, or written by two at once. Run: pytest tests/dataset/arrays/test_cache_killed.py"""

import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path

from small_cache import FILMS, SIZE, pixels_of, served, write
from small_films import build, rows_of

from hf_bones.dataset.arrays.index import RECORD
from hf_bones.dataset.arrays.reading import arrays_folder, open_arrays


def test_a_run_killed_half_way_is_gone_on_with_to_the_same_files(tmp_path):
    build(rows_of(520), tmp_path / "dataset")
    folder = arrays_folder(tmp_path / "dataset", SIZE)
    script = f"""
import time
from pathlib import Path
from hf_bones.dataset.arrays import writing as cache_writing
from hf_bones.dataset.build import load_bones
decode = cache_writing._decode
def slowly(data, size):
    time.sleep(0.005)
    return decode(data, size)
cache_writing._decode = slowly
data = Path({str(tmp_path / "dataset")!r})
cache_writing.write_arrays(data, {SIZE}, Path({str(folder)!r}), workers=2, progress=False)
"""
    deadline = time.monotonic() + 60
    for chunks in (1, 3):
        process = subprocess.Popen([sys.executable, "-c", script])
        while records(folder) < chunks * 128 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        there, missing = served(tmp_path / "dataset")
        assert there >= chunks * 128 and there + missing == 520 and missing > 0
    assert "not in it yet" in open_arrays(folder, SIZE, tmp_path / "dataset").problems[0]
    report = write(tmp_path / "dataset")
    assert (report.kept, report.decoded, report.damaged) == (there, missing, 0)
    whole = write(tmp_path / "dataset", out=tmp_path / "whole").folder
    for name in ("index", pixels_of(tmp_path / "dataset").name):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def records(folder: Path) -> int:
    file = folder / "index"
    return (len(file.read_bytes().partition(b"\n")[2]) // RECORD.itemsize) if file.is_file() else 0


def test_what_a_killed_run_appended_without_recording_is_dropped(films):
    with pixels_of(films).open("ab") as stream:
        stream.write(b"half a chunk")
    with (arrays_folder(films, SIZE) / "index").open("ab") as stream:
        stream.write(b"half a record")
    (arrays_folder(films, SIZE) / ".index.abc").write_bytes(b"an index that was never put in place")
    assert served(films) == (FILMS, 0)
    report = write(films)
    assert report.decoded == 0 and report.pixel_bytes == report.used_bytes
    assert sorted(file.name for file in report.folder.iterdir()) == [".lock", "index", "pixels-1.u8"]


def test_two_runs_at_once_write_one_cache(tmp_path):
    build(rows_of(FILMS), tmp_path / "dataset")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        reports = pool.map(write, [tmp_path / "dataset"] * 2, chunksize=1)
    assert sorted((report.decoded, report.kept) for report in reports) == [(0, FILMS), (FILMS, 0)]
    assert served(tmp_path / "dataset") == (FILMS, 0)
