"""Bytes on their way: stopped, broken, wrong, redirected. Run: pytest tests/collect/download/test_download_transfer.py"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from registries import FRACATLAS, GRAZPEDWRI, QUICK, packed, publish_figshare, serve, sets_file
from rogue_server import RogueServer
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.download.choices import DownloadChoices
from hf_bones.collect.download.command import download_command, offer
from hf_bones.collect.download.listing import DownloadError
from hf_bones.collect.download.state import NAME


def record(folder):
    return json.loads((folder / NAME).read_text())


def test_stopped_and_killed_in_the_middle_it_resumes_and_no_part_passes_for_the_whole(run, rogue, tmp_path):
    body = packed({f"films/{number}.bin": hashlib.sha256(bytes([number])).digest() * 4000 for number in range(20)})
    third = len(body) // 3

    def slowly(reply):
        asked = reply.headers.get("range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if reply.number == 3:
            return reply.send(body[start:], status=206, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        reply.head(status=206 if asked else 200, length=len(body) - start, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        reply.raw(body[start : start + third])
        wait_for_bytes(start + third)
        if reply.number == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return reply.hang()

    def wait_for_bytes(size):
        deadline = time.monotonic() + 240
        while sum(part.stat().st_size for part in out.glob(".*.part")) < size and time.monotonic() < deadline:
            time.sleep(0.01)

    def half_done(size):
        kept = record(out)
        assert [part.stat().st_size for part in out.glob(".*.part")] == [size] and not (out / "FracAtlas.zip").exists()
        assert kept["files"][0]["state"] == "waiting" and not kept["finished"]

    out = tmp_path / "raw"
    rogue.answer(f"/store/{int(FRACATLAS) * 100}", slowly)
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": body})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite that runs in the background ignores it
    try:
        stopped = run("fracatlas", "--out", out)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.exit_code == 130 and "run the same command again to resume" in stopped.stderr
    half_done(third)
    code = "from hf_bones.collect.download import command; command.PAUSE = 0; from hf_bones.cli.main import main; main()"
    words = ["download", "fracatlas", "--out", out, "--sets", sets_file(tmp_path, rogue), "--allow-private", "127.0.0.1"]
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stderr=subprocess.DEVNULL)
    wait_for_bytes(2 * third)
    process.kill()
    process.wait()
    half_done(2 * third)
    assert run("fracatlas", "--out", out).exit_code == 0
    ranges = [headers.get("range") for path, headers in zip(rogue.hits, rogue.headers, strict=True) if path.startswith("/store/")]
    assert ranges == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    assert (out / "films/7.bin").read_bytes() == hashlib.sha256(bytes([7])).digest() * 4000
    assert not list(out.glob(".*.part"))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(bring, rogue, tmp_path):
    body = bytes(range(256)) * 100
    serve(rogue, f"/store/{int(FRACATLAS) * 100}", body, breaks={1: 5000, 2: 0, 3: 9000})
    publish_figshare(rogue, FRACATLAS, {"films.bin": body})
    bring("fracatlas", tmp_path / "raw")
    assert (tmp_path / "raw/films.bin").read_bytes() == body
    ranges = [headers.get("range") for path, headers in zip(rogue.hits, rogue.headers, strict=True) if path.startswith("/store/")]
    assert ranges == [None, "bytes=5000-", "bytes=5000-", "bytes=14000-"]


def test_a_server_without_ranges_starts_over_and_one_that_never_ends_well_is_given_up(bring, rogue, tmp_path):
    body = bytes(range(256)) * 100
    serve(rogue, f"/store/{int(FRACATLAS) * 100}", body, ranges=False, breaks={1: 5000})
    serve(rogue, f"/store/{int(GRAZPEDWRI) * 100}", body, breaks=dict.fromkeys(range(1, 50), 10))
    publish_figshare(rogue, FRACATLAS, {"films.bin": body})
    publish_figshare(rogue, GRAZPEDWRI, {"films.bin": body})
    bring("fracatlas", tmp_path / "a")
    assert (tmp_path / "a/films.bin").read_bytes() == body
    rogue.answer(f"/ndownloader/files/{int(GRAZPEDWRI) * 100}", lambda reply: reply.send(status=503))
    with pytest.raises(DownloadError, match=r"30 of 25,600 bytes are kept: run the same command again later to resume"):
        bring("grazpedwri", tmp_path / "b")
    assert not (tmp_path / "b/films.bin").exists()


def test_a_wrong_checksum_is_said_and_nothing_of_the_file_is_kept(run, rogue, tmp_path):
    serve(rogue, f"/store/{int(FRACATLAS) * 100}", b"damaged!!!")
    publish_figshare(rogue, FRACATLAS, {"films.bin": b"0123456789"})
    done = run("fracatlas", "--out", tmp_path / "raw")
    assert done.exit_code == 1
    wanted = hashlib.md5(b"0123456789").hexdigest()
    assert (
        "films.bin has the md5" in done.stderr and f"the registry states {wanted}" in done.stderr and "run the command again" in done.stderr
    )
    assert [path.name for path in (tmp_path / "raw").iterdir() if not path.name.startswith(".")] == [NAME]
    assert not list((tmp_path / "raw").glob(".*.part"))


def test_a_damaged_part_is_thrown_away_and_the_file_comes_anew(bring, rogue, tmp_path):
    body = bytes(range(256)) * 100
    publish_figshare(rogue, FRACATLAS, {"films.bin": body})
    (tmp_path / "raw").mkdir()
    (tmp_path / f"raw/.films.bin.{hashlib.md5(body).hexdigest()[:12]}.part").write_bytes(b"x" * 700)
    bring("fracatlas", tmp_path / "raw")
    assert (tmp_path / "raw/films.bin").read_bytes() == body


def test_a_disk_without_room_is_told_before_the_first_byte(run, rogue, tmp_path, monkeypatch):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": packed({"a.txt": b"a"})})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    done = run("fracatlas", "--out", tmp_path / "raw")
    assert done.exit_code == 1 and "and 1.0 kB are free: make room, or choose another --out" in done.stderr
    assert not (tmp_path / "raw").exists() and not any("store" in path for path in rogue.hits)
    shown = run("fracatlas", "--out", tmp_path / "raw", "--dry-run")
    assert shown.exit_code == 0 and "free: 1.0 kB: not enough, so nothing would be downloaded" in shown.stdout


def test_a_disk_that_fills_up_on_the_way_keeps_what_has_come(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"films.bin": b"0" * 100_000})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        done = run("fracatlas", "--out", tmp_path / "raw")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.exit_code == 1 and "50,000 of 100,000 bytes are kept: make room and run the same command again to resume" in done.stderr
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    assert (tmp_path / "raw/films.bin").read_bytes() == b"0" * 100_000


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://127.0.0.9:1/", "file:///etc/passwd"]
)
def test_a_redirect_to_a_private_address_is_not_followed(target, tmp_path):
    server = RogueServer("127.0.0.5")
    publish_figshare(server, FRACATLAS, {"films.bin": b"0123456789"})
    server.answer(f"/v2/file/download/{int(FRACATLAS) * 100}", lambda reply: reply.send(status=302, Location=target))
    choices = DownloadChoices(sets=str(sets_file(tmp_path, server)), allow_private=("127.0.0.5",))
    found = offer("fracatlas", tmp_path / "raw", choices)
    with pytest.raises(DownloadError, match=r"films.bin cannot be downloaded: .*(is not a public address|only http and https)"):
        download_command(found, choices, show_progress=False, patience=QUICK)
    server.close()


def test_the_registry_itself_must_be_public_unless_it_is_allowed(rogue, tmp_path):
    done = CliRunner().invoke(app, ["download", "fracatlas", "--out", str(tmp_path / "raw"), "--sets", str(sets_file(tmp_path, rogue))])
    assert done.exit_code == 1 and "127.0.0.1, which is not a public address" in done.stderr and "--allow-private" in done.stderr
    assert not rogue.hits


def test_an_address_behind_a_bot_check_is_passed_over_for_the_next(bring, rogue, tmp_path):
    number = int(FRACATLAS) * 100
    publish_figshare(rogue, FRACATLAS, {"films.bin": b"0123456789"})
    rogue.answer(f"/v2/file/download/{number}", lambda reply: reply.send(status=202, x_amzn_waf_action="challenge"))
    serve(rogue, f"/ndownloader/files/{number}", b"0123456789")
    assert bring("fracatlas", tmp_path / "raw").files[0].url.endswith(f"/ndownloader/files/{number}")
    rogue.answer(f"/ndownloader/files/{number}", lambda reply: reply.send(b"<html>", status=200))
    with pytest.raises(DownloadError, match=r"answered 202 \(a bot check stands before it\); .*announces 6 bytes, the registry says 10"):
        bring("fracatlas", tmp_path / "b")


def test_a_redirect_to_nowhere_is_passed_over_for_the_next_address(bring, rogue, tmp_path):
    number = int(FRACATLAS) * 100
    publish_figshare(rogue, FRACATLAS, {"films.bin": b"0123456789"})
    rogue.answer(f"/v2/file/download/{number}", lambda reply: reply.send(status=302, Location="http://["))
    serve(rogue, f"/ndownloader/files/{number}", b"0123456789")
    assert bring("fracatlas", tmp_path / "raw").files[0].url.endswith(f"/ndownloader/files/{number}")


def test_bytes_over_the_stated_size_are_not_taken(bring, rogue, tmp_path):
    def more(reply):
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"a" * 100_000)

    publish_figshare(rogue, FRACATLAS, {"films.bin": b"0123456789"})
    rogue.answer(f"/store/{int(FRACATLAS) * 100}", more)
    with pytest.raises(DownloadError, match="sends more than the 10 bytes"):
        bring("fracatlas", tmp_path / "raw")


def test_a_host_that_asks_for_a_long_pause_ends_the_run_with_what_is_there(bring, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"films.bin": b"0123456789"})
    busy = rogue.answer(f"/store/{int(FRACATLAS) * 100}", lambda reply: reply.send(status=429, Retry_After="7200"))
    rogue.answer(f"/ndownloader/files/{int(FRACATLAS) * 100}", lambda reply: reply.send(status=302, Location=busy))
    with pytest.raises(DownloadError, match="answered 429; it asks to wait 7200 s"):
        bring("fracatlas", tmp_path / "raw")


def test_a_drip_counts_as_a_failed_attempt(bring, rogue, tmp_path):
    def drip(reply):
        reply.head(length=1000)
        reply.drip(b"a" * 1000, 0.05)

    publish_figshare(rogue, FRACATLAS, {"films.bin": b"a" * 1000})
    rogue.answer(f"/ndownloader/files/{int(FRACATLAS) * 100}", drip)
    rogue.answer(f"/store/{int(FRACATLAS) * 100}", lambda reply: reply.send(status=503))
    with pytest.raises(DownloadError, match=r"slower than 1000 bytes/s"):
        bring("fracatlas", tmp_path / "raw", window=0.2, slowest=1000.0, attempts=2)
