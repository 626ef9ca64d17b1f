"""Archives that are unpacked without trust. Run: pytest tests/collect/download/test_unpack.py"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest
from registries import packed

from hf_bones.collect.download import unpack as unpacking
from hf_bones.collect.download.listing import DownloadError
from hf_bones.collect.download.unpack import is_archive, read_members, unpack


def written(folder, body, name="films.zip"):
    path = folder / name
    path.write_bytes(body)
    return path


def test_members_are_written_where_they_belong_and_macos_files_are_not(tmp_path):
    archive = written(
        tmp_path, packed({"a/b.png": b"1", "c.txt": b"2", "__MACOSX/a/._b.png": b"x", "a/.DS_Store": b"x", "a/._b.png": b"x"})
    )
    unpack(archive, read_members(archive), tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        "a/b.png",
        "c.txt",
    }


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "a\nb"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_that_would_leave_its_folder_stops_the_whole_archive(tmp_path, name, kind):
    if kind == "zip":
        archive = written(tmp_path, packed({"good.png": b"1", name: b"2"}))
    else:
        archive = tmp_path / "films.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"2"))
    with pytest.raises(DownloadError, match="would not stay in its folder: nothing of it is taken"):
        read_members(archive)


def test_links_devices_and_locked_members_stop_the_archive(tmp_path):
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="'link' is a link or a device"):
        read_members(written(tmp_path, into.getvalue()))
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        entry = tarfile.TarInfo("hard")
        entry.type, entry.linkname = tarfile.LNKTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(DownloadError, match="'hard' is a link or a device"):
        read_members(tmp_path / "links.tar")
    body = bytearray(packed({"a.png": b"1"}))
    body[body.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption
    with pytest.raises(DownloadError, match="locked with a password"):
        read_members(written(tmp_path, bytes(body)))


def test_bombs_are_told_by_size_and_by_number_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "SMALL", 1000)
    with pytest.raises(DownloadError, match="taken for an archive bomb"):
        read_members(written(tmp_path, packed({"zeros": bytes(5_000_000)})))
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 3)
    with pytest.raises(DownloadError, match="over 3 members"):
        read_members(written(tmp_path, packed({str(number): b"" for number in range(4)})))
    with pytest.raises(DownloadError, match="stands in the archive twice"), pytest.warns(UserWarning, match="Duplicate name"):
        into = io.BytesIO()
        with zipfile.ZipFile(into, "w") as archive:
            archive.writestr("a", b"1")
            archive.writestr("a", b"2")
        read_members(written(tmp_path, into.getvalue()))


def test_a_damaged_archive_is_named(tmp_path):
    body = bytearray(packed({"a.png": b"1234567890" * 100, "b.png": b"1"}))
    body[40] ^= 0xFF
    archive = written(tmp_path, bytes(body))
    with pytest.raises(DownloadError, match=r"films\.zip: the archive cannot be unpacked"):
        unpack(archive, read_members(archive), tmp_path / "out")


def test_what_is_an_archive_is_told_by_its_bytes(tmp_path):
    assert is_archive(written(tmp_path, packed({"a": b"1"}), "no-suffix"))
    assert not is_archive(written(tmp_path, b"image_id,fractured\n", "table.zip"))
    assert not is_archive(written(tmp_path, packed({"word/document.xml": b"1"}), "letter.docx"))
    with tarfile.open(tmp_path / "films.tgz", "w:gz") as tar:
        entry = tarfile.TarInfo("a/b.txt")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"hi"))
    assert is_archive(tmp_path / "films.tgz")
    unpack(tmp_path / "films.tgz", read_members(tmp_path / "films.tgz"), tmp_path / "out")
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"hi"


def test_a_whole_archive_that_zipfile_cannot_read_is_left_to_the_user(tmp_path):
    body = bytearray(packed({"a.png": b"1"}))
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # the method of compression, where the file and the list of files name it
        at = body.index(mark) + place
        body[at : at + 2] = (99).to_bytes(2, "little")
    archive = written(tmp_path, bytes(body))
    with pytest.raises(DownloadError, match="use --no-unpack and unpack it yourself"):
        unpack(archive, read_members(archive), tmp_path / "out")
