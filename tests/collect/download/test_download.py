"""`hf-bones download` against registries on loopback. Run: pytest tests/collect/download/test_download.py"""

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
from registries import FRACATLAS, GRAZPEDWRI, packed, publish_figshare, publish_mendeley, publish_zenodo, serve, sets_file
from rogue_server import RogueServer
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.download.choices import DownloadChoices
from hf_bones.collect.download.command import download_command, offer
from hf_bones.collect.download.listing import DownloadError
from hf_bones.collect.download.state import NAME
from hf_bones.collect.download.transfer import Patience

QUICK = Patience(attempts=3, first_wait=0.01, longest_wait=1.0, progress=1000)


@pytest.fixture
def run(tmp_path, rogue):
    """`hf-bones download` with the registries of `rogue`."""
    where = ["--sets", str(sets_file(tmp_path, rogue)), "--allow-private", "127.0.0.1"]

    def call(*words):
        return CliRunner().invoke(app, ["download", *map(str, words), *where])

    return call


@pytest.fixture
def bring(tmp_path, rogue):
    """A download as a function call, with short waits."""
    choices = DownloadChoices(sets=str(sets_file(tmp_path, rogue)), allow_private=("127.0.0.1",))

    def call(text, out, **patience):
        found = offer(text, out, choices)
        return download_command(found, choices, show_progress=False, patience=Patience(**(vars(QUICK) | patience)))

    return call


def record(folder):
    return json.loads((folder / NAME).read_text())


def test_a_known_set_comes_whole_with_licence_and_citation_before_and_beside_it(run, rogue, tmp_path):
    archive = packed({"FracAtlas/dataset.csv": "image_id,fractured\n", "FracAtlas/images/Fractured/IMG0000001.jpg": b"x" * 5000})
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": archive})
    done = run("fracatlas", "--out", tmp_path / "raw")
    assert done.exit_code == 0, done.output
    said = done.stderr
    assert "licence: CC-BY-4.0, in the registry's words 'CC BY 4.0', https://creativecommons.org/licenses/by/4.0/" in said
    assert "cite: Abedeen, Iftekharul (2023)." in said and "Scientific Data 10, 521 (2023)" in said
    assert "No class beyond_repair." in said
    assert f"next: hf-bones build {tmp_path / 'raw'} --labels two-class --out data/fracatlas" in done.stdout
    assert (tmp_path / "raw/FracAtlas/images/Fractured/IMG0000001.jpg").read_bytes() == b"x" * 5000
    assert not (tmp_path / "raw/FracAtlas.zip").exists()  # unpacked, and not kept
    kept = record(tmp_path / "raw")
    assert (kept["registry"], kept["article"], kept["version"], kept["licence"]) == ("figshare", FRACATLAS, "6", "CC-BY-4.0")
    assert kept["doi"] == f"10.6084/m9.figshare.{FRACATLAS}.v6" and kept["started"] and kept["finished"] and len(kept["citation"]) == 2
    file = kept["files"][0]
    assert (file["checksum"], file["sha256"]) == (f"md5:{hashlib.md5(archive).hexdigest()}", hashlib.sha256(archive).hexdigest())
    assert (file["verified"], file["state"], file["unpacked_to"], file["members"]) == (True, "unpacked", "FracAtlas", 2)
    assert file["url"].startswith(f"{rogue.url}/store/")

    asked = len(rogue.hits)
    again = run("fracatlas", "--out", tmp_path / "raw")
    assert again.exit_code == 0 and not any("store" in path for path in rogue.hits[asked:])  # nothing comes twice


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


def test_the_list_tells_what_is_known_and_asks_for_the_sizes(run, rogue):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": b"0" * 12_345_678})
    done = run("--list")
    assert done.exit_code == 0
    assert "FracAtlas: 4,083 films, 12.3 MB, CC-BY-4.0 (doi:10.6084/m9.figshare.22363012)" in done.stdout
    assert "GRAZPEDWRI-DX: 20,327 films, size unknown" in done.stdout and "grazpedwri: figshare has no public 14825193" in done.stderr
    assert done.stdout.count("No class beyond_repair") == 2


def test_a_dry_run_writes_nothing_and_names_each_file(run, rogue, tmp_path):
    publish_figshare(rogue, GRAZPEDWRI, {"dataset.csv": b"filestem\n", "images_part1.zip": b"0" * 100})
    done = run("grazpedwri", "--out", tmp_path / "raw", "--dry-run")
    assert done.exit_code == 0 and "dataset.csv  9 bytes  md5:" in done.stdout and "images_part1.zip  100 bytes" in done.stdout
    assert not (tmp_path / "raw").exists() and not any("store" in path for path in rogue.hits)


def test_only_some_files_and_the_rest_later(run, rogue, tmp_path):
    files = {"dataset.csv": b"filestem\n", "images_part1.zip": packed({"a.png": b"a"}), "images_part2.zip": packed({"b.png": b"b"})}
    publish_figshare(rogue, GRAZPEDWRI, files)
    out = tmp_path / "raw"
    assert run("grazpedwri", "--out", out, "--only", "*.csv", "--only", "*part2*").exit_code == 0
    assert (out / "images_part2/b.png").read_bytes() == b"b" and not (out / "images_part1").exists()
    assert run("grazpedwri", "--out", out, "--keep-archives").exit_code == 0
    assert (out / "images_part1/a.png").read_bytes() == b"a" and (out / "images_part1.zip").is_file()
    assert [file["state"] for file in record(out)["files"]] == ["whole", "unpacked", "unpacked"]
    none = run("grazpedwri", "--out", out, "--only", "*.tif")
    assert none.exit_code == 2 and "it has dataset.csv, images_part1.zip, images_part2.zip" in none.stderr


def test_a_record_of_zenodo_and_a_dataset_of_mendeley_come_by_doi(run, rogue, tmp_path):
    publish_zenodo(rogue, "18492013", {"films.zip": packed({"healthy/a.png": b"a", "fractured/b.png": b"b"})}, licence={"id": "cc-by-4.0"})
    done = run("doi:10.5281/zenodo.18492013", "--out", tmp_path / "z")
    assert done.exit_code == 0, done.output
    assert "cite: Roentgen, W.; Curie, M. (2024): Wrists, version v2, Zenodo, https://doi.org/10.5281/zenodo.18492013" in done.stderr
    assert (tmp_path / "z/films/healthy/a.png").is_file() and record(tmp_path / "z")["licence"] == "CC-BY-4.0"

    publish_mendeley(rogue, "vg95gvhj3y", {"readme.txt": b"hello", "simple/1.png": b"1", "comminuted/1.png": b"2"})
    done = run("https://doi.org/10.17632/VG95GVHJ3Y.3", "--out", tmp_path / "m")
    assert done.exit_code == 0, done.output
    assert "licence: CC-BY-NC-3.0" in done.stderr and "NC: not for commercial use" in done.stderr
    assert "warning: 3,090 augmented copies of 309 films" in done.stderr
    assert {path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*.png")} == {"simple/1.png", "comminuted/1.png"}
    kept = record(tmp_path / "m")
    assert kept["version"] == "3" and kept["warning"].startswith("3,090") and all(file["verified"] for file in kept["files"])
    assert all(file["checksum"] == f"sha256:{file['sha256']}" for file in kept["files"])


def test_an_unknown_licence_is_said_plainly_and_recorded_not_refused(run, rogue, tmp_path):
    publish_zenodo(rogue, "77", {"a.txt": b"a"}, licence={"id": "other-closed"})
    done = run("10.5281/zenodo.77", "--out", tmp_path / "z")
    assert done.exit_code == 0
    assert "licence: unknown, in the registry's words 'other-closed'" in done.stderr and "pass nothing on before" in done.stderr
    assert record(tmp_path / "z")["licence"] == "unknown"
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"a"}, license={"name": "CC BY-NC-ND 4.0", "url": ""})
    done = run("fracatlas", "--out", tmp_path / "f")
    assert "the authors' paper states CC-BY-4.0" in done.stderr and record(tmp_path / "f")["licence"] == "CC-BY-NC-ND-4.0"


def test_many_files_come_from_several_pages_of_figshares_answer(run, rogue, tmp_path):
    publish_figshare(rogue, "5", {f"{number:03}.txt": str(number).encode() for number in range(110)})
    done = run("doi:10.6084/m9.figshare.5", "--out", tmp_path / "raw", "--only", "?0?.txt")
    assert done.exit_code == 0 and len(list((tmp_path / "raw").glob("*.txt"))) == 20
    (tmp_path / "raw" / NAME).write_text((tmp_path / "raw" / NAME).read_text().replace('"whole"', '"waiting"'))
    asked = len(rogue.hits)  # as a kill leaves it after a file is there and before the record says so
    assert run("doi:10.6084/m9.figshare.5", "--out", tmp_path / "raw", "--only", "?0?.txt").exit_code == 0
    assert len(rogue.hits) == asked + 3 and {file["state"] for file in record(tmp_path / "raw")["files"]} == {"whole"}


def test_two_files_of_one_name_are_told_apart_and_our_own_record_is_not_overwritten(run, rogue, tmp_path):
    names = {"a.csv": b"1", "b.csv": b"2", NAME: b"3"}
    publish_figshare(rogue, "5", names)
    path = "/v2/articles/5/versions/6/files?page=1&page_size=100"
    entries = {}
    rogue.routes[path](SimpleNamespace(send=lambda body, **headers: entries.update(all=json.loads(body))))
    entries["all"][1]["name"] = "a.csv"
    rogue.page(path, json.dumps(entries["all"]).encode())
    assert run("doi:10.6084/m9.figshare.5", "--out", tmp_path / "raw").exit_code == 0
    there = {file.name: file.read_bytes() for file in (tmp_path / "raw").glob("*-2.*")} | {"a.csv": (tmp_path / "raw/a.csv").read_bytes()}
    assert there == {"a.csv": b"1", "a-2.csv": b"2", "hf_bones_download-2.json": b"3"} and record(tmp_path / "raw")["article"] == "5"


def test_a_run_that_was_killed_while_its_files_were_put_in_place_is_caught_up_with(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": packed({"FracAtlas/a.txt": b"a"})})
    assert run("fracatlas", "--out", tmp_path / "raw", "--keep-archives").exit_code == 0
    kept = record(tmp_path / "raw")
    kept["files"][0]["state"] = "placing"
    for moved in (True, False):
        (tmp_path / "raw" / NAME).write_text(json.dumps(kept))
        space = tmp_path / f"raw/.unpacking-{kept['files'][0]['sha256'][:12]}"
        space.mkdir()
        if not moved:
            (tmp_path / "raw/FracAtlas").rename(space / "FracAtlas")
        assert run("fracatlas", "--out", tmp_path / "raw", "--keep-archives").exit_code == 0
        assert (tmp_path / "raw/FracAtlas/a.txt").is_file() and not space.exists()
        assert [path.name for path in (tmp_path / "raw").iterdir() if path.is_dir()] == ["FracAtlas"]


def test_a_record_without_files_says_where_to_look(run, rogue, tmp_path):
    publish_zenodo(rogue, "88", {}, licence=None)
    closed = run("10.5281/zenodo.88", "--out", tmp_path / "z")
    assert closed.exit_code == 1 and "no public files (access: open); look at https://zenodo.org/records/88" in closed.stderr


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("fracatlass", "did you mean 'fracatlas'?"),
        ("doi:10.1000/182", "no DOI of a registry that can be asked"),
        ("", "which set?"),
        ("doi:10.5281/zenodo.1", "zenodo has no public 1"),
    ],
)
def test_what_is_no_set_is_answered_with_what_would_be_one(run, word, says):
    done = run(*([word] if word else []))
    assert done.exit_code == 2 and says in done.stderr


def test_a_folder_that_holds_something_else_is_left_alone(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"a"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/film.png").write_bytes(b"film")
    busy = run("fracatlas", "--out", tmp_path / "mine")
    assert busy.exit_code == 2 and "is not empty, and holds no download: choose another --out" in busy.stderr
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"b"}, version=7)
    newer = run("fracatlas", "--out", tmp_path / "raw")
    assert newer.exit_code == 2 and "holds version 6 of The dataset, and figshare has version 7 now" in newer.stderr
    assert run("doi:10.6084/m9.figshare.22363012.v6", "--out", tmp_path / "raw").exit_code == 0
    publish_figshare(rogue, GRAZPEDWRI, {"a.txt": b"a"})
    assert f"holds figshare {FRACATLAS}" in run("grazpedwri", "--out", tmp_path / "raw").stderr


def test_what_was_deleted_since_comes_again(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": packed({"FracAtlas/a.txt": b"a"}), "b.txt": b"b"})
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    shutil.rmtree(tmp_path / "raw/FracAtlas")
    (tmp_path / "raw/b.txt").unlink()
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    assert (tmp_path / "raw/FracAtlas/a.txt").is_file() and (tmp_path / "raw/b.txt").is_file()


def test_json_is_one_document(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"a"})
    told = json.loads(run("fracatlas", "--out", tmp_path / "raw", "--json", "--quiet").stdout)
    assert told["licence"] == "CC-BY-4.0" and told["files"][0]["state"] == "whole"
    dry = json.loads(run("fracatlas", "--out", tmp_path / "b", "--json", "--dry-run").stdout)
    assert dry["listing"]["files"][0]["size"] == 1
    assert [each["name"] for each in json.loads(run("--list", "--json").stdout)["sets"]] == ["fracatlas", "grazpedwri"]
