"""Zips that strangers made. Run: pytest tests/app/demo/test_batch_zip.py"""

from __future__ import annotations

import os
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import grey, png

from hf_bones.app.demo.batch.archive import ArchiveError, ArchiveLimits, list_archive, read_entry, shown_name
from hf_bones.app.demo.batch.films import gather


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_films_come_out_of_a_zip_as_they_went_in(tmp_path: Path) -> None:
    content = {f"films/{number}.png": png(grey(seed=number)) for number in range(3)}
    path = zipped(tmp_path / "films", content)
    listing = list_archive(path)
    assert [entry.name for entry in listing.entries] == list(content) and not listing.left_out
    assert [read_entry(path, entry.place) for entry in listing.entries] == list(content.values())


def test_folders_and_hidden_files_are_no_films(tmp_path: Path) -> None:
    names = ["a/", "a/wrist.png", ".DS_Store", "__MACOSX/a/._wrist.png", "a/.thumbs/x.png"]
    assert [entry.name for entry in list_archive(zipped(tmp_path / "x.zip", dict.fromkeys(names, b"x"))).entries] == ["a/wrist.png"]


def test_a_bomb_is_left_out_before_it_is_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"bomb.png": bytes(64 * 2**20), "film.png": png(grey())})
    assert path.stat().st_size < 200_000
    listing = list_archive(path)
    assert [entry.name for entry in listing.entries] == ["film.png"] and listing.left_out == (("bomb.png", "packed_too_well"),)
    with pytest.raises(ArchiveError, match="packed_too_well"):
        read_entry(path, 0)


def test_what_is_larger_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "lying.zip", {"film.png": bytes(8 * 2**20)})
    whole = path.read_bytes().replace(struct.pack("<I", 8 * 2**20), struct.pack("<I", 1000))
    path.write_bytes(whole)
    (entry,) = list_archive(path).entries
    with pytest.raises(ArchiveError, match="damaged_entry"):
        read_entry(path, entry.place)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ArchiveLimits(entries=3), "too_many_entries"),
        (ArchiveLimits(total_bytes=3000), "unpacks_to_too_much"),
    ],
)
def test_a_zip_over_a_limit_is_refused_whole(tmp_path: Path, limits: ArchiveLimits, reason: str) -> None:
    path = zipped(tmp_path / "x.zip", {f"{number}.png": os.urandom(1000) for number in range(4)})
    with pytest.raises(ArchiveError) as refused:
        list_archive(path, limits)
    assert refused.value.reason == reason


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {f"{number}.png": os.urandom(2000) for number in range(3)}, zipfile.ZIP_STORED)
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.infolist()[0]
        archive.filelist += [first] * 5
        archive._didModify = True  # so that the list of contents is written anew
    with pytest.raises(ArchiveError, match="unpacks_to_too_much"):
        list_archive(path)


def test_a_list_of_millions_of_names_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    names = entry * 200_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(names), 0, 0)
    path = tmp_path / "names.zip"
    path.write_bytes(names + end)
    before = time.process_time()
    with pytest.raises(ArchiveError, match="too_many_entries"):
        list_archive(path)
    assert time.process_time() - before < 0.1


def test_locked_linked_and_otherwise_packed_entries_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bz.png", b"x", zipfile.ZIP_BZIP2)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.png", png(grey()))
    assert list_archive(path).left_out == (("bz.png", "packed_otherwise"), ("link.png", "link"))
    locked = zipped(tmp_path / "locked.zip", {"film.png": b"secret"})
    data = bytearray(locked.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(data)
    assert list_archive(locked).left_out == (("film.png", "locked"),)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x05\x06" + bytes(3), b"PK\x03\x04" + bytes(300)])
def test_a_damaged_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged"):
        list_archive(path)


@given(st.text())
def test_no_name_leads_out_of_a_folder(name: str) -> None:
    shown = shown_name(name)
    assert shown and len(shown) <= 200 and "\\" not in shown
    assert os.path.normpath(f"/inside/{shown}").startswith("/inside/")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("C:\\films\\a.png", "films/a.png"),
        ("/a//b.png", "a/b.png"),
        ("..", "film"),
        ("a\nb.png", "a b.png"),
    ],
)
def test_names_become_names(name: str, shown: str) -> None:
    assert shown_name(name) == shown


def test_a_batch_is_of_files_and_what_is_in_zips(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(png(grey()))
    zipped(tmp_path / "two", {"a.png": png(grey(seed=1)), "b.txt": b"notes"})
    (tmp_path / "three").write_bytes(b"PK\x03\x04 no zip")
    zipped(tmp_path / "four", {})
    uploads = [(tmp_path / place, name) for place, name in (("one", "../x.png"), ("two", "t.zip"), ("three", "bad.zip"), ("four", "e.zip"))]
    found = gather(uploads)
    assert [film.name for film in found.films] == ["x.png", "t.zip/a.png", "t.zip/b.txt"]
    assert found.left_out == (("bad.zip", "damaged"), ("e.zip", "empty"))
    assert found.films[0].read() == tmp_path / "one" and found.films[1].read() == png(grey(seed=1))
    few = gather(uploads, most=2)
    assert len(few.films) == 2 and few.left_out[-1] == ("t.zip/b.txt", "too_many_films")


def test_a_film_that_waits_stays_young(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(png(grey()))
    (film,) = gather([(tmp_path / "film", "film.png")]).films
    before = film.path.stat().st_ctime_ns
    time.sleep(0.02)
    film.keep()
    assert film.path.stat().st_ctime_ns > before
    film.path.unlink()
    with pytest.raises(FileNotFoundError, match="no longer on this server"):
        film.read()
